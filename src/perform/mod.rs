//! The steps: what the worker does to the world. Each step looks at its row again before it acts,
//! so that repeating one is harmless, and stores its outcome with its audit event in one commit.

pub(crate) mod again;
pub(crate) mod calendar;
pub(crate) mod checkpoint;
pub(crate) mod cluster_bundle;
pub(crate) mod cluster_signer;
pub(crate) mod discovery;
pub(crate) mod endpoint;
pub(crate) mod establish;
pub(crate) mod expiry;
pub(crate) mod follow;
pub(crate) mod identity_provider;
pub(crate) mod inventory;
pub(crate) mod issuance;
pub(crate) mod issuers;
pub(crate) mod keyset;
pub(crate) mod known;
pub(crate) mod managed;
pub(crate) mod notices;
pub(crate) mod notify;
pub(crate) mod obtain;
pub(crate) mod offer;
pub(crate) mod outgoing;
pub(crate) mod own;
pub(crate) mod published;
pub(crate) mod removal;
pub(crate) mod retention;
pub(crate) mod revocation;
mod revoked;
pub(crate) mod rotation;
pub(crate) mod validate;
pub(crate) mod validation;
pub(crate) mod watch;
