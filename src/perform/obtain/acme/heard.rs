//! What is heard from a CA besides its answers: status, headers, and what went wrong on the way.

use axum::http::header::{DATE, LINK, RETRY_AFTER};
use axum::http::{HeaderMap, StatusCode};
use bytes::Bytes;
use jiff::fmt::rfc2822::DateTimeParser;
use jiff::{SignedDuration, Timestamp};

/// The latest answer of the CA within one operation.
#[derive(Clone, Debug, Default)]
pub(super) struct Noted {
    pub(super) status: u16,
    pub(super) retry_after: Option<SignedDuration>,
    /// What the CA's clock said.
    pub(super) date: Option<Timestamp>,
    /// Other chains for the same certificate (RFC 8555 §7.4.2).
    pub(super) alternates: Vec<String>,
    pub(super) body: Bytes,
}

impl Noted {
    /// What an answer says in its head.
    pub(super) fn of(status: StatusCode, headers: &HeaderMap, body: &Bytes) -> Self {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let links = headers.get_all(LINK).iter().filter_map(|value| value.to_str().ok());
        Self {
            status: status.as_u16(),
            retry_after: text(RETRY_AFTER).and_then(|value| retry_after(value, text(DATE))),
            date: text(DATE).and_then(instant),
            alternates: links.flat_map(alternates).take(MAX_ALTERNATES).collect(),
            body: body.clone(),
        }
    }
}

/// What happened on the way to the CA, or in it.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    #[error("{0}")]
    Network(String),
    #[error("its answer is larger than {MAX_BODY} bytes")]
    TooLarge,
    #[error("it answered with status {0} and no problem document: {1}")]
    Status(u16, String),
}

/// RFC 9110 §10.2.3: seconds, or a date by the CA's own clock.
fn retry_after(value: &str, date: Option<&str>) -> Option<SignedDuration> {
    let value = value.trim();
    let wait = match value.parse::<u32>() {
        Ok(seconds) => SignedDuration::from_secs(seconds.into()),
        Err(_) => instant(value)?.duration_since(instant(date?)?),
    };
    Some(wait.clamp(SignedDuration::ZERO, MAX_RETRY_AFTER))
}

fn instant(text: &str) -> Option<Timestamp> {
    DateTimeParser::new().parse_timestamp(text).ok()
}

/// The targets of relation `alternate` in a Link header (RFC 8288 §3).
fn alternates(header: &str) -> Vec<String> {
    let links = header.split(',').filter_map(|link| link.trim().strip_prefix('<')?.split_once('>'));
    let is_alternate = |parameters: &str| {
        parameters.split(';').any(|parameter| {
            let (name, value) = parameter.trim().split_once('=').unwrap_or_default();
            name.trim().eq_ignore_ascii_case("rel")
                && value.trim().trim_matches('"').eq_ignore_ascii_case("alternate")
        })
    };
    links.filter(|(_, p)| is_alternate(p)).map(|(target, _)| target.to_owned()).collect()
}

/// A chain is some 10 KB, an order of a hundred names as well.
/// Longer answers are not read.
pub(super) const MAX_BODY: usize = 1024 * 1024;
const MAX_ALTERNATES: usize = 10;
const MAX_RETRY_AFTER: SignedDuration = SignedDuration::from_hours(7 * 24);
