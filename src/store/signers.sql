-- Schema 5: keys that sign elsewhere, and notifications.

-- Whether the key may be given to signer targets: whether its keyset named one when it was made.
ALTER TABLE signing_key ADD COLUMN exportable INTEGER NOT NULL DEFAULT 0;
-- The signer targets that were given it, and what is known of it there, a list.
ALTER TABLE signing_key ADD COLUMN held TEXT NOT NULL DEFAULT '[]';

-- What is told to somebody elsewhere: a message to one webhook.
CREATE TABLE notification (
    id INTEGER PRIMARY KEY,
    version INTEGER NOT NULL,
    webhook TEXT NOT NULL,
    -- The same at each attempt, and for all who are told of one event: receivers know it by that.
    message TEXT NOT NULL,
    -- What happened, as the event is called, and to what.
    type TEXT NOT NULL,
    subject TEXT NOT NULL,
    -- What is sent, to the letter.
    body TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    error TEXT,
    created_at INTEGER NOT NULL,
    delivered_at INTEGER,
    -- None: it was delivered, or given up.
    due_at INTEGER,
    UNIQUE (webhook, message)
);
CREATE INDEX notification_due ON notification (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX notification_failing ON notification (id) WHERE error IS NOT NULL;
CREATE INDEX notification_webhook ON notification (webhook, id);
CREATE INDEX notification_created ON notification (created_at);
