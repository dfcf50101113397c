-- Lists of certificates by what they are of, in the order of their ids, and in that of their ends.

CREATE INDEX certificate_authority ON certificate (authority, id);
CREATE INDEX certificate_profile ON certificate (profile, id);
CREATE INDEX certificate_authority_ends ON certificate (authority, not_after)
    WHERE phase = 'issued' AND revoked_at IS NULL;
CREATE INDEX certificate_profile_ends ON certificate (profile, not_after)
    WHERE phase = 'issued' AND revoked_at IS NULL;
CREATE INDEX certificate_revoked_id ON certificate (id) WHERE revoked_at IS NOT NULL;
