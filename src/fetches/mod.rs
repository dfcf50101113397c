//! Who fetches keysets. Counted in memory, so that a fetch costs no write; `perform::keyset` stores
//! it now and then. Strangers fetch too, so everything is bounded: whoever finds no room is counted
//! among the others, and room is always there for declared consumers. Nothing is decided here.

mod caller;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::{SignedDuration, Timestamp};

pub(crate) use caller::{Caller, Claims};

use crate::store::{FetchRow, KnownBy};

/// Everybody who fetched a keyset, by the keyset's row.
#[derive(Default)]
pub(crate) struct Fetches(Mutex<All>);

#[derive(Default)]
struct All {
    keysets: HashMap<i64, Of>,
    /// How many there are in all that are not declared.
    strangers: usize,
}

/// Who fetched one keyset.
#[derive(Default)]
struct Of {
    known: BTreeMap<(KnownBy, String), Entry>,
    strangers: usize,
}

struct Entry {
    row: FetchRow,
    declared: bool,
    /// The count that is stored.
    saved: i64,
}

impl Fetches {
    /// Those that are stored.
    pub(crate) fn resume(rows: Vec<FetchRow>) -> Self {
        let mut all = All::default();
        for row in rows {
            let of = all.keysets.entry(row.keyset).or_default();
            let key = (row.known_by, row.name.clone());
            of.known.insert(key, Entry { saved: row.count, declared: false, row });
            // Who is declared is known when the keysets are: see `settle`.
            of.strangers += 1;
            all.strangers += 1;
        }
        Self(Mutex::new(all))
    }

    /// How many of them are read from the store at the most.
    pub(crate) const MOST_STORED: u32 = 100_000;

    /// Somebody was given the set of this sequence, or was told that it has it.
    pub(crate) fn note(&self, keyset: i64, caller: &Caller, sequence: i64, now: Timestamp) {
        let mut all = self.lock();
        let All { keysets, strangers } = &mut *all;
        let of = keysets.entry(keyset).or_default();
        let mut key = (caller.known_by, caller.name.clone());
        let full = of.strangers >= MOST_OF_ONE || *strangers >= MOST;
        if full && !caller.declared && !of.known.contains_key(&key) {
            key = (KnownBy::Others, String::new());
        }
        let entry = of.known.entry(key).or_insert_with_key(|(known_by, name)| {
            if !caller.declared {
                of.strangers += 1;
                *strangers += 1;
            }
            Entry { row: new(keyset, *known_by, name, now), declared: caller.declared, saved: 0 }
        });
        let row = &mut entry.row;
        row.count = row.count.saturating_add(1);
        row.last_at = now;
        // A slow answer may be noted after a newer one.
        row.sequence = row.sequence.max(sequence);
        row.first_at = row.first_at.min(now);
        row.address.clone_from(&caller.address);
        row.agent.clone_from(&caller.agent);
    }

    /// Everybody who fetched a keyset: consumers first.
    pub(crate) fn of(&self, keyset: i64) -> Vec<FetchRow> {
        let all = self.lock();
        let of = all.keysets.get(&keyset);
        of.map(|of| of.known.values().map(|entry| entry.row.clone()).collect()).unwrap_or_default()
    }

    /// What is known of a consumer of a keyset.
    pub(crate) fn consumer(&self, keyset: i64, name: &str) -> Option<FetchRow> {
        let all = self.lock();
        let key = (KnownBy::Consumer, name.to_owned());
        Some(all.keysets.get(&keyset)?.known.get(&key)?.row.clone())
    }

    /// Sorts out who is declared now, by the row of each keyset, and forgets strangers that did not
    /// come for long: gives those.
    pub(crate) fn settle(
        &self,
        declared: &HashMap<i64, BTreeSet<String>>,
        now: Timestamp,
    ) -> Vec<FetchRow> {
        let mut all = self.lock();
        let (mut gone, mut strangers) = (Vec::new(), 0);
        for (keyset, of) in &mut all.keysets {
            let names = declared.get(keyset);
            of.known.retain(|(known_by, name), entry| {
                entry.declared = *known_by == KnownBy::Consumer
                    && names.is_some_and(|names| names.contains(name));
                let kept = entry.declared || now.duration_since(entry.row.last_at) < KEPT;
                if !kept {
                    gone.push(entry.row.clone());
                }
                kept
            });
            of.strangers = of.known.values().filter(|entry| !entry.declared).count();
            strangers += of.strangers;
        }
        all.keysets.retain(|_, of| !of.known.is_empty());
        all.strangers = strangers;
        gone
    }

