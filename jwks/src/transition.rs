//! What a step changes. Each function gives the keys as they are afterwards; the caller stores them
//! all in one transaction, with the version of the keyset it decided on, and destroys the private
//! halves that [`Key::is_private_kept`] says are not kept. A step that is not due is refused here
//! too, whatever the caller believes.

use jiff::{SignedDuration, Timestamp};

use crate::algorithm::Algorithm;
use crate::elsewhere::Held;
use crate::jwk::Kid;
use crate::keyset::{Key, Keyset, Phase, is_replaced, is_withdrawn, signing};
use crate::policy::Policy;
use crate::window::plus;

/// Publishes new keys, one for each algorithm named by [`Step::Announce`](crate::Step::Announce).
///
/// # Errors
/// [`Refused::Exists`] when a kid is taken, [`Refused::Waiting`] when a key of the algorithm waits
/// already.
pub fn announce(
    keyset: &Keyset,
    policy: &Policy,
    fresh: &[(Algorithm, Kid)],
    now: Timestamp,
) -> Result<Vec<Key>, Refused> {
    let mut keys: Vec<Key> = Vec::new();
    for (algorithm, kid) in fresh {
        if keyset.key(kid).is_some() || keys.iter().any(|key| key.kid == *kid) {
            return Err(Refused::Exists(kid.clone()));
        }
        let twice = keys.iter().any(|key| key.algorithm == *algorithm);
        if twice || keyset.waiting(*algorithm).is_some() {
            return Err(Refused::Waiting(*algorithm));
        }
        keys.push(announced(keyset, policy, *algorithm, kid, now));
    }
    Ok(keys)
}

/// Notes that `edges` were seen to serve a key; it is proven when no edge is missing.
///
/// # Errors
/// [`Refused::Phase`] unless it waits.
pub fn prove(
    keyset: &Keyset,
    policy: &Policy,
    kid: &Kid,
    edges: &[String],
    now: Timestamp,
) -> Result<Vec<Key>, Refused> {
    let mut key = waiting(keyset, kid)?;
    for edge in edges {
        if !key.proven.contains(edge) {
            key.proven.push(edge.clone());
        }
    }
    if !edges.is_empty() {
        key.proven_at = key.proven_at.max(Some(now));
    }
    if key.missing(policy).is_empty() {
        key.phase = key.waiting_phase(policy);
        key.ready_at = keyset.ready(&key, policy);
    } else {
        key.phase = Phase::Announced;
        key.prove_at = later(key.announced_at, now);
    }
    Ok(vec![key])
}

/// Notes that no edge was newly seen to serve a key: they are looked at again later, the later the
/// longer it has been, at most every five minutes.
///
/// # Errors
/// [`Refused::Phase`] unless it waits.
pub fn not_proven(keyset: &Keyset, kid: &Kid, now: Timestamp) -> Result<Vec<Key>, Refused> {
    let mut key = waiting(keyset, kid)?;
    key.phase = Phase::Announced;
    key.prove_at = later(key.announced_at, now);
    Ok(vec![key])
}

/// Lets a key sign; the one that did so far with its algorithm retires, and so does one whose
/// algorithm is not declared any more, if now every declared one signs.
///
/// # Errors
/// [`Refused::Phase`] unless it waits, [`Refused::Unproven`] when an edge is missing,
/// [`Refused::Unseen`] when a required consumer is, [`Refused::Undelivered`] when a signer target is,
/// [`Refused::Early`] when it is not due.
pub fn sign(
    keyset: &Keyset,
    policy: &Policy,
    kid: &Kid,
    now: Timestamp,
) -> Result<Vec<Key>, Refused> {
    let mut key = waiting(keyset, kid)?;
    if !key.missing(policy).is_empty() {
        return Err(Refused::Unproven(kid.clone()));
    }
    if let Some(consumer) = key.unseen(policy).first() {
        return Err(Refused::Unseen(kid.clone(), (*consumer).to_owned()));
    }
    if !key.is_delivered(policy) {
        return Err(Refused::Undelivered(kid.clone()));
    }
    let due = signing(keyset, policy, &key);
    if due > now {
        return Err(Refused::Early(kid.clone(), due));
    }
    let mut after = keyset.clone();
    let before = keyset.predecessor(key.algorithm);
    // One step back is enough: what signed before the last one is not needed any more.
    let mut changed: Vec<Key> = before.into_iter().map(destroyed).collect();
    changed.extend(keyset.signer(key.algorithm).map(|signer| replaced(signer, policy, now)));
    begin(&mut key, policy, now);
    changed.push(key);
    after.apply(&changed);
    if is_replaced(&after, policy) {
        let orphans = after.keys.iter().filter(|key| is_orphan(key, policy));
        changed.extend(orphans.map(|key| retired(key, policy, now)));
    }
    Ok(changed)
}

