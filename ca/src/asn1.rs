//! The few DER forms this crate writes itself, by appending bytes. Reading is left to `der` and
//! `x509-cert`, so that what is written here is always judged by somebody else's parser.

use jiff::Timestamp;
use jiff::tz::Offset;

/// One element: `tag`, the length of all `parts`, then the parts.
pub(crate) fn element(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let length = parts.iter().map(|part| part.len()).sum();
    let mut out = Vec::with_capacity(length + MAX_HEADER);
    header(&mut out, tag, length);
    for part in parts {
        out.extend_from_slice(part);
    }
    out
}

/// Appends a tag and a definite length in its shortest form (X.690 §10.1).
pub(crate) fn header(out: &mut Vec<u8>, tag: u8, length: usize) {
    out.push(tag);
    let bytes = length.to_be_bytes();
    let significant = &bytes[(length.leading_zeros() / 8) as usize..];
    match significant {
        [] => out.push(0),
        [short] if *short < 0x80 => out.push(*short),
        long => {
            // At most eight octets, so the count fits the low seven bits.
            out.push(0x80 | u8::try_from(long.len()).unwrap_or(0x7e));
            out.extend_from_slice(long);
        }
    }
}

/// An INTEGER from a big-endian magnitude.
pub(crate) fn unsigned(magnitude: &[u8]) -> Vec<u8> {
    let start = magnitude.iter().position(|byte| *byte != 0).unwrap_or(magnitude.len());
    match magnitude.get(start..) {
        None | Some([]) => element(INTEGER, &[&[0]]),
        Some(rest) if rest.first().is_some_and(|byte| *byte >= 0x80) => {
            element(INTEGER, &[&[0], rest])
        }
        Some(rest) => element(INTEGER, &[rest]),
    }
}

/// A BIT STRING without unused bits.
pub(crate) fn bit_string(bytes: &[u8]) -> Vec<u8> {
    element(BIT_STRING, &[&[0], bytes])
}

/// A Time: UTCTime to 2049, GeneralizedTime from 2050 (RFC 5280 §4.1.2.5), whole seconds. `None`
/// outside the years 1950 to 9999, which no certificate can express.
pub(crate) fn time(at: Timestamp) -> Option<Vec<u8>> {
    let at = Offset::UTC.to_datetime(at);
    let (year, tag) = match at.year() {
        year @ 1950..=2049 => (format!("{:02}", year % 100), UTC_TIME),
        year @ 2050..=9999 => (format!("{year:04}"), GENERALIZED_TIME),
        _ => return None,
    };
    let text = format!(
        "{year}{:02}{:02}{:02}{:02}{:02}Z",
        at.month(),
        at.day(),
        at.hour(),
        at.minute(),
        at.second()
    );
    Some(element(tag, &[text.as_bytes()]))
}

pub(crate) const BOOLEAN_TRUE: &[u8] = &[0x01, 0x01, 0xff];
pub(crate) const INTEGER: u8 = 0x02;
pub(crate) const BIT_STRING: u8 = 0x03;
pub(crate) const OCTET_STRING: u8 = 0x04;
pub(crate) const OBJECT_IDENTIFIER: u8 = 0x06;
pub(crate) const UTF8_STRING: u8 = 0x0c;
pub(crate) const UTC_TIME: u8 = 0x17;
pub(crate) const GENERALIZED_TIME: u8 = 0x18;
pub(crate) const SEQUENCE: u8 = 0x30;
pub(crate) const SET: u8 = 0x31;

/// A context-specific, primitive tag.
pub(crate) const fn context(number: u8) -> u8 {
    0x80 | number
}

/// A context-specific, constructed tag.
pub(crate) const fn constructed(number: u8) -> u8 {
    0xa0 | number
}

const MAX_HEADER: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_in_their_shortest_form() {
        for (length, expected) in [
            (0usize, &[0x30, 0][..]),
            (127, &[0x30, 127]),
            (128, &[0x30, 0x81, 128]),
            (256, &[0x30, 0x82, 1, 0]),
            (65_536, &[0x30, 0x83, 1, 0, 0]),
        ] {
            let mut out = Vec::new();
            header(&mut out, SEQUENCE, length);
            assert_eq!(out, expected, "{length}");
        }
    }

    #[test]
    fn integers_are_minimal_and_positive() {
        assert_eq!(unsigned(&[]), [2, 1, 0]);
        assert_eq!(unsigned(&[0, 0]), [2, 1, 0]);
        assert_eq!(unsigned(&[0, 0x7f]), [2, 1, 0x7f]);
        assert_eq!(unsigned(&[0x80]), [2, 2, 0, 0x80]);
    }

    #[test]
    fn the_form_of_a_time_changes_in_2050() {
        let written = |text: &str| time(text.parse().expect("test time"));
        assert_eq!(written("2049-12-31T23:59:59Z").expect("UTC")[2..], *b"491231235959Z");
        assert_eq!(written("2050-01-01T00:00:00Z").expect("general")[2..], *b"20500101000000Z");
        assert_eq!(written("1950-01-01T00:00:00Z").expect("UTC")[0], UTC_TIME);
        assert_eq!(written("1949-12-31T23:59:59Z"), None);
    }
}
