//! Nodes that race, crash and have wrong clocks, and the operator who changes things.

use jiff::{SignedDuration, Timestamp};
use jwks::emergency::{emergency, exposure, needed, reinstate, roll_back};
use jwks::handover::export;
use jwks::sighting::fetched;
use jwks::transition::{
    Refused, announce, ask, close, destroy, lease, not_proven, prove, remove, retire, sign,
};
use jwks::{Algorithm, Key, Kid, Phase, Step, next};

use super::{Lease, World, second, secs, stamp};

/// What nodes do.
impl World {
    /// One node looks what comes next and does it, unless it crashes.
    pub(super) fn work(&mut self, node: usize) {
        if self.nodes[node].pending.is_some() {
            return;
        }
        let now = self.clock(node);
        let (keyset, policy) = (&self.keyset, &self.policy);
        if let Some((kid, consumers)) = self.sighted() {
            let changed = fetched(keyset, policy, &kid, &consumers);
            self.plan(node, changed);
            return;
        }
        let changed = match next(keyset, policy, now) {
            Step::Wait(at) => {
                assert!(at > now, "waits for what is past");
                return;
            }
            Step::Announce { algorithms } => {
                let number = self.fates.len();
                let kid = |n: usize| format!("{number}-{node}-{n}").parse().expect("a kid");
                let fresh = algorithms.iter().enumerate().map(|(n, alg)| (*alg, kid(n)));
                announce(keyset, policy, &fresh.collect::<Vec<(Algorithm, Kid)>>(), now)
            }
            Step::Prove { kid, edges } => {
                let seen: Vec<_> = edges.into_iter().filter(|url| self.serves(url, &kid)).collect();
                if seen.is_empty() {
                    not_proven(keyset, &kid, now)
                } else {
                    prove(keyset, policy, &kid, &seen, now)
                }
            }
            Step::Export { kid, target } => export(keyset, policy, &kid, &target, now),
            Step::Place { targets } => self.place(&targets, node),
            Step::Sign { kid } => sign(keyset, policy, &kid, now),
            Step::Retire { kid } => retire(keyset, policy, &kid, now),
            Step::Destroy { kid } => destroy(keyset, &kid, now),
            Step::Remove { kid } => remove(keyset, policy, &kid, now),
            Step::Close => close(keyset, policy, now),
        };
        self.plan(node, changed);
    }

    /// A key that waits, and required consumers that were seen to fetch it since this was noted last.
    fn sighted(&self) -> Option<(Kid, Vec<String>)> {
        let waits = |key: &&Key| matches!(key.phase, Phase::Announced | Phase::Proven);
        self.keyset.keys.iter().filter(waits).find_map(|key| {
            let number = self.number(&key.kid);
            let came =
                |name: &&str| self.seen.iter().any(|(who, what)| who == name && *what == number);
            let names: Vec<_> = key.unseen(&self.policy).into_iter().filter(came).collect();
            let names: Vec<_> = names.into_iter().map(str::to_owned).collect();
            (!names.is_empty()).then(|| (key.kid.clone(), names))
        })
    }

    fn plan(&mut self, node: usize, changed: Result<Vec<Key>, Refused>) {
        let changed = changed.expect("what comes next is allowed");
        if self.dice.one_in(10) {
            return;
        }
        let at = self.now + self.dice.extreme(self.slack);
        self.nodes[node].pending = Some((at, self.version, changed));
        if self.dice.one_in(2) {
            self.commit(node);
        }
    }

    fn serves(&self, url: &str, kid: &Kid) -> bool {
        let edge = self.edges.iter().find(|edge| edge.url == url).expect("a declared edge");
        let number = self.number(kid);
        edge.served.0.back().is_some_and(|(_, set)| set.contains(&number))
    }

    /// Every node that may signs a token of the longest lifetime.
    pub(super) fn issue(&mut self) {
        for node in 0..self.nodes.len() {
            let clock = self.clock(node);
            if let Some(lease) = &self.nodes[node].lease
                && lease.until >= clock
            {
                let expires = second(clock) + lease.lifetime;
                let fate = &mut self.fates[lease.key];
                fate.expires = fate.expires.max(expires);
            } else {
                self.renew(node, clock);
            }
        }
    }

