//! Problem documents of the API (RFC 9457). The status says most of it; where the fault is in a request
//! for a certificate, the URN of RFC 8555 says more.

use acme::{Problem, ProblemType};
use axum::body::Body;
use axum::http::{HeaderValue, Response, StatusCode, header};

use super::shape;

/// A problem as a response, with `Retry-After` if it says when.
pub(super) fn response(problem: &Problem) -> Response<Body> {
    let status = StatusCode::from_u16(problem.status);
    let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let document = shape::Problem {
        kind: kind(problem.kind).to_owned(),
        title: status.canonical_reason().unwrap_or("Error").to_owned(),
        status: status.as_u16(),
        detail: problem.detail.clone(),
    };
    let mut response = Response::new(Body::from(shape::value(&document).to_string()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    if let Some(wait) = problem.retry_after {
        let seconds = wait.as_secs().max(1).unsigned_abs();
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// Where the path is right and the method is not.
pub(super) async fn other_method() -> Response<Body> {
    response(&Problem::malformed("it does not take this method; see Allow").with_status(405))
}

/// Where nothing is.
pub(super) async fn nothing() -> Response<Body> {
    let why = "there is nothing here; /api/openapi.json says what there is";
    response(&Problem::malformed(why).with_status(404))
}

fn kind(kind: ProblemType) -> &'static str {
    match kind {
        ProblemType::Malformed | ProblemType::Unauthorized | ProblemType::ServerInternal => {
            "about:blank"
        }
        other => other.urn(),
    }
}