    /// Some of those about whom more is known than is stored, at most `limit`.
    pub(crate) fn unsaved(&self, limit: usize) -> Vec<FetchRow> {
        let all = self.lock();
        let entries = all.keysets.values().flat_map(|of| of.known.values());
        let unsaved = entries.filter(|entry| entry.saved != entry.row.count);
        unsaved.take(limit).map(|entry| entry.row.clone()).collect()
    }

    /// These are stored as they are here.
    pub(crate) fn saved(&self, rows: &[FetchRow]) {
        let mut all = self.lock();
        for row in rows {
            let of = all.keysets.get_mut(&row.keyset);
            if let Some(entry) =
                of.and_then(|of| of.known.get_mut(&(row.known_by, row.name.clone())))
            {
                entry.saved = row.count;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, All> {
        // Counts are as good after a panic as before it.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn new(keyset: i64, known_by: KnownBy, name: &str, now: Timestamp) -> FetchRow {
    FetchRow {
        keyset,
        known_by,
        name: name.to_owned(),
        first_at: now,
        last_at: now,
        sequence: 0,
        count: 0,
        address: String::new(),
        agent: String::new(),
    }
}

/// How many that are not declared are told apart, of one keyset.
const MOST_OF_ONE: usize = 64;
/// And of all.
const MOST: usize = 4096;
/// For how long one that is not declared is known after it came last.
const KEPT: SignedDuration = SignedDuration::from_hours(90 * 24);

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_hours(24 * 365)
    }

    fn caller(known_by: KnownBy, name: &str, declared: bool) -> Caller {
        let (address, agent) = ("192.0.2.1".into(), "curl/8".into());
        Caller { known_by, name: name.into(), declared, address, agent }
    }

    #[test]
    fn strangers_take_no_more_than_their_room_and_declared_consumers_always_have_some() {
        let fetches = Fetches::default();
        for number in 0..10_000 {
            let stranger = caller(KnownBy::Agent, &format!("agent-{number}"), false);
            fetches.note(number % 200, &stranger, 1, now());
        }
        assert!(fetches.lock().strangers <= MOST + 200, "one more for the others of each");
        for name in ["a", "b"] {
            fetches.note(0, &caller(KnownBy::Consumer, name, true), 7, now());
        }
        let of = fetches.of(0);
        assert!(of.len() <= MOST_OF_ONE + 3, "{}", of.len());
        assert_eq!(of.iter().map(|row| row.count).sum::<i64>(), 52, "nobody is lost");
        assert_eq!(of[0].name, "a");
        assert_eq!(fetches.consumer(0, "b").expect("it").sequence, 7);
    }

    #[test]
    fn what_is_known_survives_and_only_what_is_new_is_stored() {
        let fetches = Fetches::default();
        let gateway = caller(KnownBy::Consumer, "gateway", true);
        fetches.note(1, &gateway, 3, now());
        fetches.note(1, &gateway, 2, now() + SignedDuration::from_secs(5));
        let rows = fetches.unsaved(10);
        assert_eq!((rows[0].count, rows[0].sequence), (2, 3), "the newest that it has");
        fetches.note(1, &gateway, 3, now());
        fetches.saved(&rows);
        assert_eq!(fetches.unsaved(10).len(), 1, "it came again meanwhile");
        let rows = fetches.unsaved(10);
        fetches.saved(&rows);
        assert_eq!(fetches.unsaved(10), []);
        let again = Fetches::resume(rows);
        assert_eq!(again.unsaved(10), []);
        assert_eq!(again.consumer(1, "gateway"), fetches.consumer(1, "gateway"));
    }

    #[test]
    fn a_stranger_is_forgotten_and_a_declared_consumer_is_not() {
        let fetches = Fetches::default();
        fetches.note(1, &caller(KnownBy::Consumer, "gateway", true), 1, now());
        fetches.note(1, &caller(KnownBy::Agent, "curl/8", false), 1, now());
        let declared = HashMap::from([(1, BTreeSet::from(["gateway".to_owned()]))]);
        assert_eq!(fetches.settle(&declared, now() + KEPT - SignedDuration::from_secs(1)), []);
        let gone = fetches.settle(&declared, now() + KEPT);
        assert_eq!(gone.len(), 1);
        assert_eq!(gone[0].name, "curl/8");
        assert_eq!(fetches.lock().strangers, 0);
        assert_eq!(
            fetches.settle(&HashMap::new(), now() + KEPT).len(),
            1,
            "it is not declared now"
        );
        assert!(fetches.lock().keysets.is_empty(), "nothing stays of it");
    }
}
