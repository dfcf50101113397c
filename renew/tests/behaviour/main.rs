//! What `renew` decides, shown from outside: single decisions, whole rotations in a small world of
//! targets that fail and nodes that crash, a year of ten thousand certificates on virtual time, and
//! input nobody should ever hand in.

mod fleet;
mod forecast;
mod hostile;
mod need;
mod rotation;
mod rules;
mod world;
mod year;

use jiff::{SignedDuration, Timestamp};
use renew::Version;

/// When all tests begin: Tuesday, 2026-11-24 at noon.
const START: i64 = 1_795_521_600;
const HOUR: SignedDuration = SignedDuration::from_hours(1);
const DAY: SignedDuration = SignedDuration::from_hours(24);

/// So many days after the start, or before it.
fn day(n: i32) -> Timestamp {
    Timestamp::from_second(START).expect("an instant") + DAY * n
}

/// Version `number` of what is declared, from issuer `ca`: obtained at the start, for 90 days.
fn version(number: u32) -> Version {
    Version {
        number,
        not_before: day(0),
        not_after: day(90),
        request: DECLARED,
        issuer: "ca".into(),
        revoked: false,
        obtained_at: day(0),
        renew_at: day(60),
        suggestion: None,
    }
}

const DECLARED: [u8; 32] = [1; 32];
const OTHER: [u8; 32] = [2; 32];
