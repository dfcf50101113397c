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
use crate::store::{AskedRow, Commit, Event};

/// Puts what was found before into a catalog, as far as it is allowed now.
pub(crate) fn place_all(rows: Vec<AskedRow>, catalog: &mut Catalog) {
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

/// Decides on what was seen and puts it in place; with `anew`, also what seems to be there already. Gives
/// when to do so again, if something has to wait.
///
/// # Errors
/// When the store fails. What was done until then stays, and doing it anew does the rest.
pub(super) async fn settle(
    node: &Node,
    spec: &Arc<ClusterDiscoverySpec>,
    seen: &Seen,
    anew: bool,
) -> Result<Option<Duration>, ManagedError> {
    let _turn = CONVERGING.lock().await;
    let catalog = node.catalog.load();
    if catalog.cluster_discoveries.get(&spec.name) != Some(spec) {
        // Another declaration takes over in a moment.
        return Ok(None);
    }
    let standing = node.store.asked_by(&spec.name)?;
    let decision = decide(spec, &Admission::new(&catalog), &standing, seen);
    let Decision { held, mut refused } = decision;
    let mut change = Change::between(node, standing, held);
    let again = change.slow_down(node, spec, &mut refused);
    node.discoveries.refuses(&spec.name, refused);
    change.store(node, spec).await?;
    let stored = node.store.asked_by(&spec.name)?.into_iter().map(|row| row.name).collect();
    let changed = change.put_in_place(node, spec, &stored);
    let catalog = node.catalog.load();
    let names = if anew { &stored } else { &changed };
    let certificates: Vec<_> =
        names.iter().filter_map(|name| catalog.certificates.get(name)).collect();
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
    let mut rows = node.store.asked()?;
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
    put: Vec<(AskedRow, Certificate, Target)>,
    /// Those of them of which only who asks is not as it was.
    handed_on: BTreeSet<String>,
    /// As it was, but perhaps not in the catalog yet.
    same: Vec<(String, Certificate, Target)>,
    gone: Vec<AskedRow>,
}

impl Change {
    fn between(
        node: &Node,
        standing: Vec<AskedRow>,
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
            let row = AskedRow {
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

    /// Puts it into the catalog, in which nothing stays of this discovery that is not `stored`; gives the
    /// names of what is not as it was there.
    fn put_in_place(
        self,
        node: &Node,
        spec: &ClusterDiscoverySpec,
        stored: &BTreeSet<String>,
    ) -> BTreeSet<String> {
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
        let found_here = |certificate: &Certificate| {
            certificate.origin.as_ref().is_some_and(|origin| origin.discovery == spec.name)
        };
        let gone = before.certificates.iter().filter(|(_, certificate)| found_here(certificate));
        let gone: Vec<_> =
            gone.map(|(name, _)| name).filter(|name| !stored.contains(*name)).collect();
        let names = changed.iter().map(|(name, ..)| name.clone()).collect();
        if changed.is_empty() && gone.is_empty() {
            return names;
        }
        node.catalog.update(|catalog| {
            for name in gone {
                catalog.certificates.remove(name);
                catalog.targets.remove(name);
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

#[cfg(test)]
mod tests {
    use cluster::{Asker, Asking, Askings};

    use super::*;
    use crate::catalog::{Declared, parse};
    use crate::node::tests::node;
    use crate::perform::{establish, removal};

    const DECLARED: &str = "[[cluster_discovery]]\nname = 'prod'\n\
        [[cluster_discovery.allow]]\nnamespaces = ['web']\nprofiles = ['default']\n\
        names.permitted = ['*.test']\nmax_certificates = 2\n";
    const NAME: &str = "prod_web_tls";

    async fn declare(node: &Node, text: &str) -> Declared {
        let wanted = parse([("a.toml", text)]).expect("it parses");
        let standing = establish::declared(node).await.expect("defaults");
        let catalog = establish::apply(node, "admin", &standing, &wanted).await.expect("stands");
        node.catalog.replace(catalog);
        standing.with(&wanted)
    }

    /// Has an Ingress ask for the Secret `tls` under `host`, or nobody.
    async fn see(node: &Node, host: Option<&str>) -> Option<Duration> {
        let asking = host.map(|host| Asking {
            kind: Asker::Ingress,
            namespace: "web".into(),
            name: "shop".into(),
            created: "2026".into(),
            profile: "default".into(),
            wants: BTreeMap::from([("tls".to_owned(), vec![host.to_owned()])]),
            faults: Vec::new(),
        });
        let by_name = asking.into_iter().map(|one| (one.name.clone(), Arc::new(one))).collect();
        let askings = Askings { by_name, too_many: false };
        let seen = Seen::from([((Asker::Ingress, "web".to_owned()), askings)]);
        let spec = Arc::clone(&node.catalog.load().cluster_discoveries["prod"]);
        settle(node, &spec, &seen, false).await.expect("settled")
    }

    fn host(node: &Node) -> Option<String> {
        let catalog = node.catalog.load();
        let certificate = catalog.certificates.get(NAME)?;
        assert!(catalog.targets.contains_key(NAME) || certificate.origin.is_none());
        certificate.spec.names.first().map(ToString::to_string)
    }

    #[tokio::test]
    async fn what_is_found_is_managed_and_stays_whatever_is_applied_or_pruned() {
        let (node, _) = node().await;
        let whole = declare(&node, DECLARED).await;
        see(&node, Some("a.test")).await;
        assert_eq!(host(&node).as_deref(), Some("a.test"));
        assert!(node.store.managed_by_name(NAME).expect("read").is_some());
        removal::prune(&node, "admin".into(), &whole, &whole).await.expect("pruned");
        assert_eq!(host(&node).as_deref(), Some("a.test"));
        // As after a restart.
        node.catalog.replace(establish::establish(&node).await.expect("it starts"));
        assert_eq!(host(&node).as_deref(), Some("a.test"));
        see(&node, None).await;
        assert_eq!(host(&node), None);
        assert!(node.store.asked().expect("read").is_empty());
    }

    #[tokio::test]
    async fn without_its_discovery_nothing_is_found_and_it_is_forgotten() {
        let (node, _) = node().await;
        let whole = declare(&node, DECLARED).await;
        see(&node, Some("a.test")).await;
        let mut without = whole.clone();
        without.cluster_discoveries.clear();
        removal::prune(&node, "admin".into(), &whole, &without).await.expect("pruned");
        assert_eq!(host(&node), None);
        forget_undeclared(&node).await.expect("forgotten");
        assert!(node.store.asked().expect("read").is_empty());
    }

    #[tokio::test]
    async fn what_is_declared_under_its_name_takes_its_place() {
        let (node, _) = node().await;
        declare(&node, DECLARED).await;
        see(&node, Some("a.test")).await;
        declare(&node, &format!("[[certificate]]\nname = '{NAME}'\nnames = ['b.test']\n")).await;
        assert_eq!(host(&node).as_deref(), Some("b.test"));
        see(&node, Some("a.test")).await;
        assert_eq!(host(&node).as_deref(), Some("b.test"));
        assert!(node.discoveries.attention()[0].contains("is declared already"));
    }

    #[tokio::test]
    async fn who_changes_an_object_again_and_again_has_to_wait() {
        let (node, clock) = node().await;
        declare(&node, DECLARED).await;
        assert_eq!(see(&node, Some("a.test")).await, None);
        assert_eq!(see(&node, Some("b.test")).await, None);
        let wait = see(&node, Some("c.test")).await.expect("it has to wait");
        assert_eq!(host(&node).as_deref(), Some("b.test"));
        assert!(node.discoveries.attention()[0].contains("has to wait"));
        let wait = i64::try_from(wait.as_secs()).expect("seconds") + 1;
        clock.fetch_add(wait, std::sync::atomic::Ordering::Relaxed);
        assert_eq!(see(&node, Some("c.test")).await, None);
        assert_eq!(host(&node).as_deref(), Some("c.test"));
        assert!(node.discoveries.attention().is_empty());
    }
}
