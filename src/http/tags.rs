//! Entity tags (RFC 9110 §8.8.3): what a client says it has, and that nothing else is there.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, Response, StatusCode, header};

/// The tags of `If-None-Match` (§13.1.2); `*` for anything.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Tags(Vec<String>);

impl Tags {
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let tags = listed(headers, &header::IF_NONE_MATCH);
        // Weak comparison, as for every `If-None-Match`: the mark of a weak tag does not count.
        let plain = tags.iter().map(|tag| tag.strip_prefix("W/").unwrap_or(tag).to_owned());
        Self(plain.collect())
    }

    /// Whether the client has what is tagged so.
    pub(super) fn have(&self, tag: impl AsRef<[u8]>) -> bool {
        self.0.iter().any(|had| had.as_bytes() == tag.as_ref() || had == "*")
    }

    /// Whether it has nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// What it has is what there is (§15.4.5).
pub(super) fn not_modified() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NOT_MODIFIED;
    response
}

/// The elements of a list, over all header fields of this name. Those that hold a comma in quotes
/// come in pieces, which mean nothing here.
pub(super) fn listed<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Vec<&'a str> {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    let elements = values.flat_map(|value| value.split(',')).map(str::trim);
    elements.filter(|element| !element.is_empty()).take(MAX_ELEMENTS).collect()
}

/// More than any client has a use for.
const MAX_ELEMENTS: usize = 64;
