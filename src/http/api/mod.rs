//! The API, under `/api/v1`: what the command line shows and does, in JSON, for whoever may.

mod access;
mod approval;
mod crypto;
mod declare;
mod declaring;
mod external_key;
mod found;
mod guard;
mod inventory;
mod issue;
mod issuer;
mod keyset;
mod keyset_status;
mod log;
mod managed;
#[cfg(test)]
mod matrix;
mod person;
mod receiver;
mod route;
mod session;
mod sought;
mod status;
mod subject;
mod token;
mod views;
mod wish;

use std::sync::Arc;

use acme::{Problem, ProblemType};
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderValue, Response, StatusCode, header};
use axum::middleware::from_fn_with_state;
use bytes::Bytes;
use http_body_util::{BodyExt, Collected, Limited};
use serde::de::DeserializeOwned;
use serde_json::Value;

use self::guard::Guard;
use self::route::Route;
use super::error;
use crate::node::Node;

pub(crate) use guard::Entry;
pub(crate) use log::report_of;

/// The API, for those who come in at `entry`.
pub(super) fn router(node: &Arc<Node>, entry: Entry) -> Router<Arc<Node>> {
    route::routes().into_iter().fold(Router::new(), |router, route| {
        let Route { path, action, on, handler, .. } = route;
        let guard = Guard { node: Arc::clone(node), entry, action, on };
        let handler = handler.route_layer(from_fn_with_state(guard, guard::check));
        router.route(&format!("/api/v1{path}"), handler)
    })
}

/// What a route answers: JSON, or a problem.
struct Answer(Result<Value, Problem>);

impl axum::response::IntoResponse for Answer {
    fn into_response(self) -> Response<Body> {
        match self.0 {
            Ok(value) => {
                let mut response = Response::new(Body::from(value.to_string()));
                *response.status_mut() = StatusCode::OK;
                let json = HeaderValue::from_static("application/json");
                response.headers_mut().insert(header::CONTENT_TYPE, json);
                response
            }
            Err(problem) => error::response(&problem),
        }
    }
}

/// The JSON body of a request.
async fn body<T: DeserializeOwned>(request: Request) -> Result<T, Problem> {
    let bytes = whole(request.into_body()).await?;
    serde_json::from_slice(&bytes)
        .map_err(|e| Problem::malformed(format!("the request is not understood: {e}")))
}

/// All of a body.
async fn whole(body: Body) -> Result<Bytes, Problem> {
    let bytes = Limited::new(body, MAX_BODY).collect().await;
    let long = |_| Problem::malformed("the request is too long").with_status(413);
    bytes.map(Collected::to_bytes).map_err(long)
}

fn missing(what: &str, name: &str) -> Problem {
    Problem::new(ProblemType::Malformed, format!("there is no {what} {name:?}")).with_status(404)
}

const MAX_BODY: usize = 4 * 1024 * 1024;
