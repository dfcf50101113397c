//! Discovery: what objects of Kubernetes clusters ask for becomes managed certificates like any other,
//! each with the Secret as its target, as far as the declaration allows. What is allowed is stored, so that
//! it goes on when the cluster cannot be reached; what is refused is reported, and the rest goes on.
//!
//! Here the objects are watched, and the Secrets in `heed`. What may be had is decided in `admission`, who gets it in
//! `decide`; `settle` puts it in place, and `report` tells what became of it.

mod admission;
mod decide;
mod heed;
mod report;
mod settle;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cluster::{Asker, Askings, ClusterError};
use tokio::sync::Notify;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, sleep, sleep_until};
use tracing::error;

pub(crate) use report::Discoveries;
pub(crate) use settle::place_all;

use super::follow::{LASTING, rest};
use crate::catalog::{Catalog, ClusterDiscoverySpec, digest_of};
use crate::http::server::{Drain, begun};
use crate::node::Node;

/// What is known of the objects of one kind in one namespace, for all that were listed.
type Seen = BTreeMap<(Asker, String), Askings>;

/// Finds what asks, for every declared discovery, until `drain`.
pub(crate) async fn run(node: Arc<Node>, mut drain: Drain) {
    let mut tasks = JoinSet::new();
    let mut at_work: BTreeMap<String, (Arc<ClusterDiscoverySpec>, AbortHandle)> = BTreeMap::new();
    let mut known: Option<Arc<Catalog>> = None;
    loop {
        let catalog = node.catalog.load();
        if known.as_ref().is_none_or(|known| !Arc::ptr_eq(known, &catalog)) {
            at_work.retain(|name, (spec, task)| {
                let same = catalog.cluster_discoveries.get(name).is_some_and(|now| now == spec);
                if !same {
                    task.abort();
                    node.discoveries.forget(name);
                }
                same
            });
            let new = |(name, _): &(&String, _)| !at_work.contains_key(*name);
            for (name, spec) in catalog.cluster_discoveries.iter().filter(new).collect::<Vec<_>>() {
                let task = tasks.spawn(discover(Arc::clone(&node), Arc::clone(spec)));
                at_work.insert(name.clone(), (Arc::clone(spec), task));
            }
            match settle::forget_undeclared(&node).await {
                Ok(()) => known = Some(catalog),
                Err(error) => error!(%error, "what was found before is not forgotten; it will be"),
            }
        }
        // Those that were aborted.
        while tasks.try_join_next().is_some() {}
        tokio::select! {
            () = sleep(LOOK) => {}
            () = begun(&mut drain) => return,
        }
    }
}

/// One discovery: a watch for each kind in each namespace, and one who puts in place what they tell.
async fn discover(node: Arc<Node>, spec: Arc<ClusterDiscoverySpec>) {
    let found = Arc::new(Found::default());
    let mut watches = JoinSet::new();
    for namespace in spec.namespaces() {
        watches.spawn(heed::heed(Arc::clone(&node), Arc::clone(&spec), namespace.clone()));
        for kind in &spec.kinds {
            let (node, spec, found) = (Arc::clone(&node), Arc::clone(&spec), Arc::clone(&found));
            watches.spawn(watch(node, spec, found, *kind, namespace.clone()));
        }
    }
    // What was stored may be more than is declared now.
    let (mut again, mut anew) = (Some(Instant::now()), true);
    loop {
        tokio::select! {
            () = found.told.notified() => {}
            () = sleep_until(again.unwrap_or_else(Instant::now)), if again.is_some() => {}
        }
        // What comes together is put in place together.
        sleep(GATHER).await;
        let seen = found.seen.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let settled = settle::settle(&node, &spec, &seen, anew).await;
        anew = settled.is_err();
        let wait = match settled {
            Ok(wait) => wait,
            Err(error) => {
                error!(discovery = spec.name, %error, "what was found is not in place; it will be retried");
                Some(RETRY)
            }
        };
        again = wait.map(|wait| Instant::now() + wait);
    }
}

/// What the watches of one discovery tell.
#[derive(Default)]
struct Found {
    seen: Mutex<Seen>,
    told: Notify,
}

/// Watches one kind in one namespace, and again whenever that fails.
async fn watch(
    node: Arc<Node>,
    spec: Arc<ClusterDiscoverySpec>,
    found: Arc<Found>,
    kind: Asker,
    namespace: String,
) {
    let (connection, seed) = (spec.connection(), digest_of(&(&spec.name, kind, &namespace)));
    let tell = |askings: &Askings| {
        node.discoveries.sees(&spec.name, kind, &namespace, askings.too_many);
        let mut seen = found.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.insert((kind, namespace.clone()), askings.clone());
        found.told.notify_one();
    };
    let mut failures = 0;
    loop {
        let began = Instant::now();
        let error = connection.discover(kind, &namespace, TURN, &tell).await;
        if matches!(error, ClusterError::Missing(_)) {
            // The Gateway API is not part of every cluster.
            node.discoveries.does_not_know(&spec.name, kind, &namespace);
            sleep(UNKNOWN).await;
            continue;
        }
        failures = if began.elapsed() > LASTING { 1 } else { failures + 1 };
        node.discoveries.fails(&spec.name, kind, &namespace, &error);
        sleep(rest(seed, failures)).await;
    }
}

/// How often it is looked whether other discoveries are declared.
const LOOK: Duration = Duration::from_secs(1);
/// How long is waited for more to come.
const GATHER: Duration = Duration::from_millis(250);
/// After the store failed.
const RETRY: Duration = Duration::from_secs(10);
/// How long one watch lasts. Servers end them after some minutes in any case.
const TURN: Duration = Duration::from_secs(240);
/// Until it is asked again whether the cluster knows a kind.
const UNKNOWN: Duration = Duration::from_secs(120);
