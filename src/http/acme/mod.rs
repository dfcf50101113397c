//! The ACME server: finds the directory and the resource a request is for, checks who sent it, and
//! has the matching room answer. Whatever comes of it leaves with a fresh nonce.

mod account;
mod authorization;
mod call;
mod certificate;
mod directory;
mod limit;
mod order;
mod renewal;
mod resource;

use std::sync::Arc;

use ::acme::request::post_as_get;
use ::acme::{Jws, Problem, ProblemType};
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, Response, StatusCode, header};
use axum::{Router, routing};

use super::problem_response;
use crate::node::Node;
pub(crate) use account::sealed_identity as external_key_identity;
use call::{Call, with_header};
use resource::Resource;

/// Everything under `/acme/`.
pub(super) fn router() -> Router<Arc<Node>> {
    Router::new().route("/acme/{directory}/{*rest}", routing::any(answer))
}

async fn answer(
    State(node): State<Arc<Node>>,
    Path((directory, rest)): Path<(String, String)>,
    request: Request,
) -> Response<Body> {
    // The body is read even if nobody wants it: a connection with half a request left in it cannot
    // be used again, and a client may find out in the middle of its next one.
    let (head, body) = request.into_parts();
    let body = call::read(body).await;
    let outcome = match Resource::parse(&rest) {
        None => Err(not_found("there is no such ACME resource")),
        Some(resource) => route(&node, &directory, resource, &head, body).await,
    };
    let mut response = outcome.unwrap_or_else(|problem| problem_response(&problem));
    if response.status() == StatusCode::METHOD_NOT_ALLOWED
        && let Some(resource) = Resource::parse(&rest)
    {
        response = with_header(response, header::ALLOW, allowed(&resource));
    }
    let headers = response.headers_mut();
    // RFC 8555 §6.5: on every answer to a POST, errors included; and on newNonce.
    if let Ok(nonce) = HeaderValue::from_str(&node.nonces.mint()) {
        headers.insert("replay-nonce", nonce);
    }
    if !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    response
}

async fn route(
    node: &Arc<Node>,
    directory: &str,
    resource: Resource,
    head: &Parts,
    body: Result<Vec<u8>, Problem>,
) -> Result<Response<Body>, Problem> {
    let method = &head.method;
    let call = Call::new(node, directory, head)?;
    match (&resource, method) {
        (Resource::Directory, &Method::GET | &Method::HEAD) => Ok(directory::show(&call)),
        (Resource::NewNonce, &Method::HEAD | &Method::GET) => Ok(directory::nonce(&call, method)),
        (Resource::RenewalInfo(id), &Method::GET | &Method::HEAD) => renewal::show(&call, id),
        (Resource::RenewalInfo(_), _) => Err(wrong_method(&resource, method)),
        (_, &Method::POST) => {
            let jws = call.receive(&head.headers, body)?;
            let query = head.uri.query().unwrap_or_default();
            Ok(call.with_index(post(&call, &resource, &jws, query).await?))
        }
        _ => Err(wrong_method(&resource, method)),
    }
}

async fn post(
    call: &Call,
    resource: &Resource,
    jws: &Jws,
    query: &str,
) -> Result<Response<Body>, Problem> {
    let _writer = call.node.store.writer();
    match resource {
        Resource::NewAccount => account::create(call, jws).await,
        Resource::RevokeCertificate => certificate::revoke(call, jws).await,
        resource => {
            let signed = call.of_account(jws)?;
            match resource {
                // RFC 8555 §6.3: these two can be had by POST-as-GET as well.
                Resource::Directory | Resource::NewNonce => {
                    post_as_get(&jws.payload)?;
                    Ok(match resource {
                        Resource::Directory => directory::show(call),
                        _ => directory::nonce(call, &Method::GET),
                    })
                }
                Resource::Account(id) => account::update(call, signed, *id).await,
                Resource::Orders(id) => account::orders(call, &signed, *id, query),
                Resource::KeyChange => account::change_key(call, signed).await,
                Resource::NewOrder => order::create(call, &signed).await,
                Resource::Order(id) => order::show(call, &signed, *id),
                Resource::Finalize(id) => order::finalize(call, &signed, *id).await,
                Resource::NewAuthorization => authorization::create(call, &signed).await,
                Resource::Authorization(id) => authorization::update(call, &signed, *id).await,
                Resource::Challenge(id, kind) => {
                    authorization::answer(call, &signed, *id, *kind).await
                }
                Resource::Certificate(id, chain) => {
                    certificate::download(call, &signed, *id, *chain)
                }
                _ => Err(not_found("there is no such ACME resource")),
            }
        }
    }
}

fn wrong_method(resource: &Resource, method: &Method) -> Problem {
    let takes = allowed(resource);
    let detail = format!("{method} is not understood here; use {takes} (RFC 8555 §6.3)");
    Problem::malformed(detail).with_status(405)
}

/// RFC 9110 §15.5.6.
fn allowed(resource: &Resource) -> &'static str {
    match resource {
        Resource::Directory | Resource::NewNonce => "GET, HEAD, POST",
        Resource::RenewalInfo(_) => "GET, HEAD",
        _ => "POST",
    }
}

fn not_found(detail: &str) -> Problem {
    Problem::new(ProblemType::Malformed, detail).with_status(404)
}
