//! Reading what the API answers. What is not there reads as empty, so that a page shows a gap and not an
//! error where an answer has a field less than it knows.

use jiff::Timestamp;
use serde_json::Value;

/// Fields of an answer, by name.
pub trait Field {
    /// A text; empty where there is none.
    fn text(&self, name: &str) -> &str;
    /// A number; 0 where there is none.
    fn number(&self, name: &str) -> i64;
    /// A list; empty where there is none.
    fn list(&self, name: &str) -> &[Value];
    /// An instant.
    fn moment(&self, name: &str) -> Option<Timestamp>;
    /// Whether it says yes.
    fn is(&self, name: &str) -> bool;
    /// The texts of a list, one after the other.
    fn joined(&self, name: &str, separator: &str) -> String;
}

impl Field for Value {
    fn text(&self, name: &str) -> &str {
        self[name].as_str().unwrap_or_default()
    }

    fn number(&self, name: &str) -> i64 {
        self[name].as_i64().unwrap_or_default()
    }

    fn list(&self, name: &str) -> &[Value] {
        self[name].as_array().map(Vec::as_slice).unwrap_or_default()
    }

    fn moment(&self, name: &str) -> Option<Timestamp> {
        self[name].as_str()?.parse().ok()
    }

    fn is(&self, name: &str) -> bool {
        self[name].as_bool().unwrap_or_default()
    }

    fn joined(&self, name: &str, separator: &str) -> String {
        let texts = self.list(name).iter().filter_map(Value::as_str);
        texts.collect::<Vec<_>>().join(separator)
    }
}

/// `text` as one segment of a path (RFC 3986 §3.3).
#[must_use]
pub fn segment(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push('%');
            for half in [byte >> 4, byte & 15] {
                out.push(char::from(b"0123456789ABCDEF"[usize::from(half)]));
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_missing_reads_as_empty() {
        let value = json!({ "a": "b", "n": 4, "t": "2026-12-01T00:00:00Z", "l": ["x", "y", 1] });
        assert_eq!((value.text("a"), value.text("z"), value.text("n")), ("b", "", ""));
        assert_eq!((value.number("n"), value.number("a")), (4, 0));
        assert_eq!(value.joined("l", ", "), "x, y");
        assert!(value.moment("t").is_some() && value.moment("a").is_none());
        assert!(value.list("a").is_empty());
    }

    #[test]
    fn a_segment_of_a_path_never_ends_it() {
        assert_eq!(segment("ada@example.com"), "ada%40example.com");
        assert_eq!(segment("a/../b?c#d e\u{e4}"), "a%2F..%2Fb%3Fc%23d%20e%C3%A4");
    }
}
