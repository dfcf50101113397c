//! A rotation: one run from trigger to retirement. It obtains a version, puts it on its targets
//! wave by wave, each proven before the next, goes back if one is not, and retires what it
//! replaced. Here is only what comes next; doing it, and storing that it was done, is the caller's.

use jiff::{SignedDuration, Timestamp};

use crate::need::{Cause, Version};
use crate::retry;
use crate::wave::waves;
use crate::window::{Calendar, Opening, opening};

/// How far a rotation has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The new version is being obtained.
    Obtaining,
    /// It is being put on its targets.
    Deploying,
    /// A target was not proven: the version before is being put back.
    Reverting,
    /// Every target is proven; the version before waits for its retirement.
    Proven,
    /// Over: what it replaced is retired.
    Done,
    /// Over: it changed nothing, or what it changed was put back where that was possible.
    Failed,
}

impl Phase {
    /// Its name, as it is stored and shown.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Obtaining => "obtaining",
            Self::Deploying => "deploying",
            Self::Reverting => "reverting",
            Self::Proven => "proven",
            Self::Done => "done",
            Self::Failed => "failed",
        }
    }

    /// The phase of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        use Phase::{Deploying, Done, Failed, Obtaining, Proven, Reverting};
        let all = [Obtaining, Deploying, Reverting, Proven, Done, Failed];
        all.into_iter().find(|phase| phase.name() == name)
    }

    /// Whether nothing more comes of it.
    #[must_use]
    pub fn is_over(self) -> bool {
        matches!(self, Self::Done | Self::Failed)
    }
}

/// What is known of a rotation.
#[derive(Clone, Debug)]
pub struct Rotation<'a> {
    /// How far it has come.
    pub phase: Phase,
    /// Why it is.
    pub cause: &'a Cause,
    /// What was served before.
    pub from: Option<&'a Version>,
    /// What is to be served.
    pub to: Option<&'a Version>,
    /// Where it stands on each target, in the order of the declaration.
    pub placements: &'a [Placement],
    /// Names of the targets that go first.
    pub canary: &'a [String],
    /// How many targets a wave has at the most; 0: a quarter.
    pub wave: usize,
    /// How often in a row what comes next has failed.
    pub attempts: u32,
    /// After a failure: not before then. When proven: when the version before is retired.
    pub due_at: Timestamp,
    /// Whether something more urgent waits for its end.
    pub superseded: bool,
    /// Derives delays.
    pub seed: u64,
}

/// One target of a rotation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placement {
    /// The target's name.
    pub target: String,
    /// The version it was last proven to serve.
    pub serves: Option<u32>,
    /// The version that was last begun to be put there.
    pub given: Option<u32>,
    /// When it may be touched.
    pub calendar: Calendar,
}

/// What comes next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing before then.
    Wait(Timestamp),
    /// Obtain the new version.
    Obtain,
    /// Put the new version on these targets, all at once, and prove each.
    Deploy {
        /// The targets of this wave that do not serve it yet.
        targets: Vec<String>,
        /// Those of them whose calendar says no, and for whom waiting longer would be a lapse.
        forced: Vec<String>,
    },
    /// Put the version before back on these targets, and prove each.
    Revert {
        /// Every target that may have been given the new one.
        targets: Vec<String>,
    },
    /// All targets are proven.
    Prove,
    /// The version before is not needed any more.
    Retire,
    /// End it: it failed, and nothing more can be done for it.
    Fail,
}

/// What comes next for a rotation at `now`.
#[must_use]
pub fn next(rotation: &Rotation<'_>, now: Timestamp) -> Step {
    // What an emergency replaces is not put back first.
    let unproven = [Phase::Obtaining, Phase::Deploying, Phase::Reverting];
    if rotation.superseded && unproven.contains(&rotation.phase) {
        return Step::Fail;
    }
    if rotation.due_at > now && !matches!(rotation.phase, Phase::Done | Phase::Failed) {
        return Step::Wait(rotation.due_at);
    }
    match rotation.phase {
        Phase::Obtaining if rotation.to.is_none() => Step::Obtain,
        Phase::Obtaining | Phase::Deploying => deploy(rotation, now),
        Phase::Reverting => revert(rotation, now),
        Phase::Proven => Step::Retire,
        Phase::Done | Phase::Failed => Step::Wait(Timestamp::MAX),
    }
}

fn deploy(rotation: &Rotation<'_>, now: Timestamp) -> Step {
    let Some(to) = rotation.to.filter(|to| to.is_usable(now)) else { return Step::Fail };
    let order: Vec<String> = rotation.placements.iter().map(|p| p.target.clone()).collect();
    for wave in waves(&order, rotation.canary, rotation.wave) {
        let missing = rotation
            .placements
            .iter()
            .filter(|p| wave.contains(&p.target) && p.serves != Some(to.number));
        let missing: Vec<_> = missing.collect();
        if !missing.is_empty() {
            return open(rotation, &missing, now);
        }
    }
    Step::Prove
}

/// The targets of a wave that may be touched now; when none may, the wait for the first.
fn open(rotation: &Rotation<'_>, missing: &[&Placement], now: Timestamp) -> Step {
    let urgent = matches!(rotation.cause, Cause::Emergency { .. } | Cause::Revoked);
    let served = rotation.from.map(|from| (from.not_before, from.not_after));
    let (mut targets, mut forced, mut opens) = (Vec::new(), Vec::new(), Timestamp::MAX);
    for placement in missing {
        let name = || placement.target.clone();
        match opening(&placement.calendar, served, now) {
            Opening::Open => targets.push(name()),
            Opening::Closed(at) if !urgent => opens = opens.min(at),
            Opening::Closed(_) | Opening::Forced => {
                forced.push(name());
                targets.push(name());
            }
        }
    }
    if targets.is_empty() { Step::Wait(opens) } else { Step::Deploy { targets, forced } }
}

fn revert(rotation: &Rotation<'_>, now: Timestamp) -> Step {
    // An expired or revoked version is worse than whatever is there.
    let same = rotation.from.map(|from| from.number) == rotation.to.map(|to| to.number);
    if same || !rotation.from.is_some_and(|from| from.is_usable(now)) {
        return Step::Fail;
    }
    let targets: Vec<String> = rotation
        .placements
        .iter()
        .filter(|p| p.given.is_some() && p.given == rotation.to.map(|to| to.number))
        .map(|p| p.target.clone())
        .collect();
    if targets.is_empty() || rotation.attempts >= REVERSIONS {
        return Step::Fail;
    }
    Step::Revert { targets }
}

/// When a rotation whose step just failed is looked at again.
#[must_use]
pub fn retry(rotation: &Rotation<'_>, now: Timestamp) -> Timestamp {
    let end = rotation.from.map(|from| from.not_after);
    retry::after(rotation.attempts + 1, now, end, rotation.seed)
}

/// When the version before is retired: after `grace`, at once if it must not be trusted any more.
#[must_use]
pub fn retirement(cause: &Cause, grace: SignedDuration, now: Timestamp) -> Timestamp {
    if matches!(cause, Cause::Emergency { .. }) { now } else { now + grace }
}

/// How often putting the version before back is tried.
const REVERSIONS: u32 = 5;
