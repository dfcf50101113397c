//! Consumers that were seen to fetch a key while it waits. The lead is computed from what is declared
//! of them; that they came is what they did. Where a consumer is required, no key signs that it did
//! not fetch. The first key is exempt: nobody holds a set without it, and a consumer may fetch for the
//! first time only when it meets a token.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use crate::jwk::Kid;
use crate::keyset::{Key, Keyset, signing};
use crate::policy::Policy;
use crate::transition::{Refused, waiting};

/// Notes that `consumers` were seen to fetch a set with a key. Call it for those of
/// [`Key::unseen`]; others are not kept.
///
/// # Errors
/// [`Refused::Phase`] unless it waits.
pub fn fetched(
    keyset: &Keyset,
    policy: &Policy,
    kid: &Kid,
    consumers: &[String],
) -> Result<Vec<Key>, Refused> {
    let mut key = waiting(keyset, kid)?;
    let unseen = key.unseen(policy);
    let seen = unseen.into_iter().filter(|name| consumers.iter().any(|seen| seen == name));
    let seen: BTreeSet<&str> = seen.collect();
    key.fetched.extend(seen.into_iter().map(str::to_owned));
    key.phase = key.waiting_phase(policy);
    Ok(vec![key])
}

/// When a waiting key signs, if it is proven by then.
#[must_use]
pub fn signs_at(keyset: &Keyset, policy: &Policy, key: &Key) -> Timestamp {
    signing(keyset, policy, key)
}

/// Whether every consumer that does as declared should have fetched a waiting key by `now`: the last
/// fifth of its lead, which is the safety in it, has begun, counted back from when it signs.
#[must_use]
pub fn is_overdue(keyset: &Keyset, policy: &Policy, key: &Key, now: Timestamp) -> bool {
    let reserve: SignedDuration = policy.lead().total() / 5;
    !key.first && signing(keyset, policy, key).duration_since(now) <= reserve
}
