-- Schema 18: who people are at identity providers.

CREATE TABLE identity (
    id INTEGER PRIMARY KEY,
    version INTEGER NOT NULL,
    issuer TEXT NOT NULL,
    -- What the issuer calls them, and nobody else ever.
    subject TEXT NOT NULL,
    person INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    UNIQUE (issuer, subject)
);
