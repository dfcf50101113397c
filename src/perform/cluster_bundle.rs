//! Trust bundles in clusters: each declared ConfigMap is looked at again and again, and made what it is to
//! be, whether somebody changed it or an authority is another now. What somebody else made is left
//! alone.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cluster::{ClusterError, ConfigMap, Connection, HeldConfigMap, MANAGED_BY, MANAGER, Place};
use serde_json::json;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::sleep;
use tracing::{error, info, warn};

use crate::catalog::{Catalog, ClusterBundleSpec};
use crate::http::server::{Drain, begun};
use crate::node::Node;
use crate::store::{Commit, Event};

/// Why bundles are not everywhere, by their names.
#[derive(Default)]
pub(crate) struct Bundles(Mutex<BTreeMap<String, BTreeSet<String>>>);

impl Bundles {
    /// What an operator should look at.
    pub(crate) fn attention(&self) -> Vec<String> {
        let complaints = self.lock();
        let line = |(name, whys): (&String, &BTreeSet<String>)| {
            whys.iter()
                .take(MOST)
                .map(|why| format!("cluster_bundle {name}: {why}"))
                .collect::<Vec<_>>()
        };
        complaints.iter().flat_map(line).collect()
    }

    /// Replaces what is said of a bundle; what was not said before is logged.
    fn say(&self, name: &str, whys: BTreeSet<String>) {
        let mut complaints = self.lock();
        let said = complaints.remove(name).unwrap_or_default();
        for why in whys.difference(&said).take(MOST) {
            warn!(bundle = name, why, "a trust bundle is not in place; it will be retried");
        }
        if !whys.is_empty() {
            complaints.insert(name.to_owned(), whys);
        }
    }

