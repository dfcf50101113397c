//! The API of the admin socket, under `/api/v1`: what the command line shows and does, in JSON.
//! Whoever may open the socket may do all of it.

mod crypto;
mod declare;
mod external_key;
mod found;
mod inventory;
mod issue;
mod issuer;
mod keyset;
mod keyset_status;
mod managed;
mod receiver;
mod status;
mod token;
mod views;
mod wish;

use std::convert::Infallible;
use std::sync::Arc;

use acme::{Problem, ProblemType};
use axum::Router;
use axum::body::Body;
use axum::extract::{FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Response, StatusCode, header};
use axum::routing::{get, post};
use http_body_util::{BodyExt, Limited};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{RequestId, error};
use crate::node::Node;
use crate::store::Actor;

/// Every route of the API.
pub(super) fn router() -> Router<Arc<Node>> {
    let v1 = Router::new()
        .route("/status", get(status::status))
        .route("/authorities", get(inventory::authorities))
        .route("/authorities/{name}", get(inventory::authority))
        .route("/profiles", get(inventory::profiles))
        .route("/profiles/{name}", get(inventory::profile))
        .route("/directories", get(inventory::directories))
        .route("/directories/{name}", get(inventory::directory))
        .route("/accounts", get(inventory::accounts))
        .route("/accounts/{id}", get(inventory::account))
        .route("/accounts/{id}/revoke", post(issue::revoke_account))
        .route("/orders", get(inventory::orders))
        .route("/orders/{id}", get(inventory::order))
        .route("/events", get(inventory::events))
        .route("/certificates", get(inventory::certificates).post(issue::create))
        .route("/certificates/{serial}", get(inventory::certificate))
        .route("/certificates/{serial}/revoke", post(issue::revoke))
        .route("/managed", get(managed::list))
        .route("/managed/{name}", get(managed::show))
        .route("/managed/{name}/renew", post(wish::renew))
        .route("/managed/{name}/rollback", post(wish::roll_back))
        .route("/issuers", get(issuer::list))
        .route("/issuers/{name}", get(issuer::show))
        .route("/issuers/{name}/roll-key", post(issuer::roll_key))
        .route("/keysets", get(keyset::list))
        .route("/keysets/{name}", get(keyset::show))
        .route("/keysets/{name}/status", get(keyset_status::show))
        .route("/keysets/{name}/rotate", post(keyset::rotate))
        .route("/keysets/{name}/rollback", post(keyset::roll_back))
        .route("/rotations/{id}", get(managed::rotation))
        .route("/targets", get(managed::targets))
        .route("/targets/{name}", get(managed::target))
        .route("/external-keys", get(external_key::list).post(external_key::create))
        .route("/external-keys/{kid}/revoke", post(external_key::revoke))
        .route("/tokens", get(token::list).post(token::create))
        .route("/tokens/{name}/revoke", post(token::revoke))
        .route("/found", get(found::list))
        .route("/found/{id}", get(found::show))
        .route("/endpoints", get(found::endpoints))
        .route("/endpoints/{name}", get(found::endpoint))
        .route("/crypto", get(crypto::list))
        .route("/expiring", get(found::expiring))
        .route("/scans", get(found::scans).post(found::begin))
        .route("/scans/{id}", get(found::scan_of))
        .route("/scans/{id}/findings", post(found::tell))
        .route("/receivers", get(receiver::list))
        .route("/receivers/{name}", get(receiver::show))
        .route("/receivers/{name}/test", post(receiver::test))
        .route("/webhooks", get(receiver::webhooks))
        .route("/webhooks/{name}", get(receiver::show))
        .route("/webhooks/{name}/test", post(receiver::test))
        .route("/plan", post(declare::plan))
        .route("/apply", post(declare::apply));
    Router::new().nest("/api/v1", v1)
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

/// Who asks for something here, for the audit log.
impl<S: Sync> FromRequestParts<S> for Actor {
    type Rejection = Infallible;

    async fn from_request_parts(request: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let id = request.extensions.get::<RequestId>();
        Ok(id.map_or_else(|| ADMIN.into(), |id| Self::asked_by(ADMIN, &id.0)))
    }
}

/// The JSON body of a request.
async fn body<T: DeserializeOwned>(request: Request) -> Result<T, Problem> {
    let bytes = Limited::new(request.into_body(), MAX_BODY).collect().await;
    let bytes =
        bytes.map_err(|_| Problem::malformed("the request is too long").with_status(413))?;
    serde_json::from_slice(&bytes.to_bytes())
        .map_err(|e| Problem::malformed(format!("the request is not understood: {e}")))
}

fn missing(what: &str, name: &str) -> Problem {
    Problem::new(ProblemType::Malformed, format!("there is no {what} {name:?}")).with_status(404)
}

/// Whoever may open the admin socket.
const ADMIN: &str = "admin";
const MAX_BODY: usize = 4 * 1024 * 1024;
