//! What a puller says of the version it has, and of how long it would wait for another: the headers
//! `If-None-Match` (RFC 9110 §13.1.2) and `Prefer` (RFC 7240).

use std::time::Duration;

use axum::http::{HeaderMap, HeaderName};

use crate::http::tags::{Tags, listed};
use crate::news::LONGEST_WAIT;

/// What a puller has, and wants.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Wish {
    has: Tags,
    wait: Option<Duration>,
}

impl Wish {
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let preferences = listed(headers, &HeaderName::from_static("prefer"));
        Self { has: Tags::of(headers), wait: wait(&preferences) }
    }

    /// Whether it has what is tagged so.
    pub(super) fn has(&self, tag: &str) -> bool {
        self.has.have(tag)
    }

    /// How long it would wait for something else than it has; not at all if it has nothing.
    pub(super) fn wait(&self) -> Option<Duration> {
        self.wait.filter(|_| !self.has.is_empty())
    }
}

/// The wait that is preferred, in whole seconds (RFC 7240 §4.3), as far as it is granted. Of several
/// only the first counts (§2).
fn wait(preferences: &[&str]) -> Option<Duration> {
    for preference in preferences {
        let preference = preference.split(';').next().unwrap_or_default();
        let (name, value) = preference.split_once('=').unwrap_or((preference, ""));
        if name.trim().eq_ignore_ascii_case("wait") {
            let seconds = value.trim().trim_matches('"');
            if seconds.is_empty() || !seconds.bytes().all(|b| b.is_ascii_digit()) {
                return None;
            }
            // More digits than a number holds are more seconds than are granted.
            let seconds = seconds.parse().map_or(LONGEST_WAIT, Duration::from_secs);
            return Some(seconds.min(LONGEST_WAIT)).filter(|wait| !wait.is_zero());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn wish(fields: &[(&'static str, &'static str)]) -> Wish {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_static(value));
        }
        Wish::of(&headers)
    }

    fn waits(preference: &'static str) -> Option<u64> {
        let wish = wish(&[("if-none-match", "\"1\""), ("prefer", preference)]);
        wish.wait().map(|wait| wait.as_secs())
    }

    #[test]
    fn a_tag_is_had_if_it_is_among_those_listed() {
        let several = wish(&[("if-none-match", "\"a\", W/\"b\""), ("if-none-match", "\"c\"")]);
        for tag in ["\"a\"", "\"b\"", "\"c\""] {
            assert!(several.has(tag), "{tag}");
        }
        assert!(!several.has("\"d\"") && !several.has("a"));
        assert!(wish(&[("if-none-match", "*")]).has("\"anything\""));
        assert!(!wish(&[]).has("\"a\""));
    }

    #[test]
    fn a_wait_is_granted_up_to_five_minutes() {
        for (preference, seconds) in [
            ("wait=10", Some(10)),
            ("Wait = \"10\"; foo", Some(10)),
            ("respond-async, wait=7", Some(7)),
            ("wait=1, wait=2", Some(1)),
            ("wait=301", Some(300)),
            ("wait=99999999999999999999999", Some(300)),
            ("wait=0", None),
            ("wait=-1", None),
            ("wait=+1", None),
            ("wait=soon, wait=5", None),
            ("wait", None),
            ("waiting=5", None),
        ] {
            assert_eq!(waits(preference), seconds, "{preference}");
        }
    }

    #[test]
    fn who_has_nothing_does_not_wait() {
        assert_eq!(wish(&[("prefer", "wait=10")]).wait(), None);
    }
}
