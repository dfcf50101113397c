//! `/.well-known/acme-challenge/`: what proves to a CA outside that a name is ours (RFC 8555
//! §8.3). On the HTTP listener alone; what else listens on port 80 forwards this path to it.

use acme::Problem;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderValue, Response, header};
use axum::{Router, routing};

use super::error;
use crate::perform::obtain::acme::Answers;

/// The route of the challenge path, for whatever else the router serves.
pub(crate) fn router<S: Clone + Send + Sync + 'static>(answers: Answers) -> Router<S> {
    let path = "/.well-known/acme-challenge/{token}";
    Router::new().route(path, routing::get(serve)).with_state(answers)
}

async fn serve(State(answers): State<Answers>, Path(token): Path<String>) -> Response<Body> {
    let Some(key_authorization) = answers.key_authorization(&token) else {
        return error::response(&Problem::malformed("no order waits for this").with_status(404));
    };
    let mut response = Response::new(Body::from(key_authorization));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
