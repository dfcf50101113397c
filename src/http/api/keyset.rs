//! Keysets: how each stands, with the arithmetic of its windows; a rotation now, an emergency, and a
//! way back from a key that has not signed.

use std::sync::Arc;

use acme::{Problem, ProblemType};
use axum::extract::{Path, Query, Request, State};
use jwks::emergency::exposure;
use jwks::{Kid, Phase, transition};
use serde::Deserialize;
use serde_json::{Value, json};

use super::guard::permit;
use super::inventory::{Listing, paged};
use super::{Answer, body, missing};
use crate::access::{Action, Asker};
use crate::catalog::SignerSpec;
use crate::http::error::{uncommitted, unreadable};
use crate::node::Node;
use crate::perform::keyset::{self, KeysetError, Known};
use crate::store::{Actor, KeysetRow, SigningKeyRow};

type Shared = State<Arc<Node>>;

/// How a keyset is to be rotated.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Rotation {
    /// At once, with a key that nobody has seen; else the next key is announced now.
    emergency: bool,
    /// The key that must not be trusted any more; none: every one that signs.
    compromised: Option<String>,
}

/// Keysets, a page at a time.
pub(super) async fn list(State(node): Shared, Query(listing): Query<Listing>) -> Answer {
    let page = listing.page();
    let rows = node.store.keysets(page).map_err(unreadable);
    let shown = rows.and_then(|rows| {
        let summary = |row: KeysetRow| Ok((row.id, summary(&node, row)?));
        rows.into_iter().map(summary).collect::<Result<Vec<_>, _>>()
    });
    Answer(shown.map(|shown| paged(page, shown.into_iter())))
}

/// One keyset, with its keys.
pub(super) async fn show(State(node): Shared, Path(name): Path<String>) -> Answer {
    Answer(known(&node, &name).map(|known| in_full(&node, &known)))
}

/// Rotates a keyset now.
pub(super) async fn rotate(
    State(node): Shared,
    Path(name): Path<String>,
    asker: Asker,
    request: Request,
) -> Answer {
    Answer(rotate_one(&node, &name, &asker, request).await)
}

/// Withdraws the keys that are announced and have not signed.
pub(super) async fn roll_back(
    State(node): Shared,
    Path(name): Path<String>,
    actor: Actor,
) -> Answer {
    Answer(roll_back_one(&node, &name, actor).await)
}

/// What an operator should look at, a line each.
pub(super) fn attention(node: &Node) -> Result<Vec<String>, Problem> {
    let failing = node.store.failing_keysets(MAX_ATTENTION).map_err(unreadable)?;
    let declared = &node.catalog.load().keysets;
    let failing = failing.into_iter().filter(|row| declared.contains_key(&row.name));
    let line = |row: KeysetRow| format!("keyset {}: {}", row.name, row.error.unwrap_or_default());
    Ok(failing.map(line).collect())
}

async fn rotate_one(
    node: &Arc<Node>,
    name: &str,
    asker: &Asker,
    request: Request,
) -> Result<Value, Problem> {
    let wanted: Rotation = body(request).await?;
    if wanted.emergency {
        permit(node, asker, Action::KeysetRotateEmergency, ("keyset", name))?;
    }
    let actor = asker.actor();
    if wanted.compromised.is_some() && !wanted.emergency {
        return Err(Problem::malformed("a compromised key is an emergency"));
    }
    let kid = wanted.compromised.as_deref().map(str::parse::<Kid>).transpose();
    let kid = kid.map_err(|error| Problem::malformed(error.to_string()))?;
    known(node, name)?;
    let left = match wanted.emergency {
        true => {
            let left = keyset::replace(node, name, &actor, kid.as_ref()).await.map_err(failed)?;
            node.metrics.keysets.emergency(name);
            Some(left)
        }
        false => {
            keyset::rotate(node, name, &actor).await.map_err(failed)?;
            None
        }
    };
    let mut shown = after(node, name)?;
    if let Some(left) = left {
        shown["exposure"] = left.iter().map(ToString::to_string).collect();
    }
    Ok(shown)
}

async fn roll_back_one(node: &Arc<Node>, name: &str, actor: Actor) -> Result<Value, Problem> {
    known(node, name)?;
    if !keyset::roll_back(node, name, &actor).await.map_err(failed)? {
        let why = "no key is announced that has not signed, and none that signed before is kept: \
                   rotate, with --emergency if it cannot wait; with grace declared, the key before \
                   is kept for so long after the next switch";
        return Err(Problem::new(ProblemType::Malformed, why).with_status(409));
    }
    after(node, name)
}

fn waits(phase: Phase) -> bool {
    matches!(phase, Phase::Announced | Phase::Proven)
}

/// The keyset as it is now, with the worker sent after it.
fn after(node: &Arc<Node>, name: &str) -> Result<Value, Problem> {
    let known = known(node, name)?;
    keyset::begin(node, known.row.id);
    Ok(in_full(node, &known))
}

