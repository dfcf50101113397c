-- Schema 10: people, and the sessions in which they are signed in.

CREATE TABLE person (
    id INTEGER PRIMARY KEY,
    version INTEGER NOT NULL,
    name TEXT NOT NULL UNIQUE,
    display_name TEXT NOT NULL,
    -- JSON lists.
    roles TEXT NOT NULL,
    groups TEXT NOT NULL,
    -- active or disabled
    state TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    entered_at INTEGER,
    -- SHA-256 of what the link says that lets them in once, while it is open.
    invitation_hash BLOB UNIQUE,
    invitation_expires_at INTEGER
);

CREATE TABLE session (
    id INTEGER PRIMARY KEY,
    version INTEGER NOT NULL,
    person INTEGER NOT NULL,
    -- SHA-256 of what the cookie says.
    hash BLOB NOT NULL UNIQUE,
    -- How they signed in: link, passkey, or the name of an identity provider.
    way TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    used_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    stepped_up_at INTEGER,
    user_agent TEXT
);
CREATE INDEX session_person ON session (person);
CREATE INDEX session_expires ON session (expires_at);
