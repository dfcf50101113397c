//! Who asks over the network: the holder of an API token, or a person by the cookie of a session. A browser
//! sends cookies along with whatever any page makes it ask, so that a request which changes something must
//! also show that a page of ours made it.

use acme::{Problem, ProblemType};
use axum::http::header::{AUTHORIZATION, COOKIE, ORIGIN};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue};
use url::Url;

use super::bearer::{self, Refusal};
use super::error::unreadable;
use crate::access::{Caller, Who};
use crate::node::Node;
use crate::people::{Entered, Secret, entered};

/// Who asks, if it is anybody. For a person, the request has [`Entered`] among its extensions then.
///
/// # Errors
/// What to answer when it is nobody, or may not have come from a page of ours.
pub(super) async fn recognise(node: &Node, parts: &mut Parts) -> Result<Caller, Refusal> {
    // Whoever brings a token means it: a cookie is not looked at then, whether the token is good or not.
    if parts.headers.contains_key(AUTHORIZATION) {
        return with_token(node, parts).await;
    }
    let entered = signed_in(node, parts).await?.ok_or(Refusal::Stranger)?;
    if !parts.method.is_safe() {
        from_own_page(node, parts)?;
        let shown = parts.headers.get(CSRF_HEADER).and_then(|value| value.to_str().ok());
        if !shown.is_some_and(|shown| entered.csrf.is(shown)) {
            return Err(forged("the header X-CSRF-Token is not that of this session").into());
        }
    }
    let caller = entered.caller();
    parts.extensions.insert(entered);
    Ok(caller)
}

/// The session whose cookie a request brings, if it is good; its use is noted. This alone does not show that
/// the request was meant: see [`from_own_page`], and compare [`Entered::csrf`].
///
/// # Errors
/// When the store cannot be read.
pub(super) async fn signed_in(node: &Node, parts: &Parts) -> Result<Option<Entered>, Problem> {
    let Some(secret) = cookie(parts) else { return Ok(None) };
    let found = entered(node, &secret).map_err(unreadable)?;
    if let Some(Entered { session, .. }) = &found
        && let Err(error) = node.store.note_visit(session, node.world.now()).await
    {
        tracing::error!(%error, "the use of a session cannot be noted");
    }
    Ok(found)
}

/// Checks that a browser made this request for a page of this server, as it says itself.
///
/// # Errors
/// When it says another, or nothing.
pub(super) fn from_own_page(node: &Node, parts: &Parts) -> Result<(), Problem> {
    let origin = parts.headers.get(ORIGIN).and_then(|value| value.to_str().ok());
    let own = own_origin(node);
    if origin.is_none()
        || origin != own.as_deref()
        || parts.headers.get_all(ORIGIN).iter().count() > 1
    {
        let at = own.unwrap_or_else(|| node.https_url.clone());
        return Err(forged(&format!("only pages of {at} may do this")));
    }
    // Browsers that know the header never let a page choose it.
    match parts.headers.get(FETCH_SITE) {
        Some(site) if site != "same-origin" => Err(forged("only pages of this server may do this")),
        _ => Ok(()),
    }
}

/// The origin of this server's own pages (RFC 6454 §6.2), where people reach it.
pub(super) fn own_origin(node: &Node) -> Option<String> {
    Url::parse(&node.https_url).ok().map(|url| url.origin().ascii_serialization())
}

/// What puts `secret` into a browser, for this host alone (RFC 6265bis §4.1.3.2), out of reach of scripts.
pub(super) fn set_cookie(secret: &Secret, seconds: i64) -> Option<HeaderValue> {
    let value = secret.reveal();
    let text = format!("{COOKIE_NAME}={}; {ATTRIBUTES}; Max-Age={seconds}", value.as_str());
    let mut header = HeaderValue::try_from(text).ok()?;
    header.set_sensitive(true);
    Some(header)
}

/// What takes the secret out of a browser again.
pub(super) fn clear_cookie() -> HeaderValue {
    HeaderValue::from_static(CLEARED)
}

async fn with_token(node: &Node, parts: &Parts) -> Result<Caller, Refusal> {
    let token = bearer::bearer(node, parts)?;
    if let Err(error) = node.store.note_use(&token, node.world.now()).await {
        tracing::error!(%error, "the use of a token cannot be noted");
    }
    let groups = token.scope.groups().map(str::to_owned).collect();
    Ok(Caller { groups, ..Caller::new(Who::Token(token.name), token.scope.roles().collect()) })
}

/// The secret in the cookie. Two cookies of the name are none: one of them was put there by another.
fn cookie(parts: &Parts) -> Option<Secret> {
    let fields = parts.headers.get_all(COOKIE).iter().filter_map(|field| field.to_str().ok());
    let pairs =
        fields.flat_map(|field| field.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let mut named = pairs.filter(|(name, _)| *name == COOKIE_NAME);
    let (_, value) = named.next()?;
    if named.next().is_some() { None } else { Secret::parse(value) }
}

fn forged(why: &str) -> Problem {
    Problem::new(ProblemType::Unauthorized, why).with_status(403)
}

const COOKIE_NAME: &str = "__Host-perennial-session";
/// Lax: links that lead here from a mail find people signed in. What changes something asks for more.
const ATTRIBUTES: &str = "Path=/; Secure; HttpOnly; SameSite=Lax";
const CLEARED: &str =
    "__Host-perennial-session=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0";
const CSRF_HEADER: HeaderName = HeaderName::from_static("x-csrf-token");
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
