//! Who waits for the store to change. What changed is for the audit log to say.

use tokio::sync::watch;

use super::Store;

impl Store {
    /// Hears of it when something is committed from now on.
    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.inner.changed.subscribe()
    }
}
