//! The admin listener: health for those who restart, metrics for those who watch.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, Response, StatusCode, header};
use axum::{Router, routing};

use super::{certificate_gauges, keyset_gauges, log_gauges, node_gauges};
use crate::node::Node;
use crate::store::CommitError;

/// `/healthz`, `/readyz`, `/metrics`.
pub(super) fn router() -> Router<Arc<Node>> {
    Router::new()
        .route("/healthz", routing::get(alive))
        .route("/readyz", routing::get(ready))
        .route("/metrics", routing::get(metrics))
        .route("/metrics/certificates", routing::get(certificates))
}

/// Whether the process is worth keeping: it is not if only a new one could write the store.
async fn alive(State(node): State<Arc<Node>>) -> (StatusCode, &'static str) {
    match node.store.writable() {
        Err(CommitError::Ended) => (StatusCode::SERVICE_UNAVAILABLE, ENDED),
        _ => (StatusCode::OK, "ok\n"),
    }
}

/// Whether the node can serve: its store answers and can be written, and it has a certificate to
/// present.
async fn ready(State(node): State<Arc<Node>>) -> (StatusCode, &'static str) {
    if node.presented.load().is_none() {
        return (StatusCode::SERVICE_UNAVAILABLE, "the node has no certificate to present\n");
    }
    match (node.store.meta("key-check"), node.store.writable()) {
        (Ok(_), Ok(())) => (StatusCode::OK, "ok\n"),
        (Ok(_), Err(CommitError::Ended)) => (StatusCode::SERVICE_UNAVAILABLE, ENDED),
        (Ok(_), Err(_)) => (StatusCode::SERVICE_UNAVAILABLE, "the store is damaged; see the log\n"),
        (Err(_), _) => (StatusCode::SERVICE_UNAVAILABLE, "the store cannot be read\n"),
    }
}

async fn metrics(State(node): State<Arc<Node>>) -> Response<Body> {
    let mut keysets = keyset_gauges::standing(&node);
    log_gauges::register(&node, &mut keysets);
    let standing = [keysets, node_gauges::standing(&node), node_gauges::process()];
    open_metrics(node.metrics.render(&standing))
}

/// Each certificate, under the names that dashboards already know.
async fn certificates(State(node): State<Arc<Node>>) -> Response<Body> {
    match certificate_gauges::page(&node).await {
        Ok(text) => open_metrics(text),
        Err(error) => super::error::response(&super::error::unreadable(error)),
    }
}

fn open_metrics(text: String) -> Response<Body> {
    let mut response = Response::new(Body::from(text));
    let kind =
        HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

const ENDED: &str = "the thread that writes the store has ended; restart the server\n";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::tests::{node, present};
    use crate::store::break_thread;

    #[tokio::test]
    async fn a_node_whose_commit_thread_died_is_neither_ready_nor_worth_keeping() {
        let (node, _) = node().await;
        present(&node).await;
        assert_eq!(ready(State(Arc::clone(&node))).await.0, StatusCode::OK);
        assert_eq!(alive(State(Arc::clone(&node))).await.0, StatusCode::OK);
        break_thread(&node.store);
        let ready = ready(State(Arc::clone(&node))).await;
        assert_eq!(ready.0, StatusCode::SERVICE_UNAVAILABLE);
        assert!(ready.1.contains("restart"), "{}", ready.1);
        assert_eq!(alive(State(node)).await.0, StatusCode::SERVICE_UNAVAILABLE);
    }
}
