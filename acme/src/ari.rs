//! Renewal information (RFC 9773): certificate identifiers, and the window in which a certificate
//! is best renewed. The same certificate always gets the same window, unless it must go.

use std::fmt;
use std::str::FromStr;

use data_encoding::BASE64URL_NOPAD;
use jiff::{SignedDuration, Timestamp};

use crate::authorization::mix;
use crate::json::base64url;

/// Names a certificate by its issuer's key and its serial number (RFC 9773 §4.1).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CertificateId {
    /// The `keyIdentifier` of its authority key identifier extension.
    pub authority_key_identifier: Vec<u8>,
    /// The content octets of its serial number's DER, with the leading zero octet if there is one.
    pub serial: Vec<u8>,
}

impl fmt::Display for CertificateId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}.{}",
            BASE64URL_NOPAD.encode(&self.authority_key_identifier),
            BASE64URL_NOPAD.encode(&self.serial)
        )
    }
}

impl FromStr for CertificateId {
    type Err = InvalidCertificateId;

    fn from_str(text: &str) -> Result<Self, InvalidCertificateId> {
        let (key, serial) = text.split_once('.').ok_or(InvalidCertificateId)?;
        let authority_key_identifier = base64url(key).ok_or(InvalidCertificateId)?;
        let serial = base64url(serial).ok_or(InvalidCertificateId)?;
        // DER (X.690 §8.3.2) and RFC 5280 §4.1.2.2: minimal, positive, at most 20 octets.
        let fits = match serial.as_slice() {
            [] | [0] => false,
            [0, second, ..] => second & 0x80 != 0 && serial.len() <= MAX_SERIAL + 1,
            [first, ..] => first & 0x80 == 0 && serial.len() <= MAX_SERIAL,
        };
        if !fits || !(1..=MAX_KEY_IDENTIFIER).contains(&authority_key_identifier.len()) {
            return Err(InvalidCertificateId);
        }
        Ok(Self { authority_key_identifier, serial })
    }
}

/// Text that identifies no certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is not BASE64URL(authority key identifier) . BASE64URL(serial) (RFC 9773 §4.1)")]
pub struct InvalidCertificateId;

/// When to renew; `start` is before `end` (RFC 9773 §4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// From here on.
    pub start: Timestamp,
    /// And before here.
    pub end: Timestamp,
}

/// The window for a certificate of this validity: around the point where 2/3 of its life are
/// spent, 1/2 if that is less than ten days. `spread_seed`, such as the serial, puts each
/// certificate at its own place within 1/30 of the life about that point, so that those issued
/// together do not come back together. A certificate that `must_go` by some instant has a window
/// that ends there, if that is earlier: in the past, and so at once, if the instant is.
#[must_use]
pub fn suggested_window(
    not_before: Timestamp,
    not_after: Timestamp,
    spread_seed: u64,
    must_go: Option<Timestamp>,
) -> Window {
    let life = lifetime(not_before, not_after);
    let point = if life < SHORT { life / 2 } else { life / 3 * 2 };
    let width = (life / 50).max(SignedDuration::from_secs(1));
    let share = i32::try_from(mix(spread_seed) % 2001).unwrap_or(1000) - 1000;
    let offset = life / 30 / 1000 * share;
    let start = saturating_add(not_before, point + offset - width / 2);
    let window = Window { start, end: saturating_add(start, width) };
    match must_go {
        Some(by) if by < window.end => Window { start: saturating_add(by, -width), end: by },
        _ => window,
    }
}

/// How long a client may rely on a window, for `Retry-After` (RFC 9773 §4.3): six hours, less for
/// short-lived certificates, so that moving a window still reaches them in time; never less than
/// a minute.
#[must_use]
pub fn retry_after(not_before: Timestamp, not_after: Timestamp) -> SignedDuration {
    (lifetime(not_before, not_after) / 40)
        .clamp(SignedDuration::from_mins(1), SignedDuration::from_hours(6))
}

/// Never negative, whatever a certificate says.
fn lifetime(not_before: Timestamp, not_after: Timestamp) -> SignedDuration {
    not_after.duration_since(not_before).max(SignedDuration::ZERO)
}

fn saturating_add(instant: Timestamp, duration: SignedDuration) -> Timestamp {
    let edge = if duration.is_negative() { Timestamp::MIN } else { Timestamp::MAX };
    instant.checked_add(duration).unwrap_or(edge)
}

const SHORT: SignedDuration = SignedDuration::from_hours(10 * 24);
const MAX_SERIAL: usize = 20;
const MAX_KEY_IDENTIFIER: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// RFC 9773 §4.1.
    const EXAMPLE: &str = "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE";

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).expect("in range")
    }

    #[test]
    fn identifiers_are_read_as_they_are_written() {
        let id: CertificateId = EXAMPLE.parse().expect("the RFC's example");
        assert_eq!(id.serial, [0, 0x87, 0x65, 0x43, 0x21]);
        assert_eq!(id.authority_key_identifier[..4], [0x69, 0x88, 0x5b, 0x6b]);
        assert_eq!(id.to_string(), EXAMPLE);
        for bad in [
            "",
            ".",
            "a",
            "aYhb.",
            ".AIdl",
            "aYhb.AIdlQyE=",
            "aYhb.AA",
            "aYhb.AAE",
            "aYhb.hw",
            "aYhb.AQ.AQ",
            "aYhb.A",
            "aYhb. AQ",
            "aYhb.AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB",
        ] {
            assert!(bad.parse::<CertificateId>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_long_life_is_renewed_at_two_thirds_and_a_short_one_at_half() {
        let day = 24 * 3600;
        for (life, point) in [(90 * day, 60 * day), (9 * day, 9 * day / 2), (3600, 1800)] {
            for seed in 0..100 {
                let window = suggested_window(at(0), at(life), seed, None);
                assert!((window.start.as_second() - point).abs() <= life / 20, "{life} {seed}");
            }
        }
    }

    #[test]
    fn what_must_go_goes_at_once() {
        let now = at(1000);
        let window = suggested_window(at(0), at(90 * 24 * 3600), 7, Some(now));
        assert!(window.start < window.end && window.end <= now);
        let regular = suggested_window(at(0), at(90 * 24 * 3600), 7, None);
        let late = suggested_window(at(0), at(90 * 24 * 3600), 7, Some(at(89 * 24 * 3600)));
        assert_eq!(late, regular);
    }

    #[test]
    fn polling_is_as_fast_as_the_life_is_short() {
        assert_eq!(retry_after(at(0), at(90 * 24 * 3600)), SignedDuration::from_hours(6));
        assert_eq!(retry_after(at(0), at(24 * 3600)), SignedDuration::from_mins(36));
        assert_eq!(retry_after(at(9), at(0)), SignedDuration::from_mins(1));
    }

    proptest! {
        #[test]
        fn a_window_is_within_the_life_and_does_not_move(
            start in 0_i64..4_000_000_000, life in 60_i64..400_000_000, seed: u64,
        ) {
            let window = suggested_window(at(start), at(start + life), seed, None);
            prop_assert!(at(start) < window.start && window.start < window.end);
            prop_assert!(window.end < at(start + life));
            prop_assert_eq!(window, suggested_window(at(start), at(start + life), seed, None));
        }

        #[test]
        fn certificate_ids_never_panic_and_read_back(text in "[A-Za-z0-9_.=-]{0,60}") {
            if let Ok(id) = text.parse::<CertificateId>() {
                prop_assert_eq!(id.to_string(), text);
            }
        }
    }
}