    fn renew(&mut self, node: usize, clock: Timestamp) {
        self.nodes[node].lease = None;
        let signs = |key: &&Key| key.phase == Phase::Signing;
        let signers: Vec<Kid> =
            self.keyset.keys.iter().filter(signs).map(|key| key.kid.clone()).collect();
        if signers.is_empty() {
            return;
        }
        let kid = self.dice.pick(&signers).clone();
        let most = secs(self.policy.settings().signer_lag) * 4;
        let until = clock + SignedDuration::from_secs(self.dice.extreme(most));
        let changed = lease(&self.keyset, &self.policy, &kid, until).expect("it signs");
        self.version += 1;
        self.keyset.apply(&changed);
        let lifetime = secs(self.policy.settings().token_lifetime);
        self.nodes[node].lease = Some(Lease { key: self.number(&kid), until, lifetime });
    }

    /// When something is planned, in true time, as far as anybody knows.
    pub(crate) fn planned(&self) -> Option<i64> {
        let step = match next(&self.keyset, &self.policy, stamp(self.now)) {
            Step::Wait(at) if at < Timestamp::MAX => Some(second(at)),
            _ => None,
        };
        let pending = self.nodes.iter().filter_map(|node| node.pending.as_ref());
        step.into_iter().chain(pending.map(|(at, ..)| *at)).map(|at| at.max(self.now + 1)).min()
    }

    pub(crate) fn is_quiet(&self) -> bool {
        let settled = |key: &Key| key.phase == Phase::Signing;
        !self.keyset.closed
            && self.nodes.iter().all(|node| node.pending.is_none())
            && !self.keyset.keys.is_empty()
            && self.keyset.keys.iter().all(settled)
    }
}

/// What the operator does.
impl World {
    pub(crate) fn ask(&mut self) {
        if let Ok(changed) = ask(&self.keyset, self.clock(0)) {
            self.store(&changed);
        }
    }

    pub(crate) fn roll_back(&mut self) {
        let waiting = self.keyset.keys.iter().find(|key| key.phase == Phase::Proven);
        let Some(kid) = waiting.map(|key| key.kid.clone()) else { return };
        if let Ok(changed) = roll_back(&self.keyset, &self.policy, &kid, self.clock(0)) {
            self.store(&changed);
        }
    }

    /// The last rotation went wrong.
    pub(crate) fn reinstate(&mut self) {
        let kept = self.keyset.keys.iter().find(|key| key.kept_until.is_some());
        let Some(kid) = kept.map(|key| key.kid.clone()) else { return };
        if let Ok(changed) = reinstate(&self.keyset, &self.policy, &kid, self.clock(0)) {
            self.reinstated += 1;
            self.store(&changed);
        }
    }

    /// The keyset is declared no more, or again.
    pub(crate) fn toggle(&mut self) {
        self.keyset.closed = !self.keyset.closed;
        self.version += 1;
    }

    pub(crate) fn emergency(&mut self) {
        let kids: Vec<Kid> = self.keyset.keys.iter().map(|key| key.kid.clone()).collect();
        if kids.is_empty() {
            return;
        }
        let named = if self.dice.one_in(3) { None } else { Some(self.dice.pick(&kids).clone()) };
        let (keyset, policy, clock) = (&self.keyset, &self.policy, self.clock(0));
        let Ok(algorithms) = needed(keyset, policy, named.as_ref()) else { return };
        let number = self.fates.len();
        let kid = |n| format!("fresh-{number}-{n}").parse().expect("a kid");
        let fresh: Vec<(Algorithm, Kid)> =
            algorithms.iter().enumerate().map(|(n, alg)| (*alg, kid(n))).collect();
        let changed = emergency(keyset, policy, named.as_ref(), &fresh, clock).expect("as needed");
        let promised = exposure(keyset, policy, clock);
        let longest = promised.iter().filter_map(|e| e.until).map(second).max();
        let longest = longest.unwrap_or(i64::MAX / 2);
        let lead = clock + policy.lead().total();
        let excused_until = second(keyset.held_until.map_or(lead, |held| lead.max(held)));
        self.store(&changed);
        // Edges are told, and keep to what was declared of them.
        self.told_at = self.now;
        for edge in &mut self.edges {
            edge.served.push(self.now, self.published.at(self.now).expect("a set").clone());
            edge.stuck_until = self.now;
        }
        for key in changed {
            let number = self.number(&key.kid);
            if key.phase == Phase::Gone {
                self.fates[number].bad = Some((self.now, longest + self.slack));
            } else {
                self.fates[number].excused_until = excused_until;
            }
        }
    }
}
