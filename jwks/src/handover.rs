//! How keys are handed to signer targets, and when a target has left one. Nobody asks here before a
//! target signs. So a key is given away only when every consumer has it, what was given away counts
//! as used from the moment it may have arrived until the target is proven to sign with another, and
//! until then it stays published. Bringing it there is the caller's, and so is the proof.

use jiff::{SignedDuration, Timestamp};

use crate::elsewhere::{Holding, SignerTarget};
use crate::jwk::Kid;
use crate::keyset::{Key, Keyset, Phase};
use crate::policy::Policy;
use crate::transition::{Refused, in_phase, later};
use crate::window::plus;

/// The keys that a signer target is to hold, by the order of their use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holds {
    /// It is to sign with this one; none before the first key signs.
    pub current: Option<Kid>,
    /// And with this one after it.
    pub next: Option<Kid>,
}

impl Keyset {
    /// What a target is to hold: of the keys that it was or is being given, the one that signs and the
    /// one that waits to.
    #[must_use]
    pub fn holds(&self, target: &SignerTarget) -> Holds {
        let given = |key: Option<&Key>| {
            key.filter(|key| key.held.at(&target.name).is_some()).map(|key| key.kid.clone())
        };
        Holds {
            current: given(self.signer(target.algorithm)),
            next: given(self.waiting(target.algorithm)),
        }
    }
}

/// Notes that a target is being given a key: from now on it may sign with it. Only a key may go that
/// was made while its keyset named a signer target, and only when every consumer has it.
///
/// # Errors
/// [`Refused::NotExportable`] unless it may; [`Refused::Phase`] unless it signs or waits,
/// [`Refused::Unproven`], [`Refused::Unseen`] and [`Refused::Early`] while it waits and may not sign.
pub fn export(
    keyset: &Keyset,
    policy: &Policy,
    kid: &Kid,
    target: &str,
    now: Timestamp,
) -> Result<Vec<Key>, Refused> {
    let mut key = in_phase(keyset, kid, &[Phase::Announced, Phase::Proven, Phase::Signing])?;
    let signs = |target: &SignerTarget| target.algorithm == key.algorithm;
    if !key.exportable || !policy.signer(target).is_some_and(signs) {
        return Err(Refused::NotExportable(kid.clone(), target.to_owned()));
    }
    if key.phase.is_waiting() {
        let ready = keyset.ready(&key, policy);
        if !key.missing(policy).is_empty() {
            return Err(Refused::Unproven(kid.clone()));
        }
        if let Some(consumer) = key.unseen(policy).first() {
            return Err(Refused::Unseen(kid.clone(), (*consumer).to_owned()));
        }
        if ready > now {
            return Err(Refused::Early(kid.clone(), ready));
        }
    }
    if key.held.at(target).is_none() {
        key.held.0.retain(|holding| holding.target != target);
        key.held.0.push(Holding {
            target: target.to_owned(),
            since: now,
            held_at: None,
            used_at: None,
            left_at: None,
            look_at: now,
            complaint: None,
        });
    }
    Ok(vec![key])
}

/// Notes that a target was proven to hold what [`Keyset::holds`] says, and to sign with the current
/// one, if there is one: then it has left every other.
///
/// # Errors
/// [`Refused::Undeclared`] for a target that is none.
pub fn placed(
    keyset: &Keyset,
    policy: &Policy,
    target: &str,
    now: Timestamp,
) -> Result<Vec<Key>, Refused> {
    let target = declared(policy, target)?;
    let holds = keyset.holds(target);
    let mut changed = Vec::new();
    for key in keyset.keys.iter().filter(|key| key.held.at(&target.name).is_some()) {
        let mut key = key.clone();
        let is_current = holds.current.as_ref() == Some(&key.kid);
        if is_current || holds.next.as_ref() == Some(&key.kid) {
            if let Some(holding) = key.held.at_mut(&target.name) {
                holding.held_at = holding.held_at.or(Some(now));
                holding.used_at = holding.used_at.or(is_current.then_some(now));
                holding.look_at = plus(now, WATCH);
                holding.complaint = None;
            }
        } else if holds.current.is_some() {
            let lifetime = policy.retirement().token_lifetime;
            leave(&mut key, &target.name, policy, plus(now, target.settle), lifetime);
        } else {
            continue;
        }
        changed.push(key);
    }
    Ok(changed)
}

/// Notes that a target was not proven to hold or use what it should, and why: it is looked at again, the
/// later the longer it has been, at most every five minutes. `seen` is the key that it was seen to
/// sign with: if it was thought to have left that one, it has not.
///
/// # Errors
/// [`Refused::Undeclared`] for a target that is none.
pub fn not_placed(
    keyset: &Keyset,
    policy: &Policy,
    target: &str,
    (complaint, seen): (&str, Option<&Kid>),
    now: Timestamp,
) -> Result<Vec<Key>, Refused> {
    let target = declared(policy, target)?;
    let holds = keyset.holds(target);
    let mut changed = Vec::new();
    for key in &keyset.keys {
        let mut after = key.clone();
        let wanted =
            holds.current.as_ref() == Some(&key.kid) || holds.next.as_ref() == Some(&key.kid);
        let since = key.gone_at.max(key.signing_from);
        if let Some(holding) = after.held.at_mut(&target.name) {
            holding.look_at = later(since.max(holding.held_at).unwrap_or(holding.since), now);
            if wanted {
                holding.complaint = Some(complaint.to_owned());
            } else if seen == Some(&key.kid) {
                holding.left_at = None;
            }
        }
        if after != *key {
            changed.push(after);
        }
    }
    Ok(changed)
}

/// A key signs nothing at a target any more after `at`.
pub(crate) fn leave(
    key: &mut Key,
    target: &str,
    policy: &Policy,
    at: Timestamp,
    lifetime: SignedDuration,
) {
    let at = plus(at, policy.retirement().signer_lag);
    if let Some(holding) = key.held.at_mut(target) {
        holding.left_at = Some(at);
        holding.complaint = None;
    }
    key.last_signature_at = key.last_signature_at.max(Some(at));
    key.last_expiry = key.last_expiry.max(Some(plus(at, lifetime)));
}

fn declared<'a>(policy: &'a Policy, target: &str) -> Result<&'a SignerTarget, Refused> {
    policy.signer(target).ok_or_else(|| Refused::Undeclared(target.to_owned()))
}

/// How often a target is looked at that is as it should be.
const WATCH: SignedDuration = SignedDuration::from_hours(1);
