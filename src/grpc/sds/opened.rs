//! Secrets as they are sent, for as long as somebody is sending them: a new version goes to all streams at
//! once, and its key is opened for the first of them. Nothing is kept for later.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use zeroize::Zeroizing;

/// The secrets that somebody is sending, by what they are.
#[derive(Default)]
pub(super) struct Opened(Mutex<HashMap<Vec<u8>, Weak<Message>>>);

/// A secret as it is sent; erased when the last who sends it is done.
pub(super) struct Message(pub(super) Zeroizing<Vec<u8>>);

impl Opened {
    /// What is behind `identity`; made by `open` unless somebody has it right now.
    ///
    /// # Errors
    /// Those of `open`.
    pub(super) fn get<E>(
        &self,
        identity: &[u8],
        open: impl FnOnce() -> Result<Message, E>,
    ) -> Result<Arc<Message>, E> {
        if let Some(there) = self.lock().get(identity).and_then(Weak::upgrade) {
            return Ok(there);
        }
        let opened = Arc::new(open()?);
        let mut all = self.lock();
        all.retain(|_, one| one.strong_count() > 0);
        all.insert(identity.to_vec(), Arc::downgrade(&opened));
        Ok(opened)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Vec<u8>, Weak<Message>>> {
        // What is missing is opened again.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_somebody_has_is_not_opened_again_and_what_nobody_has_is_gone() {
        let opened = Opened::default();
        let fresh = |text: &str| Ok::<_, ()>(Message(Zeroizing::new(text.as_bytes().to_vec())));
        let first = opened.get(b"a", || fresh("1")).expect("opened");
        let again = opened.get(b"a", || fresh("2")).expect("there");
        assert!(Arc::ptr_eq(&first, &again));
        drop((first, again));
        assert_eq!(*opened.get(b"a", || fresh("3")).expect("opened").0, b"3");
        assert_eq!(opened.get(b"b", || Err::<_, u8>(7)).err(), Some(7));
        opened.get(b"c", || fresh("4")).expect("opened");
        assert_eq!(opened.lock().len(), 1, "nothing grows");
    }
}
