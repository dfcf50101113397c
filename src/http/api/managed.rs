//! Managed certificates: what each needs and where it stands. Nothing is changed here.

use std::fmt;
use std::sync::Arc;

use acme::Problem;
use axum::extract::State;
use jiff::Timestamp;
use renew::Phase;
use renew::need::Need;
use serde_json::Value;

use super::extract::{Path, Query};
use super::inventory::{all, sheet};
use super::listing::Listing;
use super::shape::{self, value};
use super::visible::{Reading, Sight};
use super::{Answer, missing, views};
use crate::access::{Action, Asker};
use crate::catalog::Target;
use crate::http::error::unreadable;
use crate::node::Node;
use crate::perform::known::{self, Known};
use crate::store::{Managed, PlacementRow, RotationRow, VersionRow};

type Shared = State<Arc<Node>>;

/// Every managed certificate, a line each.
pub(super) async fn list(
    State(node): Shared,
    asker: Asker,
    Query(listing): Query<Listing>,
) -> Answer {
    let sight = Sight::new(&node, &asker, (Action::ManagedRead, "managed"));
    let store = &node.store;
    let read = |page| -> Reading<'_, _> { Box::pin(async move { store.all_managed(page) }) };
    let seen = sight.page(listing.page(), read, |row| (row.id, row.name.clone())).await;
    Answer(seen.and_then(|(rows, next)| {
        let shown: Result<Vec<_>, Problem> =
            rows.into_iter().map(|row| Ok(value(&summary(&node, row)?))).collect();
        Ok(sheet(shown?.into_iter(), next))
    }))
}

/// Those that ask for attention, a line each.
pub(super) fn attention(node: &Node) -> Result<Vec<String>, Problem> {
    let mut lines = Vec::new();
    for row in node.store.unwell(ATTENTION).map_err(unreadable)? {
        let shown = summary(node, row)?;
        if !matches!(shown.status, "served" | "rotating" | "waiting" | "undeclared") {
            lines.push(format!(
                "managed certificate {0} is {1}; see perennial status certificate {0}",
                shown.name, shown.status,
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
fn summary(node: &Node, row: Managed) -> Result<shape::Managed, Problem> {
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
    Ok(shape::Managed {
        name: row.name.clone(),
        status: status(&known, certificate.is_some(), rotation.as_ref(), pause.as_ref(), now),
        names: certificate.map(|c| c.spec.names.iter().map(ToString::to_string).collect()),
        version: row.current,
        issuer: current.map(|version| version.issuer.clone()),
        not_after: current.map(|version| version.not_after),
        renews_at,
        because: pause.as_ref().map(ToString::to_string).or(why),
        targets: format!("{}/{}", targets.iter().filter(served).count(), targets.len()),
        rotation: row.rotation,
        owner: certificate.and_then(|c| c.spec.owner.clone()),
        origin: certificate.and_then(|c| c.origin.as_ref()).map(ToString::to_string),
        error: error.cloned(),
    })
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
    let current = known.row.current;
    let rotations = node.store.rotations(known.row.id, ROTATIONS).map_err(unreadable)?;
    let mut timelines = Vec::new();
    for rotation in &rotations {
        timelines.push(rotation_of(node, rotation).await?);
    }
    Ok(value(&shape::ManagedInFull {
        summary: summary(node, known.row.clone())?,
        versions: known.versions.iter().map(|version| version_of(version, current)).collect(),
        placements: known.placements.iter().map(placement_of).collect(),
        rotations: timelines,
        pem: known.version(current).map(|version| version.chain.clone()),
    }))
}

async fn one_rotation(node: &Node, id: i64) -> Result<Value, Problem> {
    let row = node.store.rotation(id).map_err(unreadable)?;
    let row = row.ok_or_else(|| missing("rotation", &id.to_string()))?;
    rotation_of(node, &row).await.map(|shown| value(&shown))
}

async fn rotation_of(node: &Node, row: &RotationRow) -> Result<shape::Rotation, Problem> {
    let events = node.store.events_of_rotation(row.id).await.map_err(unreadable)?;
    Ok(shape::Rotation {
        id: row.id,
        because: row.cause.to_string(),
        phase: row.phase.name(),
        from: row.from,
        to: row.to,
        error: row.error.clone(),
        pause: Pause::of(row, node.world.now()).map(|pause| pause.to_string()),
        started_at: row.started_at,
        proven_at: row.proven_at,
        ended_at: row.ended_at,
        next_at: row.due_at,
        timeline: events.iter().map(views::recorded).collect(),
    })
}

fn version_of(version: &VersionRow, current: Option<u32>) -> shape::Version {
    let leaf = known::leaf(version);
    let status = match version {
        version if version.revoked_at.is_some() => "revoked",
        version if Some(version.number) == current => "current",
        version if version.retired_at.is_some() => "retired",
        version if version.proven_at.is_some() => "retiring",
        _ => "obtained",
    };
    shape::Version {
        version: version.number,
        status,
        issuer: version.issuer.clone(),
        serial: leaf.map(|leaf| leaf.serial().to_string()),
        sha256: data_encoding::HEXLOWER.encode(&version.fingerprint),
        not_before: version.not_before,
        not_after: version.not_after,
        renews_at: version.facts().moment(),
        obtained_at: version.obtained_at,
        proven_at: version.proven_at,
        retired_at: version.retired_at,
        revoked_at: version.revoked_at,
    }
}

pub(super) fn placement_of(placement: &PlacementRow) -> shape::Placement {
    shape::Placement {
        target: placement.target.clone(),
        serves: placement.serves,
        given: placement.given,
        error: placement.error.clone(),
        changed_at: placement.changed_at,
        looked_at_next: placement.due_at,
        proof: value(&placement.proof),
    }
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
