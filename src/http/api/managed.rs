//! Managed certificates: what each needs and where it stands. Nothing is changed here.

use std::fmt;
use std::sync::Arc;

use acme::Problem;
use axum::extract::{Path, Query, State};
use jiff::Timestamp;
use renew::Phase;
use renew::need::Need;
use serde_json::{Value, json};

use super::inventory::{Listing, all, paged};
use super::{Answer, missing, views};
use crate::catalog::Target;
use crate::http::error::unreadable;
use crate::node::Node;
use crate::perform::known::{self, Known};
use crate::store::{Managed, PlacementRow, RotationRow, VersionRow};

type Shared = State<Arc<Node>>;

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

/// Those that ask for attention, a line each.
pub(super) fn attention(node: &Node) -> Result<Vec<String>, Problem> {
    let mut lines = Vec::new();
    for row in node.store.unwell(ATTENTION).map_err(unreadable)? {
        let shown = summary(node, row)?;
        let text = |field: &str| shown[field].as_str().unwrap_or_default().to_owned();
        if !matches!(&*text("status"), "served" | "rotating" | "waiting" | "undeclared") {
            lines.push(format!(
                "managed certificate {0} is {1}; see perennial status certificate {0}",
                text("name"),
                text("status"),
            ));
        }
    }
    Ok(lines)
}

/// One managed certificate: its versions, its targets, its latest rotations.
pub(super) async fn show(State(node): Shared, Path(name): Path<String>) -> Answer {
    Answer(in_full(&node, &name).await)
}

/// One rotation with its timeline.
pub(super) async fn rotation(State(node): Shared, Path(id): Path<i64>) -> Answer {
    Answer(one_rotation(&node, id).await)
}

/// Every declared target.
pub(super) async fn targets(State(node): Shared) -> Answer {
    let catalog = node.catalog.load();
    Answer(Ok(all(catalog.targets.values().map(|target| target_of(&node, target)))))
}

/// One declared target.
pub(super) async fn target(State(node): Shared, Path(name): Path<String>) -> Answer {
    let catalog = node.catalog.load();
    let found = catalog.targets.get(&name).map(|target| target_of(&node, target));
    Answer(found.ok_or_else(|| missing("target", &name)))
}

/// What is stored of the certificate `name`.
pub(super) fn known(node: &Node, name: &str) -> Result<Known, Problem> {
    let row = node.store.managed_by_name(name).map_err(unreadable)?;
    let row = row.ok_or_else(|| missing("managed certificate", name))?;
    Known::of(node, row).map_err(unreadable)
}

/// Why a rotation rests.
pub(super) enum Pause {
    /// Its calendar says so.
    Closed { until: Timestamp },
    /// A step failed.
    Failed { why: String, until: Timestamp },
}

impl Pause {
    pub(super) fn of(rotation: &RotationRow, now: Timestamp) -> Option<Self> {
        let until = rotation.due_at.filter(|until| *until > now)?;
        match (&rotation.error, rotation.phase) {
            (_, Phase::Proven | Phase::Done | Phase::Failed) => None,
            (Some(why), _) => Some(Self::Failed { why: why.clone(), until }),
            (None, _) => Some(Self::Closed { until }),
        }
    }
}

impl fmt::Display for Pause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed { until } => {
                write!(f, "waits until {until} for the maintenance windows of its targets")
            }
            Self::Failed { why, until } => write!(f, "will try again at {until}: {why}"),
        }
    }
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
        Some(Need::Rotate { .. }) if known.row.rotation.is_some() => (None, None),
        Some(Need::Rotate { cause, .. }) => (Some(now), Some(cause.to_string())),
        None => (None, None),
    };
    let rotation = row.rotation.map(|id| node.store.rotation(id)).transpose();
    let rotation = rotation.map_err(unreadable)?.flatten();
    let incoming = rotation.as_ref().and_then(|rotation| rotation.to);
    let served = |name: &&String| {
        let placement = known.placements.iter().find(|placement| placement.target == **name);
        let serves = placement.and_then(|placement| placement.serves);
        serves.is_some() && (serves == row.current || serves == incoming)
    };
    let targets = certificate.map(|c| c.spec.targets.as_slice()).unwrap_or_default();
    let pause = rotation.as_ref().and_then(|rotation| Pause::of(rotation, now));
    let error = rotation.as_ref().and_then(|r| r.error.as_ref()).or(row.error.as_ref());
    Ok(json!({
        "name": row.name,
        "status": status(&known, certificate.is_some(), rotation.as_ref(), pause.as_ref(), now),
        "names": certificate.map(|c| c.spec.names.iter().map(ToString::to_string).collect::<Vec<_>>()),
        "version": row.current,
        "issuer": current.map(|version| &version.issuer),
        "not_after": current.map(|version| version.not_after.to_string()),
        "renews_at": renews_at.map(|at| at.to_string()),
        "because": pause.as_ref().map(ToString::to_string).or(why),
        "targets": format!("{}/{}", targets.iter().filter(served).count(), targets.len()),
        "rotation": row.rotation,
        "owner": certificate.and_then(|c| c.spec.owner.as_ref()),
        "origin": certificate.and_then(|c| c.origin.as_ref()).map(ToString::to_string),
        "error": error,
    }))
}

/// One word for how a certificate is.
fn status(
    known: &Known,
    declared: bool,
    rotation: Option<&RotationRow>,
    pause: Option<&Pause>,
    now: Timestamp,
) -> &'static str {
    let stuck = rotation.is_some_and(|rotation| rotation.phase == Phase::Reverting);
    let current = known.version(known.row.current);
    let drifted = known.placements.iter().any(|placement| placement.error.is_some());
    let incoming = rotation.and_then(|rotation| rotation.to);
    // Where a target stays away, the others serve the next version already.
    let replaced = incoming.is_some() && known.placements.iter().any(|p| p.serves == incoming);
    match current {
        _ if !declared => "undeclared",
        Some(version) if version.revoked_at.is_some() && !replaced => "revoked",
        Some(version) if version.not_after <= now && !replaced => "expired",
        _ if stuck || matches!(pause, Some(Pause::Failed { .. })) => "failing",
        _ if pause.is_some() => "waiting",
        _ if rotation.is_some() => "rotating",
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
        "pause": Pause::of(row, node.world.now()).map(|pause| pause.to_string()),
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

fn target_of(node: &Node, target: &Target) -> Value {
    let mut shown = serde_json::to_value(&target.spec).unwrap_or_default();
    if matches!(target.spec.push.kind, push::Kind::Sds(_)) {
        shown["streams"] = node.streams.of(&target.spec.push.name).into();
    }
    shown
}

/// How many certificates that ask for attention are named.
const ATTENTION: u32 = 100;
/// How many rotations are shown with a certificate.
const ROTATIONS: u32 = 5;
