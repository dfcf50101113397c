//! Limits as they stand: one number per bucket in memory, kept across restarts, and one per account
//! with pending orders, counted again after a restart. What a bucket allows is decided in
//! `acme::limit`.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use acme::limit::{Bucket, RetryAfter};
use jiff::{SignedDuration, Timestamp};

/// Where each limit stands.
#[derive(Default)]
pub(crate) struct Limiter {
    buckets: Mutex<Buckets>,
    pub(crate) pending: PendingOrders,
}

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
        let buckets = Mutex::new(Buckets { arrivals, look_at: 0 });
        Self { buckets, pending: PendingOrders::default() }
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
        let mut buckets = lock(&self.buckets);
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

    /// Takes one token out of the bucket `name` ahead of time: gives the instant at which it will be
    /// there, and where the bucket stands then; no bucket is no limit.
    pub(crate) fn reserve(
        &self,
        bucket: Option<&Bucket>,
        name: &str,
        now: Timestamp,
    ) -> (Timestamp, Option<Timestamp>) {
        let Some(bucket) = bucket else { return (now, None) };
        let mut buckets = lock(&self.buckets);
        let arrival = buckets.arrivals.get(name).copied().unwrap_or(Timestamp::MIN);
        let slot = match bucket.take(arrival, now, 1) {
            Ok(_) => now,
            Err(RetryAfter(wait)) => whole_second(now.checked_add(wait).unwrap_or(Timestamp::MAX)),
        };
        let Ok(next) = bucket.take(arrival, slot, 1) else { return (slot, None) };
        buckets.arrivals.insert(name.to_owned(), next);
        (slot, Some(next))
    }

    /// Where the buckets stand that still limit something.
    pub(crate) fn standing(&self, now: Timestamp) -> Vec<(String, i64)> {
        let buckets = lock(&self.buckets);
        let limiting = buckets.arrivals.iter().filter(|(_, arrival)| **arrival > now);
        limiting.map(|(name, arrival)| (name.clone(), arrival.as_millisecond())).collect()
    }
}

/// How many orders of each account are pending: not fewer than there are, give or take those being
/// made at this moment. An order that expires or fails goes on to count until the orders of its
/// account are counted in the store, which is done when the number matters, and not often.
#[derive(Default)]
pub(crate) struct PendingOrders(Mutex<HashMap<i64, Pending>>);

struct Pending {
    orders: u32,
    counted_at: Timestamp,
}

impl PendingOrders {
    /// Takes a place for one more order of an account, if as few as `most` let it have one and the
    /// number is known.
    pub(crate) fn claim(&self, account: i64, most: u32) -> Option<PendingOrder<'_>> {
        let mut all = lock(&self.0);
        let pending = all.get_mut(&account).filter(|pending| pending.orders < most)?;
        pending.orders += 1;
        Some(PendingOrder { of: self, account, kept: false })
    }

    /// Whether the store is to be asked for the number; it is not again for [`COUNTED_FOR`].
    pub(crate) fn is_to_be_counted(&self, account: i64, now: Timestamp) -> bool {
        let mut all = lock(&self.0);
        if all.len() >= MAX_BUCKETS {
            // Who has none is counted again when it comes back.
            all.retain(|_, pending| pending.orders > 0);
        }
        let Some(pending) = all.get_mut(&account) else {
            all.insert(account, Pending { orders: 0, counted_at: now });
            return true;
        };
        // A clock that was set back makes the last count lie in the future.
        let standing = pending.counted_at..pending.counted_at + COUNTED_FOR;
        let outdated = !standing.contains(&now);
        if outdated {
            pending.counted_at = now;
        }
        outdated
    }

    /// So many there are in the store.
    pub(crate) fn counted(&self, account: i64, orders: u32) {
        if let Some(pending) = lock(&self.0).get_mut(&account) {
            pending.orders = orders;
        }
    }

    /// An order is pending no more.
    pub(crate) fn ended(&self, account: i64) {
        if let Some(pending) = lock(&self.0).get_mut(&account) {
            pending.orders = pending.orders.saturating_sub(1);
        }
    }
}

/// The place of an order in the making, given back unless it is kept.
pub(crate) struct PendingOrder<'a> {
    of: &'a PendingOrders,
    account: i64,
    kept: bool,
}

impl PendingOrder<'_> {
    /// The order is stored.
    pub(crate) fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for PendingOrder<'_> {
    fn drop(&mut self) {
        if !self.kept {
            self.of.ended(self.account);
        }
    }
}

/// The second that begins at `at` or after it: rows store no less.
fn whole_second(at: Timestamp) -> Timestamp {
    let second = at.as_second() + i64::from(at.subsec_nanosecond() > 0);
    Timestamp::from_second(second).unwrap_or(at)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Maps of numbers are as good after a panic as before it.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// For how long the number of an account's pending orders is believed when it is at its limit.
pub(crate) const COUNTED_FOR: SignedDuration = SignedDuration::from_mins(1);
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

    #[test]
    fn a_place_is_given_back_unless_the_order_is_stored() {
        let now = Timestamp::UNIX_EPOCH;
        let pending = PendingOrders::default();
        assert!(pending.claim(1, 2).is_none(), "nobody knows yet");
        assert!(pending.is_to_be_counted(1, now) && !pending.is_to_be_counted(1, now));
        pending.counted(1, 1);
        drop(pending.claim(1, 2).expect("the last place"));
        pending.claim(1, 2).expect("it was given back").keep();
        assert!(pending.claim(1, 2).is_none());
        pending.ended(1);
        assert!(pending.claim(1, 2).is_some());
    }

    #[test]
    fn at_the_limit_the_store_is_asked_once_a_minute() {
        let now = Timestamp::UNIX_EPOCH;
        let pending = PendingOrders::default();
        assert!(pending.is_to_be_counted(1, now));
        let later = |seconds| now + SignedDuration::from_secs(seconds);
        assert!(!pending.is_to_be_counted(1, later(59)));
        assert!(pending.is_to_be_counted(1, later(60)));
        assert!(pending.is_to_be_counted(1, later(-1)), "the clock was set back");
        assert!(pending.is_to_be_counted(2, now), "another account");
    }
}
