//! Rate limits as they stand: one number per bucket in memory, kept across restarts. What a bucket
//! allows is decided in `acme::limit`.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use acme::limit::{Bucket, RetryAfter};
use jiff::Timestamp;

/// Where each bucket stands.
#[derive(Default)]
pub(crate) struct Limiter(Mutex<Buckets>);

#[derive(Default)]
struct Buckets {
    arrivals: HashMap<String, Timestamp>,
    /// How many may be there before they are looked through again; 0 before the first time.
    look_at: usize,
}

impl Limiter {
    /// Starts where the buckets stood, in milliseconds of the Unix epoch.
    pub(crate) fn resume(buckets: Vec<(String, i64)>) -> Self {
        let at = |ms| Timestamp::from_millisecond(ms).unwrap_or(Timestamp::MIN);
        let arrivals = buckets.into_iter().map(|(name, ms)| (name, at(ms))).collect();
        Self(Mutex::new(Buckets { arrivals, look_at: 0 }))
    }

    /// Takes one token out of the bucket `name`; no bucket is no limit.
    ///
    /// # Errors
    /// [`RetryAfter`] when it is empty.
    pub(crate) fn take(
        &self,
        bucket: Option<&Bucket>,
        name: impl FnOnce() -> String,
        now: Timestamp,
    ) -> Result<(), RetryAfter> {
        let Some(bucket) = bucket else { return Ok(()) };
        let name = name();
        let mut buckets = self.lock();
        let Buckets { arrivals, look_at } = &mut *buckets;
        if arrivals.len() >= (*look_at).max(MAX_BUCKETS) {
            // What lies in the past limits nothing any more. However much stays, the next look is
            // as many new buckets away, so that no request pays for all of them again.
            arrivals.retain(|_, arrival| *arrival > now);
            *look_at = arrivals.len() * 2;
        }
        let arrival = arrivals.get(&name).copied().unwrap_or(Timestamp::MIN);
        let next = bucket.take(arrival, now, 1)?;
        arrivals.insert(name, next);
        Ok(())
    }

    /// Where the buckets stand that still limit something.
    pub(crate) fn standing(&self, now: Timestamp) -> Vec<(String, i64)> {
        let buckets = self.lock();
        let limiting = buckets.arrivals.iter().filter(|(_, arrival)| **arrival > now);
        limiting.map(|(name, arrival)| (name.clone(), arrival.as_millisecond())).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Buckets> {
        // A map of numbers is as good after a panic as before it.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How many buckets are remembered before those that are full again are dropped.
const MAX_BUCKETS: usize = 100_000;

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicI64;

    use super::*;
    use crate::world::World;

    #[test]
    fn a_bucket_empties_and_stands_where_it_stood() {
        let now = World::manual(Arc::new(AtomicI64::new(1_000_000))).now();
        let bucket: Bucket = "2/1h".parse().expect("bucket");
        let limiter = Limiter::default();
        let take = |l: &Limiter| l.take(Some(&bucket), || "a".into(), now);
        assert!(take(&limiter).is_ok() && take(&limiter).is_ok());
        assert!(take(&limiter).is_err());
        let resumed = Limiter::resume(limiter.standing(now));
        assert!(take(&resumed).is_err());
        assert!(resumed.take(None, || "a".into(), now).is_ok());
    }
}
