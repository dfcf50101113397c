//! Where people come in: the page that a link of invitation leads to, and what it asks. The link's secret is
//! in its fragment, which browsers keep to themselves, so that it is in no log; the page's script sends it.

use std::sync::Arc;

use acme::{Problem, ProblemType};
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, REFERRER_POLICY, SET_COOKIE,
    USER_AGENT, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Response};
use axum::{Router, routing};
use http_body_util::{BodyExt, Limited};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::caller::{from_own_page, set_cookie};
use super::{RequestId, error};
use crate::node::Node;
use crate::people::{Entered, EntryError, Secret, Visit, enter};

/// The page, what it is made of, and where it sends the secret.
pub(super) fn router() -> Router<Arc<Node>> {
    let page = || async { asset("text/html; charset=utf-8", include_str!("page.html")) };
    let script = || async { asset("text/javascript; charset=utf-8", include_str!("enter.js")) };
    let style = || async { asset("text/css; charset=utf-8", include_str!("enter.css")) };
    Router::new()
        .route("/enter", routing::get(page).post(with_link))
        .route("/ui/enter.js", routing::get(script))
        .route("/ui/enter.css", routing::get(style))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Link {
    secret: Zeroizing<String>,
}

async fn with_link(State(node): State<Arc<Node>>, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    answered(enter_by_link(&node, &parts, body).await)
}

async fn enter_by_link(node: &Node, parts: &Parts, body: Body) -> Result<Admitted, Problem> {
    from_own_page(node, parts)?;
    let Link { secret } = asked(parts, body).await?;
    let link = Secret::parse(&secret).ok_or(EntryError::Closed).map_err(refused)?;
    let (secret, entered) = enter(node, &link, &visit(parts)).await.map_err(refused)?;
    Ok(Admitted { secret, entered })
}

/// Somebody who was let in, and the secret that their browser is to keep.
struct Admitted {
    secret: Secret,
    entered: Entered,
}

/// What they are told: who they are, and by a header of its own the cookie.
fn answered(outcome: Result<Admitted, Problem>) -> Response<Body> {
    let Admitted { secret, entered } = match outcome {
        Ok(admitted) => admitted,
        Err(problem) => return closed(error::response(&problem)),
    };
    let Entered { person, session, .. } = &entered;
    let told = json!({ "name": person.name, "display_name": person.display_name });
    let mut response = closed(json_response(&told));
    let seconds = session.expires_at.duration_since(session.created_at).as_secs();
    if let Some(cookie) = set_cookie(&secret, seconds) {
        response.headers_mut().insert(SET_COOKIE, cookie);
    }
    response
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

fn visit(parts: &Parts) -> Visit {
    let text = |name: &HeaderName| parts.headers.get(name).and_then(|text| text.to_str().ok());
    Visit {
        request: parts.extensions.get::<RequestId>().map(|id| id.0.clone()).unwrap_or_default(),
        user_agent: text(&USER_AGENT).map(ToOwned::to_owned),
    }
}

fn refused(error: EntryError) -> Problem {
    match error {
        EntryError::Closed => {
            Problem::new(ProblemType::Unauthorized, error.to_string()).with_status(403)
        }
        EntryError::Read(error) => error::unreadable(error),
        EntryError::Commit(error) => error::uncommitted(error),
    }
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
const MAX_BODY: usize = 16 * 1024;

#[cfg(test)]
mod tests;
