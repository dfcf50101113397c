//! The API, under `/api/v1`: what the command line shows and does, in JSON, for whoever may.

mod access;
mod approval;
mod crypto;
mod declare;
mod declaring;
mod describe;
mod external_key;
mod extract;
mod figures;
mod found;
mod guard;
mod inventory;
mod issue;
mod issuer;
mod keyset;
mod keyset_status;
mod lineage;
mod listing;
mod log;
mod managed;
#[cfg(test)]
mod matrix;
mod passkey;
mod person;
mod problem;
mod receiver;
mod repeat;
mod route;
mod session;
mod shape;
mod sought;
mod status;
mod subject;
mod token;
mod views;
mod visible;
mod wish;

use std::sync::Arc;

use acme::{Problem, ProblemType};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, Response, StatusCode, header};
use axum::middleware::from_fn_with_state;
use axum::routing;
use serde_json::Value;

use self::extract::body;
use self::guard::Guard;
use self::route::Route;
use crate::node::Node;

pub(crate) use guard::Entry;
pub(super) use guard::{may, recognise};
pub(crate) use log::report_of;

/// The API, for those who come in at `entry`.
pub(super) fn router(node: &Arc<Node>, entry: Entry) -> Router<Arc<Node>> {
    let routes = route::routes();
    let description = Bytes::from(describe::document(&routes).to_string());
    let described = routing::get(async move || describe::response(description));
    let router = Router::new().route("/api/openapi.json", described);
    let router = routes.into_iter().fold(router, |router, route| {
        let Route { path, action, on, handler, .. } = route;
        let guard = Guard { node: Arc::clone(node), entry, action, on };
        let handler = handler.route_layer(from_fn_with_state(guard, guard::check));
        router.route(&format!("/api/v1{path}"), handler)
    });
    let router = router.route("/api/{*path}", routing::any(problem::nothing));
    router.method_not_allowed_fallback(problem::other_method)
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
            Err(problem) => problem::response(&problem),
        }
    }
}

fn missing(what: &str, name: &str) -> Problem {
    Problem::new(ProblemType::Malformed, format!("there is no {what} {name:?}")).with_status(404)
}
