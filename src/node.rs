//! The node: everything a request or a step needs, in one place to hand around. It holds no logic.

use std::sync::{Arc, PoisonError, RwLock};

use acme::nonce::Nonces;
use rustls::sign::CertifiedKey;

use crate::catalog::Catalog;
use crate::config::Config;
use crate::http::limits::Limiter;
use crate::http::metrics::Metrics;
use crate::perform::inventory::Inventory;
use crate::seal::KeyEncryptionKey;
use crate::store::Store;
use crate::worker::Worker;
use crate::world::World;

/// A running node.
pub(crate) struct Node {
    pub(crate) config: Config,
    pub(crate) world: World,
    pub(crate) store: Store,
    pub(crate) key: KeyEncryptionKey,
    pub(crate) nonces: Nonces,
    pub(crate) limiter: Limiter,
    pub(crate) metrics: Metrics,
    pub(crate) worker: Worker,
    /// Keys known to be compromised, by file.
    pub(crate) blocked: ca::BlockedKeys,
    /// `http://host:port`: what certificates name for CRLs and issuers.
    pub(crate) http_url: String,
    /// `https://host:port`: what the node calls itself where no request says otherwise.
    pub(crate) https_url: String,
    pub(crate) catalog: Current<Catalog>,
    pub(crate) inventory: Current<Inventory>,
    /// What the HTTPS listener presents; none only while the node starts.
    pub(crate) presented: Current<Option<Arc<CertifiedKey>>>,
}

/// A value that is replaced whole: readers keep what they took.
pub(crate) struct Current<T>(RwLock<Arc<T>>);

impl<T> Current<T> {
    /// Starts with `value`.
    pub(crate) fn new(value: T) -> Self {
        Self(RwLock::new(Arc::new(value)))
    }

    /// The value as it stands.
    pub(crate) fn load(&self) -> Arc<T> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts `value` in its place.
    pub(crate) fn replace(&self, value: T) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(value);
    }
}
