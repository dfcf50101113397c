//! Rotations, step by step: obtain, deploy wave by wave, prove, retire; or go back. `renew` says
//! what comes next; here it is done, and its outcome stored. Each step may be lost, or done and not
//! recorded: doing it again is harmless.

mod deploy;
mod end;
mod obtain;
mod outside;
mod version;

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;
use renew::rotation::{Failure, Placement, Rotation, Step, next};
use tracing::{error, warn};

use super::known::{BadVersion, Known};
use crate::catalog::{Catalog, Certificate};
use crate::node::Node;
use crate::store::{Commit, CommitError, Event, PlacementRow, ReadError, RotationRow, VersionRow};

/// Takes a rotation as far as it goes now.
pub(crate) async fn advance(node: Arc<Node>, id: i64) {
    loop {
        match step(&node, id).await {
            Ok(Outcome::More) => {}
            Ok(Outcome::Rest) => return,
            Err(error) => {
                // It is due still, and taken up with the next tick.
                error!(rotation = id, %error, "a step of a rotation failed; it will be retried");
                return;
            }
        }
    }
}

/// Whether a rotation can go on at once.
enum Outcome {
    More,
    Rest,
}

/// A rotation and everything it is about, as stored.
struct Run {
    row: RotationRow,
    known: Known,
    catalog: Arc<Catalog>,
    certificate: Arc<Certificate>,
}

impl Run {
    fn from(&self) -> Option<&VersionRow> {
        self.known.version(self.row.from)
    }

    fn to(&self) -> Option<&VersionRow> {
        self.known.version(self.row.to)
    }

    fn event(&self, action: &'static str) -> Event {
        let subject = format!("managed/{}", self.known.row.name);
        Event::new("worker", action, subject).of_rotation(self.row.id)
    }

    /// What comes next.
    fn next(&self, now: Timestamp) -> Step {
        self.judged(|rotation| next(rotation, now))
    }

    /// Hands what is known of the rotation to what decides.
    fn judged<T>(&self, decide: impl FnOnce(&Rotation<'_>) -> T) -> T {
        let (from, to) = (self.from().map(VersionRow::facts), self.to().map(VersionRow::facts));
        let spec = &self.certificate.spec;
        let rows: HashMap<&str, &PlacementRow> =
            self.known.placements.iter().map(|row| (row.target.as_str(), row)).collect();
        let placement = |name: &String| self.placement(name, rows.get(name.as_str()).copied());
        let placements: Vec<_> = spec.targets.iter().map(placement).collect();
        let rotation = Rotation {
            phase: self.row.phase,
            cause: &self.row.cause,
            from: from.as_ref(),
            to: to.as_ref(),
            placements: &placements,
            canary: &spec.canary,
            wave: spec.wave,
            attempts: self.row.attempts,
            due_at: self.row.due_at.unwrap_or(Timestamp::MAX),
            superseded: self.is_superseded(),
            seed: self.row.id.unsigned_abs(),
        };
        decide(&rotation)
    }

    /// Whether what an operator wants is begun instead.
    fn is_superseded(&self) -> bool {
        self.known.row.wish.as_ref().is_some_and(|wish| self.row.gives_way_to(wish))
    }

    /// Takes note of what is stored of some placements.
    fn learn(&mut self, rows: &[PlacementRow]) {
        let other = |row: &PlacementRow| !rows.iter().any(|new| new.target == row.target);
        self.known.placements.retain(other);
        self.known.placements.extend_from_slice(rows);
    }

    fn placement(&self, name: &str, row: Option<&PlacementRow>) -> Placement {
        let target = self.catalog.targets.get(name);
        // What was proven of a target that has changed since says nothing of it now.
        let same =
            |row: &&PlacementRow| target.is_none_or(|target| row.spec == Some(target.digest));
        Placement {
            target: name.to_owned(),
            serves: row.filter(same).and_then(|row| row.serves),
            given: row.and_then(|row| row.given),
            failure: row.and_then(|row| self.failure(row)),
            calendar: target.map(|t| t.spec.care.calendar.clone()).unwrap_or_default(),
        }
    }

    /// How a target failed to take the new version, or to be there at all.
    fn failure(&self, row: &PlacementRow) -> Option<Failure> {
        row.error.as_ref()?;
        let tried = row.given.is_some() && row.given == self.row.to;
        match &row.proof {
            Some(proof) if proof.is_unreachable() => Some(Failure::Away),
            // What was pushed there before, or is watched there, says nothing of this version.
            Some(_) if !tried => None,
            None if !tried => Some(Failure::Away),
            _ => Some(Failure::Refuted),
        }
    }
}

async fn step(node: &Arc<Node>, id: i64) -> Result<Outcome, RotationError> {
    let now = node.world.now();
    let Some(row) = node.store.rotation(id)? else { return Ok(Outcome::Rest) };
    if row.phase.is_over() {
        return Ok(Outcome::Rest);
    }
    let Some(managed) = node.store.managed(row.managed)? else { return Ok(Outcome::Rest) };
    let catalog = node.catalog.load();
    let Some(certificate) = catalog.certificates.get(&managed.name).map(Arc::clone) else {
        return end::forsake(node, row, managed).await;
    };
    let run = Run { row, known: Known::of(node, managed)?, catalog, certificate };
    match run.next(now) {
        Step::Wait(until) => wait(node, run, until).await,
        Step::Obtain => obtain::obtain(node, run).await,
        Step::Deploy { targets, forced } => deploy::forward(node, run, targets, forced).await,
        Step::Revert { targets } => deploy::back(node, run, targets).await,
        Step::Prove => end::prove(node, run).await,
        Step::Retire => end::retire(node, run).await,
        Step::Fail => end::fail(node, run).await,
    }
}

async fn wait(node: &Node, run: Run, until: Timestamp) -> Result<Outcome, RotationError> {
    if run.row.due_at != Some(until) {
        node.store.schedule(&run.row, Some(until), node.world.now()).await?;
    }
    Ok(Outcome::Rest)
}

/// Stores that the next step failed, and when it is tried again: not before `not_before`, where others
/// are away until then.
async fn stumble(
    node: &Node,
    run: &Run,
    action: &'static str,
    why: String,
    not_before: Option<Timestamp>,
) -> Result<Outcome, RotationError> {
    let now = node.world.now();
    let end = run.from().map(|from| from.not_after);
    let attempts = run.row.attempts + 1;
    let seed = run.row.id.unsigned_abs();
    let due_at = Some(match not_before {
        Some(back_at) => renew::retry::away(attempts, now, end, seed).max(back_at),
        None => renew::retry::after(attempts, now, end, seed),
    });
    warn!(rotation = run.row.id, certificate = run.known.row.name, why, "{action}");
    let event = run
        .event(action)
        .with(serde_json::json!({ "why": why, "retry_at": due_at.map(|at| at.to_string()) }));
    let row = RotationRow { attempts, error: Some(why), due_at, ..run.row.clone() };
    node.store.commit(Commit::new(event).put(row), now).await?;
    Ok(Outcome::Rest)
}

/// A step did not happen, or its outcome could not be stored.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RotationError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Commit(#[from] CommitError),
    #[error(transparent)]
    Version(#[from] BadVersion),
    #[error(transparent)]
    Seal(#[from] crate::seal::Unsealable),
    #[error("a key does not work: {0}")]
    Key(#[from] ca::SignError),
    #[error("{0}")]
    Other(String),
}

#[cfg(test)]
mod tests;
