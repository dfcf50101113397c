//! A small world to run rotations in: targets that take, refuse or break what is pushed to them, an
//! issuer that is down for a while, and a node that crashes. It does with each step what the shell
//! does, in the same transactions, and holds every step against the rules.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use renew::rotation::{course, next, retirement};
use renew::{Calendar, Cause, Failure, Phase, Placement, Rotation, Step, Version, jitter, retry};

use crate::DAY;

/// How a target behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Nature {
    /// It takes and serves what it is given.
    Good,
    /// It refuses the new version, and keeps what it has.
    Refuses,
    /// It takes the new version and cannot be proven to serve it.
    Breaks,
    /// The same, and it takes nothing from then on.
    Stuck,
    /// It does the one or the other.
    Moody,
    /// It is not there, and comes back after so many tries.
    Away(u32),
}

/// Where in a step the node crashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Crash {
    /// Before anything was done.
    Early,
    /// It was stored what is about to be done, and nothing was done.
    Lost,
    /// It was done, and what came of it was not stored.
    Unrecorded,
}

/// Everything there is, stored and real.
#[derive(Clone, Debug)]
pub(crate) struct World {
    pub(crate) cause: Cause,
    pub(crate) from: Option<Version>,
    pub(crate) to: Option<Version>,
    /// From then on `from`, or `to`, is revoked.
    pub(crate) from_revoked_at: Option<Timestamp>,
    pub(crate) to_revoked_at: Option<Timestamp>,
    /// How long what is obtained is valid, and which attempts to obtain it fail.
    pub(crate) lifetime: SignedDuration,
    pub(crate) issuer_fails: u32,
    pub(crate) canary: Vec<String>,
    pub(crate) wave: usize,
    pub(crate) targets: BTreeMap<String, Nature>,
    /// By number of the step, from 0.
    pub(crate) crashes: BTreeMap<usize, Crash>,
    /// The number of the step before which something more urgent appears.
    pub(crate) superseded_at: Option<usize>,
    pub(crate) grace: SignedDuration,
    /// How long a push takes, with its proof.
    pub(crate) pace: SignedDuration,
    pub(crate) seed: u64,

    pub(crate) phase: Phase,
    pub(crate) placements: Vec<Placement>,
    pub(crate) attempts: u32,
    pub(crate) due_at: Timestamp,
    pub(crate) now: Timestamp,
    /// What targets really have.
    pub(crate) real: BTreeMap<String, Option<u32>>,
    /// What was done, and when.
    pub(crate) log: Vec<(Timestamp, Deed)>,
    pub(crate) steps: usize,
    pub(crate) touched: bool,
}

/// Something that was done and stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Deed {
    Obtained,
    Pushed { targets: Vec<String>, forced: Vec<String> },
    Reverted(Vec<String>),
    Proven,
    Retired,
    Failed,
}

impl World {
    /// A rotation that begins at `now`, from a version that all targets serve, if there is one.
    pub(crate) fn new(targets: &[(&str, Nature)], from: Option<Version>, now: Timestamp) -> Self {
        let number = from.as_ref().map(|from| from.number);
        let place = |(name, _): &(&str, Nature)| Placement {
            target: (*name).to_owned(),
            serves: number,
            given: number,
            failure: None,
            calendar: Calendar::default(),
        };
        Self {
            cause: Cause::Lifetime,
            to: None,
            from_revoked_at: None,
            to_revoked_at: None,
            lifetime: DAY * 90,
            issuer_fails: 0,
            canary: Vec::new(),
            wave: 0,
            targets: targets.iter().map(|(name, nature)| ((*name).to_owned(), *nature)).collect(),
            crashes: BTreeMap::new(),
            superseded_at: None,
            grace: DAY,
            pace: SignedDuration::from_secs(30),
            seed: 1,
            phase: Phase::Obtaining,
            placements: targets.iter().map(place).collect(),
            attempts: 0,
            due_at: now,
            now,
            real: targets.iter().map(|(name, _)| ((*name).to_owned(), number)).collect(),
            log: Vec::new(),
            steps: 0,
            touched: false,
            from,
        }
    }

