//! What handlers take out of a request: the path, the query, the body. What cannot be taken is answered
//! with a problem document that says what was wrong, as everything else here.

use acme::Problem;
use axum::body::{Body, Bytes};
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{Response, header};
use http_body_util::{BodyExt, Collected, Limited};
use serde::de::DeserializeOwned;

use super::problem;

/// What the path names.
pub(super) struct Path<T>(pub(super) T);

/// What the query asks for. A parameter that is not known is refused, not overlooked.
pub(super) struct Query<T>(pub(super) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Response<Body>;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        let taken = axum::extract::Path::from_request_parts(parts, state).await;
        let wrong = |why: PathRejection| {
            // A name that cannot be is the name of nothing.
            let why = format!("there is no such thing: {}", why.body_text());
            problem::response(&Problem::malformed(why).with_status(404))
        };
        taken.map(|axum::extract::Path(of)| Self(of)).map_err(wrong)
    }
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Response<Body>;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        let taken = axum::extract::Query::from_request_parts(parts, state).await;
        let wrong = |why: QueryRejection| problem::response(&Problem::malformed(why.body_text()));
        taken.map(|axum::extract::Query(of)| Self(of)).map_err(wrong)
    }
}

/// The JSON body of a request.
///
/// # Errors
/// When it is too long, says that it is something else, or is not what is asked for.
pub(super) async fn body<T: DeserializeOwned>(request: Request) -> Result<T, Problem> {
    let kind = request.headers().get(header::CONTENT_TYPE);
    // Without one it is taken for JSON; a form of a page is something else, and never acted on.
    if kind.is_some_and(|kind| !is_json(kind.as_bytes())) {
        return Err(Problem::malformed("send application/json").with_status(415));
    }
    let bytes = whole(request.into_body()).await?;
    // Where nothing has to be said, nothing need be sent.
    let bytes = if bytes.is_empty() { Bytes::from_static(b"{}") } else { bytes };
    serde_json::from_slice(&bytes)
        .map_err(|e| Problem::malformed(format!("the request is not understood: {e}")))
}

/// All of a body.
///
/// # Errors
/// When it is too long.
pub(super) async fn whole(body: Body) -> Result<Bytes, Problem> {
    let bytes = Limited::new(body, MAX_BODY).collect().await;
    let long = |_| Problem::malformed("the request is too long").with_status(413);
    bytes.map(Collected::to_bytes).map_err(long)
}

fn is_json(kind: &[u8]) -> bool {
    let essence = kind.split(|b| *b == b';').next().unwrap_or_default();
    let essence = essence.trim_ascii().to_ascii_lowercase();
    essence == b"application/json"
}

const MAX_BODY: usize = 4 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_known_by_its_type_whatever_its_parameters() {
        assert!(is_json(b"application/json"));
        assert!(is_json(b"Application/JSON; charset=utf-8"));
        for other in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""]
        {
            assert!(!is_json(other.as_bytes()), "{other}");
        }
    }
}
