-- Schema 15: the passkeys of people. Nothing of them is secret.

CREATE TABLE passkey (
    id INTEGER PRIMARY KEY,
    version INTEGER NOT NULL,
    person INTEGER NOT NULL,
    -- What its owner calls it.
    name TEXT NOT NULL,
    -- What the authenticator calls it.
    credential BLOB NOT NULL UNIQUE,
    -- The public key, in COSE.
    key BLOB NOT NULL,
    sign_count INTEGER NOT NULL,
    backup_eligible INTEGER NOT NULL,
    backed_up INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    used_at INTEGER NOT NULL
);
CREATE INDEX passkey_person ON passkey (person);
