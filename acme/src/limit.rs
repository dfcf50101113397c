//! Rate limits as token buckets, kept as a single instant each (GCRA, the generic cell rate
//! algorithm): a bucket's whole state is its theoretical arrival time, when it will be full again.
//! Storing that instant is the caller's; the clock is handed in.

use std::fmt;
use std::str::FromStr;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{Problem, ProblemType};

/// A bucket of `capacity` tokens that refills from empty to full, evenly, in `per`. Written
/// `300/3h`; units are `s`, `m`, `h`, `d` and `w`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bucket {
    capacity: u32,
    per: SignedDuration,
}

impl Bucket {
    /// A bucket of `capacity` tokens, at least one, refilled in `per`, which must be positive and
    /// at most ten years.
    #[must_use]
    pub fn new(capacity: u32, per: SignedDuration) -> Option<Self> {
        (capacity > 0 && per.is_positive() && per <= MAX_PER).then_some(Self { capacity, per })
    }

    /// How many tokens it holds when full.
    #[must_use]
    pub fn capacity(&self) -> u32 {
        self.capacity
    }

    /// How long it takes to fill.
    #[must_use]
    pub fn per(&self) -> SignedDuration {
        self.per
    }

    /// Takes `cost` tokens from the bucket that will be full again at `arrival` (any instant of
    /// the past for one never used) and gives the new such instant, to be stored in its place.
    ///
    /// # Errors
    /// [`RetryAfter`] if there are too few tokens; then nothing is taken.
    pub fn take(
        &self,
        arrival: Timestamp,
        now: Timestamp,
        cost: u32,
    ) -> Result<Timestamp, RetryAfter> {
        if cost > self.capacity {
            return Err(RetryAfter(SignedDuration::MAX));
        }
        // Rounded up, so that rounding never gives a token away; the whole bucket is that many
        // intervals, so that it never takes one away either.
        let interval = divided_up(self.per.as_nanos(), self.capacity);
        let spent = interval * i128::from(cost);
        let arrival = arrival.max(now);
        let backlog = arrival.as_nanosecond() - now.as_nanosecond() + spent;
        let excess = backlog - interval * i128::from(self.capacity);
        if excess > 0 {
            return Err(RetryAfter(duration(excess)));
        }
        // A date beyond year 9999 cannot be stored; such a bucket is as good as empty for ever.
        Timestamp::from_nanosecond(arrival.as_nanosecond() + spent)
            .map_err(|_| RetryAfter(SignedDuration::MAX))
    }
}

/// There were too few tokens; there will be enough after this long (at once never, if it is
/// [`SignedDuration::MAX`]: more was asked for than the bucket holds).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryAfter(pub SignedDuration);

impl RetryAfter {
    /// The answer to the client: `rateLimited`, 429, with `Retry-After` (RFC 8555 §6.6). `what`
    /// names the limit.
    #[must_use]
    pub fn problem(self, what: &str, bucket: &Bucket) -> Problem {
        let wait = self.0.min(bucket.per);
        Problem::new(
            ProblemType::RateLimited,
            format!("too many {what}: {bucket} are allowed; try again in {}s", whole_seconds(wait)),
        )
        .with_retry_after(SignedDuration::from_secs(whole_seconds(wait)))
    }
}

impl fmt::Display for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.per.as_secs();
        let (unit, length) = UNITS
            .iter()
            .rev()
            .find(|(_, length)| seconds % length == 0)
            .copied()
            .unwrap_or(("s", 1));
        write!(f, "{}/{}{unit}", self.capacity, seconds / length)
    }
}

impl FromStr for Bucket {
    type Err = InvalidBucket;

    fn from_str(text: &str) -> Result<Self, InvalidBucket> {
        let invalid = || InvalidBucket(text.chars().take(64).collect());
        let (capacity, per) = text.split_once('/').ok_or_else(invalid)?;
        let (unit, length) =
            UNITS.iter().find(|(unit, _)| per.ends_with(unit)).ok_or_else(invalid)?;
        let count = match per.strip_suffix(unit) {
            None | Some("") => 1,
            Some(count) => count.parse::<u32>().map_err(|_| invalid())?,
        };
        let per = SignedDuration::from_secs(i64::from(count) * length);
        capacity.parse().ok().and_then(|capacity| Self::new(capacity, per)).ok_or_else(invalid)
    }
}

