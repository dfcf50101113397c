//! What is served over HTTP, and how: the routers of each listener, and what every request goes
//! through. What is answered is decided in the rooms below.

pub(crate) mod acme;
mod admin;
mod admitted;
mod api;
mod bearer;
mod caller;
pub(crate) mod certificate_gauges;
mod challenge;
mod encodings;
mod enter;
mod error;
mod fetched;
mod idle;
mod jwks;
mod keyset_counters;
mod keyset_gauges;
pub(crate) mod limits;
mod log_gauges;
pub(crate) mod metrics;
mod node_gauges;
mod passkey;
pub(crate) mod peers;
mod pki;
mod progress;
mod pull;
pub(crate) mod server;
mod service_levels;
mod sign;
mod tags;
pub(crate) mod tls;
mod ui;

use std::sync::Arc;
use std::time::Instant;

use ::acme::Problem;
use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderName, HeaderValue, Response};
use axum::middleware::{Next, from_fn_with_state};
use tracing::{Instrument, info_span};

pub(crate) use self::api::report_of;

use self::api::Entry;
use crate::node::Node;

/// What the HTTPS listener serves.
pub(crate) fn https_router(node: &Arc<Node>) -> Router {
    let router = acme::router().merge(pki::router()).merge(pull::router());
    let router = router
        .merge(enter::router())
        .merge(sign::router())
        .merge(api::router(node, Entry::Network));
    finish(router.merge(ui::router(node, Entry::Network)), node).merge(published(node))
}

/// What the HTTP listener serves: only what is signed already, and what CAs look for; and keysets
/// where a proxy is said to stand before it.
pub(crate) fn http_router(node: &Arc<Node>) -> Router {
    let router = pki::router().merge(challenge::router(node.answers.clone()));
    let router = finish(router, node);
    if node.config.listen.keysets_over_http { router.merge(published(node)) } else { router }
}

/// What the admin listener serves: nothing secret, nothing that acts.
pub(crate) fn admin_router(node: &Arc<Node>) -> Router {
    finish(admin::router(), node)
}

/// What the admin socket serves: everything the command line asks for.
pub(crate) fn api_router(node: &Arc<Node>) -> Router {
    finish(api::router(node, Entry::Socket), node)
}

/// The identity of one HTTP request, in every log line and audit event that comes of it.
#[derive(Clone, Debug)]
pub(crate) struct RequestId(pub(crate) String);

fn finish(router: Router<Arc<Node>>, node: &Arc<Node>) -> Router {
    router
        .fallback(nothing)
        .layer(DefaultBodyLimit::disable())
        .layer(from_fn_with_state(Arc::clone(node), observe))
        .with_state(Arc::clone(node))
}

/// What is given away from memory, many thousand times a second. Nothing comes of such a request that a
/// log line or an event could tell of, so that it is only counted: an identity would cost as much as
/// the answer.
fn published(node: &Arc<Node>) -> Router {
    let router = jwks::router().layer(from_fn_with_state(Arc::clone(node), count));
    router.with_state(Arc::clone(node))
}

/// Counts and times the request.
async fn count(State(node): State<Arc<Node>>, request: Request, next: Next) -> Response<Body> {
    let began = Instant::now();
    let route = metrics::route(request.uri().path());
    let response = next.run(request).await;
    node.metrics.served(route, response.status(), began.elapsed());
    response
}

/// Gives the request its identity, and counts and times it.
async fn observe(
    State(node): State<Arc<Node>>,
    mut request: Request,
    next: Next,
) -> Response<Body> {
    let id = format!("{:016x}", node.world.unique());
    let span = info_span!("request", id);
    let (method, uri) = (request.method().clone(), request.uri().clone());
    request.extensions_mut().insert(RequestId(id.clone()));
    let began = Instant::now();
    let route = metrics::route(request.uri().path());
    let mut response = next.run(request).instrument(span.clone()).await;
    let elapsed = began.elapsed();
    node.metrics.served(route, response.status(), elapsed);
    span.in_scope(|| {
        tracing::debug!(%method, path = uri.path(), status = response.status().as_u16(), ?elapsed, "answered");
    });
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(HeaderName::from_static("x-request-id"), value);
    }
    response
}

/// Where nothing is.
async fn nothing() -> Response<Body> {
    error::response(&Problem::malformed("there is nothing here").with_status(404))
}

/// A problem as a response (RFC 7807 §3).
fn problem_response(problem: &Problem) -> Response<Body> {
    error::response(problem)
}
