//! Managed certificates: what each needs and where it stands; renewing and rolling back by hand.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use acme::{Problem, ProblemType};
use axum::extract::{Path, Query, Request, State};
use ca::RevocationReason;
use jiff::Timestamp;
use renew::Phase;
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
use crate::store::{
    Actor, Commit, CommitError, Event, Managed, PlacementRow, RotationRow, VersionRow,
};

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
    let mut tries = 0;
    while let Err(error) = ask_for(node, name, &wish, &actor).await? {
        // The worker looks at certificates too, and may just have done so.
        tries += 1;
        if tries == TRIES || !matches!(error, CommitError::Conflict) {
            return Err(uncommitted(error));
        }
    }
    let mut waited = Duration::ZERO;
    loop {
        let row = known(node, name)?.row;
        if row.wish.is_none() || waited > BEGIN {
            let begun = row.rotation.filter(|_| row.wish.is_none());
            return Ok(json!({ "certificate": name, "rotation": begun }));
        }
        if let Some(rotation) = row.rotation {
            // It is to see at once that something more urgent waits.
            managed::begin(node, rotation);
        } else {
            let look = managed::look(Arc::clone(node), row.id);
            if let Some(look) = node.steps.start(Subject::Managed(row.id), look) {
                // However it ends, the row says what became of it.
                let _ = look.await;
            }
        }
        tokio::time::sleep(PAUSE).await;
        waited += PAUSE;
    }
}

/// Stores what an operator wants; the inner error is one of the store.
async fn ask_for(
    node: &Node,
    name: &str,
    wish: &Wish,
    actor: &Actor,
) -> Result<Result<(), CommitError>, Problem> {
    let now = node.world.now();
    if !node.catalog.load().certificates.contains_key(name) {
        return Err(missing("managed certificate", name));
    }
    let row = known(node, name)?.row;
    let rotation = row.rotation.map(|id| node.store.rotation(id)).transpose();
    let rotation = rotation.map_err(unreadable)?.flatten();
    let urgent = matches!(wish, Wish::Emergency { .. });
    if let Some(busy) = rotation.as_ref().filter(|_| !urgent) {
        let pause = Pause::of(busy, now).map(|pause| format!(" and {pause}")).unwrap_or_default();
        return Err(conflict(&format!(
            "rotation {} is under way{pause}; wait for its end, or ask for an emergency renewal",
            busy.id
        )));
    }
    let action = match wish {
        Wish::RollBack { .. } => "certificate.roll-back",
        _ => "certificate.renew",
    };
    let event = Event::new(actor.clone(), action, format!("managed/{name}")).with(json!(wish));
    let due_at = rotation.is_none().then_some(now);
    let row = Managed { wish: Some(wish.clone()), due_at, retry_at: None, ..row };
    let mut commit = Commit::new(event).put(row);
    if let Some(rotation) = rotation {
        commit = commit.put(RotationRow { due_at: Some(now), ..rotation });
    }
    Ok(node.store.commit(commit, now).await)
}

fn known(node: &Node, name: &str) -> Result<Known, Problem> {
    let row = node.store.managed_by_name(name).map_err(unreadable)?;
    let row = row.ok_or_else(|| missing("managed certificate", name))?;
    Known::of(node, row).map_err(unreadable)
}

fn conflict(why: &str) -> Problem {
    Problem::new(ProblemType::Malformed, why.to_owned()).with_status(409)
}

/// Why a rotation rests.
enum Pause {
    /// Its calendar says so.
    Closed { until: Timestamp },
    /// A step failed.
    Failed { why: String, until: Timestamp },
}

impl Pause {
    fn of(rotation: &RotationRow, now: Timestamp) -> Option<Self> {
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
    let served = |name: &&String| {
        let placement = known.placements.iter().find(|placement| placement.target == **name);
        placement.is_some_and(|placement| placement.serves == row.current && row.current.is_some())
    };
    let targets = certificate.map(|c| c.spec.targets.as_slice()).unwrap_or_default();
    let rotation = row.rotation.map(|id| node.store.rotation(id)).transpose();
    let rotation = rotation.map_err(unreadable)?.flatten();
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
    match current {
        _ if !declared => "undeclared",
        Some(version) if version.revoked_at.is_some() => "revoked",
        Some(version) if version.not_after <= now => "expired",
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

fn target_of(target: &Target) -> Value {
    serde_json::to_value(&target.spec).unwrap_or_default()
}

/// How often something is stored that others change at the same time.
const TRIES: u32 = 10;
/// How long a rotation may take to begin before who asked for it gets an answer without.
const BEGIN: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(20);
/// How many rotations are shown with a certificate.
const ROTATIONS: u32 = 5;
