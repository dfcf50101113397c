//! How many messages are on their way to one receiver at once: one that does not answer must not take
//! the room that rotations need.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// The messages on their way, by receiver.
#[derive(Debug, Default)]
pub(crate) struct Turns(Mutex<HashMap<String, usize>>);

impl Turns {
    /// A turn to send to `receiver`, until it is dropped; none, while others have all there are.
    pub(super) fn take<'a>(&'a self, receiver: &'a str) -> Option<Turn<'a>> {
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = taken.entry(receiver.to_owned()).or_default();
        if *count >= MAX_TURNS {
            return None;
        }
        *count += 1;
        Some(Turn { of: self, receiver })
    }
}

/// The right to send to a receiver.
pub(super) struct Turn<'a> {
    of: &'a Turns,
    receiver: &'a str,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut taken = self.of.0.lock().unwrap_or_else(PoisonError::into_inner);
        match taken.get_mut(self.receiver) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(taken.remove(self.receiver)),
        }
    }
}

const MAX_TURNS: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_receiver_has_so_many_turns_and_the_others_have_theirs() {
        let turns = Turns::default();
        let mut taken: Vec<_> = (0..100).filter_map(|_| turns.take("slow")).collect();
        assert_eq!(taken.len(), MAX_TURNS);
        assert!(turns.take("other").is_some());
        taken.pop();
        assert!(turns.take("slow").is_some());
        drop(taken);
        assert!(turns.0.lock().expect("no panic").is_empty());
    }
}
