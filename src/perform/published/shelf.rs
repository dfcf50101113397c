//! A shelf: values that are dear to make, each made by the first who asks for it while others wait,
//! and kept for as long as it says. How many are kept, and how large they are together, is bounded.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

/// Values by key.
pub(super) struct Shelf<K, T> {
    places: Mutex<HashMap<K, Place<T>>>,
    most: usize,
    largest: usize,
}

/// What is kept under a key. Who makes it holds the lock.
type Place<T> = Arc<tokio::sync::Mutex<Option<Kept<T>>>>;

/// A value, or why there is none.
pub(super) struct Kept<T> {
    pub(super) value: Result<T, String>,
    pub(super) until: Timestamp,
    /// In octets.
    pub(super) size: usize,
}

impl<K: Clone + Eq + Hash, T: Clone> Shelf<K, T> {
    /// An empty one, for `most` values that are together no larger than `largest`.
    pub(super) fn new(most: usize, largest: usize) -> Self {
        Self { places: Mutex::default(), most, largest }
    }

    /// What is kept under `key`, or what `make` makes; made once, however many ask meanwhile.
    ///
    /// # Errors
    /// When making it failed, now or a while ago.
    pub(super) async fn take(
        &self,
        key: K,
        now: Timestamp,
        make: impl Future<Output = Kept<T>>,
    ) -> Result<T, String> {
        let place = Arc::clone(lock(&self.places).entry(key).or_default());
        let mut kept = place.lock().await;
        if let Some(kept) = kept.as_ref().filter(|kept| kept.until > now) {
            return kept.value.clone();
        }
        let made = make.await;
        let value = made.value.clone();
        *kept = Some(made);
        drop(kept);
        self.tidy(now);
        value
    }

    /// Throws out what is outdated, and what ends first until the rest has room. What is being made
    /// stays, so that it is not made twice.
    fn tidy(&self, now: Timestamp) {
        let mut places = lock(&self.places);
        let mut all = Vec::with_capacity(places.len());
        places.retain(|key, place| {
            let Ok(kept) = place.try_lock() else { return true };
            let Some(kept) = kept.as_ref() else { return true };
            if kept.until > now {
                all.push((kept.until, kept.size, key.clone()));
            }
            kept.until > now
        });
        let mut size: usize = all.iter().map(|(_, size, _)| size).sum();
        let mut count = all.len();
        all.sort_unstable_by_key(|(until, ..)| *until);
        for (_, its, key) in all {
            if size <= self.largest && count <= self.most {
                break;
            }
            places.remove(&key);
            size -= its;
            count -= 1;
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is kept is as good after a panic as before it.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use jiff::SignedDuration;

    use super::*;

    const NOW: Timestamp = Timestamp::constant(1_795_176_000, 0);

    fn minutes(count: i64) -> Timestamp {
        NOW + SignedDuration::from_mins(count)
    }

    fn kept(value: u32, until: Timestamp, size: usize) -> Kept<u32> {
        Kept { value: Ok(value), until, size }
    }

    #[tokio::test]
    async fn what_many_ask_for_at_once_is_made_once() {
        let (shelf, made) = (Arc::new(Shelf::new(10, 10)), Arc::new(AtomicUsize::new(0)));
        let mut waiting = tokio::task::JoinSet::new();
        for _ in 0..1000 {
            let (shelf, made) = (Arc::clone(&shelf), Arc::clone(&made));
            waiting.spawn(async move {
                let make = async {
                    tokio::task::yield_now().await;
                    made.fetch_add(1, Ordering::Relaxed);
                    kept(7, minutes(1), 1)
                };
                shelf.take("a", NOW, make).await
            });
        }
        assert!(waiting.join_all().await.into_iter().all(|value| value == Ok(7)));
        assert_eq!(made.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn what_is_outdated_is_made_again_and_a_failure_is_kept_like_a_value() {
        let shelf = Shelf::new(10, 10);
        let fail = async { Kept { value: Err("no".into()), until: minutes(1), size: 0 } };
        assert_eq!(shelf.take("a", NOW, fail).await, Err("no".into()));
        let again = shelf.take("a", NOW, async { kept(1, minutes(9), 1) });
        assert_eq!(again.await, Err("no".into()));
        let later = shelf.take("a", minutes(1), async { kept(2, minutes(9), 1) });
        assert_eq!(later.await, Ok(2));
    }

    #[tokio::test]
    async fn what_ends_first_makes_room() {
        let shelf = Shelf::new(3, 10);
        for (value, until, size) in [(1, 9, 1), (2, 5, 1), (3, 7, 1), (4, 8, 1), (5, 6, 9)] {
            let make = async { kept(value, minutes(until), size) };
            assert_eq!(shelf.take(value, NOW, make).await, Ok(value));
        }
        let mut left: Vec<u32> = lock(&shelf.places).keys().copied().collect();
        left.sort_unstable();
        // 2 was one too many; 5, the last to come and the first to end, was too large.
        assert_eq!(left, [1, 3, 4]);
    }
}
