//! Putting a version on targets, and proving it there. What is about to be touched is stored before
//! it is touched, so that going back after a crash misses nothing.

use std::collections::BTreeSet;
use std::sync::Arc;

use push::probe::{self, Expected, Probe, Proof};
use renew::Phase;
use renew::rotation::course;
use serde_json::json;
use tracing::{info, warn};

use super::{Outcome, RotationError, Run, stumble};
use crate::catalog::Target;
use crate::node::Node;
use crate::perform::known::bundle;
use crate::store::{Commit, PlacementRow, RotationRow, VersionRow};

/// Puts the new version on the targets of a wave. One that is not proven turns the rotation round,
/// or is passed over where going back is no help.
pub(super) async fn forward(
    node: &Arc<Node>,
    run: Run,
    targets: Vec<String>,
    forced: Vec<String>,
) -> Result<Outcome, RotationError> {
    let (Some(to), from) = (run.to().cloned(), run.from().cloned()) else {
        return Err(RotationError::Other("the version to roll out is gone".into()));
    };
    let before = run.known.placements.clone();
    let mut run = begin(node, run, &targets, &to, &forced).await?;
    let results = put(node, &run, &targets, &to, from.as_ref()).await?;
    let failed: Vec<_> = results.iter().filter_map(Placed::complaint).collect();
    let action = if failed.is_empty() { "rotation.served" } else { "rotation.refuted" };
    for why in &failed {
        warn!(rotation = run.row.id, certificate = run.known.row.name, why, "not proven");
    }
    let now = node.world.now();
    let rows = recorded(node, &run, &results, &to).into_iter().zip(&results);
    let rows = rows.map(|(row, placed)| match placed.untouched {
        // There is nothing to put back, and a target that is down would hold up the others.
        true => PlacementRow { given: given(&before, &row.target), ..row },
        false => row,
    });
    let rows: Vec<_> = rows.collect();
    run.learn(&rows);
    let after = run.judged(|rotation| course(rotation, &targets, now));
    let event = run.event(action).with(detail(&to, &results));
    let turns_round = after.phase == Phase::Reverting;
    let row = RotationRow {
        phase: after.phase,
        attempts: after.attempts,
        error: (!failed.is_empty()).then(|| failed.join("; ")),
        due_at: Some(after.due_at),
        ..run.row.clone()
    };
    let commit = rows.into_iter().fold(Commit::new(event).put(row), Commit::put);
    node.store.commit(commit, now).await?;
    if turns_round {
        node.metrics.levels.rolled_back();
    }
    node.news.announce(run.row.managed);
    Ok(Outcome::More)
}

/// Puts the version before back on every target that may have been given the new one.
pub(super) async fn back(
    node: &Arc<Node>,
    run: Run,
    targets: Vec<String>,
) -> Result<Outcome, RotationError> {
    let (Some(from), to) = (run.from().cloned(), run.to().cloned()) else {
        return Err(RotationError::Other("the version to go back to is gone".into()));
    };
    let results = put(node, &run, &targets, &from, to.as_ref()).await?;
    let failed: Vec<_> = results.iter().filter_map(Placed::complaint).collect();
    let event = run.event("rotation.revert").with(detail(&from, &results));
    let rows: Vec<_> = (recorded(node, &run, &results, &from).into_iter())
        // One that could not be brought back is tried again: what it was given says so.
        .map(|row| match row.serves == Some(from.number) {
            true => PlacementRow { given: Some(from.number), ..row },
            false => row,
        })
        .collect();
    let now = node.world.now();
    node.store.commit(rows.into_iter().fold(Commit::new(event), Commit::put), now).await?;
    node.news.announce(run.row.managed);
    if failed.is_empty() {
        return Ok(Outcome::More);
    }
    let why = format!("cannot be rolled back: {}", failed.join("; "));
    stumble(node, &run, "rotation.stuck", why, None).await
}

/// Stores which targets are about to be given `to`.
async fn begin(
    node: &Node,
    mut run: Run,
    targets: &[String],
    to: &VersionRow,
    forced: &[String],
) -> Result<Run, RotationError> {
    let now = node.world.now();
    let event = run.event("rotation.deploy").with(json!({
        "version": to.number, "issuer": to.issuer, "targets": targets,
        "against_calendar": forced, "note": run.row.error,
    }));
    let row = RotationRow { phase: Phase::Deploying, error: None, ..run.row.clone() };
    let mut commit = Commit::new(event).put(row.clone());
    for name in targets {
        let placement = placement(node, &run, name);
        commit = commit.put(PlacementRow { given: Some(to.number), due_at: None, ..placement });
    }
    node.store.commit(commit, now).await?;
    // Who pulls has it from now on.
    node.news.announce(run.row.managed);
    info!(
        rotation = run.row.id,
        certificate = run.known.row.name,
        version = to.number,
        targets = targets.join(", "),
        "deploying"
    );
    run.row = RotationRow { version: row.version + 1, ..row };
    run.known.placements = node.store.placements(run.row.managed)?;
    Ok(run)
}

/// What came of one target.
struct Placed {
    target: String,
    proof: Option<Proof>,
    error: Option<String>,
    /// What the target has to say for itself.
    said: Option<String>,
    /// Whether the push failed before it changed anything.
    untouched: bool,
}

impl Placed {
    fn failed(target: &str, error: String) -> Self {
        Self { error: Some(error), ..Self::of(target, None) }
    }

    fn of(target: &str, said: Option<String>) -> Self {
        Self { target: target.to_owned(), proof: None, error: None, said, untouched: false }
    }

    fn complaint(&self) -> Option<String> {
        self.error.as_ref().map(|error| format!("{}: {error}", self.target))
    }
}

