//! What is declared of a signer: for which requests of which cluster, and by which policy, an authority
//! here signs.

use ca::NamePolicy;
use cluster::{Access, Connection};
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

/// A signer of the CertificateSigningRequests of a Kubernetes cluster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ClusterSignerSpec {
    /// What everything else calls it.
    pub(crate) name: String,
    /// A kubeconfig; without one, the service account of the pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    kubeconfig: Option<std::path::PathBuf>,
    /// Which of its contexts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    context: Option<String>,
    /// The requests it signs: those with this `spec.signerName`.
    pub(crate) signer: String,
    /// The authority that signs.
    pub(crate) authority: String,
    /// The profile under which it does.
    #[serde(default = "default_profile")]
    pub(crate) profile: String,
    /// Which names it certifies; some must be permitted.
    pub(crate) names: NamePolicy,
}

impl ClusterSignerSpec {
    /// Whether it makes sense by itself.
    ///
    /// # Errors
    /// A sentence that says what does not, and what to write.
    pub(crate) fn check(&self) -> Result<(), String> {
        self.access().check()?;
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || ".-".contains(c);
        let (domain, path) = self.signer.split_once('/').unwrap_or_default();
        let is_path = |c: char| plain(c) || c.is_ascii_uppercase() || ":_".contains(c);
        if domain.is_empty()
            || path.is_empty()
            || self.signer.len() > MAX_SIGNER
            || !domain.chars().all(plain)
            || !path.chars().all(is_path)
        {
            let signer = &self.signer;
            return Err(format!("signer = {signer:?} is no signer: write example.com/name"));
        }
        if domain == "kubernetes.io" {
            return Err("signer is one of the cluster's own: write a domain of yours".into());
        }
        if self.names.permitted.is_empty() {
            return Err("names.permitted is empty: say which names it certifies".into());
        }
        Ok(())
    }

    /// The way to its cluster.
    pub(crate) fn connection(&self) -> Connection {
        Connection::to(&self.access(), ANSWER.unsigned_abs())
    }

    fn access(&self) -> Access {
        Access { kubeconfig: self.kubeconfig.clone(), context: self.context.clone() }
    }
}

fn default_profile() -> String {
    "default".into()
}

/// Longest name of a signer that the API takes.
const MAX_SIGNER: usize = 571;
/// How long each answer of the cluster may take.
const ANSWER: SignedDuration = SignedDuration::from_secs(20);
