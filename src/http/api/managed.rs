//! Managed certificates: what each needs and where it stands; renewing and rolling back by hand.

use std::sync::Arc;

use acme::{Problem, ProblemType};
use axum::extract::{Path, Query, Request, State};
use ca::RevocationReason;
use jiff::Timestamp;
use renew::need::{Need, Wish};
use serde::Deserialize;
use serde_json::{Value, json};

use super::inventory::{Listing, all, paged};
use super::{Answer, body, missing, views};
use crate::catalog::Target;
use crate::http::error::{uncommitted, unreadable};
use crate::node::Node;
use crate::perform::known::{self, Known};
use crate::perform::managed;
use crate::steps::Subject;
use crate::store::{Actor, Commit, Event, Managed, PlacementRow, RotationRow, VersionRow};

type Shared = State<Arc<Node>>;

/// How a certificate is to be renewed.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Renewal {
    emergency: bool,
    reason: Option<String>,
}

/// Where to roll a certificate back to.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RollBack {
    to: Option<u32>,
}

/// Every managed certificate, a line each.
pub(super) async fn list(State(node): Shared, Query(listing): Query<Listing>) -> Answer {
    let page = listing.page();
    let rows = node.store.all_managed(page).map_err(unreadable);
    Answer(rows.and_then(|rows| {
        let shown: Result<Vec<_>, Problem> =
            rows.into_iter().map(|row| Ok((row.id, summary(&node, row)?))).collect();
        Ok(paged(page, shown?.into_iter()))
    }))
}

/// One managed certificate: its versions, its targets, its latest rotations.
pub(super) async fn show(State(node): Shared, Path(name): Path<String>) -> Answer {
    Answer(in_full(&node, &name).await)
}

/// One rotation with its timeline.
pub(super) async fn rotation(State(node): Shared, Path(id): Path<i64>) -> Answer {
    Answer(one_rotation(&node, id).await)
}

/// Renews a certificate now.
pub(super) async fn renew(
    State(node): Shared,
    Path(name): Path<String>,
    actor: Actor,
    request: Request,
) -> Answer {
    Answer(renew_one(&node, &name, actor, request).await)
}

/// Puts an older version back on the targets of a certificate.
pub(super) async fn roll_back(
    State(node): Shared,
    Path(name): Path<String>,
    actor: Actor,
    request: Request,
) -> Answer {
    Answer(roll_back_one(&node, &name, actor, request).await)
}

/// Every declared target.
pub(super) async fn targets(State(node): Shared) -> Answer {
    let catalog = node.catalog.load();
    Answer(Ok(all(catalog.targets.values().map(|target| target_of(target)))))
}

/// One declared target.
pub(super) async fn target(State(node): Shared, Path(name): Path<String>) -> Answer {
    let catalog = node.catalog.load();
    let found = catalog.targets.get(&name).map(|target| target_of(target));
    Answer(found.ok_or_else(|| missing("target", &name)))
}

async fn renew_one(
    node: &Arc<Node>,
    name: &str,
    actor: Actor,
    request: Request,
) -> Result<Value, Problem> {
    let wanted: Renewal = body(request).await?;
    let wish = match (wanted.emergency, wanted.reason) {
        (false, None) => Wish::Renew,
        (false, Some(_)) => {
            return Err(Problem::malformed("a reason is given for emergencies only"));
        }
        (true, reason) => {
            let reason = reason.unwrap_or_else(|| "unspecified".into());
            let parsed: Result<RevocationReason, _> = reason.parse();
            let known = parsed.map_err(|e| Problem::malformed(e.to_string()))?;
            Wish::Emergency { reason: known.to_string() }
        }
    };
    grant(node, name, wish, actor).await
}

