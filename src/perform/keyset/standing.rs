//! How a keyset stands, kept beside what is published of it, so that who looks asks no store.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use jwks::emergency::Exposure;
use jwks::sighting::signs_at;
use jwks::{Key, Kid, Phase, Policy};

use super::Known;
use crate::store::Exposed;

/// What is stored of a keyset, without secrets and without the keys that are gone.
pub(crate) struct Standing {
    /// Of the set that is published.
    pub(crate) sequence: i64,
    /// Why its last step failed.
    pub(crate) error: Option<String>,
    pub(crate) exposed: Vec<Exposed>,
    pub(crate) set: jwks::Keyset,
    /// The sequence of the first set with each key.
    announced: BTreeMap<Kid, i64>,
}

impl Standing {
    pub(super) fn of(known: &Known) -> Self {
        let mut set = known.set();
        set.keys.retain(|key| key.phase != Phase::Gone);
        let announced = known.keys.iter().map(|row| (row.key.kid.clone(), row.sequence));
        Self {
            sequence: known.row.sequence,
            error: known.row.error.clone(),
            exposed: known.row.exposed.clone(),
            announced: announced.collect(),
            set,
        }
    }

    /// Whether who has the set of this sequence has a key.
    pub(crate) fn is_in(&self, kid: &Kid, sequence: i64) -> bool {
        self.announced.get(kid).is_some_and(|announced| *announced <= sequence)
    }

    /// The keys that are announced and have not signed.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = &Key> {
        let waits = |key: &&Key| matches!(key.phase, Phase::Announced | Phase::Proven);
        self.set.keys.iter().filter(waits)
    }

    /// The keys that sign.
    pub(crate) fn signing(&self) -> impl Iterator<Item = &Key> {
        self.set.keys.iter().filter(|key| key.phase == Phase::Signing)
    }

    /// When the next key is to sign.
    pub(crate) fn rotates_at(&self, policy: &Policy) -> Option<Timestamp> {
        let waiting = self.waiting().map(|key| signs_at(&self.set, policy, key));
        let waiting = waiting.min();
        waiting.or_else(|| self.signing().filter_map(|key| key.rotate_at).min())
    }

    /// Who may trust a key that was taken out at `now`.
    pub(crate) fn exposed(&self, now: Timestamp) -> impl Iterator<Item = &Exposed> {
        self.exposed.iter().filter(move |exposed| !is_over(exposed, now))
    }

    /// For how long the last of them may.
    pub(crate) fn exposure(&self, now: Timestamp) -> SignedDuration {
        let left = self.exposed(now).map(|exposed| end(exposed).duration_since(now));
        left.max().unwrap_or(SignedDuration::ZERO)
    }
}

/// What an emergency at `now` leaves, as it is stored.
pub(crate) fn exposed(left: &[Exposure], now: Timestamp) -> Vec<Exposed> {
    let one = |left: &Exposure| Exposed {
        consumer: left.consumer.clone(),
        since: now,
        until: left.until,
    };
    left.iter().map(one).collect()
}

/// What is not over of `before`, and what is new; of each consumer the longest.
pub(super) fn still_exposed(before: &[Exposed], new: Vec<Exposed>, now: Timestamp) -> Vec<Exposed> {
    let mut all = new;
    for old in before.iter().filter(|exposed| !is_over(exposed, now)) {
        match all.iter_mut().find(|exposed| exposed.consumer == old.consumer) {
            Some(exposed) if end(exposed) < end(old) => exposed.clone_from(old),
            Some(_) => {}
            None => all.push(old.clone()),
        }
    }
    all
}

fn is_over(exposed: &Exposed, now: Timestamp) -> bool {
    end(exposed) <= now
}

fn end(exposed: &Exposed) -> Timestamp {
    let day = || exposed.since.checked_add(UNBOUNDED).unwrap_or(Timestamp::MAX);
    exposed.until.unwrap_or_else(day)
}

/// One that is bound to no time has met the fresh key by then wherever tokens are used.
const UNBOUNDED: SignedDuration = SignedDuration::from_hours(24);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_two_emergencies_leave_is_kept_until_it_is_over() {
        let now = Timestamp::UNIX_EPOCH + SignedDuration::from_hours(24);
        let hours = |hours| now + SignedDuration::from_hours(hours);
        let one = |consumer: &str, until: Option<i64>| Exposed {
            consumer: consumer.into(),
            since: now,
            until: until.map(hours),
        };
        let first = [one("a", Some(3)), one("b", Some(1)), one("c", None)];
        let later = still_exposed(&first, vec![one("b", Some(2)), one("a", Some(2))], hours(1));
        assert_eq!(later, [one("b", Some(2)), one("a", Some(3)), one("c", None)]);
        assert_eq!(still_exposed(&later, Vec::new(), hours(3)), [one("c", None)]);
        assert_eq!(still_exposed(&later, Vec::new(), hours(24)), []);
    }
}
