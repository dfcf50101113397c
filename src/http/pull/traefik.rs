//! Every certificate that a Traefik may have, in one answer, as its HTTP provider takes it. It asks every
//! few seconds, says nothing of what it has, and drops what is not in the answer: so an answer is whole or
//! an error, after which it goes on with what it had.

use std::sync::Arc;

use acme::Problem;
use aws_lc_rs::digest::{Context, SHA256};
use axum::Extension;
use axum::body::Body;
use axum::extract::{Query, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Response, header};
use bytes::Bytes;
use data_encoding::HEXLOWER;
use serde::Deserialize;

use super::handed::{Hand, Handed};
use super::wish::Wish;
use super::{absent, broken, guarded, note_use, record, tagged};
use crate::http::bearer::{self, Refusal};
use crate::http::error::unreadable;
use crate::http::server::Peer;
use crate::http::tags::not_modified;
use crate::node::Node;
use crate::perform::offer::{Offer, known, offer};
use crate::store::ApiToken;
use crate::token::Kind;

pub(super) async fn answer(
    State(node): State<Arc<Node>>,
    Extension(handed): Extension<Arc<Handed>>,
    request: Request,
) -> Response<Body> {
    let (head, _) = request.into_parts();
    guarded(pull(&node, &handed, &head).await.unwrap_or_else(Refusal::response))
}

/// What the query of the URL says.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    #[expect(dead_code, reason = "there is only one")]
    format: Format,
    /// The target on whose behalf it is pulled.
    #[serde(default)]
    target: Option<String>,
}

/// In which forms several certificates are to be had in one answer.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Format {
    Traefik,
}

async fn pull(node: &Node, handed: &Handed, head: &Parts) -> Result<Response<Body>, Refusal> {
    let holder = bearer::bearer(node, head)?;
    note_use(node, &holder).await;
    let Query(asked) = Query::<Asked>::try_from_uri(&head.uri)
        .map_err(|e| Problem::malformed(format!("the query is not understood: {e}")))?;
    let target = asked.target.as_deref();
    let offers = offers(node, &holder, target)?;
    let tag = tag(&offers);
    if Wish::of(&head.headers).has(&tag) {
        return Ok(tagged(not_modified(), &tag, None));
    }
    let mut pairs = Vec::with_capacity(offers.len());
    for (managed, offer) in &offers {
        let bundle = offer.bundle(node).map_err(|error| broken(offer, &error))?;
        let key = bundle.key_pem().ok_or_else(|| broken(offer, &"its key is not here"))?;
        pairs.push((bundle.fullchain_pem(), key));
        let hand = hand(head, &holder, target, *managed);
        if !handed.has(&hand, &offer.version.fingerprint) {
            record(node, head, &holder, offer, "traefik", target).await?;
            handed.note(hand, &offer.version.fingerprint);
        }
        // There may be many, and others wait.
        tokio::task::yield_now().await;
    }
    let body = Bytes::from_owner(push::traefik_configuration(&pairs, None));
    let mut response = Response::new(Body::from(body));
    let media_type = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, media_type);
    Ok(tagged(response, &tag, None))
}

/// The versions that are there for who has this token, with the rows of their certificates.
fn offers(
    node: &Node,
    holder: &ApiToken,
    target: Option<&str>,
) -> Result<Vec<(i64, Offer)>, Refusal> {
    let catalog = node.catalog.load();
    let covered = |name: &&String| holder.scope.covers(Kind::Certificate, name);
    if !catalog.certificates.keys().any(|name| covered(&name)) {
        return Err(Refusal::OutOfScope);
    }
    let has_it = |name: &&String| {
        let on =
            |target: &str| catalog.certificates[*name].spec.targets.iter().any(|t| t == target);
        target.is_none_or(on)
    };
    let names = catalog.certificates.keys().filter(covered).filter(has_it);
    let names: Vec<_> = names.take(MOST + 1).collect();
    if names.len() > MOST {
        let why = format!("the token is for more than {MOST} certificates: make it narrower");
        return Err(Problem::malformed(why).with_status(403).into());
    }
    let mut offers = Vec::new();
    for name in names {
        let Some(managed) = known(node, name, target).map_err(unreadable)? else { continue };
        let offer = offer(node, &managed, target).map_err(unreadable)?;
        // A key that was made elsewhere cannot be given.
        let offer = offer.filter(|offer| offer.version.sealed_key.is_some());
        offers.extend(offer.map(|offer| (managed.id, offer)));
    }
    match offers.is_empty() {
        true => Err(absent("there is nothing to give yet, or no such target".into()).into()),
        false => Ok(offers),
    }
}

/// The entity tag of these versions.
fn tag(offers: &[(i64, Offer)]) -> String {
    let mut all = Context::new(&SHA256);
    for (managed, offer) in offers {
        all.update(&managed.to_be_bytes());
        all.update(&offer.version.fingerprint);
    }
    format!("\"{}-traefik\"", HEXLOWER.encode(&all.finish().as_ref()[..16]))
}

fn hand(head: &Parts, holder: &ApiToken, target: Option<&str>, managed: i64) -> Hand {
    let address = match head.extensions.get::<Peer>() {
        Some(Peer::Network(address)) => Some(address.ip()),
        Some(Peer::Local) | None => None,
    };
    Hand { token: holder.id, address, target: target.map(str::to_owned), managed }
}

/// Of each the store is asked, and the key is opened.
const MOST: usize = 1000;
