-- Schema 3: keysets of JWT issuers, and their signing keys.

CREATE TABLE keyset (
    id INTEGER PRIMARY KEY,
    version INTEGER NOT NULL,
    name TEXT NOT NULL UNIQUE,
    -- What was declared when it was last looked at, as JSON.
    declared TEXT NOT NULL,
    -- Until then somebody may hold a set fetched under an earlier declaration that allowed more.
    held_until INTEGER,
    -- Whether a key was ever announced.
    published INTEGER NOT NULL,
    -- Grows with every change of what is published.
    sequence INTEGER NOT NULL,
    error TEXT,
    changed_at INTEGER NOT NULL,
    due_at INTEGER
);
CREATE INDEX keyset_due ON keyset (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX keyset_failing ON keyset (id) WHERE error IS NOT NULL;

CREATE TABLE signing_key (
    id INTEGER PRIMARY KEY,
    version INTEGER NOT NULL,
    keyset INTEGER NOT NULL,
    kid TEXT NOT NULL,
    algorithm TEXT NOT NULL,
    phase TEXT NOT NULL,
    -- The public half, a JWK.
    public TEXT NOT NULL,
    -- The private half, until it has signed for the last time.
    sealed_key BLOB,
    first INTEGER NOT NULL,
    announced_at INTEGER NOT NULL,
    -- Deadlines are stored when a phase is entered: somebody may rely on them.
    ready_at INTEGER NOT NULL,
    -- The edges that were seen to serve it, a list.
    proven TEXT NOT NULL,
    proven_at INTEGER,
    prove_at INTEGER NOT NULL,
    signing_from INTEGER,
    rotate_at INTEGER,
    -- Nothing was signed with it after this, and no token lives longer than that.
    last_signature_at INTEGER,
    last_expiry INTEGER,
    gone_at INTEGER,
    UNIQUE (keyset, kid)
);
CREATE INDEX signing_key_gone ON signing_key (gone_at) WHERE phase = 'gone';
