-- Schema 6: keysets that are declared no more, and keys that can sign again for a while.

-- Since when it is declared no more; its keys go when no token needs them.
ALTER TABLE keyset ADD COLUMN closed_at INTEGER;
CREATE INDEX keyset_closed ON keyset (closed_at) WHERE closed_at IS NOT NULL;
-- For the other nodes, which look for what has changed lately.
CREATE INDEX keyset_changed ON keyset (changed_at);
-- Until when the private half of a key that was replaced is kept.
ALTER TABLE signing_key ADD COLUMN kept_until INTEGER;
