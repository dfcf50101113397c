//! Signing in at an identity provider: to there, and back. Both are plain navigations, so that what goes wrong
//! is told on the page to sign in at, in words of our own.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, Request, State};
use axum::http::header::{COOKIE, LOCATION, SET_COOKIE};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Response, StatusCode};
use serde_json::json;

use super::{closed, json_response};
use crate::http::admitted::visit;
use crate::http::caller::set_cookie;
use crate::node::Node;
use crate::people::provider::{self, Answered, Ticket};
use crate::people::{EntryError, SESSION_LONGEST};

/// Where people may sign in besides here.
pub(super) async fn list(State(node): State<Arc<Node>>) -> Response<Body> {
    let catalog = node.catalog.load();
    let names: Vec<_> = catalog.identity_providers.keys().collect();
    closed(json_response(&json!({ "items": names })))
}

/// Sends the browser to a provider.
pub(super) async fn go(State(node): State<Arc<Node>>, Path(name): Path<String>) -> Response<Body> {
    match provider::begin(&node, &name).await {
        Ok((ticket, url)) => {
            let cookie = format!("{COOKIE_NAME}={}; {ATTRIBUTES}; Max-Age=600", ticket.reveal());
            redirect(url.as_str(), [HeaderValue::try_from(cookie).ok()])
        }
        Err(error) => redirect(told(&error), [None]),
    }
}

/// Takes what a provider answers.
pub(super) async fn back(
    State(node): State<Arc<Node>>,
    Path(name): Path<String>,
    answered: Result<Query<Answered>, QueryRejection>,
    request: Request,
) -> Response<Body> {
    let (parts, _) = request.into_parts();
    let answered = answered.map(|Query(answered)| answered).unwrap_or_default();
    let outcome = match ticket(&parts) {
        Some(ticket) => provider::end(&node, &name, (&ticket, &answered), &visit(&parts)).await,
        None => Err(EntryError::Stale),
    };
    let used = Some(HeaderValue::from_static(CLEARED));
    match outcome {
        Ok((secret, _)) => redirect("/", [set_cookie(&secret, SESSION_LONGEST.as_secs()), used]),
        Err(error) => redirect(told(&error), [used, None]),
    }
}

/// What the page to sign in at says of it.
fn told(error: &EntryError) -> &'static str {
    match error {
        EntryError::Stale => "/sign-in?failed=stale",
        EntryError::NotAdmitted | EntryError::Unknown => "/sign-in?failed=refused",
        EntryError::Taken => "/sign-in?failed=taken",
        _ => "/sign-in?failed=provider",
    }
}

fn ticket(parts: &Parts) -> Option<Ticket> {
    let fields = parts.headers.get_all(COOKIE).iter().filter_map(|field| field.to_str().ok());
    let pairs = fields.flat_map(|field| field.split(';'));
    let mut named =
        pairs.filter_map(|pair| pair.trim().split_once('=')).filter(|p| p.0 == COOKIE_NAME);
    let (_, value) = named.next()?;
    if named.next().is_some() { None } else { Ticket::parse(value) }
}

fn redirect<const N: usize>(to: &str, cookies: [Option<HeaderValue>; N]) -> Response<Body> {
    let mut response = closed(Response::new(Body::empty()));
    *response.status_mut() = StatusCode::SEE_OTHER;
    let headers = response.headers_mut();
    if let Ok(to) = HeaderValue::from_str(to) {
        headers.insert(LOCATION, to);
    }
    for cookie in cookies.into_iter().flatten() {
        headers.append(SET_COOKIE, cookie);
    }
    response
}

const COOKIE_NAME: &str = "__Host-perennial-flow";
const ATTRIBUTES: &str = "Path=/; Secure; HttpOnly; SameSite=Lax";
const CLEARED: &str = "__Host-perennial-flow=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0";
