-- Requests that may be repeated: what was asked under a key of the caller's own, and what was answered.

CREATE TABLE repeatable (
    -- As the audit log calls them.
    caller TEXT NOT NULL,
    -- The Idempotency-Key.
    key TEXT NOT NULL,
    -- SHA-256 of method, path, query and body.
    digest BLOB NOT NULL,
    claimed_at INTEGER NOT NULL,
    -- None: it is under way, or was interrupted.
    status INTEGER,
    -- Sealed: some answers show what is shown once.
    answer BLOB,
    PRIMARY KEY (caller, key)
) WITHOUT ROWID;
CREATE INDEX repeatable_claimed_at ON repeatable (claimed_at);
