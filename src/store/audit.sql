-- The audit log proves itself: its events are the leaves of a Merkle tree (RFC 9162 §2.1).

-- The hash of each event ever, in the order in which they were stored. It stays when the event goes.
CREATE TABLE audit_leaf (
    -- From 0, without gaps.
    position INTEGER PRIMARY KEY,
    event INTEGER NOT NULL,
    hash BLOB NOT NULL
);
-- The hash of each whole subtree of 2^8, 2^16, ... leaves, so that a proof reads few rows.
CREATE TABLE audit_subtree (
    height INTEGER NOT NULL,
    number INTEGER NOT NULL,
    hash BLOB NOT NULL,
    PRIMARY KEY (height, number)
) WITHOUT ROWID;
-- What was signed: a note that says how large the tree was, and its root.
CREATE TABLE audit_checkpoint (
    size INTEGER PRIMARY KEY,
    made_at INTEGER NOT NULL,
    note TEXT NOT NULL
);
