//! Where consumers of JWTs find the keys: `jwks.json`, the documents that lead to it, and the SPIFFE
//! bundle form. On the HTTPS listener, and on the HTTP listener only where a proxy ends TLS; answered
//! from memory, the same to everybody.

use std::sync::Arc;

use acme::Problem;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Response, header};
use axum::{Router, routing};

use super::encodings::wants_gzip;
use super::tags::{Tags, not_modified};
use super::{error, fetched};
use crate::node::Node;
use crate::perform::keyset::Document;

/// Everything under `/jwks/`, and the well-known places of the keyset `default`.
pub(super) fn router() -> Router<Arc<Node>> {
    let mut router = Router::new();
    for (path, place) in [
        ("jwks.json", Place::Set),
        ("spiffe.json", Place::Bundle),
        (".well-known/jwks.json", Place::Set),
        (".well-known/openid-configuration", Place::OpenId),
        (".well-known/oauth-authorization-server", Place::Server),
    ] {
        let named = move |state, Path(name): Path<String>, request: Request| async move {
            serve(&state, &name, place, &request)
        };
        router = router.route(&format!("/jwks/{{keyset}}/{path}"), routing::get(named));
        if path.starts_with('.') {
            let default = move |state, request: Request| async move {
                serve(&state, DEFAULT, place, &request)
            };
            router = router.route(&format!("/{path}"), routing::get(default));
        }
    }
    router
}

/// What is published of a keyset.
#[derive(Clone, Copy)]
enum Place {
    Set,
    Bundle,
    OpenId,
    Server,
}

fn serve(
    State(node): &State<Arc<Node>>,
    name: &str,
    place: Place,
    request: &Request,
) -> Response<Body> {
    let headers = request.headers();
    let keysets = node.keysets.load();
    let Some(live) = keysets.get(name) else {
        return error::response(&Problem::malformed("there is no such keyset").with_status(404));
    };
    if live.is_empty() {
        // An empty set would say that no key is good, and be kept.
        let why = "the keyset has no key yet; ask again in a moment";
        return error::response(&Problem::malformed(why).with_status(503));
    }
    let mut response = answer(
        match place {
            Place::Set => &live.set,
            Place::Bundle => &live.bundle,
            Place::OpenId => &live.openid_configuration,
            Place::Server => &live.server_metadata,
        },
        headers,
    );
    if matches!(place, Place::Set | Place::Bundle) {
        fetched::note(node, live, request);
    }
    let fresh = live.max_age(node.world.now(), node.world.unique()).as_secs();
    // RFC 5861 §4: an old set is better than none, while the keys in it are good.
    let cache = format!("public, max-age={fresh}, stale-if-error={}", live.spare().as_secs());
    if let Ok(value) = HeaderValue::try_from(cache) {
        response.headers_mut().insert(header::CACHE_CONTROL, value);
    }
    // Browsers verify tokens too, and nothing here is for some eyes only.
    let all = HeaderValue::from_static("*");
    response.headers_mut().insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, all);
    response
}

/// The representation the client would rather have, with its strong tag (RFC 9110 §8.8.3), or only
/// that this one has not changed (§15.4.5).
fn answer(document: &Document, headers: &HeaderMap) -> Response<Body> {
    let gzip = document.gzip.as_ref().filter(|_| wants_gzip(headers));
    let chosen = gzip.unwrap_or(&document.plain);
    let is_known = Tags::of(headers).have(&chosen.tag);
    let mut response = match is_known {
        true => not_modified(),
        false => Response::new(Body::from(chosen.octets.clone())),
    };
    response.headers_mut().reserve(HEADERS);
    let mut put = |name: HeaderName, value| {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    };
    // §12.5.5: a cache that has one representation must not give it to who asks for the other.
    put(header::VARY, "Accept-Encoding");
    if !is_known {
        put(header::CONTENT_TYPE, "application/json");
        put(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
        if gzip.is_some() {
            put(header::CONTENT_ENCODING, "gzip");
        }
    }
    response.headers_mut().insert(header::ETAG, chosen.tag.clone());
    response
}

/// As many fields as an answer has at the most, and a few that are put in on the way.
const HEADERS: usize = 12;
/// The keyset that the well-known places are for.
const DEFAULT: &str = "default";
