//! The keys of an issuer, the phase each is in, and what comes next. A key is announced, proven,
//! signs, retires and is gone. What was promised is stored on entry to a phase: a later policy can
//! lengthen it, never shorten it. Here is only what comes next; `transition` says what a step
//! changes, and storing that is the caller's.

use jiff::Timestamp;

use crate::algorithm::Algorithm;
use crate::consumer::Consumer;
use crate::elsewhere::{Held, SignerTarget};
use crate::jwk::Kid;
pub use crate::phase::Phase;
use crate::policy::Policy;
use crate::window::{minus, plus};

/// What is stored of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// Its name.
    pub kid: Kid,
    /// What it signs with.
    pub algorithm: Algorithm,
    /// How far it has come.
    pub phase: Phase,
    /// Whether it was announced when nothing had ever been published, so that nobody can hold an
    /// older set.
    pub first: bool,
    /// When it was announced.
    pub announced_at: Timestamp,
    /// When it may sign at the earliest; later again when the last edge was proven late.
    pub ready_at: Timestamp,
    /// The edges that were proven to serve it.
    pub proven: Vec<String>,
    /// The required consumers that were seen to fetch it.
    pub fetched: Vec<String>,
    /// When the last of the edges was.
    pub proven_at: Option<Timestamp>,
    /// When its edges are looked at next.
    pub prove_at: Timestamp,
    /// When it began to sign.
    pub signing_from: Option<Timestamp>,
    /// When the next key is to sign in its place.
    pub rotate_at: Option<Timestamp>,
    /// Nothing was signed with it after this.
    pub last_signature_at: Option<Timestamp>,
    /// No token signed with it lives longer.
    pub last_expiry: Option<Timestamp>,
    /// Retiring: when it is removed. Gone: when it was.
    pub gone_at: Option<Timestamp>,
    /// Retiring: until when its private half is kept, so that it can sign again if what took its
    /// place does not work.
    pub kept_until: Option<Timestamp>,
    /// Whether it may be given to signer targets: whether its keyset named one when it was made.
    pub exportable: bool,
    /// The signer targets that were given it.
    pub held: Held,
}

impl Key {
    /// The edges that are not proven to serve it.
    #[must_use]
    pub fn missing<'a>(&self, policy: &'a Policy) -> Vec<&'a str> {
        let edges = policy.settings().edges.iter();
        edges.filter(|edge| !self.proven.contains(edge)).map(String::as_str).collect()
    }

    /// Whether its private half is kept. Where it is not, destroy it in the same transaction.
    #[must_use]
    pub fn is_private_kept(&self) -> bool {
        self.phase.is_private_kept() || self.kept_until.is_some()
    }

    /// The required consumers that were not seen to fetch it. The first key needs none: nobody holds
    /// a set without it.
    #[must_use]
    pub fn unseen<'a>(&self, policy: &'a Policy) -> Vec<&'a str> {
        let required = |consumer: &&Consumer| consumer.required && !self.first;
        let names = policy.settings().consumers.iter().filter(required).map(|c| c.name.as_str());
        names.filter(|name| !self.fetched.iter().any(|seen| seen == name)).collect()
    }

    /// The phase in which it waits: proven when nothing is left to be seen.
    pub(crate) fn waiting_phase(&self, policy: &Policy) -> Phase {
        let proven = self.missing(policy).is_empty() && self.unseen(policy).is_empty();
        if proven { Phase::Proven } else { Phase::Announced }
    }

    /// Whether it can be what this policy wants of a key: it may be given to the signer targets there
    /// are, and was given to no others.
    pub(crate) fn belongs(&self, policy: &Policy) -> bool {
        let mut signers = policy.signers(self.algorithm);
        (self.exportable || signers.next().is_none())
            && self.held.iter().all(|holding| policy.signer(&holding.target).is_some())
    }

    /// A signer target that was not given it and is to be.
    fn not_given(&self, policy: &Policy) -> Option<String> {
        let mut signers = policy.signers(self.algorithm).filter(|_| self.exportable);
        let lacking = signers.find(|target| self.held.at(&target.name).is_none());
        lacking.map(|target| target.name.clone())
    }

    /// Whether every signer target was seen to have it.
    pub(crate) fn is_delivered(&self, policy: &Policy) -> bool {
        self.held.covers(policy.signers(self.algorithm))
    }

    /// When it is removed, under this policy; `None` unless it retires.
    #[must_use]
    pub fn removal(&self, policy: &Policy) -> Option<Timestamp> {
        if self.phase != Phase::Retiring {
            return None;
        }
        if self.held.in_use().next().is_some() {
            // Tokens by it may still be made.
            return Some(Timestamp::MAX);
        }
        let needed =
            self.last_expiry.map(|expiry| plus(expiry, policy.retirement().after_expiry()));
        self.gone_at.max(needed).max(self.kept_until).or(Some(Timestamp::MAX))
    }
}

