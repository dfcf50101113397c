//! What was given to whom last. Who polls without saying what they have gets the same again and again,
//! and on record it is once.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Who was given something: with which token, from where, for which target, of which managed
/// certificate.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Hand {
    pub(super) token: i64,
    pub(super) address: Option<IpAddr>,
    pub(super) target: Option<String>,
    pub(super) managed: i64,
}

/// The leaves that were given last, since the node was started.
#[derive(Default)]
pub(super) struct Handed(Mutex<HashMap<Hand, Vec<u8>>>);

impl Handed {
    /// Whether this leaf was the last that was given there.
    pub(super) fn has(&self, hand: &Hand, leaf: &[u8]) -> bool {
        self.lock().get(hand).is_some_and(|last| last == leaf)
    }

    /// This leaf is given there.
    pub(super) fn note(&self, hand: Hand, leaf: &[u8]) {
        let mut handed = self.lock();
        if handed.len() >= MOST {
            // Then some things are on record twice.
            handed.clear();
        }
        handed.insert(hand, leaf.to_vec());
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Hand, Vec<u8>>> {
        // What is forgotten is on record twice at the most.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const MOST: usize = 20_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_is_known_until_another_is_given_and_memory_is_bounded() {
        let handed = Handed::default();
        let hand = |token| Hand { token, address: None, target: None, managed: 1 };
        assert!(!handed.has(&hand(1), b"a"));
        handed.note(hand(1), b"a");
        assert!(handed.has(&hand(1), b"a") && !handed.has(&hand(2), b"a"));
        handed.note(hand(1), b"b");
        assert!(!handed.has(&hand(1), b"a") && handed.has(&hand(1), b"b"));
        for token in 0..i64::try_from(MOST).expect("few") + 1 {
            handed.note(hand(token), b"a");
        }
        assert!(handed.lock().len() <= MOST);
    }
}
