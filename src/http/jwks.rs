//! Where consumers of JWTs find the keys: `jwks.json`, the documents that lead to it, and the SPIFFE
//! bundle form. On the HTTPS listener, and on the HTTP listener only where a proxy ends TLS; answered
//! from memory, the same to everybody.

use std::sync::Arc;

use acme::Problem;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Response, header};
use axum::{Router, routing};
use jwks::Published;

use super::tags::{Tags, not_modified};
use super::{error, fetched};
use crate::node::Node;

/// Everything under `/jwks/`, and the well-known places of the keyset `default`.
pub(super) fn router() -> Router<Arc<Node>> {
    let mut router = Router::new();
    for (path, document) in [
        ("jwks.json", Document::Set),
        ("spiffe.json", Document::Bundle),
        (".well-known/jwks.json", Document::Set),
        (".well-known/openid-configuration", Document::OpenId),
        (".well-known/oauth-authorization-server", Document::Server),
    ] {
        let named = move |state, Path(name): Path<String>, request: Request| async move {
            serve(&state, &name, document, &request)
        };
        router = router.route(&format!("/jwks/{{keyset}}/{path}"), routing::get(named));
        if path.starts_with('.') {
            let default = move |state, request: Request| async move {
                serve(&state, DEFAULT, document, &request)
            };
            router = router.route(&format!("/{path}"), routing::get(default));
        }
    }
    router
}

/// What is published of a keyset.
#[derive(Clone, Copy)]
enum Document {
    Set,
    Bundle,
    OpenId,
    Server,
}

fn serve(
    State(node): &State<Arc<Node>>,
    name: &str,
    document: Document,
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
    let mut response = match document {
        Document::Set => tagged(&live.set, headers),
        Document::Bundle => tagged(&live.bundle, headers),
        Document::OpenId => body(live.openid_configuration.clone()),
        Document::Server => body(live.server_metadata.clone()),
    };
    if matches!(document, Document::Set | Document::Bundle) {
        fetched::note(node, live, request);
    }
    let fresh = live.max_age(node.world.now(), node.world.unique()).as_secs();
    // RFC 5861 §4: an old set is better than none, while the keys in it are good.
    let cache = format!("public, max-age={fresh}, stale-if-error={}", live.spare().as_secs());
    if let Ok(value) = HeaderValue::from_str(&cache) {
        response.headers_mut().insert(header::CACHE_CONTROL, value);
    }
    // Browsers verify tokens too, and nothing here is for some eyes only.
    let all = HeaderValue::from_static("*");
    response.headers_mut().insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, all);
    response
}

/// With a strong tag (RFC 9110 §8.8.3), or only that it has not changed (§15.4.5).
fn tagged(published: &Published, headers: &HeaderMap) -> Response<Body> {
    let mut response = match Tags::of(headers).have(&published.etag) {
        true => not_modified(),
        false => body(published.body.clone()),
    };
    if let Ok(tag) = HeaderValue::from_str(&published.etag) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}

fn body(json: Vec<u8>) -> Response<Body> {
    let mut response = Response::new(Body::from(json));
    let mut put = |name: HeaderName, value| {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    };
    put(header::CONTENT_TYPE, "application/json");
    put(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    response
}

/// The keyset that the well-known places are for.
const DEFAULT: &str = "default";