/// The keys of an issuer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keyset {
    /// All that are not forgotten; those that are gone may be left out.
    pub keys: Vec<Key>,
    /// Whether a key was ever announced. Stored, since the keys that were may be forgotten.
    pub published: bool,
    /// Until then somebody may hold a set that was fetched under an earlier policy, which allowed
    /// more than the present one: see [`Keyset::reconfigured`].
    pub held_until: Option<Timestamp>,
    /// Whether it is declared no more: nothing signs, and its keys go when no token needs them.
    pub closed: bool,
}

impl Keyset {
    /// The key of this name.
    #[must_use]
    pub fn key(&self, kid: &Kid) -> Option<&Key> {
        self.keys.iter().find(|key| key.kid == *kid)
    }

    /// The key that signs with this algorithm.
    #[must_use]
    pub fn signer(&self, algorithm: Algorithm) -> Option<&Key> {
        self.keys.iter().find(|key| key.phase == Phase::Signing && key.algorithm == algorithm)
    }

    /// The key that waits to sign with this algorithm.
    #[must_use]
    pub fn waiting(&self, algorithm: Algorithm) -> Option<&Key> {
        self.keys.iter().find(|key| key.phase.is_waiting() && key.algorithm == algorithm)
    }

    /// The key that signed with this algorithm before and can do so again, until when its private
    /// half is kept.
    #[must_use]
    pub fn predecessor(&self, algorithm: Algorithm) -> Option<&Key> {
        self.keys.iter().find(|key| key.algorithm == algorithm && key.kept_until.is_some())
    }

    /// The keys that are published, in the order in which they were announced.
    #[must_use]
    pub fn published(&self) -> Vec<&Key> {
        let mut keys: Vec<_> = self.keys.iter().filter(|key| key.phase.is_published()).collect();
        keys.sort_by(|a, b| (a.announced_at, &a.kid).cmp(&(b.announced_at, &b.kid)));
        keys
    }

    /// The signer targets that are to be brought or shown to have what they should, each with when.
    fn looks(&self, policy: &Policy) -> Vec<(String, Timestamp)> {
        let look = |target: &SignerTarget| {
            let at = |key: &Key| key.held.at(&target.name).map(|holding| holding.look_at);
            let current = self.signer(target.algorithm).and_then(at);
            // With a current one it is also to be rid of those that it should not have.
            let others = self.keys.iter().filter_map(at).min();
            let next = self.waiting(target.algorithm).and_then(at);
            Some((target.name.clone(), if current.is_some() { others } else { next }?))
        };
        policy.settings().signers.iter().filter_map(look).collect()
    }

    /// When a waiting key may sign at the earliest, under this policy; it signs at its turn.
    #[must_use]
    pub fn ready(&self, key: &Key, policy: &Policy) -> Timestamp {
        if key.first {
            return key.ready_at;
        }
        let announced = plus(key.announced_at, policy.lead().total());
        let proven = key.proven_at.map(|at| plus(at, policy.lead().after_proof()));
        let others = [Some(announced), proven, self.held_until];
        others.into_iter().flatten().fold(key.ready_at, Ord::max)
    }

    /// Takes over what a transition changed.
    pub fn apply(&mut self, changed: &[Key]) {
        for key in changed {
            self.published = true;
            match self.keys.iter_mut().find(|old| old.kid == key.kid) {
                Some(old) => old.clone_from(key),
                None => self.keys.push(key.clone()),
            }
        }
    }
}

/// What comes next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing before then.
    Wait(Timestamp),
    /// Make a key for each of these and publish them, in one transaction.
    Announce {
        /// One key each.
        algorithms: Vec<Algorithm>,
    },
    /// Look whether these edges serve it.
    Prove {
        /// The key.
        kid: Kid,
        /// Those that are not proven yet.
        edges: Vec<String>,
    },
    /// Note that this signer target is being given it; it is brought there by [`Step::Place`].
    Export {
        /// The key.
        kid: Kid,
        /// The target's name.
        target: String,
    },
    /// Bring each of these signer targets what [`Keyset::holds`] says, unless it is there, and see
    /// whether it signs with the current one.
    Place {
        /// The targets' names.
        targets: Vec<String>,
    },
    /// Let it sign; what signed before with its algorithm retires.
    Sign {
        /// The key.
        kid: Kid,
    },
    /// Let it retire: its algorithm is not declared any more, and the declared ones sign, or it waits
    /// and is with a signer target already.
    Retire {
        /// The key.
        kid: Kid,
    },
    /// Destroy its private half: nobody rolled back to it.
    Destroy {
        /// The key.
        kid: Kid,
    },
    /// Take it out of the set.
    Remove {
        /// The key.
        kid: Kid,
    },
    /// Let nothing sign any more: the keyset is declared no more.
    Close,
}

