//! What is declared of a discovery: in which namespaces of which cluster objects may ask for
//! certificates, and which. What nothing allows is refused.

use std::collections::BTreeSet;

use acme::limit::Bucket;
use ca::NamePolicy;
use cluster::{Access, Asker, Connection};
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use super::declared::Declared;
use super::wrong::Wrong;

/// Certificates for what asks for them in a Kubernetes cluster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ClusterDiscoverySpec {
    /// What everything else calls it.
    pub(crate) name: String,
    /// A kubeconfig; without one, the service account of the pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    kubeconfig: Option<std::path::PathBuf>,
    /// Which of its contexts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    context: Option<String>,
    /// The kinds of objects that may ask.
    #[serde(default = "all_kinds")]
    pub(crate) kinds: Vec<Asker>,
    /// Whether Secrets that somebody else wrote are taken from them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) adopt: bool,
    /// What may be asked for, and where.
    pub(crate) allow: Vec<Allowance>,
}

/// What may be asked for in some namespaces.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Allowance {
    /// Where.
    pub(crate) namespaces: Vec<String>,
    /// The profiles that may be named.
    pub(crate) profiles: Vec<String>,
    /// The names that may be certified; some must be permitted.
    pub(crate) names: NamePolicy,
    /// Where the certificates may come from, as for certificates.
    #[serde(default = "default_issuers")]
    pub(crate) issuers: Vec<String>,
    /// Where Ingresses and Gateways answer TLS, for the proof.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) probe: Vec<String>,
    /// Who answers for the certificates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) owner: Option<String>,
    /// How many a namespace may have, and how many new or changed ones in an hour.
    #[serde(default = "default_most")]
    pub(crate) max_certificates: u32,
}

impl ClusterDiscoverySpec {
    /// Whether it makes sense by itself.
    ///
    /// # Errors
    /// A sentence that says what does not, and what to write.
    fn check(&self) -> Result<(), String> {
        self.access().check()?;
        if self.kinds.is_empty() {
            return Err("kinds is empty: leave it out, or name some".into());
        }
        if self.allow.is_empty() {
            return Err("nothing is allowed: write [[cluster_discovery.allow]]".into());
        }
        let mut seen = BTreeSet::new();
        for namespace in self.namespaces() {
            cluster::check_namespace(namespace)?;
            if !seen.insert(namespace) {
                return Err(format!("namespace {namespace:?} is allowed for twice: join the two"));
            }
        }
        if seen.len() > MAX_NAMESPACES {
            return Err(format!("it has more than {MAX_NAMESPACES} namespaces: declare several"));
        }
        self.allow.iter().try_for_each(Allowance::check)
    }

    /// Every namespace it looks at.
    pub(crate) fn namespaces(&self) -> impl Iterator<Item = &String> {
        self.allow.iter().flat_map(|allowance| &allowance.namespaces)
    }

    /// What may be asked for in a namespace.
    pub(crate) fn allowance(&self, namespace: &str) -> Option<&Allowance> {
        let here = |allowance: &&Allowance| allowance.namespaces.iter().any(|one| one == namespace);
        self.allow.iter().find(here)
    }

    /// The way to its cluster.
    pub(crate) fn connection(&self) -> Connection {
        Connection::to(&self.access(), ANSWER.unsigned_abs())
    }

    pub(crate) fn access(&self) -> Access {
        Access { kubeconfig: self.kubeconfig.clone(), context: self.context.clone() }
    }
}

impl Allowance {
    fn check(&self) -> Result<(), String> {
        for (what, is_empty) in [
            ("namespaces", self.namespaces.is_empty()),
            ("profiles", self.profiles.is_empty()),
            ("names.permitted", self.names.permitted.is_empty()),
            ("issuers", self.issuers.is_empty()),
        ] {
            if is_empty {
                return Err(format!("allow.{what} is empty: nothing could be asked for"));
            }
        }
        if !(1..=MAX_CERTIFICATES).contains(&self.max_certificates) {
            return Err(format!("allow.max_certificates must be 1 to {MAX_CERTIFICATES}"));
        }
        Ok(())
    }

    /// How often there may be a new or changed certificate in a namespace.
    pub(crate) fn pace(&self) -> Option<Bucket> {
        Bucket::new(self.max_certificates, SignedDuration::from_hours(1))
    }
}

impl Declared {
    /// Whether discoveries could work.
    pub(super) fn check_discoveries(&self) -> Result<(), Wrong> {
        let mut taken = BTreeSet::new();
        for spec in self.cluster_discoveries.values() {
            let name = &spec.name;
            let wrong = |why: String| Wrong::new("cluster_discovery", name, why);
            spec.check().map_err(wrong)?;
            for namespace in spec.namespaces() {
                // Two would write the same Secrets.
                if !taken.insert((&spec.kubeconfig, &spec.context, namespace)) {
                    let why = format!("another one has namespace {namespace:?} of this cluster");
                    return Err(wrong(why));
                }
            }
            for allowance in &spec.allow {
                let known = |profile: &&String| !self.profiles.contains_key(*profile);
                if let Some(gone) = allowance.profiles.iter().find(known) {
                    return Err(Wrong::missing("cluster_discovery", name, "profile", gone));
                }
                let known = |issuer: &&String| {
                    !self.authorities.contains_key(*issuer) && !self.issuers.contains_key(*issuer)
                };
                if let Some(gone) = allowance.issuers.iter().find(known) {
                    return Err(Wrong::missing("cluster_discovery", name, "issuer", gone));
                }
            }
        }
        Ok(())
    }
}

fn all_kinds() -> Vec<Asker> {
    Asker::ALL.to_vec()
}

fn default_issuers() -> Vec<String> {
    vec!["internal".into()]
}

fn default_most() -> u32 {
    100
}

/// Each takes a watch for each kind.
const MAX_NAMESPACES: usize = 200;
const MAX_CERTIFICATES: u32 = 2000;
/// How long each answer of the cluster may take.
const ANSWER: SignedDuration = SignedDuration::from_secs(20);