/// Brings `version` to all of `targets` at once.
async fn put(
    node: &Arc<Node>,
    run: &Run,
    targets: &[String],
    version: &VersionRow,
    other: Option<&VersionRow>,
) -> Result<Vec<Placed>, RotationError> {
    let parcel = Arc::new(Parcel {
        certificate: run.known.row.name.clone(),
        version: version.number,
        rotation: run.row.id.to_string(),
        bundle: bundle(node, &run.known.row.name, version)?,
        old: other.map(|other| other.fingerprint),
    });
    let mut under_way = tokio::task::JoinSet::new();
    for name in targets {
        let (node, parcel, name) = (Arc::clone(node), Arc::clone(&parcel), name.clone());
        let target = run.catalog.targets.get(&name).map(Arc::clone);
        under_way.spawn(async move { place(&node, target.as_deref(), &parcel, name).await });
    }
    let mut results = Vec::new();
    while let Some(done) = under_way.join_next().await {
        let done = done.map_err(|_| RotationError::Other("a push was interrupted".into()))?;
        if done.error.is_some() {
            node.metrics.levels.refuted();
        }
        results.push(done);
    }
    results.sort_by(|a, b| a.target.cmp(&b.target));
    Ok(results)
}

/// What goes to every target.
struct Parcel {
    certificate: String,
    version: u32,
    rotation: String,
    bundle: push::Bundle,
    old: Option<[u8; 32]>,
}

/// Brings the parcel to one target, alone, and proves it there.
async fn place(node: &Node, target: Option<&Target>, parcel: &Parcel, name: String) -> Placed {
    let began = std::time::Instant::now();
    let Some(target) = target else { return Placed::failed(&name, "it is not declared".into()) };
    let _alone = node.steps.alone(&name).await;
    let delivery = push::Delivery {
        certificate: &parcel.certificate,
        version: parcel.version.into(),
        rotation: &parcel.rotation,
        bundle: &parcel.bundle,
    };
    let probe = Probe::new(&target.spec.push, parcel.bundle.names());
    let expected = Expected::of(&parcel.bundle, parcel.old.as_slice());
    let receipt = match target.way.push(&delivery).await {
        Ok(receipt) => receipt,
        Err(error) => {
            let untouched = error.left_untouched();
            // What it shows all the same: one that is down says nothing of the version.
            let once = Probe { matches: 1, ..probe };
            let proof = match untouched || once.is_empty() {
                true => None,
                false => Some(Proof { proven: false, ..probe::prove(&once, &expected).await }),
            };
            return Placed { untouched, proof, ..Placed::failed(&name, error.to_string()) };
        }
    };
    let reports = target.spec.push.kind.reports() && !receipt.output.is_empty();
    let placed = Placed::of(&name, reports.then_some(receipt.output));
    let placed = if probe.is_empty() {
        Placed { error: held(target, parcel).await, ..placed }
    } else {
        let window = target.spec.push.window().unsigned_abs();
        let proof = probe::wait_until_proven(&probe, &expected, window).await;
        let error = (!proof.proven).then(|| proof.to_string());
        Placed { proof: Some(proof), error, ..placed }
    };
    if placed.error.is_none() {
        node.metrics.levels.placed(target.spec.push.kind.name(), began.elapsed());
    }
    placed
}

/// Without an address to look at, what the target holds has to do.
async fn held(target: &Target, parcel: &Parcel) -> Option<String> {
    match target.way.observe().await {
        Ok(held) => held.complaint(parcel.bundle.fingerprint()).map(str::to_owned),
        Err(error) => Some(error.to_string()),
    }
}

/// The placements as they are after `results`.
fn recorded(node: &Node, run: &Run, results: &[Placed], version: &VersionRow) -> Vec<PlacementRow> {
    let now = node.world.now();
    let row = |placed: &Placed| {
        let placement = placement(node, run, &placed.target);
        let target = run.catalog.targets.get(&placed.target);
        let proven = placed.error.is_none();
        PlacementRow {
            serves: if proven { Some(version.number) } else { None },
            spec: target.filter(|_| proven).map(|target| target.digest),
            proof: placed.proof.clone(),
            error: placed.error.clone(),
            changed_at: now,
            due_at: target.and_then(|target| target.next_look(now)),
            ..placement
        }
    };
    results.iter().map(row).collect()
}

/// The version that a target was given last.
fn given(placements: &[PlacementRow], target: &str) -> Option<u32> {
    placements.iter().find(|placement| placement.target == target)?.given
}

/// The placement on a target, stored or new.
fn placement(node: &Node, run: &Run, name: &str) -> PlacementRow {
    let stored = run.known.placements.iter().find(|placement| placement.target == name);
    stored.cloned().unwrap_or_else(|| PlacementRow {
        id: node.store.id(),
        version: 0,
        managed: run.row.managed,
        target: name.to_owned(),
        serves: None,
        given: None,
        spec: None,
        proof: None,
        error: None,
        changed_at: node.world.now(),
        due_at: None,
    })
}

fn detail(version: &VersionRow, results: &[Placed]) -> serde_json::Value {
    let (good, bad): (Vec<_>, Vec<_>) = results.iter().partition(|placed| placed.error.is_none());
    let good: BTreeSet<_> = good.iter().map(|placed| placed.target.as_str()).collect();
    let bad: serde_json::Map<_, _> =
        (bad.iter()).map(|placed| (placed.target.clone(), json!(placed.error))).collect();
    let said = results.iter().filter_map(|p| Some((p.target.clone(), json!(p.said.as_ref()?))));
    let said: serde_json::Map<_, _> = said.collect();
    json!({ "version": version.number, "proven": good, "failed": bad, "said": said })
}