/// What comes next for a keyset at `now`.
#[must_use]
pub fn next(keyset: &Keyset, policy: &Policy, now: Timestamp) -> Step {
    if keyset.closed && keyset.keys.iter().any(|key| key.phase.is_private_kept()) {
        return Step::Close;
    }
    let mut wait = Timestamp::MAX;
    let mut is_due = |at: Timestamp| {
        if at > now {
            wait = wait.min(at);
        }
        at <= now
    };
    let algorithms = &policy.settings().algorithms;
    let lacking: Vec<_> = (algorithms.iter().copied())
        .filter(|algorithm| announcement(keyset, policy, *algorithm).is_some_and(&mut is_due))
        .collect();
    if !lacking.is_empty() {
        return Step::Announce { algorithms: lacking };
    }
    for key in &keyset.keys {
        let kid = key.kid.clone();
        let declared = policy.declares(key.algorithm);
        match key.phase {
            Phase::Announced | Phase::Proven => {
                if let Some(step) = of_waiting(keyset, policy, key, &mut is_due) {
                    return step;
                }
            }
            Phase::Signing if !declared && is_replaced(keyset, policy) => {
                return Step::Retire { kid };
            }
            Phase::Signing => {
                if let Some(target) = key.not_given(policy) {
                    return Step::Export { kid, target };
                }
            }
            Phase::Retiring => {
                if key.kept_until.is_some_and(&mut is_due) {
                    return Step::Destroy { kid };
                }
                if key.removal(policy).is_some_and(&mut is_due) {
                    return Step::Remove { kid };
                }
            }
            Phase::Gone => {}
        }
    }
    let looks = keyset.looks(policy).into_iter().filter(|(_, at)| is_due(*at));
    let targets: Vec<_> = looks.map(|(target, _)| target).collect();
    if targets.is_empty() { Step::Wait(wait) } else { Step::Place { targets } }
}

/// What comes next for a key that waits.
fn of_waiting(
    keyset: &Keyset,
    policy: &Policy,
    key: &Key,
    mut is_due: impl FnMut(Timestamp) -> bool,
) -> Option<Step> {
    let kid = key.kid.clone();
    if !policy.declares(key.algorithm) && !key.held.is_empty() {
        return Some(Step::Retire { kid });
    }
    if is_withdrawn(key, policy) {
        return Some(Step::Remove { kid });
    }
    let edges: Vec<_> = key.missing(policy).into_iter().map(str::to_owned).collect();
    if !edges.is_empty() {
        return is_due(key.prove_at).then_some(Step::Prove { kid, edges });
    }
    // A consumer that is waited for is no step: what it fetched is noted when seen.
    if !key.unseen(policy).is_empty() {
        return None;
    }
    if let Some(target) = key.not_given(policy) {
        // Whoever is given a key may use it at once.
        return is_due(keyset.ready(key, policy)).then_some(Step::Export { kid, target });
    }
    let signs = key.is_delivered(policy) && is_due(signing(keyset, policy, key));
    signs.then_some(Step::Sign { kid })
}

/// When the published set is next planned to change: a key is announced or removed. For `max-age`.
#[must_use]
pub fn next_change(keyset: &Keyset, policy: &Policy) -> Option<Timestamp> {
    let algorithms = policy.settings().algorithms.iter();
    let announced = algorithms.filter_map(|algorithm| announcement(keyset, policy, *algorithm));
    let removed = keyset.keys.iter().filter_map(|key| key.removal(policy));
    announced.chain(removed).min()
}

/// When a key for this algorithm is to be announced; `None` while one waits, or none is wanted.
fn announcement(keyset: &Keyset, policy: &Policy, algorithm: Algorithm) -> Option<Timestamp> {
    if keyset.closed || keyset.waiting(algorithm).is_some() {
        return None;
    }
    let replaced = keyset.signer(algorithm).map(|signer| replacement(signer, policy));
    Some(replaced.map_or(Timestamp::MIN, |at| minus(at, policy.lead().total())))
}

/// When a waiting key that is proven is to sign.
pub(crate) fn signing(keyset: &Keyset, policy: &Policy, key: &Key) -> Timestamp {
    let replaced = keyset.signer(key.algorithm).map(|signer| replacement(signer, policy));
    replaced.into_iter().fold(keyset.ready(key, policy), Ord::max)
}

/// When a key that signs is to be replaced: at once, if it cannot be given to the signer targets there
/// are or was given to others.
fn replacement(signer: &Key, policy: &Policy) -> Timestamp {
    // One that has no moment to be replaced at was stored by nobody here.
    signer.rotate_at.filter(|_| signer.belongs(policy)).unwrap_or(Timestamp::MIN)
}

/// Whether a key that waits is of no use under this policy. One that a signer target was given may have
/// been used, and takes its turn.
pub(crate) fn is_withdrawn(key: &Key, policy: &Policy) -> bool {
    key.held.is_empty() && !(policy.declares(key.algorithm) && key.belongs(policy))
}

/// Whether every declared algorithm has a key that signs.
pub(crate) fn is_replaced(keyset: &Keyset, policy: &Policy) -> bool {
    policy.settings().algorithms.iter().all(|algorithm| keyset.signer(*algorithm).is_some())
}