    /// Runs it to its end.
    pub(crate) fn run(mut self) -> Self {
        // What stays away is tried again until the new version is due itself.
        let away = self.targets.values().any(|nature| *nature != Nature::Good);
        let retries = if away { 3 * 16 * 60 } else { 0 };
        let bound = 40 + 20 * self.placements.len() + 2 * self.crashes.len() + retries;
        while !self.phase.is_over() {
            assert!(self.steps < bound, "{} steps and no end: {:?}", self.steps, self.log);
            self.step();
        }
        assert_eq!(self.next(), Step::Wait(Timestamp::MAX), "what is over stays over");
        self.check_end();
        self
    }

    fn next(&mut self) -> Step {
        let now = self.now;
        let revoke = |version: &mut Option<Version>, at: Option<Timestamp>| {
            if let (Some(version), Some(at)) = (version, at) {
                version.revoked |= at <= now;
            }
        };
        revoke(&mut self.from, self.from_revoked_at);
        revoke(&mut self.to, self.to_revoked_at);
        next(&self.rotation(), now)
    }

    fn rotation(&self) -> Rotation<'_> {
        Rotation {
            phase: self.phase,
            cause: &self.cause,
            from: self.from.as_ref(),
            to: self.to.as_ref(),
            placements: &self.placements,
            canary: &self.canary,
            wave: self.wave,
            attempts: self.attempts,
            due_at: self.due_at,
            superseded: self.is_superseded(),
            seed: self.seed,
        }
    }

    pub(crate) fn is_superseded(&self) -> bool {
        self.superseded_at.is_some_and(|step| step < self.steps)
    }

    fn step(&mut self) {
        let crash = self.crashes.remove(&self.steps);
        self.steps += 1;
        let step = self.next();
        if let Step::Wait(until) = step {
            assert!(until > self.now, "it waits for the past");
            assert!(until < Timestamp::MAX, "it waits for ever");
            self.now = until;
            return;
        }
        if crash == Some(Crash::Early) {
            return;
        }
        match step {
            Step::Obtain => self.obtain(crash),
            Step::Deploy { targets, forced } => self.deploy(targets, forced, crash),
            Step::Revert { targets } => self.revert(targets, crash),
            // One transaction each: done is stored.
            _ if crash == Some(Crash::Lost) => {}
            Step::Prove => self.prove(),
            Step::Retire => {
                self.phase = Phase::Done;
                self.note(Deed::Retired);
            }
            Step::Fail => {
                self.phase = Phase::Failed;
                self.note(Deed::Failed);
            }
            Step::Wait(_) => unreachable!("waited already"),
        }
    }

    fn obtain(&mut self, crash: Option<Crash>) {
        assert!(!self.touched, "no target is touched before there is a version");
        // A version that was issued and not stored is abandoned, key and all.
        if crash.is_some() {
            return;
        }
        if self.attempts < self.issuer_fails {
            return self.stumble();
        }
        let number = self.from.as_ref().map_or(0, |from| from.number) + 1;
        self.to = Some(Version {
            not_before: self.now,
            not_after: self.now + self.lifetime,
            obtained_at: self.now,
            renew_at: self.now + self.lifetime * 2 / 3,
            ..crate::version(number)
        });
        (self.phase, self.attempts, self.due_at) = (Phase::Deploying, 0, self.now);
        self.note(Deed::Obtained);
    }

    fn deploy(&mut self, targets: Vec<String>, forced: Vec<String>, crash: Option<Crash>) {
        self.check_deploy(&targets, &forced);
        let to = self.to.clone().expect("a version to deploy");
        let before = self.placements.clone();
        self.phase = Phase::Deploying;
        for name in &targets {
            self.placement(name).given = Some(to.number);
        }
        if crash == Some(Crash::Lost) {
            return;
        }
        self.touched = true;
        let failures: Vec<_> = targets.iter().map(|name| self.push(name, to.number)).collect();
        self.now += self.pace;
        if crash == Some(Crash::Unrecorded) {
            return;
        }
        for (name, failure) in targets.iter().zip(&failures) {
            let placement = self.placement(name);
            placement.serves = failure.is_none().then_some(to.number);
            placement.failure = *failure;
            if *failure == Some(Failure::Away) {
                let before = before.iter().find(|placement| placement.target == *name);
                placement.given = before.expect("a placement").given;
            }
        }
        let course = course(&self.rotation(), &targets, self.now);
        (self.phase, self.attempts, self.due_at) = (course.phase, course.attempts, course.due_at);
        self.note(Deed::Pushed { targets, forced });
    }

    fn revert(&mut self, targets: Vec<String>, crash: Option<Crash>) {
        let from = self.from.clone().expect("a version to go back to");
        assert!(!from.revoked && self.now < from.not_after, "pushed back expired or revoked");
        let given = self.placements.iter().filter(|p| p.given == self.number());
        assert_eq!(targets, given.map(|p| p.target.clone()).collect::<Vec<_>>());
        if crash == Some(Crash::Lost) {
            return;
        }
        let failures: Vec<_> = targets.iter().map(|name| self.push(name, from.number)).collect();
        self.now += self.pace;
        if crash == Some(Crash::Unrecorded) {
            return;
        }
        for (name, failure) in targets.iter().zip(&failures) {
            let placement = self.placement(name);
            placement.serves = failure.is_none().then_some(from.number);
            placement.failure = *failure;
            if failure.is_none() {
                placement.given = Some(from.number);
            }
        }
        if failures.iter().any(Option::is_some) {
            self.stumble();
        }
        self.note(Deed::Reverted(targets));
    }

    fn prove(&mut self) {
        let replaces = self.from.as_ref().is_some_and(|from| Some(from.number) != self.number());
        self.phase = if replaces { Phase::Proven } else { Phase::Done };
        self.attempts = 0;
        self.due_at = retirement(&self.cause, self.grace, self.now);
        self.note(Deed::Proven);
    }

    fn stumble(&mut self) {
        self.attempts += 1;
        let end = self.from.as_ref().map(|from| from.not_after);
        self.due_at = retry::after(self.attempts, self.now, end, self.seed);
    }

    /// Brings a version to a target; how that fails.
    fn push(&mut self, name: &str, number: u32) -> Option<Failure> {
        let new = Some(number) == self.number() && !self.is_same();
        let have = self.real.get_mut(name).expect("a target");
        let mood = jitter::fraction(self.seed, self.steps as u64 * 64 + u64::from(number));
        let nature = self.targets.get_mut(name).expect("a target");
        if let Nature::Away(tries @ 1..) = nature {
            *tries -= 1;
            return Some(Failure::Away);
        }
        let (takes, proven) = match *nature {
            Nature::Refuses if new => (false, false),
            Nature::Breaks | Nature::Stuck if new => (true, false),
            Nature::Stuck => (false, false),
            Nature::Moody => (mood < 0.8, mood < 0.7),
            Nature::Good | Nature::Refuses | Nature::Breaks | Nature::Away(_) => (true, true),
        };
        if takes {
            *have = Some(number);
        }
        (!proven).then_some(Failure::Refuted)
    }

    fn placement(&mut self, name: &str) -> &mut Placement {
        self.placements.iter_mut().find(|p| p.target == name).expect("a placement")
    }

    pub(crate) fn number(&self) -> Option<u32> {
        self.to.as_ref().map(|to| to.number)
    }

    /// Whether targets only get back what they should have.
    pub(crate) fn is_same(&self) -> bool {
        self.from.as_ref().map(|from| from.number) == self.number()
    }

    fn note(&mut self, deed: Deed) {
        self.log.push((self.now, deed));
    }

    /// Names of the targets in the order they were pushed to, a wave a word.
    pub(crate) fn pushes(&self) -> String {
        let pushed = self.log.iter().filter_map(|(_, deed)| match deed {
            Deed::Pushed { targets, .. } => Some(targets.join("")),
            _ => None,
        });
        pushed.collect::<Vec<_>>().join(" ")
    }
}
