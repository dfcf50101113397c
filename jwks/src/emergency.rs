//! When a key must not be trusted any more, or a rotation must not go on. An emergency takes the bad
//! key out and lets a fresh one sign, in one transaction; what is left is how long each consumer
//! goes on trusting what it has.

use std::fmt;

use jiff::{SignedDuration, Timestamp};

use crate::algorithm::Algorithm;
use crate::consumer::Cache;
use crate::jwk::Kid;
use crate::keyset::{Key, Keyset, Phase};
use crate::policy::Policy;
use crate::transition::{Refused, announced, begin, gone, in_phase, retired};
use crate::window::{plus, words};

/// For which algorithms an emergency needs a fresh key, before [`emergency`] is called with them.
///
/// # Errors
/// As [`emergency`].
pub fn needed(
    keyset: &Keyset,
    policy: &Policy,
    compromised: Option<&Kid>,
) -> Result<Vec<Algorithm>, Refused> {
    let bad = bad(keyset, compromised)?;
    let orphaned =
        bad.iter().any(|key| key.phase == Phase::Signing && !policy.declares(key.algorithm));
    let lacks = |algorithm: &&Algorithm| {
        let hit = bad.iter().any(|key| key.algorithm == **algorithm);
        let signer = keyset.signer(**algorithm);
        let signs = signer.is_some_and(|signer| bad.iter().all(|key| key.kid != signer.kid));
        !signs && (hit || orphaned)
    };
    Ok(policy.settings().algorithms.iter().filter(lacks).copied().collect())
}

/// Removes the compromised key at once, or every one that signs if none is named. Where it signed,
/// or nothing else signs, a fresh key signs at once, unannounced: a kid nobody has seen makes most
/// consumers fetch the set. Keys that are announced and not compromised stay announced.
///
/// # Errors
/// [`Refused::Unknown`] for a kid the set does not have, [`Refused::Phase`] when it is gone,
/// [`Refused::Nothing`] when none is named and none signs, [`Refused::Fresh`] when `fresh` is not one
/// new key for each algorithm of [`needed`].
pub fn emergency(
    keyset: &Keyset,
    policy: &Policy,
    compromised: Option<&Kid>,
    fresh: &[(Algorithm, Kid)],
    now: Timestamp,
) -> Result<Vec<Key>, Refused> {
    let algorithms: Vec<Algorithm> = fresh.iter().map(|(algorithm, _)| *algorithm).collect();
    if needed(keyset, policy, compromised)? != algorithms {
        return Err(Refused::Fresh);
    }
    let mut changed: Vec<Key> =
        bad(keyset, compromised)?.into_iter().map(|key| gone(key, now)).collect();
    for (algorithm, kid) in fresh {
        if keyset.key(kid).is_some() || changed.iter().any(|key| key.kid == *kid) {
            return Err(Refused::Exists(kid.clone()));
        }
        let mut key = announced(keyset, policy, *algorithm, kid, now);
        key.ready_at = now;
        begin(&mut key, policy, now);
        changed.push(key);
    }
    Ok(changed)
}

/// Withdraws an announced key that has not signed. The one that signs goes on for another whole
/// interval; a rotation that is asked for comes sooner.
///
/// # Errors
/// [`Refused::Phase`] unless it waits, [`Refused::Exported`] when a signer target was given it,
/// [`Refused::Nothing`] when no key of its algorithm signs.
pub fn roll_back(
    keyset: &Keyset,
    policy: &Policy,
    kid: &Kid,
    now: Timestamp,
) -> Result<Vec<Key>, Refused> {
    let key = in_phase(keyset, kid, &[Phase::Announced, Phase::Proven])?;
    if !key.held.is_empty() {
        return Err(Refused::Exported(kid.clone()));
    }
    let mut signer = keyset.signer(key.algorithm).ok_or(Refused::Nothing)?.clone();
    signer.rotate_at = signer.rotate_at.max(Some(plus(now, policy.settings().rotate_every)));
    Ok(vec![gone(&key, now), signer])
}

/// Goes back behind a rotation that went wrong: the key that was replaced signs again, and what took
/// its place retires for good. Nobody has to fetch anything for that: the set had both all the time,
/// and has them still.
///
/// # Errors
/// [`Refused::Phase`] unless `kid` retires, [`Refused::Destroyed`] when its private half is not kept
/// any more, [`Refused::Unwanted`] when nothing is to be signed with its algorithm.
pub fn reinstate(
    keyset: &Keyset,
    policy: &Policy,
    kid: &Kid,
    now: Timestamp,
) -> Result<Vec<Key>, Refused> {
    let key = in_phase(keyset, kid, &[Phase::Retiring])?;
    if keyset.closed || !policy.declares(key.algorithm) {
        return Err(Refused::Unwanted(key.algorithm));
    }
    if key.kept_until.is_none_or(|until| until <= now) {
        return Err(Refused::Destroyed(kid.clone()));
    }
    let failed = keyset.signer(key.algorithm).map(|failed| retired(failed, policy, now));
    let mut again = Key { kept_until: None, gone_at: None, ..key };
    begin(&mut again, policy, now);
    Ok(failed.into_iter().chain([again]).collect())
}

/// How long a consumer may go on trusting a key that was taken out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exposure {
    /// The consumer's name.
    pub consumer: String,
    /// Until then at the latest; `None`: until it meets a key it does not know, or is restarted.
    pub until: Option<Timestamp>,
    /// The time it keeps what it knows; `None` for ever.
    pub cache: Option<SignedDuration>,
    /// How old what it fetched may have been.
    pub path: SignedDuration,
}

/// What is left after a key was taken out at `now`, for each declared consumer, the longest first.
/// Edges are assumed to serve nothing older than `max_age` and `copy_age` allow, or allowed before.
#[must_use]
pub fn exposure(keyset: &Keyset, policy: &Policy, now: Timestamp) -> Vec<Exposure> {
    let held = keyset.held_until.map_or(SignedDuration::ZERO, |until| until.duration_since(now));
    let mut left: Vec<Exposure> = (policy.settings().consumers.iter())
        .map(|consumer| {
            let cache = match consumer.cache {
                Cache::For(time) => Some(time),
                Cache::Forever => None,
            };
            let path = policy.lead().path().max(held - cache.unwrap_or_default());
            let until = cache.map(|cache| plus(now, cache + path));
            Exposure { consumer: consumer.name.clone(), until, cache, path }
        })
        .collect();
    left.sort_by_key(|exposure| std::cmp::Reverse(exposure.until.unwrap_or(Timestamp::MAX)));
    left
}

impl fmt::Display for Exposure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.cache {
            Some(cache) => write!(
                f,
                "{} may trust it for {} more: {} (its cache) + {} (copies on the way)",
                self.consumer,
                words(cache + self.path),
                words(cache),
                words(self.path)
            ),
            None => write!(
                f,
                "{} may trust it until it meets a key it does not know: restart it",
                self.consumer
            ),
        }
    }
}

fn bad<'a>(keyset: &'a Keyset, compromised: Option<&Kid>) -> Result<Vec<&'a Key>, Refused> {
    if let Some(kid) = compromised {
        let key = keyset.key(kid).ok_or_else(|| Refused::Unknown(kid.clone()))?;
        if key.phase == Phase::Gone {
            return Err(Refused::Phase(kid.clone(), key.phase.name()));
        }
        return Ok(vec![key]);
    }
    let signers: Vec<_> = keyset.keys.iter().filter(|key| key.phase == Phase::Signing).collect();
    if signers.is_empty() { Err(Refused::Nothing) } else { Ok(signers) }
}
