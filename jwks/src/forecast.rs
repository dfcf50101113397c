//! What would happen when: the keys that will be announced, sign, retire and go, if nothing fails,
//! nobody asks for anything and nothing is declared otherwise. It takes the same decisions as the
//! worker, on virtual time.

use jiff::Timestamp;

use crate::algorithm::Algorithm;
use crate::handover::{export, placed};
use crate::jwk::Kid;
use crate::keyset::{Key, Keyset, Phase, Step, next};
use crate::policy::Policy;
use crate::sighting::fetched;
use crate::transition::{Refused, announce, close, destroy, lease, prove, remove, retire, sign};

/// Something that will happen to a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Happening {
    /// When.
    pub at: Timestamp,
    /// `announce`, `sign`, `retire` or `remove`.
    pub what: &'static str,
    /// What the key signs with.
    pub algorithm: Algorithm,
    /// Whether it is the first of its keyset, for which nobody is waited.
    pub first: bool,
    /// The key, if it exists already.
    pub kid: Option<Kid>,
}

/// What happens from `now` until `horizon`, in order; the first `most` things. Edges are taken to
/// serve, consumers to fetch, and signer targets to hold what they should, as soon as that is looked at.
#[must_use]
pub fn forecast(
    keyset: &Keyset,
    policy: &Policy,
    now: Timestamp,
    horizon: Timestamp,
    most: usize,
) -> Vec<Happening> {
    let (mut set, mut at, mut found) = (keyset.clone(), now, Vec::new());
    for key in keyset.keys.iter().filter(|key| key.phase.is_waiting()) {
        set.apply(&come_for(&set, policy, &key.kid).unwrap_or_default());
    }
    // Each thing takes a few steps; more are never needed.
    for _ in 0..most.saturating_mul(8) {
        if found.len() >= most {
            break;
        }
        let changed = match next(&set, policy, at) {
            Step::Wait(until) if until > horizon => break,
            Step::Wait(until) => {
                at = until;
                continue;
            }
            step => taken(&set, policy, step, at),
        };
        // What comes next is allowed; where it is not, more cannot be told.
        let Ok(changed) = changed else { break };
        found.extend(changed.iter().filter_map(|key| told(keyset, &set, key, at)));
        set.apply(&changed);
        set.keys.retain(|key| key.phase != Phase::Gone);
    }
    found.truncate(most);
    found
}

fn taken(set: &Keyset, policy: &Policy, step: Step, at: Timestamp) -> Result<Vec<Key>, Refused> {
    match step {
        Step::Wait(_) => Ok(Vec::new()),
        Step::Announce { algorithms } => {
            let named = |algorithm: &Algorithm| {
                let kid = format!("to-come-{algorithm}-{}", at.as_second());
                kid.parse().ok().map(|kid: Kid| (*algorithm, kid))
            };
            let fresh: Vec<_> = algorithms.iter().filter_map(named).collect();
            let mut after = set.clone();
            after.apply(&announce(set, policy, &fresh, at)?);
            let seen = fresh.iter().map(|(_, kid)| come_for(&after, policy, kid));
            Ok(seen.collect::<Result<Vec<_>, _>>()?.concat())
        }
        Step::Prove { kid, edges } => prove(set, policy, &kid, &edges, at),
        Step::Export { kid, target } => export(set, policy, &kid, &target, at),
        Step::Place { targets } => {
            let mut after = set.clone();
            for target in &targets {
                let changed = placed(&after, policy, target, at)?;
                after.apply(&changed);
            }
            // What is there is not looked at again and again in a forecast.
            after.keys.iter_mut().for_each(|key| key.held.look(Timestamp::MAX));
            Ok(after.keys)
        }
        Step::Sign { kid } => {
            // It signs to the end, and its last tokens live for as long as they may.
            let algorithm = set.key(&kid).map(|key| key.algorithm);
            let signer = algorithm.and_then(|algorithm| set.signer(algorithm));
            let mut used = set.clone();
            if let Some(signer) = signer {
                used.apply(&lease(set, policy, &signer.kid, at)?);
            }
            sign(&used, policy, &kid, at)
        }
        Step::Retire { kid } => {
            let mut used = set.clone();
            used.apply(&lease(set, policy, &kid, at)?);
            retire(&used, policy, &kid, at)
        }
        Step::Destroy { kid } => destroy(set, &kid, at),
        Step::Remove { kid } => remove(set, policy, &kid, at),
        Step::Close => close(set, policy, at),
    }
}

/// Every consumer has fetched a key.
fn come_for(set: &Keyset, policy: &Policy, kid: &Kid) -> Result<Vec<Key>, Refused> {
    let all: Vec<_> = policy.settings().consumers.iter().map(|c| c.name.clone()).collect();
    fetched(set, policy, kid, &all)
}

/// What is worth telling of a key that was changed.
fn told(stored: &Keyset, before: &Keyset, key: &Key, at: Timestamp) -> Option<Happening> {
    let was = before.key(&key.kid).map(|key| key.phase);
    let what = match (was, key.phase) {
        (None, _) => "announce",
        (Some(was), now) if was == now => return None,
        (_, Phase::Signing) => "sign",
        (_, Phase::Retiring) => "retire",
        (_, Phase::Gone) => "remove",
        (_, Phase::Announced | Phase::Proven) => return None,
    };
    let kid = stored.key(&key.kid).map(|key| key.kid.clone());
    Some(Happening { at, what, algorithm: key.algorithm, first: key.first, kid })
}
