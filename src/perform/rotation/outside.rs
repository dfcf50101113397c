//! Obtaining a version from a CA outside. The key is sealed and stored before the order is opened,
//! the order's URL before it is answered: whatever is interrupted is taken up where it was.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use renew::Cause;
use serde_json::json;

use super::version::{self, Obtained, Refusal, Subject};
use super::{RotationError, Run};
use crate::node::Node;
use crate::perform::issuers::{self, IssuerError};
use crate::perform::known::leaf;
use crate::perform::obtain::acme::{AcmeSpec, ObtainError, Wanted, csr};
use crate::store::{Commit, Pending, RotationRow, Row};

/// Obtains a version from `issuer`, or the time at which it takes our order.
pub(super) async fn from_issuer(
    node: &Arc<Node>,
    run: &Run,
    issuer: &AcmeSpec,
    passed_over: &[String],
) -> Result<Obtained, Refusal> {
    let now = node.world.now();
    let left_alone =
        |(until, why)| Refusal::Until(until, format!("left alone until {until}: {why}"));
    if let Some(resting) = node.issuers.resting(&issuer.name, now) {
        return Err(left_alone(resting));
    }
    let (row, subject) = prepare(node, run, issuer, now).await?;
    let pending = row.pending.clone().unwrap_or_default();
    if pending.slot > now && !would_lapse(run, pending.slot) {
        return Ok(Obtained::At(pending.slot));
    }
    node.issuers.ask(&issuer.name, now).map_err(left_alone)?;
    let client = match issuers::client(node, issuer).await {
        Ok(client) => client,
        Err(error) => return Err(refusal(node, issuer, error, now)),
    };
    let wanted = wanted(run, &subject)?;
    let outcome = match &pending.order {
        Some(url) => client.resume(url, &wanted, &node.answers).await,
        None => {
            let note = async |url: String| {
                node.issuers.stands(&issuer.name);
                note_order(node, &row, url).await;
            };
            client.order(&wanted, &node.answers, note).await
        }
    };
    match outcome {
        Ok(chain) => {
            node.issuers.stands(&issuer.name);
            keep(node, run, issuer, &chain, &subject, passed_over).await?;
            Ok(Obtained::Version)
        }
        Err(error) => {
            if error.is_order_over() {
                forget_order(node, run).await?;
            }
            Err(refusal(node, issuer, error.into(), now))
        }
    }
}

/// The rotation with its key and its place in the issuer's queue stored, and the key.
async fn prepare(
    node: &Node,
    run: &Run,
    issuer: &AcmeSpec,
    now: Timestamp,
) -> Result<(RotationRow, Subject), Refusal> {
    let row = &run.row;
    // A place in the queue that was not taken is lost: those of a whole outage come at once else.
    let stands = |pending: &Pending| pending.order.is_some() || now < pending.slot + KEPT;
    let ours = |pending: &&Pending| pending.issuer == issuer.name;
    let pending = row.pending.as_ref().filter(ours);
    if pending.is_some_and(stands)
        && let Some(sealed) = &row.pending_key
    {
        let secret = node.key.open(&identity(row.id), sealed)?;
        let signer = ca::MemorySigner::from_pkcs8(&secret).map_err(RotationError::from)?;
        return Ok((row.clone(), Subject::Key { signer, secret }));
    }
    let subject = version::subject(node, run).await?;
    if pending.is_some_and(stands) {
        return Ok((row.clone(), subject));
    }
    let pending_key = match &subject {
        Subject::Key { secret, .. } => Some(node.key.seal(&node.world, &identity(row.id), secret)),
        Subject::Request { .. } => None,
    };
    let bucket = format!("issuer/{}", issuer.name);
    let (slot, arrival) = node.limiter.reserve(issuer.limits.as_ref(), &bucket, now);
    let pending = Pending { issuer: issuer.name.clone(), order: None, slot };
    let event = run.event("rotation.queue").with(json!({
        "issuer": issuer.name, "slot": slot.to_string(),
    }));
    let row = RotationRow { pending: Some(pending), pending_key, ..row.clone() };
    let mut commit = Commit::new(event).put(row.clone());
    if let Some(arrival) = arrival {
        commit = commit.put(Row::RateLimit { bucket, arrival: arrival.as_millisecond() });
    }
    node.store.commit(commit, now).await?;
    Ok((RotationRow { version: row.version + 1, ..row }, subject))
}

/// Whether what is served would come too near to its end by waiting for `slot`: then our own limit,
/// which is there to be kind to the CA, does not count.
fn would_lapse(run: &Run, slot: Timestamp) -> bool {
    let urgent = matches!(run.row.cause, Cause::Emergency { .. } | Cause::Revoked | Cause::Expired);
    urgent
        || run.from().is_some_and(|from| {
            slot > from.not_after - from.not_after.duration_since(from.not_before) / LAST_PART
        })
}

