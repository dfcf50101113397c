//! What is declared of a trust bundle in a cluster: whom to trust, and in which namespaces that is to be
//! said in a ConfigMap.

use std::collections::BTreeSet;

use cluster::{Access, Connection, Place};
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use super::declared::Declared;
use super::wrong::Wrong;

/// A trust bundle in ConfigMaps of a Kubernetes cluster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ClusterBundleSpec {
    /// What everything else calls it.
    pub(crate) name: String,
    /// A kubeconfig; without one, the service account of the pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    kubeconfig: Option<std::path::PathBuf>,
    /// Which of its contexts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    context: Option<String>,
    /// The authorities whose roots are trusted.
    pub(crate) authorities: Vec<String>,
    /// The name of the ConfigMap.
    pub(crate) config_map: String,
    /// Under which key the bundle stands in it.
    #[serde(default = "default_key")]
    pub(crate) key: String,
    /// The namespaces it is to be in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) namespaces: Vec<String>,
    /// The same by their labels, as kubectl has it: `trust=yes,stage`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) namespace_selector: Option<String>,
    /// Whether ConfigMaps that somebody else wrote are taken from them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) adopt: bool,
}

impl ClusterBundleSpec {
    /// Whether it makes sense by itself.
    ///
    /// # Errors
    /// A sentence that says what does not, and what to write.
    fn check(&self) -> Result<(), String> {
        self.access().check()?;
        if self.authorities.is_empty() {
            return Err("authorities is empty: say whom to trust".into());
        }
        if self.namespaces.is_empty() == self.namespace_selector.is_none() {
            return Err("write either namespaces or namespace_selector".into());
        }
        if self.namespaces.len() > MAX_NAMESPACES {
            return Err(format!("it has more than {MAX_NAMESPACES} namespaces: select by label"));
        }
        if self.namespace_selector.as_ref().is_some_and(|selector| selector.trim().is_empty()) {
            return Err("namespace_selector is empty: name a label".into());
        }
        let mut seen = BTreeSet::new();
        if let Some(twice) = self.namespaces.iter().find(|one| !seen.insert(*one)) {
            return Err(format!("namespaces has {twice:?} twice: remove one"));
        }
        for namespace in self.namespaces.iter().map(String::as_str).chain(["default"]) {
            self.place(namespace)?;
        }
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if self.key.is_empty() || self.key.len() > 253 || !self.key.chars().all(plain) {
            return Err(format!("key = {:?} can be no key of a ConfigMap", self.key));
        }
        Ok(())
    }

    /// The ConfigMap in a namespace.
    ///
    /// # Errors
    /// When none can be called so, in words.
    pub(crate) fn place(&self, namespace: &str) -> Result<Place, String> {
        let place = Place::new(namespace, &self.config_map);
        place.map_err(|why| {
            why.replace("secret = ", "config_map = ").replace("a Secret", "a ConfigMap")
        })
    }

    /// The way to its cluster.
    pub(crate) fn connection(&self) -> Connection {
        Connection::to(&self.access(), ANSWER.unsigned_abs())
    }

    fn access(&self) -> Access {
        Access { kubeconfig: self.kubeconfig.clone(), context: self.context.clone() }
    }
}

impl Declared {
    /// Whether bundles could work.
    pub(super) fn check_bundles(&self) -> Result<(), Wrong> {
        for spec in self.cluster_bundles.values() {
            let name = &spec.name;
            spec.check().map_err(|why| Wrong::new("cluster_bundle", name, why))?;
            let known = |authority: &&String| !self.authorities.contains_key(*authority);
            if let Some(gone) = spec.authorities.iter().find(known) {
                return Err(Wrong::missing("cluster_bundle", name, "authority", gone));
            }
        }
        Ok(())
    }
}

fn default_key() -> String {
    "ca.crt".into()
}

/// Each is asked about by itself.
const MAX_NAMESPACES: usize = 100;
/// How long each answer of the cluster may take.
const ANSWER: SignedDuration = SignedDuration::from_secs(20);
