//! Keysets: how each stands, with the arithmetic of its windows; a rotation now, an emergency, and a
//! way back from a key that has not signed.

use std::sync::Arc;

use acme::{Problem, ProblemType};
use axum::extract::{Request, State};
use jwks::emergency::exposure;
use jwks::{Kid, Phase, transition};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::extract::{Path, Query};
use super::guard::permit;
use super::inventory::sheet;
use super::listing::Listing;
use super::shape::{self, value};
use super::visible::{Reading, Sight};
use super::{Answer, body, missing};
use crate::access::{Action, Asker};
use crate::catalog::SignerSpec;
use crate::http::error::{uncommitted, unreadable};
use crate::node::Node;
use crate::perform::keyset::{self, KeysetError, Known};
use crate::store::{Actor, KeysetRow, SigningKeyRow};

type Shared = State<Arc<Node>>;

/// How a keyset is to be rotated.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[schemars(rename = "KeysetRotation")]
#[serde(deny_unknown_fields, default)]
pub(super) struct Rotation {
    /// At once, with a key that nobody has seen; else the next key is announced now.
    emergency: bool,
    /// The key that must not be trusted any more; none: every one that signs.
    compromised: Option<String>,
}

/// Keysets, a page at a time.
pub(super) async fn list(
    State(node): Shared,
    asker: Asker,
    Query(listing): Query<Listing>,
) -> Answer {
    let sight = Sight::new(&node, &asker, (Action::KeysetRead, "keyset"));
    let store = &node.store;
    let read = |page| -> Reading<'_, _> { Box::pin(async move { store.keysets(page) }) };
    let seen = sight.page(listing.page(), read, |row| (row.id, row.name.clone())).await;
    Answer(seen.and_then(|(rows, next)| {
        let shown = rows.into_iter().map(|row| summary(&node, row)).collect::<Result<Vec<_>, _>>();
        Ok(sheet(shown?.into_iter(), next))
    }))
}

/// One keyset, with its keys.
pub(super) async fn show(State(node): Shared, Path(name): Path<String>) -> Answer {
    Answer(known(&node, &name).map(|known| value(&in_full(&node, &known))))
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
        shown.exposure = Some(left.iter().map(ToString::to_string).collect());
    }
    Ok(value(&shown))
}

async fn roll_back_one(node: &Arc<Node>, name: &str, actor: Actor) -> Result<Value, Problem> {
    known(node, name)?;
    if !keyset::roll_back(node, name, &actor).await.map_err(failed)? {
        let why = "no key is announced that has not signed, and none that signed before is kept: \
                   rotate, with --emergency if it cannot wait; with grace declared, the key before \
                   is kept for so long after the next switch";
        return Err(Problem::new(ProblemType::Malformed, why).with_status(409));
    }
    after(node, name).map(|shown| value(&shown))
}

fn waits(phase: Phase) -> bool {
    matches!(phase, Phase::Announced | Phase::Proven)
}

/// The keyset as it is now, with the worker sent after it.
fn after(node: &Arc<Node>, name: &str) -> Result<shape::KeysetInFull, Problem> {
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
    Ok(value(&shape::Keyset {
        name: known.row.name.clone(),
        status: status(&known),
        issuer: known.keyset.spec.issuer.clone(),
        algorithm: known.keyset.spec.algorithm.name(),
        kid: signer.map(|row| row.key.kid.as_str().to_owned()),
        rotates_at: signer.and_then(|row| row.key.rotate_at),
        keys: known.keys.iter().filter(|row| row.key.phase.is_published()).count(),
        error: known.row.error.clone(),
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
pub(super) fn in_full(node: &Node, known: &Known) -> shape::KeysetInFull {
    let (row, set, policy) = (&known.row, known.set(), &known.keyset.policy);
    let now = node.world.now();
    let (lead, retirement) = (policy.lead(), policy.retirement());
    let exposure = exposure(&set, policy, now);
    shape::KeysetInFull {
        name: row.name.clone(),
        status: status(known),
        issuer: known.keyset.spec.issuer.clone(),
        url: format!("{}/jwks/{}/jwks.json", node.https_url, row.name),
        sequence: row.sequence,
        changed_at: row.changed_at,
        next_at: row.due_at.filter(|at| is_planned(*at)),
        lead: lead.sum(),
        retirement: retirement.sum(),
        exposure: Some(exposure.iter().map(ToString::to_string).collect()),
        keys: known.keys.iter().map(key).collect(),
        signers: known.keyset.spec.signers.iter().map(SignerSpec::id).collect(),
        kubernetes: node.sockets.show(&row.name),
        owner: known.keyset.spec.owner.clone(),
        error: row.error.clone(),
        undeclared_at: row.closed_at,
    }
}

fn key(row: &SigningKeyRow) -> shape::KeyInFull {
    let key = &row.key;
    let held = key.held.iter().map(|held| shape::HeldKey {
        signer: held.target.clone(),
        given_at: held.since,
        held_at: held.held_at,
        used_at: held.used_at,
        left_at: held.left_at,
        error: held.complaint.clone(),
    });
    shape::KeyInFull {
        kid: key.kid.as_str().to_owned(),
        algorithm: key.algorithm.name(),
        phase: key.phase.name(),
        announced_at: key.announced_at,
        ready_at: key.ready_at,
        proven: value(&key.proven),
        proven_at: key.proven_at,
        fetched: value(&key.fetched),
        signing_from: key.signing_from,
        rotate_at: key.rotate_at,
        last_signature_at: key.last_signature_at,
        gone_at: key.gone_at,
        kept_until: key.kept_until,
        exportable: key.exportable,
        signers: held.collect(),
    }
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
