//! The admin listener: health for those who restart, metrics for those who watch.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, Response, StatusCode, header};
use axum::{Router, routing};

use crate::node::Node;

/// `/healthz`, `/readyz`, `/metrics`.
pub(super) fn router() -> Router<Arc<Node>> {
    Router::new()
        .route("/healthz", routing::get(|| async { "ok\n" }))
        .route("/readyz", routing::get(ready))
        .route("/metrics", routing::get(metrics))
}

/// Whether the node can serve: its store answers, and it has a certificate to present.
async fn ready(State(node): State<Arc<Node>>) -> (StatusCode, &'static str) {
    if node.presented.load().is_none() {
        return (StatusCode::SERVICE_UNAVAILABLE, "the node has no certificate to present\n");
    }
    match node.store.meta("key-check") {
        Ok(_) if node.store.is_damaged() => {
            (StatusCode::SERVICE_UNAVAILABLE, "the store is damaged; see the log\n")
        }
        Ok(_) => (StatusCode::OK, "ok\n"),
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "the store cannot be read\n"),
    }
}

async fn metrics(State(node): State<Arc<Node>>) -> Response<Body> {
    for (name, authority) in &node.catalog.load().authorities {
        node.metrics.authority_ends(name, authority.ca.certificate().not_after());
        if let Some(crl) = node.crls.load().get(&authority.id) {
            node.metrics.crl_ends(name, crl.next_update);
        }
    }
    let mut response = Response::new(Body::from(node.metrics.render()));
    let kind =
        HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}
