//! Signer targets: places that sign by themselves with the keys they were brought. Some are away for
//! days, some take up what they hold when they like, some use the next key before its turn.

use jwks::handover::{Holds, not_placed, placed};
use jwks::transition::Refused;
use jwks::{Algorithm, Key, Kid, Phase, SignerTarget};

use super::{World, secs};

/// A signer target.
pub(super) struct Site {
    target: SignerTarget,
    /// Whether it shows with what it signs.
    shows: bool,
    /// Whether it uses the next key as well.
    eager: bool,
    away_until: i64,
    /// What it was brought.
    file: Holds,
    /// What it has taken up of that.
    loaded: Holds,
    /// When it takes up its file.
    reads_at: i64,
}

impl Site {
    pub(super) fn named(&self, name: &str) -> bool {
        self.target.name == name
    }

    pub(super) fn is(&self, target: &SignerTarget) -> bool {
        self.target == *target
    }

    /// The keys it signs with.
    fn keys(&self) -> impl Iterator<Item = &Kid> {
        let Holds { current, next } = &self.loaded;
        let early = next.as_ref().filter(|_| self.eager || current.is_none());
        current.iter().chain(early)
    }
}

impl World {
    /// The targets that are declared are there, and no others.
    pub(super) fn settle_sites(&mut self) {
        let signers = self.policy.settings().signers.clone();
        self.sites.retain(|site| signers.iter().any(|signer| site.named(&signer.name)));
        for target in signers {
            match self.sites.iter_mut().find(|site| site.named(&target.name)) {
                Some(site) if site.is(&target) => {}
                Some(site) => site.target = target,
                None => {
                    let site = Site {
                        shows: self.dice.one_in(2),
                        eager: self.dice.one_in(3),
                        target,
                        away_until: 0,
                        file: Holds::default(),
                        loaded: Holds::default(),
                        reads_at: i64::MAX,
                    };
                    self.sites.push(site);
                }
            }
        }
    }

    /// Sites take up what they were brought, and sign tokens of the longest lifetime.
    pub(super) fn run_sites(&mut self) {
        let lifetime = secs(self.policy.settings().token_lifetime);
        for place in 0..self.sites.len() {
            let (now, site) = (self.now, &mut self.sites[place]);
            if site.reads_at <= now {
                site.loaded = site.file.clone();
                site.reads_at = i64::MAX;
            }
            if self.dice.one_in(60) {
                self.sites[place].away_until = now + self.dice.below(400_000);
            }
            let kids: Vec<Kid> = self.sites[place].keys().cloned().collect();
            for kid in kids {
                let number = self.number(&kid);
                let fate = &mut self.fates[number];
                fate.expires = fate.expires.max(now + lifetime);
            }
        }
    }

    /// A node brings targets what they should hold.
    pub(super) fn place(&mut self, targets: &[String], node: usize) -> Result<Vec<Key>, Refused> {
        let mut after = self.keyset.clone();
        let mut kids = Vec::new();
        for name in targets {
            let outcome = self.bring(name);
            let clock = self.clock(node);
            let changed = match outcome {
                Ok(()) => placed(&after, &self.policy, name, clock)?,
                Err(seen) => not_placed(&after, &self.policy, name, ("no", seen.as_ref()), clock)?,
            };
            kids.extend(changed.iter().map(|key| key.kid.clone()));
            after.apply(&changed);
        }
        kids.sort();
        kids.dedup();
        Ok(kids.iter().filter_map(|kid| after.key(kid).cloned()).collect())
    }

    fn bring(&mut self, name: &str) -> Result<(), Option<Kid>> {
        let place = self.sites.iter().position(|site| site.named(name)).expect("a declared site");
        if self.sites[place].away_until > self.now {
            return Err(None);
        }
        let holds = self.keyset.holds(&self.sites[place].target);
        self.check_export(&holds, place);
        let settle = secs(self.sites[place].target.settle);
        let patience = if self.dice.one_in(4) { 100_000 } else { 60 };
        let takes = if self.sites[place].shows { patience } else { settle };
        let takes = self.dice.extreme(takes);
        let (now, site) = (self.now, &mut self.sites[place]);
        if site.file != holds {
            site.file = holds.clone();
            // It reads no later for being given another meanwhile.
            site.reads_at = site.reads_at.min(now + takes);
        }
        if site.reads_at <= now {
            site.loaded = site.file.clone();
            site.reads_at = i64::MAX;
        }
        if site.shows && holds.current.is_some() && site.loaded.current != holds.current {
            return Err(site.loaded.current.clone());
        }
        Ok(())
    }

    /// Nothing is exported that is not stored, declared and made for it, and no key goes before every
    /// edge serves it and the required consumers fetched it.
    fn check_export(&self, holds: &Holds, place: usize) {
        let target = &self.sites[place].target;
        assert!(self.policy.settings().signers.contains(target), "it is not declared");
        for kid in holds.current.iter().chain(&holds.next) {
            let key = self.keyset.key(kid).expect("a key");
            assert!(key.exportable, "{kid} was not made to leave");
            assert_eq!(key.algorithm, target.algorithm);
            let stored = key.held.in_use().any(|holding| holding.target == target.name);
            assert!(stored, "{kid} leaves, and nobody knows");
            let fate = &self.fates[self.number(kid)];
            assert!(fate.made_for_export, "{kid} was made when no target was declared");
            if key.phase != Phase::Signing {
                self.check_served(key);
                if !fate.given_before {
                    self.check_fetched(key);
                }
            }
        }
    }

    pub(super) fn exports(&self, algorithm: Algorithm) -> bool {
        self.policy.settings().signers.iter().any(|signer| signer.algorithm == algorithm)
    }
}