fn wanted(run: &Run, subject: &Subject) -> Result<Wanted, Refusal> {
    let identifiers: Vec<_> = run.certificate.spec.identifiers().into_iter().collect();
    let csr = match subject {
        Subject::Key { signer, .. } => {
            csr(signer, &identifiers).map_err(|error| Refusal::Issuer(error.to_string()))?
        }
        Subject::Request { der, .. } => der.clone(),
    };
    Ok(Wanted { identifiers, csr, replaces: run.from().and_then(leaf) })
}

/// Stores the URL of an order that was just opened. Should that fail, the order is lost and another
/// one opened later; nobody is told a falsehood.
async fn note_order(node: &Node, row: &RotationRow, url: String) {
    let pending =
        row.pending.clone().map(|pending| Pending { order: Some(url.clone()), ..pending });
    let event =
        crate::store::Event::new("worker", "rotation.order", format!("rotation/{}", row.id))
            .of_rotation(row.id)
            .with(json!({ "order": url }));
    let commit = Commit::new(event).put(RotationRow { pending, ..row.clone() });
    if let Err(error) = node.store.commit(commit, node.world.now()).await {
        tracing::error!(rotation = row.id, %error, "an order could not be noted");
    }
}

/// Takes an order that came to nothing out of the rotation, so that another is opened.
async fn forget_order(node: &Node, run: &Run) -> Result<(), Refusal> {
    let row = node.store.rotation(run.row.id)?;
    let row = row.ok_or_else(|| RotationError::Other("the rotation is gone".into()))?;
    let event = run.event("rotation.order-over");
    let row = RotationRow { pending: None, pending_key: None, ..row };
    Ok(node.store.commit(Commit::new(event).put(row), node.world.now()).await?)
}

/// Stores what the CA gave, once it is found to be what was asked for.
async fn keep(
    node: &Node,
    run: &Run,
    issuer: &AcmeSpec,
    chain: &[ca::Certificate],
    subject: &Subject,
    passed_over: &[String],
) -> Result<(), Refusal> {
    let now = node.world.now();
    let names = run.certificate.spec.identifiers();
    let key = match subject {
        Subject::Key { secret, .. } => Some(secret.clone()),
        Subject::Request { .. } => None,
    };
    // No target ever sees anything that does not hold together.
    push::Bundle::new(chain.to_vec(), key, &names, now)
        .map_err(|error| Refusal::Issuer(format!("what it issued is not usable: {error}")))?;
    // The order's URL was stored in between.
    let row = node.store.rotation(run.row.id)?;
    let row = row.ok_or_else(|| RotationError::Other("the rotation is gone".into()))?;
    let error = version::said(passed_over);
    let row = RotationRow { pending: None, pending_key: None, error, ..row };
    let event = run.event("rotation.obtain").with(json!({
        "issuer": issuer.name, "serial": chain[0].serial().to_string(),
    }));
    let commit = version::store(node, run, Commit::new(event), &issuer.name, chain, subject, row);
    Ok(node.store.commit(commit, now).await?)
}

/// What follows from an issuer's failure.
fn refusal(node: &Node, issuer: &AcmeSpec, error: IssuerError, now: Timestamp) -> Refusal {
    let IssuerError::Obtain(error) = error else {
        return Refusal::Ours(RotationError::Other(error.to_string()));
    };
    let why = error.to_string();
    if let Some(until) = rests(&error, now) {
        node.issuers.rest(&issuer.name, until, why.clone());
        return Refusal::Until(until, why);
    }
    if error.is_final_for_names() {
        // Only another declaration helps, and that is looked at when it comes.
        return Refusal::Until(now + HOPELESS, why);
    }
    Refusal::Issuer(why)
}

/// Until when an issuer that failed like this is left alone by everybody: as long as it says, or a
/// little if it is down; not at all if the fault lies in this one order.
fn rests(error: &ObtainError, now: Timestamp) -> Option<Timestamp> {
    let asked = error.retry_after().map(|wait| now + wait.min(LONGEST_REST));
    asked.or_else(|| error.is_issuer_down().then(|| now + REST))
}

/// The identity under which the key of an order under way is sealed.
fn identity(rotation: i64) -> String {
    format!("rotation/{rotation}")
}

/// With this part of its life left, a certificate does not queue.
const LAST_PART: i32 = 20;
const HOPELESS: SignedDuration = SignedDuration::from_hours(6);
/// How long a place in the queue is kept for who comes late.
const KEPT: SignedDuration = SignedDuration::from_mins(2);
const REST: SignedDuration = SignedDuration::from_mins(1);
const LONGEST_REST: SignedDuration = SignedDuration::from_hours(24);