/// What is stored and declared of a keyset.
pub(super) fn known(node: &Node, name: &str) -> Result<Known, Problem> {
    let row = node.store.keyset_by_name(name).map_err(unreadable)?;
    Known::of(node, row.ok_or_else(|| missing("keyset", name))?).map_err(failed)
}

fn summary(node: &Node, row: KeysetRow) -> Result<Value, Problem> {
    let known = Known::of(node, row).map_err(failed)?;
    let signer = known.keys.iter().find(|row| row.key.phase == Phase::Signing);
    Ok(json!({
        "name": known.row.name,
        "status": status(&known),
        "issuer": known.keyset.spec.issuer,
        "algorithm": known.keyset.spec.algorithm.name(),
        "kid": signer.map(|row| row.key.kid.as_str()),
        "rotates_at": signer.and_then(|row| row.key.rotate_at).map(|at| at.to_string()),
        "keys": known.keys.iter().filter(|row| row.key.phase.is_published()).count(),
        "error": known.row.error,
    }))
}

/// One word for how a keyset is.
fn status(known: &Known) -> &'static str {
    let has = |is: fn(Phase) -> bool| known.keys.iter().any(|row| is(row.key.phase));
    if known.row.closed_at.is_some() || !known.declared {
        return if has(Phase::is_published) { "ending" } else { "undeclared" };
    }
    match (known.row.error.is_some(), has(|phase| phase == Phase::Signing), has(waits)) {
        (true, ..) => "failing",
        (false, false, _) => "pending",
        (false, true, true) => "rotating",
        (false, true, false) => "signing",
    }
}

/// Whether that is a moment, and not that nothing is planned.
pub(super) fn is_planned(at: jiff::Timestamp) -> bool {
    at.as_second() < jiff::Timestamp::MAX.as_second()
}

/// A keyset with its keys.
pub(super) fn in_full(node: &Node, known: &Known) -> Value {
    let (row, set, policy) = (&known.row, known.set(), &known.keyset.policy);
    let now = node.world.now();
    let (lead, retirement) = (policy.lead(), policy.retirement());
    let mut shown = json!({
        "name": row.name,
        "status": status(known),
        "issuer": known.keyset.spec.issuer,
        "url": format!("{}/jwks/{}/jwks.json", node.https_url, row.name),
        "sequence": row.sequence,
        "changed_at": row.changed_at.to_string(),
        "next_at": row.due_at.filter(|at| is_planned(*at)).map(|at| at.to_string()),
        "lead": lead.sum(),
        "retirement": retirement.sum(),
        "exposure": exposure(&set, policy, now).iter().map(ToString::to_string).collect::<Vec<_>>(),
        "keys": known.keys.iter().map(key).collect::<Vec<_>>(),
        "signers": known.keyset.spec.signers.iter().map(SignerSpec::id).collect::<Vec<_>>(),
        "kubernetes": node.sockets.show(&row.name),
        "owner": known.keyset.spec.owner,
        "error": row.error,
    });
    if let Some(at) = row.closed_at {
        shown["undeclared_at"] = at.to_string().into();
    }
    shown
}

fn key(row: &SigningKeyRow) -> Value {
    let key = &row.key;
    let at = |instant: Option<jiff::Timestamp>| instant.map(|at| at.to_string());
    json!({
        "kid": key.kid.as_str(),
        "algorithm": key.algorithm.name(),
        "phase": key.phase.name(),
        "announced_at": key.announced_at.to_string(),
        "ready_at": key.ready_at.to_string(),
        "proven": key.proven,
        "proven_at": at(key.proven_at),
        "fetched": key.fetched,
        "signing_from": at(key.signing_from),
        "rotate_at": at(key.rotate_at),
        "last_signature_at": at(key.last_signature_at),
        "gone_at": at(key.gone_at),
        "kept_until": at(key.kept_until),
        "exportable": key.exportable,
        "signers": key.held.iter().map(|held| json!({
            "signer": held.target,
            "given_at": held.since.to_string(),
            "held_at": at(held.held_at),
            "used_at": at(held.used_at),
            "left_at": at(held.left_at),
            "error": held.complaint,
        })).collect::<Vec<_>>(),
    })
}

fn refused(why: transition::Refused) -> Problem {
    Problem::new(ProblemType::Malformed, why.to_string()).with_status(409)
}

fn failed(error: KeysetError) -> Problem {
    match error {
        KeysetError::Refused(why) => refused(why),
        KeysetError::Undeclared(_) => {
            Problem::new(ProblemType::Malformed, error.to_string()).with_status(409)
        }
        KeysetError::Commit(error) => uncommitted(error),
        KeysetError::Read(error) => unreadable(error),
        error => {
            tracing::error!(%error, "a keyset cannot be changed");
            Problem::new(ProblemType::ServerInternal, error.to_string())
        }
    }
}

const MAX_ATTENTION: u32 = 100;