/// Lets a key retire whose algorithm is not declared any more: one that signs, or one that waits and
/// that a signer target was given, which may have used it.
///
/// # Errors
/// [`Refused::Phase`] in another phase, [`Refused::Needed`] while its algorithm is declared, or it
/// signs and a declared one does not.
pub fn retire(
    keyset: &Keyset,
    policy: &Policy,
    kid: &Kid,
    now: Timestamp,
) -> Result<Vec<Key>, Refused> {
    let key = in_phase(keyset, kid, &[Phase::Announced, Phase::Proven, Phase::Signing])?;
    let waits = key.phase.is_waiting();
    if policy.declares(key.algorithm) || !waits && !is_replaced(keyset, policy) {
        return Err(Refused::Needed(kid.clone()));
    }
    if waits && key.held.is_empty() {
        return Err(Refused::Phase(kid.clone(), key.phase.name()));
    }
    Ok(vec![retired(&key, policy, now)])
}

/// Ends the time in which a key that was replaced could sign again.
///
/// # Errors
/// [`Refused::Phase`] unless it retires, [`Refused::Early`] before that time is over.
pub fn destroy(keyset: &Keyset, kid: &Kid, now: Timestamp) -> Result<Vec<Key>, Refused> {
    let key = in_phase(keyset, kid, &[Phase::Retiring])?;
    match key.kept_until {
        Some(until) if until > now => Err(Refused::Early(kid.clone(), until)),
        _ => Ok(vec![destroyed(&key)]),
    }
}

/// Lets nothing sign any more: what signs retires, and stays until no token needs it; what waits is
/// gone.
///
/// # Errors
/// [`Refused::Needed`] while the keyset is declared, [`Refused::Nothing`] when nothing signs or waits.
pub fn close(keyset: &Keyset, policy: &Policy, now: Timestamp) -> Result<Vec<Key>, Refused> {
    let left = || keyset.keys.iter().filter(|key| key.phase.is_private_kept());
    let first = left().next().ok_or(Refused::Nothing)?;
    if !keyset.closed {
        return Err(Refused::Needed(first.kid.clone()));
    }
    let end = |key: &Key| match key.phase {
        Phase::Signing => replaced(key, policy, now),
        // A signer target was given it, and may have used it.
        _ if !key.held.is_empty() => retired(key, policy, now),
        _ => gone(key, now),
    };
    Ok(left().map(end).collect())
}

/// Takes a key out of the set: one that has retired for long enough, or one that waits for an
/// algorithm that is not declared any more, or cannot be given to the signer targets there are.
///
/// # Errors
/// [`Refused::Phase`] in another phase, [`Refused::Early`] before its time, [`Refused::Needed`] for
/// one that waits and is of use.
pub fn remove(
    keyset: &Keyset,
    policy: &Policy,
    kid: &Kid,
    now: Timestamp,
) -> Result<Vec<Key>, Refused> {
    let key = in_phase(keyset, kid, &[Phase::Announced, Phase::Proven, Phase::Retiring])?;
    match key.removal(policy) {
        Some(at) if at > now => return Err(Refused::Early(kid.clone(), at)),
        None if !is_withdrawn(&key, policy) => return Err(Refused::Needed(kid.clone())),
        _ => {}
    }
    Ok(vec![gone(&key, now)])
}

/// Allows a node to sign with a key until `until`. Nobody signs without such a lease: the last of
/// them is the upper bound on which retirement rests. It also fixes the longest lifetime of what is
/// signed under it, so store it with the policy it was read with.
///
/// # Errors
/// [`Refused::Phase`] unless it signs.
pub fn lease(
    keyset: &Keyset,
    policy: &Policy,
    kid: &Kid,
    until: Timestamp,
) -> Result<Vec<Key>, Refused> {
    let mut key = in_phase(keyset, kid, &[Phase::Signing])?;
    let expiry = plus(until, policy.retirement().token_lifetime);
    key.last_signature_at = key.last_signature_at.max(Some(until));
    key.last_expiry = key.last_expiry.max(Some(expiry));
    Ok(vec![key])
}

/// Asks for a rotation now: the next key is announced at once, and signs when its lead is over.
///
/// # Errors
/// [`Refused::Nothing`] when no key signs.
pub fn ask(keyset: &Keyset, now: Timestamp) -> Result<Vec<Key>, Refused> {
    let signers = keyset.keys.iter().filter(|key| key.phase == Phase::Signing);
    let asked = |key: &Key| Key { rotate_at: key.rotate_at.min(Some(now)), ..key.clone() };
    let changed: Vec<Key> = signers.map(asked).collect();
    if changed.is_empty() { Err(Refused::Nothing) } else { Ok(changed) }
}

/// A new key, published and not signing.
pub(crate) fn announced(
    keyset: &Keyset,
    policy: &Policy,
    algorithm: Algorithm,
    kid: &Kid,
    now: Timestamp,
) -> Key {
    let first = !keyset.published;
    let ready_at = if first { now } else { plus(now, policy.lead().total()) };
    // Before that, an edge that serves it may go back to what a node serves that is behind.
    let prove_at = if first { now } else { plus(now, policy.settings().lag / 2) };
    let mut key = Key {
        kid: kid.clone(),
        algorithm,
        phase: Phase::Announced,
        first,
        announced_at: now,
        ready_at,
        proven: Vec::new(),
        fetched: Vec::new(),
        proven_at: None,
        prove_at,
        signing_from: None,
        rotate_at: None,
        last_signature_at: None,
        last_expiry: None,
        gone_at: None,
        kept_until: None,
        exportable: policy.signers(algorithm).next().is_some(),
        held: Held::default(),
    };
    key.phase = key.waiting_phase(policy);
    key
}

