//! Secrets that discoveries had written: what becomes of them is told by one watch for each namespace, and
//! looked at as for every target that tells.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep};
use tracing::{debug, warn};

use crate::catalog::{Catalog, ClusterDiscoverySpec, Target, digest_of};
use crate::node::Node;
use crate::perform::follow::{LASTING, look_soon, rest};

/// Heeds what becomes of the Secrets in a namespace.
pub(super) async fn heed(node: Arc<Node>, spec: Arc<ClusterDiscoverySpec>, namespace: String) {
    let (changed, told) = (Mutex::new(Changed::default()), Notify::new());
    let tell = |name: Option<&str>| {
        lock(&changed).take_in(name);
        told.notify_one();
    };
    let follows = async {
        let (connection, seed) = (spec.connection(), digest_of(&(&spec.name, &namespace)));
        let (mut failures, mut said) = (0, None);
        loop {
            let began = Instant::now();
            let error = connection.follow_ours(&namespace, super::TURN, &tell).await.to_string();
            failures = if began.elapsed() > LASTING { 1 } else { failures + 1 };
            if said.as_ref() != Some(&error) {
                warn!(
                    discovery = spec.name,
                    namespace, error, "Secrets are not followed; they are looked at all the same"
                );
                said = Some(error);
            }
            sleep(rest(seed, failures)).await;
            // What happened meanwhile nobody told.
            tell(None);
        }
    };
    let looks = async {
        loop {
            told.notified().await;
            let mut pause = GATHER;
            let changed_now = std::mem::take(&mut *lock(&changed));
            for (secret, target) in changed_now.targets(&node.catalog.load(), &spec, &namespace) {
                match look_soon(&node, &target).await {
                    Ok(true) => {}
                    Ok(false) => {
                        tell(Some(&secret));
                        pause = BUSY;
                    }
                    Err(error) => debug!(secret, %error, "a look cannot be hurried"),
                }
            }
            // However often they change, they are looked at now and then.
            sleep(pause).await;
        }
    };
    tokio::join!(follows, looks);
}

/// The Secrets that changed.
#[derive(Default)]
struct Changed {
    names: BTreeSet<String>,
    /// Any may have.
    all: bool,
}

impl Changed {
    fn take_in(&mut self, name: Option<&str>) {
        match name {
            Some(name) if !self.all && self.names.len() < MOST => {
                self.names.insert(name.to_owned());
            }
            _ => *self = Self { names: BTreeSet::new(), all: true },
        }
    }

    /// Their targets, by Secret.
    fn targets(
        &self,
        catalog: &Catalog,
        spec: &ClusterDiscoverySpec,
        namespace: &str,
    ) -> Vec<(String, Arc<Target>)> {
        let ours = catalog.certificates.iter().filter(|(_, certificate)| {
            let origin = certificate.origin.as_ref();
            origin.is_some_and(|one| one.discovery == spec.name && one.namespace == namespace)
        });
        let target = |name: &String| {
            let target = catalog.targets.get(name)?;
            let push::Kind::Kubernetes(place) = &target.spec.push.kind else { return None };
            let changed = self.all || self.names.contains(&place.secret);
            changed.then(|| (place.secret.clone(), Arc::clone(target)))
        };
        ours.filter_map(|(name, _)| target(name)).collect()
    }
}

fn lock(changed: &Mutex<Changed>) -> std::sync::MutexGuard<'_, Changed> {
    // Names are as good after a panic as before it.
    changed.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Between two looks.
const GATHER: Duration = Duration::from_secs(1);
/// Until a rotation may have ended.
const BUSY: Duration = Duration::from_secs(15);
/// From so many on all are looked at.
const MOST: usize = 2000;
