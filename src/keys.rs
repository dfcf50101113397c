//! Account keys at hand: read once, then kept ready to verify. A key is found by its own text, so
//! that nothing here can be out of date; what is kept is bounded.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use acme::{Jwk, Problem};

/// Keys read before, by the text they are stored as.
#[derive(Default)]
pub(crate) struct Keys(Mutex<HashMap<String, Arc<Jwk>>>);

impl Keys {
    /// The key of a stored text.
    ///
    /// # Errors
    /// As [`Jwk::parse`].
    pub(crate) fn read(&self, text: &str) -> Result<Arc<Jwk>, Problem> {
        let known = self.lock().get(text).map(Arc::clone);
        if let Some(key) = known {
            return Ok(key);
        }
        let key = Arc::new(Jwk::parse(text)?);
        let mut keys = self.lock();
        if keys.len() >= MAX_KEYS {
            // Whoever is still there is read again in microseconds.
            keys.clear();
        }
        keys.insert(text.to_owned(), Arc::clone(&key));
        Ok(key)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<Jwk>>> {
        // A map of whole keys is as good after a panic as before it.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const MAX_KEYS: usize = 4096;
