-- Schema 12: requests that somebody must agree to before they are done.

CREATE TABLE approval (
    id INTEGER PRIMARY KEY,
    version INTEGER NOT NULL,
    -- Who asked, as the audit log calls them.
    asked_by TEXT NOT NULL,
    -- The actions that need it, and on what.
    actions TEXT NOT NULL,
    subjects TEXT NOT NULL,
    -- Method and path, and SHA-256 of those with the body: exactly this request is done.
    route TEXT NOT NULL,
    digest BLOB NOT NULL,
    reason TEXT NOT NULL,
    -- How many must agree.
    needed INTEGER NOT NULL,
    -- Who agreed or did not, and when.
    decisions TEXT NOT NULL,
    state TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
);
CREATE INDEX approval_digest ON approval (digest);
CREATE INDEX approval_expires ON approval (expires_at);