    fn keep(&self, catalog: &Catalog) {
        self.lock().retain(|name, _| catalog.cluster_bundles.contains_key(name));
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, BTreeSet<String>>> {
        // What is said is as good after a panic as before it.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sees to every declared bundle, again and again, until `drain`.
pub(crate) async fn run(node: Arc<Node>, mut drain: Drain) {
    // Each by itself: one whose cluster is away holds up nobody else.
    let (mut tasks, mut at_work) = (JoinSet::new(), BTreeMap::<String, AbortHandle>::new());
    loop {
        let catalog = node.catalog.load();
        node.bundles.keep(&catalog);
        at_work.retain(|_, task| !task.is_finished());
        for (name, spec) in &catalog.cluster_bundles {
            if at_work.contains_key(name) {
                continue;
            }
            let (node, catalog, spec) = (Arc::clone(&node), Arc::clone(&catalog), Arc::clone(spec));
            let task = tasks.spawn(async move { see_to(&node, &catalog, &spec).await });
            at_work.insert(name.clone(), task);
        }
        while tasks.try_join_next().is_some() {}
        tokio::select! {
            () = sleep(LOOK) => {}
            () = begun(&mut drain) => return,
        }
    }
}

/// Looks at every ConfigMap of a bundle, and makes it what it is to be.
async fn see_to(node: &Node, catalog: &Catalog, spec: &ClusterBundleSpec) {
    let mut pass = Pass {
        spec,
        catalog,
        connection: spec.connection(),
        wanted: wanted(catalog, spec),
        applied: Vec::new(),
        complaints: BTreeSet::new(),
    };
    if let Err(error) = pass.converge().await {
        pass.complaints.insert(error.to_string());
    }
    let Pass { applied, complaints, .. } = pass;
    node.bundles.say(&spec.name, complaints);
    if applied.is_empty() {
        return;
    }
    info!(bundle = spec.name, namespaces = applied.join(" "), "a trust bundle is in place");
    let event = Event::new("worker", "bundle.apply", format!("cluster_bundle/{}", spec.name));
    let commit = Commit::new(event.with(json!({ "namespaces": applied })));
    if let Err(error) = node.store.commit(commit, node.world.now()).await {
        error!(bundle = spec.name, %error, "that a trust bundle is in place is not in the audit log");
    }
}

/// One look at a bundle.
struct Pass<'a> {
    spec: &'a ClusterBundleSpec,
    catalog: &'a Catalog,
    connection: Connection,
    wanted: ConfigMap,
    /// The namespaces where something was changed.
    applied: Vec<String>,
    complaints: BTreeSet<String>,
}

impl Pass<'_> {
    /// # Errors
    /// What keeps it from going on at all.
    async fn converge(&mut self) -> Result<(), ClusterError> {
        let spec = self.spec;
        let (namespaces, maps) = match &spec.namespace_selector {
            Some(selector) => (
                self.connection.namespaces(selector).await?,
                Some(self.connection.config_maps(&spec.config_map).await?),
            ),
            None => (spec.namespaces.clone(), None),
        };
        for namespace in namespaces {
            let place = spec.place(&namespace).map_err(ClusterError::Declaration)?;
            let done = match &maps {
                Some(maps) => self.mend(&place, maps.get(&namespace)).await,
                None => match self.connection.config_map(&place).await {
                    Ok(held) => self.mend(&place, held.as_ref()).await,
                    Err(error) => Err(error),
                },
            };
            match done {
                Ok(true) => self.applied.push(namespace),
                Ok(false) => {}
                Err(error) if concerns_all(&error) => return Err(error),
                Err(error) => {
                    let place = format!("ConfigMap {namespace}/{}", spec.config_map);
                    self.complaints.insert(format!("{place}: {error}"));
                }
            }
        }
        Ok(())
    }

    /// Makes a ConfigMap what it is to be, if it is not and may become so; whether it was changed.
    async fn mend(
        &mut self,
        place: &Place,
        held: Option<&HeldConfigMap>,
    ) -> Result<bool, ClusterError> {
        let spec = self.spec;
        let other = held.and_then(|held| held.annotations.get(BUNDLE)).filter(|other| {
            **other != spec.name && self.catalog.cluster_bundles.contains_key(*other)
        });
        if let Some(other) = other {
            let why = format!("it is that of cluster_bundle {other:?}: call one of them otherwise");
            return Err(ClusterError::Declaration(why));
        }
        let is_ours = held.is_some_and(|held| held.is_ours);
        match held {
            Some(held) if held.is(&self.wanted) => return Ok(false),
            Some(_) if !is_ours && !spec.adopt => {
                let why = "somebody else made it: remove it, or declare adopt = true";
                return Err(ClusterError::Declaration(why.into()));
            }
            _ => {}
        }
        // What is ours stays ours, whoever wrote into it.
        self.connection.apply_config_map(place, &self.wanted, is_ours || spec.adopt).await?;
        Ok(true)
    }
}

/// Whether the next namespace would fare no better.
fn concerns_all(error: &ClusterError) -> bool {
    matches!(
        error,
        ClusterError::Unreachable { .. }
            | ClusterError::TimedOut { .. }
            | ClusterError::Unauthorized(_)
            | ClusterError::Busy(_)
    )
}

/// The ConfigMap as it is to be.
fn wanted(catalog: &Catalog, spec: &ClusterBundleSpec) -> ConfigMap {
    let authorities = spec.authorities.iter().filter_map(|name| catalog.authorities.get(name));
    let mut roots = Vec::new();
    for pem in authorities.map(|authority| authority.ca.root().pem()) {
        if !roots.contains(&pem) {
            roots.push(pem);
        }
    }
    let one = |key: &str, value: &str| BTreeMap::from([(key.to_owned(), value.to_owned())]);
    ConfigMap {
        data: one(&spec.key, &roots.concat()),
        labels: one(MANAGED_BY, MANAGER),
        annotations: one(BUNDLE, &spec.name),
    }
}

/// What we annotate: the bundle's name.
const BUNDLE: &str = "perennial/bundle";
/// How often each is looked at.
const LOOK: Duration = Duration::from_secs(10);
/// How many complaints are shown and logged of a bundle.
const MOST: usize = 20;
