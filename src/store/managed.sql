-- Schema 2: managed certificates, their versions, where each is placed, and the rotations that
-- brought them there; accounts at CAs outside; tokens of those who pull.

-- The rotation an event belongs to.
ALTER TABLE event ADD COLUMN rotation INTEGER;
CREATE INDEX event_rotation ON event (rotation, id) WHERE rotation IS NOT NULL;

CREATE TABLE managed_certificate (
    id INTEGER PRIMARY KEY,
    version INTEGER NOT NULL,
    name TEXT NOT NULL UNIQUE,
    declared BLOB NOT NULL,
    current INTEGER,
    newest INTEGER NOT NULL,
    rotation INTEGER,
    wish TEXT,
    held BLOB,
    failures INTEGER NOT NULL,
    retry_at INTEGER,
    error TEXT,
    due_at INTEGER
);
CREATE INDEX managed_certificate_due ON managed_certificate (due_at) WHERE due_at IS NOT NULL;

-- What is counted every minute, and what asks for attention.
CREATE INDEX managed_certificate_pending ON managed_certificate (id) WHERE current IS NULL;
CREATE INDEX managed_certificate_rotating ON managed_certificate (id) WHERE rotation IS NOT NULL;
CREATE INDEX managed_certificate_failing ON managed_certificate (failures) WHERE failures > 0;

CREATE TABLE certificate_version (
    id INTEGER PRIMARY KEY,
    version INTEGER NOT NULL,
    managed INTEGER NOT NULL,
    number INTEGER NOT NULL,
    issuer TEXT NOT NULL,
    chain TEXT NOT NULL,
    sealed_key BLOB,
    fingerprint BLOB NOT NULL,
    request BLOB NOT NULL,
    not_before INTEGER NOT NULL,
    not_after INTEGER NOT NULL,
    renew_at INTEGER NOT NULL,
    suggestion TEXT,
    obtained_at INTEGER NOT NULL,
    proven_at INTEGER,
    retired_at INTEGER,
    revoked_at INTEGER,
    UNIQUE (managed, number)
);
CREATE INDEX certificate_version_end ON certificate_version (not_after)
    WHERE proven_at IS NOT NULL AND retired_at IS NULL;
CREATE INDEX certificate_version_fingerprint ON certificate_version (fingerprint);

CREATE TABLE rotation (
    id INTEGER PRIMARY KEY,
    version INTEGER NOT NULL,
    managed INTEGER NOT NULL,
    cause TEXT NOT NULL,
    phase TEXT NOT NULL,
    from_number INTEGER,
    to_number INTEGER,
    pending TEXT,
    pending_key BLOB,
    attempts INTEGER NOT NULL,
    error TEXT,
    started_at INTEGER NOT NULL,
    proven_at INTEGER,
    ended_at INTEGER,
    due_at INTEGER
);
CREATE INDEX rotation_managed ON rotation (managed, id);
CREATE INDEX rotation_due ON rotation (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX rotation_wrong ON rotation (managed) WHERE error IS NOT NULL AND ended_at IS NULL;
CREATE INDEX rotation_ended ON rotation (ended_at) WHERE ended_at IS NOT NULL;

CREATE TABLE placement (
    id INTEGER PRIMARY KEY,
    version INTEGER NOT NULL,
    managed INTEGER NOT NULL,
    target TEXT NOT NULL,
    serves INTEGER,
    given INTEGER,
    spec BLOB,
    proof TEXT,
    error TEXT,
    changed_at INTEGER NOT NULL,
    due_at INTEGER,
    UNIQUE (managed, target)
);
CREATE INDEX placement_due ON placement (due_at) WHERE due_at IS NOT NULL;

CREATE INDEX placement_wrong ON placement (managed) WHERE error IS NOT NULL;

CREATE TABLE client_account (
    id INTEGER PRIMARY KEY,
    version INTEGER NOT NULL,
    issuer TEXT NOT NULL UNIQUE,
    sealed_credentials BLOB NOT NULL,
    created_at INTEGER NOT NULL
);

CREATE TABLE api_token (
    id INTEGER PRIMARY KEY,
    version INTEGER NOT NULL,
    name TEXT NOT NULL UNIQUE,
    hash BLOB NOT NULL UNIQUE,
    scope TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER,
    used_at INTEGER,
    revoked_at INTEGER
);
