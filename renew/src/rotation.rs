//! A rotation: one run from trigger to retirement. It obtains a version, puts it on its targets
//! wave by wave, each proven before the next, goes back if one is not, and retires what it
//! replaced. Here is only what comes next; doing it, and storing that it was done, is the caller's.

use jiff::{SignedDuration, Timestamp};

use crate::moment::plus;
use crate::need::{Cause, Version};
use crate::retry;
use crate::wave::waves;
use crate::window::{Calendar, Opening, last_part, opening};

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

impl Rotation<'_> {
    /// Whether what is served must not be trusted any more.
    fn is_urgent(&self) -> bool {
        matches!(self.cause, Cause::Emergency { .. } | Cause::Revoked)
    }
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
    /// How it failed to take the new version, or to be looked at before.
    pub failure: Option<Failure>,
    /// When it may be touched.
    pub calendar: Calendar,
}

/// How a target failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// It is not there: it was not changed, or cannot be reached. That says nothing of the version.
    Away,
    /// It took the new version and is not proven to serve it.
    Refuted,
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
    let gives_way = match rotation.phase {
        Phase::Obtaining | Phase::Deploying => true,
        // What can be put back at once is; what cannot keeps nobody waiting.
        Phase::Reverting => rotation.attempts > 0,
        Phase::Proven | Phase::Done | Phase::Failed => false,
    };
    if rotation.superseded && gives_way {
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
    let Some(to) = rotation.to.filter(|to| to.is_usable(now)) else {
        // It was revoked, or has ended, while it was being rolled out.
        return revert(rotation, now);
    };
    let missing = |placement: &&Placement| placement.serves != Some(to.number);
    if let Some(wave) = next_wave(rotation, to, now) {
        return open(rotation, &wave, now);
    }
    let passed_over: Vec<_> = rotation.placements.iter().filter(missing).collect();
    if passed_over.is_empty() {
        return Step::Prove;
    }
    if now >= to.moment() && *rotation.cause != Cause::RollBack {
        // They stayed away for so long that those who have it need the next one.
        return Step::Fail;
    }
    open(rotation, &passed_over, now)
}

/// The targets of the first wave that is not through yet, without those that are passed over.
fn next_wave<'a>(
    rotation: &'a Rotation<'_>,
    to: &Version,
    now: Timestamp,
) -> Option<Vec<&'a Placement>> {
    let names: Vec<&str> = rotation.placements.iter().map(|p| p.target.as_str()).collect();
    let waves = waves(&names, rotation.canary, rotation.wave);
    let missing = |wave: &Vec<usize>| {
        let wave = wave.iter().map(|place| &rotation.placements[*place]);
        let missing = wave.filter(|p| p.serves != Some(to.number));
        missing.filter(|p| !is_passed_over(rotation, p, now)).collect::<Vec<_>>()
    };
    waves.iter().map(missing).find(|missing| !missing.is_empty())
}

/// Whether a target that failed holds up no other: it is tried again after all of them. That is so
/// where going back does not help. A target that is away says nothing against the version, and
/// stops it only while there is time; one that refuted it does as long as there is something to go
/// back to.
fn is_passed_over(rotation: &Rotation<'_>, placement: &Placement, now: Timestamp) -> bool {
    let hopeless = rotation.from.is_some_and(|from| {
        !from.is_usable(now) || rotation.to.is_some_and(|to| to.number == from.number)
    });
    let pressing = rotation.is_urgent()
        || rotation.from.is_none_or(|from| last_part(from.not_before, from.not_after) <= now);
    match placement.failure {
        None => false,
        Some(Failure::Refuted) => hopeless,
        Some(Failure::Away) => hopeless || pressing,
    }
}

/// How a rotation goes on after the new version was put on some targets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Course {
    /// On to the next, or back.
    pub phase: Phase,
    /// How often in a row what comes next has failed.
    pub attempts: u32,
    /// When.
    pub due_at: Timestamp,
}

/// How `rotation` goes on at `now`, after `targets` were given the new version. What came of it is
/// in its placements.
#[must_use]
pub fn course(rotation: &Rotation<'_>, targets: &[String], now: Timestamp) -> Course {
    let failed: Vec<_> = (rotation.placements.iter())
        .filter(|placement| targets.contains(&placement.target) && placement.failure.is_some())
        .collect();
    if failed.iter().any(|placement| !is_passed_over(rotation, placement, now)) {
        return Course { phase: Phase::Reverting, attempts: 0, due_at: now };
    }
    let others = rotation.to.is_some_and(|to| next_wave(rotation, to, now).is_some());
    if failed.is_empty() || others {
        return Course { phase: Phase::Deploying, attempts: 0, due_at: now };
    }
    // It may come back at any time, and what it has is worth little.
    let attempts = rotation.attempts.saturating_add(1);
    let end = rotation.from.map(|from| from.not_after);
    let due_at = retry::away(attempts, now, end, rotation.seed);
    Course { phase: Phase::Deploying, attempts, due_at }
}

/// The targets of a wave that may be touched now; when none may, the wait for the first.
fn open(rotation: &Rotation<'_>, missing: &[&Placement], now: Timestamp) -> Step {
    let urgent = rotation.is_urgent();
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

/// When the version before is retired: after `grace`, at once if it must not be trusted any more.
#[must_use]
pub fn retirement(cause: &Cause, grace: SignedDuration, now: Timestamp) -> Timestamp {
    if matches!(cause, Cause::Emergency { .. }) { now } else { plus(now, grace) }
}

/// How often putting the version before back is tried.
const REVERSIONS: u32 = 5;
