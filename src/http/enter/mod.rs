//! Where people come in: the page that a link of invitation leads to, the page to sign in at, and what they
//! ask. A link's secret is in its fragment, which browsers keep to themselves, so that it is in no log; the
//! page's script sends it.

mod provider;

use std::sync::Arc;

use acme::Problem;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Response};
use axum::{Router, routing};
use http_body_util::{BodyExt, Limited};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use zeroize::Zeroizing;

use super::admitted::{self, refused, visit};
use super::caller::from_own_page;
use super::error;
use super::passkey::ShownPasskey;
use crate::node::Node;
use crate::people::{Entered, EntryError, Secret, enter, passkey};

/// The pages, what they are made of, and where they send what they are given.
pub(super) fn router() -> Router<Arc<Node>> {
    let enter = || async { asset(HTML, include_str!("page.html")) };
    let sign_in = || async { asset(HTML, include_str!("sign-in.html")) };
    Router::new()
        .route("/enter", routing::get(enter).post(with_link))
        .route("/sign-in", routing::get(sign_in).post(with_passkey))
        .route("/sign-in/options", routing::post(options))
        .route("/sign-in/providers", routing::get(provider::list))
        .route("/sign-in/{name}", routing::get(provider::go))
        .route("/sign-in/{name}/callback", routing::get(provider::back))
        .route("/ui/enter.js", script(include_str!("enter.js")))
        .route("/ui/sign-in.js", script(include_str!("sign-in.js")))
        .route("/ui/passkeys.js", script(include_str!("passkeys.js")))
        .route("/ui/enter.css", routing::get(|| async { asset(CSS, include_str!("enter.css")) }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Link {
    secret: Zeroizing<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

async fn with_link(State(node): State<Arc<Node>>, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    answered(enter_by_link(&node, &parts, body).await)
}

async fn with_passkey(State(node): State<Arc<Node>>, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    answered(enter_by_passkey(&node, &parts, body).await)
}

/// What a browser is to show a passkey for. A stranger's question costs nothing that would be missed.
async fn options(State(node): State<Arc<Node>>, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let options = async {
        from_own_page(&node, &parts)?;
        let Nothing {} = asked(&parts, body).await?;
        passkey::request_options(&node, None).map_err(refused)
    };
    closed(match options.await {
        Ok(options) => json_response(&options),
        Err(problem) => error::response(&problem),
    })
}

async fn enter_by_link(
    node: &Node,
    parts: &Parts,
    body: Body,
) -> Result<(Secret, Entered), Problem> {
    from_own_page(node, parts)?;
    let Link { secret } = asked(parts, body).await?;
    let link = Secret::parse(&secret).ok_or(EntryError::Closed).map_err(refused)?;
    enter(node, &link, &visit(parts)).await.map_err(refused)
}

async fn enter_by_passkey(
    node: &Node,
    parts: &Parts,
    body: Body,
) -> Result<(Secret, Entered), Problem> {
    from_own_page(node, parts)?;
    let shown: ShownPasskey = asked(parts, body).await?;
    passkey::sign_in(node, &shown.proof()?, &visit(parts)).await.map_err(refused)
}

fn answered(outcome: Result<(Secret, Entered), Problem>) -> Response<Body> {
    closed(match outcome {
        Ok((secret, entered)) => admitted::response(&secret, &entered),
        Err(problem) => error::response(&problem),
    })
}

fn script(text: &'static str) -> routing::MethodRouter<Arc<Node>> {
    routing::get(move || async move { asset("text/javascript; charset=utf-8", text) })
}

/// What a page of ours sent. Other pages cannot send this type without asking first.
async fn asked<T: DeserializeOwned>(parts: &Parts, body: Body) -> Result<T, Problem> {
    let kind = parts.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    if kind.is_none_or(|kind| kind.split(';').next() != Some("application/json")) {
        return Err(Problem::malformed("send application/json").with_status(415));
    }
    let bytes = Limited::new(body, MAX_BODY).collect().await;
    let bytes =
        bytes.map_err(|_| Problem::malformed("the request is too long").with_status(413))?;
    // What was sent may be a secret, so that the answer does not repeat it.
    serde_json::from_slice(&bytes.to_bytes())
        .map_err(|_| Problem::malformed("the request is not understood"))
}

fn json_response(value: &Value) -> Response<Body> {
    let mut response = Response::new(Body::from(value.to_string()));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn asset(kind: &'static str, text: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::from(text));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    closed(response)
}

/// The same, which nothing of elsewhere is loaded into, which is framed nowhere and kept nowhere.
fn closed(mut response: Response<Body>) -> Response<Body> {
    let headers: &mut HeaderMap = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const MAX_BODY: usize = 16 * 1024;

#[cfg(test)]
mod passkey_tests;
#[cfg(test)]
mod tests;