impl Serialize for Bucket {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Bucket {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Text that is no bucket.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a rate limit: write 300/3h, 5/m or 50/7d")]
pub struct InvalidBucket(String);

/// Rounded up, for numbers that are not negative.
fn divided_up(number: i128, by: u32) -> i128 {
    (number + i128::from(by) - 1) / i128::from(by)
}

fn duration(nanoseconds: i128) -> SignedDuration {
    SignedDuration::try_from_nanos_i128(nanoseconds).unwrap_or(SignedDuration::MAX)
}

/// Rounded up: a client that waits this long finds the tokens there.
fn whole_seconds(duration: SignedDuration) -> i64 {
    duration.as_secs() + i64::from(duration.subsec_nanos() > 0)
}

const UNITS: [(&str, i64); 5] =
    [("s", 1), ("m", 60), ("h", 3600), ("d", 24 * 3600), ("w", 7 * 24 * 3600)];
const MAX_PER: SignedDuration = SignedDuration::from_hours(10 * 366 * 24);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).expect("in range")
    }

    #[test]
    fn limits_are_written_as_text() {
        for (text, same) in
            [("300/3h", "300/3h"), ("5/60s", "5/1m"), ("5/m", "5/1m"), ("50/7d", "50/1w")]
        {
            assert_eq!(text.parse::<Bucket>().expect(text).to_string(), same);
        }
        for bad in ["", "/", "0/1h", "5/0s", "-1/h", "5", "5/h3", "5/1y", "5/-1s", "5/999999w"] {
            assert!(bad.parse::<Bucket>().is_err(), "{bad:?}");
        }
        let json = serde_json::to_string(&"2/30s".parse::<Bucket>().expect("bucket"));
        assert_eq!(json.expect("json"), "\"2/30s\"");
    }

    #[test]
    fn a_burst_up_to_the_capacity_then_one_at_a_time() {
        let bucket: Bucket = "3/30s".parse().expect("bucket");
        let mut arrival = at(0);
        for _ in 0..3 {
            arrival = bucket.take(arrival, at(1000), 1).expect("burst");
        }
        let refused = bucket.take(arrival, at(1000), 1).expect_err("empty");
        assert_eq!(refused, RetryAfter(SignedDuration::from_secs(10)));
        arrival = bucket.take(arrival, at(1010), 1).expect("one came back");
        assert!(bucket.take(arrival, at(1010), 1).is_err());
        assert!(bucket.take(arrival, at(1040), 3).is_ok());
        assert_eq!(bucket.take(at(0), at(1000), 4), Err(RetryAfter(SignedDuration::MAX)));
        let problem = refused.problem("new orders by this account", &bucket);
        assert_eq!(problem.status, 429);
        assert_eq!(problem.retry_after, Some(SignedDuration::from_secs(10)));
    }

    #[test]
    fn an_interval_that_does_not_come_out_even_gives_and_takes_nothing() {
        let bucket: Bucket = "3/1s".parse().expect("bucket");
        let mut arrival = at(0);
        for _ in 0..3 {
            arrival = bucket.take(arrival, at(1000), 1).expect("burst");
        }
        let nanos = |n| at(1000) + SignedDuration::from_nanos(n);
        assert!(bucket.take(arrival, nanos(333_333_333), 1).is_err());
        assert!(bucket.take(arrival, nanos(333_333_334), 1).is_ok());
    }

    proptest! {
        /// A full bucket gives its whole capacity at once, and not one more.
        #[test]
        fn a_burst_is_the_capacity(capacity in 1_u32..500, per in 1_i64..5000) {
            let bucket = Bucket::new(capacity, SignedDuration::from_secs(per)).expect("bucket");
            let mut arrival = at(0);
            for _ in 0..capacity {
                arrival = bucket.take(arrival, at(1000), 1).expect("burst");
            }
            prop_assert!(bucket.take(arrival, at(1000), 1).is_err());
        }

        /// In any stretch of time no more is granted than a full bucket and what flows in.
        #[test]
        fn never_more_than_capacity_and_rate(
            capacity in 1_u32..50,
            per in 1_i64..5000,
            steps in prop::collection::vec((0_i64..400, 1_u32..4), 1..200),
        ) {
            let bucket = Bucket::new(capacity, SignedDuration::from_secs(per)).expect("bucket");
            let (mut now, mut arrival) = (1_000_000, at(0));
            let mut grants: Vec<(i64, u32)> = Vec::new();
            for (wait, cost) in steps {
                now += wait;
                if let Ok(next) = bucket.take(arrival, at(now), cost) {
                    prop_assert!(next > arrival);
                    arrival = next;
                    grants.push((now, cost));
                }
            }
            for (i, (from, _)) in grants.iter().enumerate() {
                let mut sum = 0_i64;
                for (to, cost) in &grants[i..] {
                    sum += i64::from(*cost);
                    prop_assert!(sum * per <= i64::from(capacity) * (per + to - from));
                }
            }
        }

        /// Who waits as told is served.
        #[test]
        fn retry_after_is_enough(capacity in 1_u32..50, per in 1_i64..5000, ahead in 0_i64..5000) {
            let bucket = Bucket::new(capacity, SignedDuration::from_secs(per)).expect("bucket");
            let (now, arrival) = (at(10_000), at(10_000 + ahead));
            if let Err(RetryAfter(wait)) = bucket.take(arrival, now, 1) {
                prop_assert!(bucket.take(arrival, now + wait, 1).is_ok());
            }
        }
    }
}
