//! What is declared of a keyset that signs for kube-apiserver (KEP-740): the socket where it asks.

use std::collections::{BTreeMap, BTreeSet};

use ca::{KeyAlgorithm, PublicKey};
use jwks::kubernetes::{SHORTEST_LIFETIME, knows};
use jwks::token::{Bounds, Pattern};
use rustls::pki_types::SubjectPublicKeyInfoDer;
use rustls::pki_types::pem::PemObject;
use serde::{Deserialize, Serialize};

use super::keyset::KeysetSpec;
use super::wrong::Wrong;

/// Where kube-apiserver asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct KubernetesSpec {
    /// The Unix socket, as in `--service-account-signing-endpoint`.
    pub(crate) socket: String,
    /// The group that may open it, by name or number; none: nobody but this user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) group: Option<String>,
    /// Public keys in PEM whose tokens are good besides: those of `--service-account-key-file` before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) keys: Vec<String>,
}

impl KubernetesSpec {
    /// The socket and who may open it.
    pub(crate) fn place(&self) -> (&str, Option<&str>) {
        (&self.socket, self.group.as_deref())
    }

    /// Whether a keyset that says this could work.
    ///
    /// # Errors
    /// A sentence that says what could not, and what to change.
    pub(super) fn check(&self, keyset: &KeysetSpec) -> Result<(), String> {
        let plain = |part: &str| !part.is_empty() && part != "." && part != "..";
        let path = self.socket.strip_prefix('/').unwrap_or_default();
        // Below its name there is room for another while it is made.
        if !path.split('/').all(plain) || path.contains('\0') || self.socket.len() > MAX_PATH {
            return Err(format!(
                "kubernetes.socket must be an absolute path of at most {MAX_PATH} octets, such as \
                 /run/perennial/signer.sock"
            ));
        }
        if !path.contains('/') {
            return Err("kubernetes.socket needs a directory of its own".into());
        }
        let algorithms = std::iter::once(&keyset.algorithm).chain(&keyset.more_algorithms);
        if let Some(other) = algorithms.copied().find(|algorithm| !knows(*algorithm)) {
            return Err(format!(
                "kube-apiserver does not know {other}: sign with RS256, ES256 or ES384, or declare a \
                 keyset of its own for it"
            ));
        }
        if keyset.token_lifetime < SHORTEST_LIFETIME {
            let shortest = ca::duration::format(SHORTEST_LIFETIME);
            return Err(format!(
                "kube-apiserver does not start with a token_lifetime below {shortest}: make it longer"
            ));
        }
        self.keys().map(drop)
    }

    /// The public keys besides, read.
    ///
    /// # Errors
    /// A sentence that says which is none that kube-apiserver can use.
    pub(crate) fn keys(&self) -> Result<Vec<PublicKey>, String> {
        if self.keys.len() > MAX_KEYS {
            return Err(format!(
                "kubernetes.keys has more than {MAX_KEYS} keys; leave out the oldest"
            ));
        }
        let mut seen = BTreeSet::new();
        let read = |(place, text): (usize, &String)| {
            let wrong = |why: String| format!("kubernetes.keys: key {}: {why}", place + 1);
            let pem = SubjectPublicKeyInfoDer::from_pem_slice(text.as_bytes());
            let der = pem.map_err(|_| wrong("it is no PEM text with a PUBLIC KEY".into()))?;
            let key = PublicKey::from_spki(&der).map_err(|error| wrong(error.to_string()))?;
            if key.algorithm() == KeyAlgorithm::Ed25519 {
                return Err(wrong("kube-apiserver does not know Ed25519".into()));
            }
            match seen.insert(key.spki_sha256()) {
                true => Ok(key),
                false => Err(wrong("it is there twice".into())),
            }
        };
        self.keys.iter().enumerate().map(read).collect()
    }
}

impl KeysetSpec {
    /// What may be signed with it for service accounts: as for others, but where nothing is said, for
    /// every service account and every audience.
    pub(crate) fn service_accounts(&self) -> Option<Bounds> {
        self.kubernetes.as_ref()?;
        let mut bounds = self.bounds();
        for (patterns, usual) in [(&mut bounds.audiences, "*"), (&mut bounds.subjects, SUBJECTS)] {
            if patterns.is_empty() {
                patterns.extend(usual.parse::<Pattern>());
            }
        }
        Some(bounds)
    }
}

/// Whether each socket is declared once.
pub(super) fn check_sockets(keysets: &BTreeMap<String, KeysetSpec>) -> Result<(), Wrong> {
    let mut sockets = BTreeMap::new();
    for spec in keysets.values() {
        let Some(kubernetes) = &spec.kubernetes else { continue };
        if let Some(other) = sockets.insert(&kubernetes.socket, &spec.name) {
            let why =
                format!("keyset {other:?} declares the same kubernetes.socket; give it another");
            return Err(Wrong::new("keyset", &spec.name, why));
        }
    }
    Ok(())
}

/// What Kubernetes calls service accounts.
const SUBJECTS: &str = "system:serviceaccount:*";
const MAX_KEYS: usize = 16;
/// Of 108 octets, one ends the path and four are needed while the socket is made (unix(7)).
const MAX_PATH: usize = 103;
