//! Where machines pull the certificates they use, with an API token, on the HTTPS listener only.
//! They may say which version they have, and wait here for the next. Whether a certificate exists
//! is told only to who may have it; that a key was given is in the audit log before it leaves.

mod form;
mod handed;
mod traefik;
mod wish;

use std::sync::Arc;

use acme::{Problem, ProblemType};
use axum::body::Body;
use axum::extract::{Path, Query, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, Response, header};
use axum::{Extension, Router, routing};
use jiff::SignedDuration;
use serde::Deserialize;
use serde_json::json;
use tokio::time::Instant;
use tracing::{debug, error};

use self::form::Form;
use self::handed::Handed;
use self::wish::Wish;
use super::RequestId;
use super::bearer::{self, Refusal};
use super::error::{uncommitted, unreadable};
use super::idle::Patience;
use super::tags::not_modified;
use crate::news::{Awaited, Crowded};
use crate::node::Node;
use crate::perform::offer::{Offer, known, offer};
use crate::store::{ApiToken, Commit, Event};
use crate::token::Kind;

/// `/api/v1/pull` and everything under it.
pub(super) fn router() -> Router<Arc<Node>> {
    let several = Router::new().route("/api/v1/pull", routing::get(traefik::answer));
    let several = several.layer(Extension(Arc::<Handed>::default()));
    several.route("/api/v1/pull/{file}", routing::get(answer))
}

async fn answer(
    State(node): State<Arc<Node>>,
    Path(file): Path<String>,
    request: Request,
) -> Response<Body> {
    let (head, _) = request.into_parts();
    guarded(pull(&node, &file, &head).await.unwrap_or_else(Refusal::response))
}

