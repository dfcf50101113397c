//! Puts in place what discoveries found: rows first, then the catalog, then managed certificates, which
//! from there on are like any other. What is found no more is not declared any more; nothing is deleted
//! in the cluster.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use serde_json::json;

use super::Seen;
use super::admission::{Admission, Request};
use super::decide::{Decision, Refusal, decide};
use crate::catalog::{Catalog, Certificate, ClusterDiscoverySpec, Target};
use crate::node::Node;
use crate::perform::establish::CONVERGING;
use crate::perform::known::ManagedError;
use crate::perform::managed;
use crate::store::{Commit, Event, FoundRow};

/// Puts what was found before into a catalog, as far as it is allowed now.
pub(crate) fn place_all(rows: Vec<FoundRow>, catalog: &mut Catalog) {
    let admission = Admission::new(catalog);
    let admitted: Vec<_> = rows
        .iter()
        .filter_map(|row| {
            let spec = catalog.cluster_discoveries.get(&row.discovery)?;
            let (certificate, target) = admission.admit(spec, &row.into()).ok()?;
            Some((row.name.clone(), certificate, target))
        })
        .collect();
    for (name, certificate, target) in admitted {
        place(catalog, name, certificate, target);
    }
}

fn place(catalog: &mut Catalog, name: String, certificate: Certificate, target: Target) {
    catalog.certificates.insert(name.clone(), Arc::new(certificate));
    catalog.targets.insert(name, Arc::new(target));
}

/// Decides on what was seen and puts it in place. Gives when to do so again, if something has to wait.
///
/// # Errors
/// When the store fails.
pub(super) async fn settle(
    node: &Node,
    spec: &Arc<ClusterDiscoverySpec>,
    seen: &Seen,
) -> Result<Option<Duration>, ManagedError> {
    let _turn = CONVERGING.lock().await;
    let catalog = node.catalog.load();
    if catalog.cluster_discoveries.get(&spec.name) != Some(spec) {
        // Another declaration takes over in a moment.
        return Ok(None);
    }
    let standing = node.store.found_by(&spec.name)?;
    let decision = decide(spec, &Admission::new(&catalog), &standing, seen);
    let Decision { held, mut refused } = decision;
    let mut change = Change::between(node, standing, held);
    let again = change.slow_down(node, spec, &mut refused);
    node.discoveries.refuses(&spec.name, refused);
    change.store(node, spec).await?;
    let changed = change.put_in_place(node);
    let catalog = node.catalog.load();
    let certificates: Vec<_> =
        changed.iter().filter_map(|name| catalog.certificates.get(name)).collect();
    let actor = format!("discovery/{}", spec.name);
    managed::enlist_these(node, actor, &catalog, &certificates).await?;
    Ok(again)
}

/// Forgets what discoveries found that are not declared any more.
///
/// # Errors
/// When the store fails.
pub(super) async fn forget_undeclared(node: &Node) -> Result<(), ManagedError> {
    let _turn = CONVERGING.lock().await;
    let catalog = node.catalog.load();
    let mut rows = node.store.found()?;
    rows.retain(|row| !catalog.cluster_discoveries.contains_key(&row.discovery));
    for rows in rows.chunks(AT_ONCE) {
        let names: Vec<_> = rows.iter().map(|row| &row.name).collect();
        let event = Event::new("worker", "discovery.forget", "node");
        let commit = Commit::new(event.with(json!({ "certificates": names })));
        let commit = rows.iter().fold(commit, Commit::remove);
        node.store.commit(commit, node.world.now()).await?;
    }
    Ok(())
}

/// What is to change.
#[derive(Default)]
struct Change {
    /// New, or not as it was.
    put: Vec<(FoundRow, Certificate, Target)>,
    /// Those of them of which only who asks is not as it was.
    handed_on: BTreeSet<String>,
    /// As it was, but perhaps not in the catalog yet.
    same: Vec<(String, Certificate, Target)>,
    gone: Vec<FoundRow>,
}

