-- Which managed certificates are overdue is counted every minute, however many there are: those
-- for which more than half of the time between renewal and expiry is over.

CREATE INDEX certificate_version_overdue ON certificate_version (renew_at + not_after)
    WHERE proven_at IS NOT NULL AND retired_at IS NULL;
