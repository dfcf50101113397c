-- Schema 1. Times are Unix seconds. A `due_at` is when the worker must look at the row again; a
-- row without one asks for nothing. `version` grows with each write and guards against lost ones.

CREATE TABLE meta (
    name TEXT PRIMARY KEY,
    value BLOB NOT NULL
);

CREATE TABLE event (
    id INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    subject TEXT NOT NULL,
    request TEXT,
    detail TEXT
);
CREATE INDEX event_subject ON event (subject, id);

CREATE TABLE declaration (
    id INTEGER PRIMARY KEY,
    version INTEGER NOT NULL,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    spec TEXT NOT NULL,
    UNIQUE (kind, name)
);

CREATE TABLE authority (
    id INTEGER PRIMARY KEY,
    version INTEGER NOT NULL,
    name TEXT NOT NULL,
    generation INTEGER NOT NULL,
    issuer INTEGER,
    certificate BLOB NOT NULL,
    sealed_key BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    UNIQUE (name, generation)
);

CREATE TABLE crl (
    id INTEGER PRIMARY KEY,
    version INTEGER NOT NULL,
    authority INTEGER NOT NULL UNIQUE,
    number INTEGER NOT NULL,
    this_update INTEGER NOT NULL,
    next_update INTEGER NOT NULL,
    der BLOB NOT NULL,
    due_at INTEGER
);

CREATE TABLE account (
    id INTEGER PRIMARY KEY,
    version INTEGER NOT NULL,
    directory TEXT NOT NULL,
    origin TEXT NOT NULL,
    thumbprint BLOB NOT NULL,
    jwk TEXT NOT NULL,
    status TEXT NOT NULL,
    contact TEXT NOT NULL,
    terms_agreed INTEGER NOT NULL,
    external_key TEXT,
    external_binding TEXT,
    created_at INTEGER NOT NULL,
    UNIQUE (directory, thumbprint)
);

CREATE TABLE external_key (
    id INTEGER PRIMARY KEY,
    version INTEGER NOT NULL,
    directory TEXT NOT NULL,
    kid TEXT NOT NULL UNIQUE,
    sealed_key BLOB NOT NULL,
    permitted TEXT NOT NULL,
    comment TEXT NOT NULL,
    account INTEGER,
    created_at INTEGER NOT NULL,
    expires_at INTEGER,
    revoked_at INTEGER
);

CREATE TABLE acme_order (
    id INTEGER PRIMARY KEY,
    version INTEGER NOT NULL,
    account INTEGER NOT NULL,
    phase TEXT NOT NULL,
    identifiers TEXT NOT NULL,
    profile TEXT NOT NULL,
    replaces BLOB,
    not_before INTEGER,
    not_after INTEGER,
    certificate INTEGER,
    error TEXT,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    due_at INTEGER
);
CREATE INDEX acme_order_account ON acme_order (account, id);
CREATE INDEX acme_order_due ON acme_order (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX acme_order_expires ON acme_order (expires_at);
-- One order at a time may replace a certificate (RFC 9773 §5); a failed one gives its claim up.
CREATE UNIQUE INDEX acme_order_replaces ON acme_order (replaces)
    WHERE replaces IS NOT NULL AND phase <> 'failed';

CREATE TABLE order_authorization (
    acme_order INTEGER NOT NULL,
    authorization INTEGER NOT NULL,
    PRIMARY KEY (acme_order, authorization)
) WITHOUT ROWID;

CREATE TABLE authorization (
    id INTEGER PRIMARY KEY,
    version INTEGER NOT NULL,
    account INTEGER NOT NULL,
    identifier TEXT NOT NULL,
    token BLOB NOT NULL,
    phase TEXT NOT NULL,
    challenge TEXT,
    attempts INTEGER NOT NULL,
    error TEXT,
    changed_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    due_at INTEGER
);
CREATE INDEX authorization_account ON authorization (account, identifier);
CREATE INDEX authorization_due ON authorization (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX authorization_expires ON authorization (expires_at);

CREATE TABLE certificate (
    id INTEGER PRIMARY KEY,
    version INTEGER NOT NULL,
    serial BLOB NOT NULL UNIQUE,
    authority INTEGER NOT NULL,
    phase TEXT NOT NULL,
    account INTEGER,
    profile TEXT NOT NULL,
    not_before INTEGER NOT NULL,
    not_after INTEGER NOT NULL,
    key_hash BLOB NOT NULL,
    intended BLOB,
    der BLOB,
    sealed_key BLOB,
    replaced_by INTEGER,
    must_go_at INTEGER,
    revoked_at INTEGER,
    revocation_reason INTEGER
);
-- The inventory: what is out there and counts.
CREATE INDEX certificate_not_after ON certificate (not_after)
    WHERE phase = 'issued' AND revoked_at IS NULL;
CREATE INDEX certificate_key ON certificate (key_hash);
CREATE INDEX certificate_revoked ON certificate (authority, revoked_at)
    WHERE revoked_at IS NOT NULL;

CREATE TABLE certificate_name (
    name TEXT NOT NULL,
    certificate INTEGER NOT NULL,
    PRIMARY KEY (name, certificate)
) WITHOUT ROWID;

CREATE TABLE blocked_key (
    key_hash BLOB PRIMARY KEY,
    blocked_at INTEGER NOT NULL,
    reason TEXT NOT NULL
);

CREATE TABLE rate_limit (
    bucket TEXT PRIMARY KEY,
    arrival INTEGER NOT NULL
);