impl Change {
    fn between(
        node: &Node,
        standing: Vec<FoundRow>,
        held: BTreeMap<String, (Request, Certificate, Target)>,
    ) -> Self {
        let mut change = Self::default();
        let mut before: BTreeMap<_, _> =
            standing.into_iter().map(|row| (row.name.clone(), row)).collect();
        for (name, (request, certificate, target)) in held {
            let old = before.remove(&name);
            if old.as_ref().is_some_and(|row| Request::from(row) == request) {
                change.same.push((name, certificate, target));
                continue;
            }
            if old.as_ref().is_some_and(|row| Request::from(row).is_for_the_same(&request)) {
                change.handed_on.insert(name.clone());
            }
            let (id, version, found_at) = match old {
                Some(row) => (row.id, row.version, row.found_at),
                None => (node.store.id(), 0, node.world.now()),
            };
            let row = FoundRow {
                id,
                version,
                discovery: request.origin.discovery,
                name,
                namespace: request.origin.namespace,
                secret: request.secret,
                profile: request.profile,
                names: request.names,
                kind: request.origin.kind,
                object: request.origin.object,
                found_at,
            };
            change.put.push((row, certificate, target));
        }
        change.gone = before.into_values().collect();
        change
    }

    /// Leaves out what has to wait, since whoever may change an object could have certificates issued
    /// without end. Gives for how long.
    fn slow_down(
        &mut self,
        node: &Node,
        spec: &ClusterDiscoverySpec,
        refused: &mut BTreeSet<Refusal>,
    ) -> Option<Duration> {
        let (now, mut again) = (node.world.now(), None::<Duration>);
        let handed_on = std::mem::take(&mut self.handed_on);
        self.put.retain(|(row, ..)| {
            if handed_on.contains(&row.name) {
                return true;
            }
            let bucket = spec.allowance(&row.namespace).and_then(|allowance| allowance.pace());
            let name = || format!("discovery/{}/{}", spec.name, row.namespace);
            let Err(later) = node.limiter.take(bucket.as_ref(), name, now) else { return true };
            let wait = later.0.max(SHORTEST).unsigned_abs();
            again = Some(again.map_or(wait, |other| other.min(wait)));
            let why = format!(
                "Secret {}/{} has to wait: the namespace had as many new certificates as it may in an hour",
                row.namespace, row.secret
            );
            refused.insert(Refusal { origin: Request::from(row).origin, why });
            false
        });
        again
    }

    /// Stores it.
    async fn store(&self, node: &Node, spec: &ClusterDiscoverySpec) -> Result<(), ManagedError> {
        let commit = |rows: Vec<&String>, what: &'static str| {
            let subject = format!("cluster_discovery/{}", spec.name);
            let event = Event::new(format!("discovery/{}", spec.name), what, subject);
            Commit::new(event.with(json!({ "certificates": rows })))
        };
        for gone in self.gone.chunks(AT_ONCE) {
            let names = gone.iter().map(|row| &row.name).collect();
            let commit = gone.iter().fold(commit(names, "discovery.lose"), Commit::remove);
            node.store.commit(commit, node.world.now()).await?;
        }
        for found in self.put.chunks(AT_ONCE) {
            let names = found.iter().map(|(row, ..)| &row.name).collect();
            let commit = commit(names, "discovery.find");
            let commit = found.iter().fold(commit, |commit, (row, ..)| commit.put(row.clone()));
            node.store.commit(commit, node.world.now()).await?;
        }
        Ok(())
    }

    /// Puts it into the catalog; gives the names of what is not as it was there.
    fn put_in_place(self, node: &Node) -> Vec<String> {
        let before = node.catalog.load();
        let put =
            self.put.into_iter().map(|(row, certificate, target)| (row.name, certificate, target));
        let differs = |(name, certificate, target): &(String, Certificate, Target)| {
            let known = before.certificates.get(name).zip(before.targets.get(name));
            known.is_none_or(|(before, placed)| {
                before.spec != certificate.spec
                    || before.origin != certificate.origin
                    || placed.digest != target.digest
            })
        };
        let changed: Vec<_> = put.chain(self.same).filter(differs).collect();
        let names = changed.iter().map(|(name, ..)| name.clone()).collect();
        if changed.is_empty() && self.gone.is_empty() {
            return names;
        }
        node.catalog.update(|catalog| {
            for row in &self.gone {
                let found = catalog.certificates.get(&row.name);
                if found.is_some_and(|certificate| certificate.origin.is_some()) {
                    catalog.certificates.remove(&row.name);
                    catalog.targets.remove(&row.name);
                }
            }
            for (name, certificate, target) in changed {
                place(catalog, name, certificate, target);
            }
        });
        names
    }
}

/// Rows of one commit.
const AT_ONCE: usize = 200;
const SHORTEST: SignedDuration = SignedDuration::from_secs(1);
