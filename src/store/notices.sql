-- Whoever is told: a webhook, or people by mail or chat.
ALTER TABLE notification RENAME COLUMN webhook TO receiver;

-- What people are to be told of one trouble, or were: of these, their messages are made.
CREATE TABLE notice (
    id INTEGER PRIMARY KEY,
    version INTEGER NOT NULL,
    receiver TEXT NOT NULL,
    -- To what it happened, and which trouble it is; of a happening, the event.
    subject TEXT NOT NULL,
    topic TEXT NOT NULL,
    -- The latest event, and its rotation.
    type TEXT NOT NULL,
    rotation INTEGER,
    severity TEXT NOT NULL,
    -- What was seen the last time.
    seen TEXT NOT NULL,
    -- open: it lasts; over: that is to be told; once: it only happened.
    state TEXT NOT NULL,
    since INTEGER NOT NULL,
    seen_at INTEGER NOT NULL,
    times INTEGER NOT NULL,
    -- Digests of what was told of it, a list.
    told TEXT NOT NULL,
    told_at INTEGER,
    due_at INTEGER NOT NULL,
    UNIQUE (receiver, subject, topic)
);
CREATE INDEX notice_due ON notice (receiver, due_at);

-- Up to which event everybody was told, or is to be told by what is stored: not of what was before.
INSERT INTO meta (name, value)
    SELECT 'told-up-to', CAST(CAST(coalesce(max(id), 0) AS TEXT) AS BLOB) FROM event;
