//! How long to leave alone what failed.

use jiff::{SignedDuration, Timestamp};

use crate::jitter;
use crate::moment::plus;

/// When to try again what has failed `failures` times in a row, most recently at `now`: after a
/// minute, then ten, then a hundred, then once a day (the steps Let's Encrypt asks of clients),
/// each up to a fifth shorter, by `seed`. While a certificate's end is near, a twentieth of the time
/// left is the longest wait, but never less than a minute.
#[must_use]
pub fn after(failures: u32, now: Timestamp, end: Option<Timestamp>, seed: u64) -> Timestamp {
    let minutes = match failures {
        0 | 1 => 1,
        2 => 10,
        3 => 100,
        _ => 24 * 60,
    };
    let mut wait = SignedDuration::from_mins(minutes);
    if let Some(end) = end.filter(|end| *end > now) {
        wait = wait.min(end.duration_since(now) / 20);
    }
    wait -= jitter::part(wait / 5, seed, failures.into());
    plus(now, wait.max(SignedDuration::from_mins(1)))
}

/// The same for what failed because somebody else is not there, and may come back at any time: never
/// less often than every hundred minutes.
#[must_use]
pub fn away(failures: u32, now: Timestamp, end: Option<Timestamp>, seed: u64) -> Timestamp {
    after(failures.min(3), now, end, seed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_day_and_shrink_as_the_end_comes_near() {
        let now = Timestamp::UNIX_EPOCH;
        let wait = |failures, end: Option<i64>| {
            let end = end.map(|hours| now + SignedDuration::from_hours(hours));
            after(failures, now, end, 1).duration_since(now)
        };
        let minutes = SignedDuration::from_mins;
        assert_eq!(wait(1, None), minutes(1));
        assert!(wait(2, None) > minutes(7) && wait(2, None) <= minutes(10));
        assert!(wait(9, None) > minutes(19 * 60) && wait(9, None) <= minutes(24 * 60));
        assert!(wait(9, Some(20)) <= minutes(60), "a twentieth of what is left");
        assert_eq!(wait(9, Some(0)), wait(9, None), "what has ended cannot be late");
        let longest = away(9, now, None, 1).duration_since(now);
        assert!(longest > minutes(79) && longest <= minutes(100), "{longest}");
    }
}
