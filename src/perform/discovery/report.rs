//! What discoveries report: what is refused, and what cannot be seen. Each is logged once, for as long as
//! it lasts, and stands in `status`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use cluster::{Asker, ClusterError};
use tracing::{info, warn};

use super::decide::Refusal;

/// What the discoveries of a node report, by their names.
#[derive(Default)]
pub(crate) struct Discoveries(Mutex<BTreeMap<String, Report>>);

#[derive(Default)]
struct Report {
    refused: BTreeSet<Refusal>,
    /// Why objects are not seen, or not all of them.
    failing: BTreeMap<(Asker, String), String>,
    /// What the cluster does not know.
    unknown: BTreeSet<(Asker, String)>,
}

impl Discoveries {
    /// What an operator should look at.
    pub(crate) fn attention(&self) -> Vec<String> {
        let reports = self.lock();
        let lines = reports.iter().map(|(name, report)| {
            let failing = report.failing.iter().map(move |((kind, namespace), why)| {
                format!("cluster_discovery {name}: {kind} objects of namespace {namespace}: {why}")
            });
            let refused = report.refused.iter().map(move |Refusal { origin, why }| {
                format!("cluster_discovery {name}: {origin} is refused: {why}")
            });
            let count = report.refused.len();
            let rest = (count > MOST).then(|| {
                format!("cluster_discovery {name}: {} more are refused; see the log", count - MOST)
            });
            failing.take(MOST).chain(refused.take(MOST)).chain(rest)
        });
        lines.flatten().collect()
    }

    /// The discovery is not declared any more, or not as it was.
    pub(super) fn forget(&self, name: &str) {
        self.lock().remove(name);
    }

    /// What it refuses now.
    pub(super) fn refuses(&self, name: &str, refused: BTreeSet<Refusal>) {
        let mut reports = self.lock();
        let report = reports.entry(name.to_owned()).or_default();
        for Refusal { origin, why } in refused.difference(&report.refused).take(MOST_LOGGED) {
            warn!(discovery = name, %origin, why, "a request for a certificate is refused");
        }
        report.refused = refused;
    }

    /// It sees the objects of a kind in a namespace.
    pub(super) fn sees(&self, name: &str, kind: Asker, namespace: &str, too_many: bool) {
        if too_many {
            return self.say(name, kind, namespace, "more ask than are looked at");
        }
        let (mut reports, place) = (self.lock(), (kind, namespace.to_owned()));
        let report = reports.entry(name.to_owned()).or_default();
        report.failing.remove(&place);
        report.unknown.remove(&place);
    }

    /// It does not see them.
    pub(super) fn fails(&self, name: &str, kind: Asker, namespace: &str, error: &ClusterError) {
        self.say(name, kind, namespace, &format!("they are not seen: {error}"));
    }

    /// The cluster has no such kind.
    pub(super) fn does_not_know(&self, name: &str, kind: Asker, namespace: &str) {
        let (mut reports, place) = (self.lock(), (kind, namespace.to_owned()));
        let report = reports.entry(name.to_owned()).or_default();
        report.failing.remove(&place);
        if report.unknown.insert(place) {
            info!(discovery = name, %kind, namespace, "the cluster does not know this kind");
        }
    }

    fn say(&self, name: &str, kind: Asker, namespace: &str, why: &str) {
        let mut reports = self.lock();
        let report = reports.entry(name.to_owned()).or_default();
        let said = report.failing.insert((kind, namespace.to_owned()), why.to_owned());
        if said.as_deref() != Some(why) {
            warn!(discovery = name, %kind, namespace, why, "not everything that asks is seen");
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Report>> {
        // What is reported is as good after a panic as before it.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How many lines of a kind are shown of a discovery.
const MOST: usize = 20;
/// How many that are new at once are logged.
const MOST_LOGGED: usize = 200;
