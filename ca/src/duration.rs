//! Durations as people write them in profiles: `90d`, `47d`, `24h`, `10m`, `1d12h`. A day is 86,400
//! seconds; there are no months or years, whose lengths vary. Also a serde module:
//! `#[serde(with = "ca::duration")]` on a `jiff::SignedDuration`.

use jiff::SignedDuration;
use serde::{Deserialize, Deserializer, Serializer};

/// Reads whole, positive or zero durations: one or more of `<number><unit>`, units `w`, `d`, `h`,
/// `m`, `s` in falling order, each at most once. At most 1,000 years.
///
/// # Errors
/// [`InvalidDuration`] when the text is anything else.
pub fn parse(text: &str) -> Result<SignedDuration, InvalidDuration> {
    let invalid = || InvalidDuration(text.chars().take(64).collect());
    let mut total: i64 = 0;
    let mut smallest = i64::MAX;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, tail) = rest.split_at(digits);
        let number: i64 = number.parse().map_err(|_| invalid())?;
        let unit = tail.chars().next().ok_or_else(invalid)?;
        let seconds =
            UNITS.iter().find(|(name, _)| *name == unit).map(|(_, s)| *s).ok_or_else(invalid)?;
        if seconds >= smallest {
            return Err(invalid());
        }
        smallest = seconds;
        total = number
            .checked_mul(seconds)
            .and_then(|part| total.checked_add(part))
            .filter(|total| *total <= MAX_SECONDS)
            .ok_or_else(invalid)?;
        rest = &tail[unit.len_utf8()..];
    }
    if text.is_empty() {
        return Err(invalid());
    }
    Ok(SignedDuration::from_secs(total))
}

/// Writes what [`parse`] reads, whole seconds, without weeks: `90d`, `1d12h`, `0s`.
#[must_use]
pub fn format(duration: SignedDuration) -> String {
    let mut seconds = duration.as_secs().max(0);
    if seconds == 0 {
        return "0s".to_owned();
    }
    let mut text = String::new();
    for (name, length) in UNITS.iter().skip(1) {
        let number = seconds / length;
        if number > 0 {
            text.push_str(&number.to_string());
            text.push(*name);
        }
        seconds %= length;
    }
    text
}

/// For `#[serde(with = "ca::duration")]`.
///
/// # Errors
/// Those of the serializer.
pub fn serialize<S: Serializer>(duration: &SignedDuration, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&format(*duration))
}

/// For `#[serde(with = "ca::duration")]`.
///
/// # Errors
/// When the value is no text that [`parse`] reads.
pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<SignedDuration, D::Error> {
    parse(&String::deserialize(from)?).map_err(serde::de::Error::custom)
}

/// Text that is no duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a duration: write 90d, 24h, 10m, 30s or 1d12h")]
pub struct InvalidDuration(String);

const UNITS: [(char, i64); 5] = [('w', 604_800), ('d', 86_400), ('h', 3_600), ('m', 60), ('s', 1)];
const MAX_SECONDS: i64 = 1_000 * 366 * 86_400;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_usual_forms_are_read() {
        for (text, seconds) in
            [("90d", 7_776_000), ("24h", 86_400), ("10m", 600), ("1d12h", 129_600), ("0s", 0)]
        {
            assert_eq!(parse(text).expect(text).as_secs(), seconds);
        }
        assert_eq!(format(SignedDuration::from_secs(129_600)), "1d12h");
    }

    #[test]
    fn nothing_else_is() {
        for text in [
            "",
            "90",
            "d",
            "-1d",
            "1y",
            "1h1d",
            "1d1d",
            "1.5d",
            "1d ",
            "9999999999999999999d",
            "1ü",
        ] {
            assert!(parse(text).is_err(), "{text:?} was accepted");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(seconds in 0..MAX_SECONDS) {
            let duration = SignedDuration::from_secs(seconds);
            prop_assert_eq!(parse(&format(duration)), Ok(duration));
        }

        #[test]
        fn no_text_panics(text in ".*") {
            let _ = parse(&text);
        }
    }
}