async fn roll_back_one(
    node: &Arc<Node>,
    name: &str,
    actor: Actor,
    request: Request,
) -> Result<Value, Problem> {
    let wanted: RollBack = body(request).await?;
    let known = known(node, name)?;
    let current = known.row.current;
    let now = node.world.now();
    let usable = |version: &&VersionRow| version.facts().is_usable(now);
    let to = match wanted.to {
        Some(number) => {
            known.version(Some(number)).ok_or_else(|| missing("version", &number.to_string()))?
        }
        None => (known.versions.iter().filter(usable))
            .find(|version| Some(version.number) < current && version.proven_at.is_some())
            .ok_or_else(|| conflict("there is no earlier version that can still be served"))?,
    };
    if !usable(&to) {
        return Err(conflict("that version has expired or was revoked; it is never served again"));
    }
    if Some(to.number) == current {
        return Err(conflict("that version is the one served"));
    }
    grant(node, name, Wish::RollBack { to: to.number }, actor).await
}

/// Stores what an operator wants, and begins it.
async fn grant(node: &Arc<Node>, name: &str, wish: Wish, actor: Actor) -> Result<Value, Problem> {
    let now = node.world.now();
    let catalog = node.catalog.load();
    if !catalog.certificates.contains_key(name) {
        return Err(missing("managed certificate", name));
    }
    let row = known(node, name)?.row;
    let urgent = matches!(wish, Wish::Emergency { .. });
    if let Some(id) = row.rotation.filter(|_| !urgent) {
        return Err(conflict(&format!(
            "rotation {id} is under way; wait for its end, or ask for an emergency renewal"
        )));
    }
    let action = match wish {
        Wish::RollBack { .. } => "certificate.roll-back",
        _ => "certificate.renew",
    };
    let event = Event::new(actor, action, format!("managed/{name}")).with(json!(wish));
    let (id, busy) = (row.id, row.rotation);
    let due_at = busy.is_none().then_some(now);
    let row = Managed { wish: Some(wish), due_at, retry_at: None, ..row };
    let mut commit = Commit::new(event).put(row);
    if let Some(rotation) = busy
        && let Some(rotation) = node.store.rotation(rotation).map_err(unreadable)?
    {
        // It is to see at once that something more urgent waits.
        commit = commit.put(RotationRow { due_at: Some(now), ..rotation });
    }
    node.store.commit(commit, now).await.map_err(uncommitted)?;
    if let Some(look) = node.steps.start(Subject::Managed(id), managed::look(Arc::clone(node), id))
    {
        // However it ends, the row says what became of it.
        let _ = look.await;
    }
    let row = known(node, name)?.row;
    Ok(json!({ "certificate": name, "rotation": row.rotation }))
}

fn known(node: &Node, name: &str) -> Result<Known, Problem> {
    let row = node.store.managed_by_name(name).map_err(unreadable)?;
    let row = row.ok_or_else(|| missing("managed certificate", name))?;
    Known::of(node, row).map_err(unreadable)
}

fn conflict(why: &str) -> Problem {
    Problem::new(ProblemType::Malformed, why.to_owned()).with_status(409)
}

/// What a list shows of a certificate.
fn summary(node: &Node, row: Managed) -> Result<Value, Problem> {
    let known = Known::of(node, row).map_err(unreadable)?;
    let catalog = node.catalog.load();
    let now = node.world.now();
    let row = &known.row;
    let certificate = catalog.certificates.get(&row.name);
    let current = known.version(row.current);
    let need = certificate.map(|certificate| known.need(&catalog, certificate, now));
    let (renews_at, why) = match &need {
        Some(Need::Nothing { until }) => (*until, None),
        Some(Need::Later { cause, at }) => (Some(*at), Some(cause.to_string())),
        Some(Need::Rotate { cause, .. }) => (Some(now), Some(cause.to_string())),
        None => (None, None),
    };
    let served = |name: &&String| {
        let placement = known.placements.iter().find(|placement| placement.target == **name);
        placement.is_some_and(|placement| placement.serves == row.current && row.current.is_some())
    };
    let targets = certificate.map(|c| c.spec.targets.as_slice()).unwrap_or_default();
    Ok(json!({
        "name": row.name,
        "status": status(&known, certificate.is_some(), now),
        "names": certificate.map(|c| c.spec.names.iter().map(ToString::to_string).collect::<Vec<_>>()),
        "version": row.current,
        "issuer": current.map(|version| &version.issuer),
        "not_after": current.map(|version| version.not_after.to_string()),
        "renews_at": renews_at.map(|at| at.to_string()),
        "because": why,
        "targets": format!("{}/{}", targets.iter().filter(served).count(), targets.len()),
        "rotation": row.rotation,
        "owner": certificate.and_then(|c| c.spec.owner.as_ref()),
        "error": row.error,
    }))
}

