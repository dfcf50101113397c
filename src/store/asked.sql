-- Schema 9: certificates that objects of Kubernetes clusters ask for, and may have.

CREATE TABLE asked_certificate (
    id INTEGER PRIMARY KEY,
    version INTEGER NOT NULL,
    discovery TEXT NOT NULL,
    -- What the managed certificate and its target are called.
    name TEXT NOT NULL UNIQUE,
    namespace TEXT NOT NULL,
    secret TEXT NOT NULL,
    profile TEXT NOT NULL,
    names TEXT NOT NULL,
    -- The object that asks: ingress, gateway or service, and its name in the namespace.
    kind TEXT NOT NULL,
    object TEXT NOT NULL,
    found_at INTEGER NOT NULL
);
CREATE INDEX asked_certificate_discovery ON asked_certificate (discovery, namespace);