/// The answer, to be kept by nobody on its way.
fn guarded(mut response: Response<Body>) -> Response<Body> {
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::VARY, HeaderValue::from_static("accept"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// What the query of a URL may say.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    /// The target on whose behalf it is pulled.
    #[serde(default)]
    target: Option<String>,
}

async fn pull(node: &Node, file: &str, head: &Parts) -> Result<Response<Body>, Refusal> {
    let name = file.split_once('.').map_or(file, |(name, _)| name);
    let mut holder = bearer::holder(node, head, Kind::Certificate, name)?;
    note_use(node, &holder).await;
    let missing = || absent(format!("there is no {file:?} for this target to pull"));
    let (_, form) = Form::split(file).ok_or_else(missing)?;
    let Query(asked) = Query::<Asked>::try_from_uri(&head.uri)
        .map_err(|e| Problem::malformed(format!("the query is not understood: {e}")))?;
    let target = asked.target.as_deref();
    let wish = Wish::of(&head.headers);
    let managed = known(node, name, target).map_err(unreadable)?.ok_or_else(missing)?;
    // Listens before it looks, so that nothing is missed in between.
    let mut wait = wish.wait().map(|wait| {
        (node.news.listen(managed.id, holder.id), Instant::now() + wait, wait.as_secs())
    });
    loop {
        let managed = known(node, name, target).map_err(unreadable)?.ok_or_else(missing)?;
        let offer = offer(node, &managed, target).map_err(unreadable)?;
        let offer = offer.ok_or_else(|| absent("it has no version to give yet".into()))?;
        let form = chosen(form, head, &offer)?;
        let tag = form.tag(&offer.version);
        if !wish.has(&tag) {
            let response = give(node, head, &holder, &offer, form, target).await?;
            return Ok(tagged(response, &tag, wait.map(|(_, _, seconds)| seconds)));
        }
        let Some((listener, end, seconds)) = &mut wait else {
            return Ok(tagged(not_modified(), &tag, None));
        };
        let listener = listener.as_mut().map_err(|crowded| full(*crowded))?;
        // Nothing moves on the connection meanwhile, which is as it should be.
        let _hold = head.extensions.get::<Patience>().map(Patience::hold);
        match listener.wait(*end).await {
            Awaited::News => {}
            Awaited::Nothing => return Ok(tagged(not_modified(), &tag, Some(*seconds))),
            Awaited::End => return Ok(tagged(not_modified(), &tag, None)),
        }
        // The token may have been revoked in the meantime.
        holder = bearer::holder(node, head, Kind::Certificate, name)?;
    }
}

async fn note_use(node: &Node, holder: &ApiToken) {
    if let Err(error) = node.store.note_use(holder, node.world.now()).await {
        debug!(token = holder.name, %error, "the use of a token is not noted");
    }
}

/// The form that is asked for, if the version can be had in it.
fn chosen(form: Option<Form>, head: &Parts, offer: &Offer) -> Result<Form, Problem> {
    let has_key = offer.version.sealed_key.is_some();
    let fields = head.headers.get_all(header::ACCEPT).into_iter();
    let fields: Vec<_> = fields.filter_map(|field| field.to_str().ok()).collect();
    let accept = (!fields.is_empty()).then(|| fields.join(","));
    let chosen = match form {
        Some(form) => Some(form).filter(|form| form.can_be_had(has_key)),
        None => Form::negotiate(accept.as_deref(), has_key),
    };
    chosen.ok_or_else(|| {
        let why = "ask for application/json, application/x-pem-file (unless the key was made \
                   elsewhere) or application/pem-certificate-chain";
        Problem::malformed(why).with_status(406)
    })
}

/// The version itself. That its key is given is stored first.
async fn give(
    node: &Node,
    head: &Parts,
    holder: &ApiToken,
    offer: &Offer,
    form: Form,
    target: Option<&str>,
) -> Result<Response<Body>, Problem> {
    let broken = |error: &dyn std::fmt::Display| broken(offer, error);
    let bundle = offer.bundle(node).map_err(|e| broken(&e))?;
    let body = form.render(&offer.name, &offer.version, &bundle);
    let body = body.ok_or_else(|| broken(&"it has no such form"))?;
    if form.holds_key() && bundle.key_pkcs8().is_some() {
        record(node, head, holder, offer, form.media_type(), target).await?;
    }
    let mut response = Response::new(Body::from(body));
    let media_type = HeaderValue::from_static(form.media_type());
    response.headers_mut().insert(header::CONTENT_TYPE, media_type);
    Ok(response)
}

/// Stores that a key is given.
async fn record(
    node: &Node,
    head: &Parts,
    holder: &ApiToken,
    offer: &Offer,
    representation: &str,
    target: Option<&str>,
) -> Result<(), Problem> {
    let actor = format!("token/{}", holder.name);
    let event = Event::new(actor, "certificate.pull", format!("managed/{}", offer.name));
    let mut event = event.with(json!({
        "version": offer.version.number, "representation": representation, "target": target,
    }));
    if let Some(RequestId(id)) = head.extensions.get() {
        event = event.asked_by(id);
    }
    node.store.commit(Commit::new(event), node.world.now()).await.map_err(uncommitted)?;
    Ok(())
}

fn broken(offer: &Offer, error: &dyn std::fmt::Display) -> Problem {
    error!(certificate = offer.name, version = offer.version.number, %error, "cannot be pulled");
    Problem::new(ProblemType::ServerInternal, "the version cannot be read; see the server's log")
}

/// The answer with the tag of what it is about, and the wait it was granted (RFC 7240 §3).
fn tagged(mut response: Response<Body>, tag: &str, waited: Option<u64>) -> Response<Body> {
    let mut put = |name: HeaderName, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            response.headers_mut().insert(name, value);
        }
    };
    put(header::ETAG, tag);
    if let Some(seconds) = waited {
        put(HeaderName::from_static("preference-applied"), &format!("wait={seconds}"));
    }
    response
}

fn absent(why: String) -> Problem {
    Problem::new(ProblemType::Malformed, why).with_status(404)
}

fn full(crowded: Crowded) -> Problem {
    let (status, why) = match crowded {
        Crowded::Token => (429, "too many wait with this token; wait less, or use several"),
        Crowded::All => (503, "too many wait already; ask without wait"),
    };
    let problem = Problem::new(ProblemType::RateLimited, why).with_status(status);
    problem.with_retry_after(BACK_OFF)
}

/// When it is worth trying again after too many waited.
const BACK_OFF: SignedDuration = SignedDuration::from_secs(60);
