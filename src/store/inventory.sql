-- Schema 7: certificates that were found in use, where, by which scan, and of which ends somebody was told.

CREATE TABLE found_certificate (
    id INTEGER PRIMARY KEY,
    fingerprint BLOB NOT NULL UNIQUE,
    der BLOB NOT NULL,
    subject TEXT NOT NULL,
    issuer TEXT NOT NULL,
    serial TEXT NOT NULL,
    -- A list.
    names TEXT NOT NULL,
    not_before INTEGER NOT NULL,
    not_after INTEGER NOT NULL,
    key TEXT NOT NULL,
    key_bits INTEGER NOT NULL,
    signature TEXT NOT NULL,
    is_ca INTEGER NOT NULL,
    -- Who answers for it, as the scan or the endpoint said that saw it last.
    owner TEXT,
    first_at INTEGER NOT NULL,
    last_at INTEGER NOT NULL
);
CREATE INDEX found_certificate_not_after ON found_certificate (not_after, id);
CREATE INDEX found_certificate_last ON found_certificate (last_at);

-- What was seen last at each place.
CREATE TABLE sighting (
    -- tls://ADDRESS:PORT/NAME, file://HOST/PATH, secret://CLUSTER/NAMESPACE/NAME
    place TEXT PRIMARY KEY,
    -- The leaf; none: nothing could be seen, and error says why.
    found INTEGER,
    -- What was sent above it, a list of found certificates.
    chain TEXT NOT NULL,
    -- When the first of the chain, or the leaf, ends.
    ends_at INTEGER,
    -- A list.
    flaws TEXT NOT NULL,
    -- Who keeps it there, as far as that can be told.
    keeper TEXT,
    error TEXT,
    endpoint TEXT,
    scan INTEGER,
    first_at INTEGER NOT NULL,
    -- Since when it is this leaf.
    changed_at INTEGER NOT NULL,
    last_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX sighting_found ON sighting (found);
CREATE INDEX sighting_endpoint ON sighting (endpoint) WHERE endpoint IS NOT NULL;
CREATE INDEX sighting_last ON sighting (last_at);
CREATE INDEX sighting_ends ON sighting (ends_at);

-- A declared address that is watched.
CREATE TABLE endpoint (
    id INTEGER PRIMARY KEY,
    version INTEGER NOT NULL,
    name TEXT NOT NULL UNIQUE,
    -- What is wrong with it, in words; none: nothing.
    error TEXT,
    looked_at INTEGER,
    changed_at INTEGER NOT NULL,
    due_at INTEGER
);
CREATE INDEX endpoint_due ON endpoint (due_at) WHERE due_at IS NOT NULL;

CREATE TABLE scan (
    id INTEGER PRIMARY KEY,
    version INTEGER NOT NULL,
    -- What is scanned and how, as it was asked for.
    request TEXT NOT NULL,
    total INTEGER NOT NULL,
    -- Of the places to look at, in their order, how many are done with all before them.
    done INTEGER NOT NULL,
    seen INTEGER NOT NULL,
    failed INTEGER NOT NULL,
    started_at INTEGER NOT NULL,
    changed_at INTEGER NOT NULL,
    ended_at INTEGER
);

-- What is nearer to its end than far.
CREATE TABLE alarm (
    -- As the audit log calls it.
    subject TEXT PRIMARY KEY,
    level TEXT NOT NULL,
    ends_at INTEGER NOT NULL,
    since INTEGER NOT NULL
) WITHOUT ROWID;
