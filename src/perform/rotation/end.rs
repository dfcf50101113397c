//! How a rotation ends: proven and then retired, or failed.

use jiff::Timestamp;
use renew::rotation::retirement;
use renew::{Cause, Phase, retry};
use serde_json::json;
use tracing::{info, warn};

use super::{Outcome, RotationError, Run, obtain, stumble};
use crate::node::Node;
use crate::store::{Commit, Event, Managed, RotationRow, VersionRow};

/// Every target is proven: the new version is the current one.
pub(super) async fn prove(node: &Node, run: Run) -> Result<Outcome, RotationError> {
    let now = node.world.now();
    let Some(to) = run.to() else { return fail(node, run).await };
    let replaces = run.row.from.is_some_and(|from| from != to.number);
    let retire_at = retirement(&run.row.cause, run.certificate.spec.grace, now);
    let row = RotationRow {
        phase: if replaces { Phase::Proven } else { Phase::Done },
        proven_at: Some(now),
        ended_at: (!replaces).then_some(now),
        due_at: replaces.then_some(retire_at),
        attempts: 0,
        error: None,
        ..run.row.clone()
    };
    let rolled_back = run.row.cause == Cause::RollBack;
    let managed = Managed {
        current: Some(to.number),
        rotation: None,
        // What the operator left is no reason to go there again while it is what is declared.
        held: rolled_back.then_some(run.certificate.request),
        failures: 0,
        retry_at: None,
        error: None,
        due_at: Some(now),
        ..run.known.row.clone()
    };
    let version =
        VersionRow { proven_at: to.proven_at.or(Some(now)), retired_at: None, ..to.clone() };
    let event = run.event("rotation.prove").with(json!({
        "version": to.number, "targets": run.certificate.spec.targets,
    }));
    let took = now.duration_since(run.row.started_at);
    node.store.commit(Commit::new(event).put(row).put(managed).put(version), now).await?;
    node.news.announce(run.row.managed);
    info!(
        rotation = run.row.id,
        certificate = run.known.row.name,
        version = to.number,
        seconds = took.as_secs(),
        "every target is proven"
    );
    node.metrics.levels.proven(&run.row.cause, took);
    Ok(Outcome::More)
}

/// The version before is not needed any more.
pub(super) async fn retire(node: &Node, run: Run) -> Result<Outcome, RotationError> {
    let now = node.world.now();
    let mut commit = Commit::new(run.event("rotation.retire").with(json!({
        "version": run.row.from,
    })));
    // It may have become the current one again in the meantime.
    let back = run.known.row.current == run.row.from;
    if let Some(from) = run.from().filter(|_| !back) {
        let mut retired = VersionRow { retired_at: Some(now), ..from.clone() };
        if let Some(reason) = revocation_reason(&run).filter(|_| from.revoked_at.is_none()) {
            if let Err(why) = obtain::revoke(node, &run, from, &reason).await {
                return stumble(node, &run, "rotation.revoke-failed", why, None).await;
            }
            retired.revoked_at = Some(now);
        }
        commit = commit.put(retired);
    }
    let keep = run.certificate.spec.keep.max(2);
    let managed = &run.known.row;
    let below = managed.newest.saturating_sub(keep - 1).min(managed.current.unwrap_or(0));
    for old in run.known.versions.iter().filter(|version| version.number < below) {
        commit = commit.remove(old);
    }
    let row = RotationRow {
        phase: Phase::Done,
        ended_at: Some(now),
        due_at: None,
        attempts: 0,
        error: None,
        ..run.row
    };
    node.store.commit(commit.put(row), now).await?;
    Ok(Outcome::Rest)
}

/// For which reason the version before is revoked, if it is.
fn revocation_reason(run: &Run) -> Option<String> {
    match &run.row.cause {
        Cause::Emergency { reason } => Some(reason.clone()),
        Cause::RollBack | Cause::Unserved => None,
        _ => run.certificate.spec.revoke_replaced.then(|| "superseded".into()),
    }
}

/// Nothing more can be done for this rotation; the certificate is looked at again after a while.
pub(super) async fn fail(node: &Node, run: Run) -> Result<Outcome, RotationError> {
    let now = node.world.now();
    let managed = &run.known.row;
    let failures = managed.failures + 1;
    let end = run.from().map(|from| from.not_after);
    let why = run.row.error.clone().unwrap_or_else(|| "it was superseded".into());
    let retry_at = retry::after(failures, now, end, managed.id.unsigned_abs());
    let superseded = managed.wish.is_some();
    let row =
        RotationRow { phase: Phase::Failed, ended_at: Some(now), due_at: None, ..run.row.clone() };
    let managed = Managed {
        rotation: None,
        failures,
        retry_at: Some(retry_at),
        error: Some(why.clone()),
        due_at: Some(if superseded { now } else { retry_at }),
        ..managed.clone()
    };
    let event = run.event("rotation.fail").with(json!({
        "why": why, "retry_at": retry_at.to_string(), "serves": serves(&run),
    }));
    warn!(rotation = run.row.id, certificate = managed.name, why, %retry_at, "rotation failed");
    node.store.commit(Commit::new(event).put(row).put(managed), now).await?;
    let (levels, took) = (&node.metrics.levels, now.duration_since(run.row.started_at));
    match superseded {
        true => levels.superseded(&run.row.cause, took),
        false => levels.failed(&run.row.cause, took),
    }
    node.news.announce(run.row.managed);
    Ok(Outcome::Rest)
}

/// What each target is left with.
fn serves(run: &Run) -> serde_json::Map<String, serde_json::Value> {
    let placements = run.known.placements.iter();
    placements.map(|placement| (placement.target.clone(), json!(placement.serves))).collect()
}

/// The certificate is not declared any more.
pub(super) async fn forsake(
    node: &Node,
    row: RotationRow,
    managed: Managed,
) -> Result<Outcome, RotationError> {
    let now: Timestamp = node.world.now();
    let event = Event::new("worker", "rotation.fail", format!("managed/{}", managed.name))
        .of_rotation(row.id)
        .with(json!({ "why": "the certificate is not declared any more" }));
    let (cause, took) = (row.cause.clone(), now.duration_since(row.started_at));
    let row = RotationRow { phase: Phase::Failed, ended_at: Some(now), due_at: None, ..row };
    let mut commit = Commit::new(event);
    if managed.rotation == Some(row.id) {
        commit = commit.put(Managed { rotation: None, due_at: None, ..managed });
    }
    node.store.commit(commit.put(row), now).await?;
    node.metrics.levels.superseded(&cause, took);
    Ok(Outcome::Rest)
}