pub(crate) fn begin(key: &mut Key, policy: &Policy, now: Timestamp) {
    key.phase = Phase::Signing;
    key.signing_from = Some(now);
    key.rotate_at = Some(plus(now, policy.settings().rotate_every));
    key.held.look(now);
}

pub(crate) fn gone(key: &Key, now: Timestamp) -> Key {
    let phase = Phase::Gone;
    let mut key = Key { phase, gone_at: Some(now), kept_until: None, ..key.clone() };
    key.held.look(now);
    key
}

pub(crate) fn in_phase(keyset: &Keyset, kid: &Kid, phases: &[Phase]) -> Result<Key, Refused> {
    let key = keyset.key(kid).ok_or_else(|| Refused::Unknown(kid.clone()))?;
    if phases.contains(&key.phase) {
        Ok(key.clone())
    } else {
        Err(Refused::Phase(kid.clone(), key.phase.name()))
    }
}

pub(crate) fn waiting(keyset: &Keyset, kid: &Kid) -> Result<Key, Refused> {
    in_phase(keyset, kid, &[Phase::Announced, Phase::Proven])
}

/// Retiring, and ready to sign again for as long as that is declared.
fn replaced(key: &Key, policy: &Policy, now: Timestamp) -> Key {
    let grace = policy.settings().grace;
    let kept_until = (!grace.is_zero()).then(|| plus(now, grace));
    Key { kept_until, ..retired(key, policy, now) }
}

fn destroyed(key: &Key) -> Key {
    Key { kept_until: None, ..key.clone() }
}

/// Retiring, for good.
pub(crate) fn retired(key: &Key, policy: &Policy, now: Timestamp) -> Key {
    // A lease may reach beyond now: its holder learns of the switch when it is over.
    let expiry = key.last_expiry.unwrap_or(now);
    let gone_at = plus(expiry, policy.retirement().after_expiry());
    Key { phase: Phase::Retiring, gone_at: Some(gone_at), ..key.clone() }
}

fn is_orphan(key: &Key, policy: &Policy) -> bool {
    key.phase == Phase::Signing && !policy.declares(key.algorithm)
}

/// When what has been waited for since then is looked at again.
pub(crate) fn later(since: Timestamp, now: Timestamp) -> Timestamp {
    let waited = now.duration_since(since);
    plus(now, (waited / 8).clamp(SOONEST, LATEST))
}

/// A step that must not be done, by fault of the caller or because another was quicker.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// No such key.
    #[error("the keyset has no key {0}")]
    Unknown(Kid),
    /// The kid is taken.
    #[error("the keyset has a key {0} already")]
    Exists(Kid),
    /// Only one key of an algorithm is announced at a time.
    #[error("a key for {0} is announced already")]
    Waiting(Algorithm),
    /// The key is in a phase where this cannot be done.
    #[error("key {0} is {1}: that cannot be done with it")]
    Phase(Kid, &'static str),
    /// An edge was not seen to serve it.
    #[error("key {0} is not proven on every edge")]
    Unproven(Kid),
    /// A required consumer was not seen to fetch it.
    #[error("key {0} was not fetched by {1:?}, as is required before it signs")]
    Unseen(Kid, String),
    /// A signer target was not seen to hold it.
    #[error("key {0} is not with every signer target")]
    Undelivered(Kid),
    /// The key may not leave, or not to there.
    #[error("key {0} must not be given to {1:?}: its keyset did not say so when it was made")]
    NotExportable(Kid, String),
    /// A signer target was given it, and may have used it.
    #[error("key {0} is with a signer target, which may have used it: rotate once it signs")]
    Exported(Kid),
    /// No such signer target.
    #[error("the keyset has no signer target {0:?}")]
    Undeclared(String),
    /// Not before then.
    #[error("key {0} must wait until {1}")]
    Early(Kid, Timestamp),
    /// Tokens depend on it.
    #[error("key {0} is still needed")]
    Needed(Kid),
    /// Its private half does not exist any more.
    #[error("the private half of key {0} is destroyed: it cannot sign again")]
    Destroyed(Kid),
    /// The keyset, or this algorithm of it, is not declared any more.
    #[error("nothing is to be signed with {0} any more: declare it first")]
    Unwanted(Algorithm),
    /// No key signs.
    #[error("the keyset has no key that signs")]
    Nothing,
    /// An emergency needs other fresh keys than were given.
    #[error("the fresh keys are not those the emergency needs: decide again")]
    Fresh,
}

const SOONEST: SignedDuration = SignedDuration::from_secs(2);
const LATEST: SignedDuration = SignedDuration::from_mins(5);
