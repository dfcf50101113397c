-- Schema 4: who fetched which keyset, and what of an emergency is not over.

CREATE TABLE fetch (
    keyset INTEGER NOT NULL,
    -- By what it is known: consumer (its label, or what is declared of it), agent, address, others.
    known_by TEXT NOT NULL,
    name TEXT NOT NULL,
    first_at INTEGER NOT NULL,
    last_at INTEGER NOT NULL,
    -- The highest sequence of the set that it was given, or told that it has.
    sequence INTEGER NOT NULL,
    count INTEGER NOT NULL,
    -- Where the last fetch came from, and the product it named.
    address TEXT NOT NULL,
    agent TEXT NOT NULL,
    PRIMARY KEY (keyset, known_by, name)
) WITHOUT ROWID;

-- The sequence of the first set with the key in it; 0: before that was stored.
ALTER TABLE signing_key ADD COLUMN sequence INTEGER NOT NULL DEFAULT 0;
-- The required consumers that were seen to fetch it, a list.
ALTER TABLE signing_key ADD COLUMN fetched TEXT NOT NULL DEFAULT '[]';
-- Who may still trust a key that was taken out in an emergency, and until when, a list.
ALTER TABLE keyset ADD COLUMN exposed TEXT NOT NULL DEFAULT '[]';
