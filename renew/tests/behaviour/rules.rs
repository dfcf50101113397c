//! The rules that every run of a [`World`] is held against, written without a look at how `renew`
//! comes to its steps.

use renew::{Cause, Failure, Phase, Placement};

use crate::world::{Nature, World};

impl World {
    /// What must be so before a wave is touched.
    pub(crate) fn check_deploy(&self, targets: &[String], forced: &[String]) {
        let (to, number) = (self.to.as_ref().expect("a version to deploy"), self.number());
        assert!(!self.is_superseded(), "deployed although something more urgent waits");
        assert!(!to.revoked && self.now < to.not_after, "deployed what is of no use");
        assert!(!targets.is_empty(), "a step that does nothing");
        for placement in self.placements.iter().filter(|p| p.failure.is_some()) {
            assert!(self.is_excused(placement), "deployed after a failure: {:?}", self.log);
        }
        let excused =
            |name: &String| self.placements.iter().any(|p| p.target == *name && self.is_excused(p));
        if excused(&targets[0]) {
            let all = self.placements.iter().filter(|p| p.serves != number);
            let all: Vec<_> = all.map(|p| p.target.clone()).collect();
            assert!(all.iter().all(excused), "the others come first: {targets:?} of {all:?}");
            return self.check_calendars(targets, forced);
        }
        let wave_of = |name: &String| self.wave_of(name);
        let wave = wave_of(&targets[0]);
        assert!(targets.iter().all(|name| wave_of(name) == wave), "two waves at once: {targets:?}");
        for placement in self.placements.iter().filter(|p| !self.is_excused(p)) {
            let (serves, real) = (placement.serves, self.real[&placement.target]);
            let before = wave_of(&placement.target) < wave;
            assert!(!before || (serves, real) == (number, number), "a wave begins too early");
            let after = wave_of(&placement.target) > wave;
            assert!(!after || placement.given != number || self.is_same(), "a wave was left out");
        }
        self.check_calendars(targets, forced);
    }

    /// Whether a target failed, and the others are better off with the new version all the same: there
    /// is nothing better to go back to; or the target is only away, and time is short.
    fn is_excused(&self, placement: &Placement) -> bool {
        let nothing_better = self.is_same()
            || self.from.as_ref().is_some_and(|from| from.revoked || self.now >= from.not_after);
        match placement.failure {
            None => false,
            Some(Failure::Refuted) => nothing_better,
            Some(Failure::Away) => {
                nothing_better || self.from.is_none() || self.is_urgent() || self.lapses()
            }
        }
    }

    fn is_urgent(&self) -> bool {
        matches!(self.cause, Cause::Revoked | Cause::Emergency { .. })
    }

    /// Whether a twentieth of its life is left to what is served.
    fn lapses(&self) -> bool {
        self.from.as_ref().is_some_and(|from| {
            let life = from.not_after.duration_since(from.not_before);
            from.not_after.duration_since(self.now) <= life / 20
        })
    }

    /// The canary is wave 0 (the first target, where none is named); the rest follows in the order
    /// of the declaration, so many at a time, or a quarter.
    fn wave_of(&self, name: &String) -> usize {
        let named: Vec<_> = self.placements.iter().map(|p| &p.target).collect();
        let mut canary: Vec<_> = named.iter().filter(|n| self.canary.contains(n)).collect();
        if canary.is_empty() || canary.len() == named.len() {
            canary = vec![&named[0]];
        }
        let rest: Vec<_> = named.iter().filter(|n| !canary.contains(n)).collect();
        let size = if self.wave == 0 { rest.len().div_ceil(4) } else { self.wave };
        rest.iter().position(|n| **n == name).map_or(0, |place| 1 + place / size)
    }

    fn check_calendars(&self, targets: &[String], forced: &[String]) {
        for placement in self.placements.iter().filter(|p| targets.contains(&p.target)) {
            let open = placement.calendar.opens(self.now) == Some(self.now);
            let is_forced = forced.contains(&placement.target);
            assert_eq!(is_forced, !open, "{}: what is forced is what is closed", placement.target);
            assert!(
                !is_forced || self.is_urgent() || self.lapses(),
                "{}: touched against its calendar",
                placement.target
            );
        }
    }

    /// What must be so when it is over.
    pub(crate) fn check_end(&self) {
        let number = self.number();
        if self.phase == Phase::Done {
            for placement in &self.placements {
                assert_eq!(placement.serves, number, "done, and {} is not", placement.target);
                assert_eq!(self.real[&placement.target], number);
            }
            return;
        }
        let usable = |from: &&renew::Version| !from.revoked && self.now < from.not_after;
        let Some(from) = self.from.as_ref().filter(usable) else { return };
        if self.is_superseded() || self.is_same() {
            return;
        }
        if self.placements.iter().any(|p| p.failure.is_some() && self.is_excused(p)) {
            // It went on without them until the new version was due.
            return;
        }
        for (name, real) in &self.real {
            let takes_it_back = !matches!(self.targets[name], Nature::Stuck | Nature::Moody);
            assert!(!takes_it_back || *real == Some(from.number), "{name} was left with {real:?}");
        }
    }
}
