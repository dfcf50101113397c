//! What is promised when something else is declared: nothing gets shorter. Copies that were made before
//! are waited for, and what signer targets may still sign stays good.

use jiff::{SignedDuration, Timestamp};

use crate::handover::leave;
use crate::keyset::{Key, Keyset, Phase};
use crate::policy::Policy;
use crate::window::plus;

impl Keyset {
    /// What [`held_until`](Self::held_until) becomes when `new` takes the place of `old` at `now`;
    /// store it together with the new policy. Copies that were made under a longer `max-age` are
    /// still fetched, and kept for as long as the new consumers do.
    #[must_use]
    pub fn reconfigured(&self, old: &Policy, new: &Policy, now: Timestamp) -> Option<Timestamp> {
        let (old, new) = (old.lead(), new.lead());
        let growth = (new.staleness - old.staleness).max(SignedDuration::ZERO);
        let earlier = self.held_until.filter(|until| *until > now).map(|at| plus(at, growth));
        let is_shorter = new.total() < old.total()
            || new.staleness < old.staleness
            || new.path() < old.path()
            || new.after_proof() < old.after_proof();
        let held = old.total().max(old.path() + new.staleness);
        let held = is_shorter.then(|| plus(now, held));
        self.held_until.max(earlier).max(held)
    }

    /// What changes when `new` takes the place of `old` at `now`; store it together with the new
    /// policy. A target that is not declared any more has stopped: that is what removing it says. What
    /// it signed until then, for as long as tokens lived until then, stays good.
    #[must_use]
    pub fn redeclared(&self, old: &Policy, new: &Policy, now: Timestamp) -> Vec<Key> {
        let lifetime = old.retirement().token_lifetime.max(new.retirement().token_lifetime);
        let mut changed = Vec::new();
        for key in self.keys.iter().filter(|key| key.phase != Phase::Gone) {
            let mut after = key.clone();
            for holding in key.held.in_use() {
                let settle = old.signer(&holding.target).map(|target| target.settle);
                if new.signer(&holding.target).is_none() {
                    let at = plus(now, settle.unwrap_or_default());
                    leave(&mut after, &holding.target, old, at, lifetime);
                } else {
                    after.last_expiry = after.last_expiry.max(Some(plus(now, lifetime)));
                    // How it is brought there, or proven, may have changed.
                    after.held.look(now);
                }
            }
            // One that is leaving it signs until then, tokens that live as long as is declared now.
            let leaving = key.held.iter().filter_map(|holding| holding.left_at);
            for at in leaving.filter(|at| *at > now) {
                after.last_expiry = after.last_expiry.max(Some(plus(at, lifetime)));
            }
            if after != *key {
                changed.push(after);
            }
        }
        changed
    }
}
