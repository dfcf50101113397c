//! Consumers that were seen to fetch: stored now and then, noted with the key where that is required,
//! and missed where they should have come.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use jiff::Timestamp;
use jwks::{Kid, sighting};
use serde_json::json;
use tracing::error;

use super::{Change, KeysetError, Known, Live, Standing, begin};
use crate::node::Node;

/// Stores who fetched since the last time, and forgets strangers that did not for long.
pub(crate) async fn keep_fetches(node: &Node) {
    let (keysets, now) = (node.keysets.load(), node.world.now());
    let declared: HashMap<i64, BTreeSet<String>> = (keysets.values())
        .map(|live| {
            let consumers = live.keyset().consumers.iter();
            (live.id, consumers.map(|consumer| consumer.name.clone()).collect())
        })
        .collect();
    let mut forgotten = node.fetches.settle(&declared, now);
    loop {
        let kept = node.fetches.unsaved(AT_ONCE);
        let last = kept.len() < AT_ONCE;
        if kept.is_empty() && forgotten.is_empty() {
            break;
        }
        let gone = std::mem::take(&mut forgotten);
        if let Err(error) = node.store.keep_fetches(kept.clone(), gone, now).await {
            error!(%error, "who fetched keysets cannot be stored; it will be retried");
            break;
        }
        node.fetches.saved(&kept);
        if last {
            break;
        }
    }
}

/// The same, and has keysets looked at whose required consumers came.
pub(crate) async fn note_fetches(node: Arc<Node>) {
    keep_fetches(&node).await;
    for live in node.keysets.load().values() {
        if !arrived(&node, live.id, &live.standing, live.policy()).is_empty() {
            begin(&node, live.id);
        }
    }
}

/// What is to be stored because required consumers were seen to fetch a key that waits.
pub(super) fn sighting(node: &Node, known: &Known) -> Result<Option<Change>, KeysetError> {
    let policy = &known.keyset.policy;
    let arrived = arrived(node, known.row.id, &Standing::of(known), policy);
    let (set, mut changed, mut detail) = (known.set(), Vec::new(), serde_json::Map::new());
    for (kid, consumers) in arrived {
        changed.extend(sighting::fetched(&set, policy, &kid, &consumers)?);
        detail.insert(kid.to_string(), json!(consumers));
    }
    // What is wrong with its edges is so still.
    let (error, detail) = (known.row.error.clone(), json!({ "by": detail }));
    let change = Change { changed, error, detail, ..Change::new("keyset.fetched") };
    Ok((!change.changed.is_empty()).then_some(change))
}

/// The keys that wait for required consumers that have come by now, and which.
fn arrived(
    node: &Node,
    id: i64,
    standing: &Standing,
    policy: &jwks::Policy,
) -> Vec<(Kid, Vec<String>)> {
    let came = |kid: &Kid, name: &&str| {
        let row = node.fetches.consumer(id, name);
        row.is_some_and(|row| standing.is_in(kid, row.sequence))
    };
    let waiting = standing.waiting().map(|key| {
        let names = key.unseen(policy).into_iter().filter(|name| came(&key.kid, name));
        (key.kid.clone(), names.map(str::to_owned).collect::<Vec<_>>())
    });
    waiting.filter(|(_, names)| !names.is_empty()).collect()
}

/// A declared consumer that was not seen to fetch a key that signs soon.
pub(crate) struct Absent {
    pub(crate) consumer: String,
    pub(crate) kid: Kid,
    pub(crate) announced_at: Timestamp,
    pub(crate) signs_at: Timestamp,
    /// Whether the key does not sign without it.
    pub(crate) required: bool,
}

/// The consumers of a keyset that should have fetched a key that waits, and were not seen to. Of one
/// that is declared by its name alone nothing is known until it came for the first time; one that
/// fetches only for unknown keys comes later.
pub(crate) fn absent(node: &Node, live: &Live, now: Timestamp) -> Vec<Absent> {
    let (policy, standing) = (live.policy(), &live.standing);
    let settings = &policy.settings().consumers;
    let mut found = Vec::new();
    let overdue = |key: &&jwks::Key| sighting::is_overdue(&standing.set, policy, key, now);
    for key in standing.waiting().filter(overdue) {
        for consumer in &live.keyset().consumers {
            let seen = node.fetches.consumer(live.id, &consumer.name);
            let is_known = consumer.is_expected() || consumer.required || seen.is_some();
            let lazy = settings.iter().any(|other| other.name == consumer.name && other.is_lazy());
            let has = seen.is_some_and(|row| standing.is_in(&key.kid, row.sequence));
            if is_known && !lazy && !has {
                found.push(Absent {
                    consumer: consumer.name.clone(),
                    kid: key.kid.clone(),
                    announced_at: key.announced_at,
                    signs_at: sighting::signs_at(&standing.set, policy, key),
                    required: consumer.required,
                });
            }
        }
    }
    found
}

/// Rows of one commit.
const AT_ONCE: usize = 500;

#[cfg(test)]
mod tests;