/// One word for how a certificate is.
fn status(known: &Known, declared: bool, now: Timestamp) -> &'static str {
    let current = known.version(known.row.current);
    let drifted = known.placements.iter().any(|placement| placement.error.is_some());
    match current {
        _ if !declared => "undeclared",
        Some(version) if version.revoked_at.is_some() => "revoked",
        Some(version) if version.not_after <= now => "expired",
        _ if known.row.rotation.is_some() => "rotating",
        _ if known.row.failures > 0 => "failing",
        None => "pending",
        Some(_) if drifted => "drifted",
        Some(_) => "served",
    }
}

async fn in_full(node: &Node, name: &str) -> Result<Value, Problem> {
    let known = known(node, name)?;
    let mut shown = summary(node, known.row.clone())?;
    let current = known.row.current;
    shown["versions"] = known.versions.iter().map(|version| version_of(version, current)).collect();
    shown["placements"] = known.placements.iter().map(placement_of).collect();
    let rotations = node.store.rotations(known.row.id, ROTATIONS).map_err(unreadable)?;
    let mut timelines = Vec::new();
    for rotation in &rotations {
        timelines.push(rotation_of(node, rotation).await?);
    }
    shown["rotations"] = timelines.into();
    if let Some(version) = known.version(current) {
        shown["pem"] = version.chain.clone().into();
    }
    Ok(shown)
}

async fn one_rotation(node: &Node, id: i64) -> Result<Value, Problem> {
    let row = node.store.rotation(id).map_err(unreadable)?;
    let row = row.ok_or_else(|| missing("rotation", &id.to_string()))?;
    rotation_of(node, &row).await
}

async fn rotation_of(node: &Node, row: &RotationRow) -> Result<Value, Problem> {
    let events = node.store.events_of_rotation(row.id).await.map_err(unreadable)?;
    Ok(json!({
        "id": row.id,
        "because": row.cause.to_string(),
        "phase": row.phase.name(),
        "from": row.from,
        "to": row.to,
        "error": row.error,
        "started_at": row.started_at.to_string(),
        "proven_at": row.proven_at.map(|at| at.to_string()),
        "ended_at": row.ended_at.map(|at| at.to_string()),
        "next_at": row.due_at.map(|at| at.to_string()),
        "timeline": events.iter().map(views::event).collect::<Vec<_>>(),
    }))
}

fn version_of(version: &VersionRow, current: Option<u32>) -> Value {
    let leaf = known::leaf(version);
    let status = match version {
        version if version.revoked_at.is_some() => "revoked",
        version if Some(version.number) == current => "current",
        version if version.retired_at.is_some() => "retired",
        version if version.proven_at.is_some() => "retiring",
        _ => "obtained",
    };
    json!({
        "version": version.number,
        "status": status,
        "issuer": version.issuer,
        "serial": leaf.map(|leaf| leaf.serial().to_string()),
        "sha256": data_encoding::HEXLOWER.encode(&version.fingerprint),
        "not_before": version.not_before.to_string(),
        "not_after": version.not_after.to_string(),
        "renews_at": version.facts().moment().to_string(),
        "obtained_at": version.obtained_at.to_string(),
        "proven_at": version.proven_at.map(|at| at.to_string()),
        "retired_at": version.retired_at.map(|at| at.to_string()),
        "revoked_at": version.revoked_at.map(|at| at.to_string()),
    })
}

fn placement_of(placement: &PlacementRow) -> Value {
    json!({
        "target": placement.target,
        "serves": placement.serves,
        "given": placement.given,
        "error": placement.error,
        "changed_at": placement.changed_at.to_string(),
        "looked_at_next": placement.due_at.map(|at| at.to_string()),
        "proof": placement.proof,
    })
}

fn target_of(target: &Target) -> Value {
    serde_json::to_value(&target.spec).unwrap_or_default()
}

/// How many rotations are shown with a certificate.
const ROTATIONS: u32 = 5;
