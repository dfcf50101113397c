//! What ought to be served, and what to call anything else.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use ca::Certificate;
use rustls::pki_types::CertificateDer;

use super::proof::Found;
use super::sight::{Unseen, sight_of};
use super::starttls::StartTls;
use super::witness::Keys;
use crate::Bundle;

/// What ought to be served. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Expected(Arc<Contents>);

#[derive(Debug)]
struct Contents {
    leaf: Certificate,
    chain: Vec<Certificate>,
    keys: Keys,
    previous: Vec<[u8; 32]>,
}

impl Expected {
    /// A leaf and the chain served with it. `previous` are the SHA-256 fingerprints of leaves that
    /// may be seen until it has arrived.
    #[must_use]
    pub fn new(leaf: &Certificate, chain: &[Certificate], previous: &[[u8; 32]]) -> Self {
        Self(Arc::new(Contents {
            leaf: leaf.clone(),
            chain: chain.to_vec(),
            // A server with an RSA and an ECDSA certificate shows the one the client can use, so
            // only signatures by keys of this kind are accepted.
            keys: leaf.public_key().map_or(Keys::Any, |key| Keys::of(key.algorithm())),
            previous: previous.to_vec(),
        }))
    }

    /// What a bundle has.
    #[must_use]
    pub fn of(bundle: &Bundle, previous: &[[u8; 32]]) -> Self {
        Self::new(bundle.leaf(), bundle.chain(), previous)
    }

    /// Looks once, and names what is found.
    pub(super) async fn look(
        &self,
        address: SocketAddr,
        sni: Option<&str>,
        starttls: Option<StartTls>,
        limit: Duration,
    ) -> Found {
        let keys = self.0.keys;
        let chain = match sight_of(keys, address, sni, starttls, limit).await {
            Ok(seen) => seen.chain,
            Err(Unseen::Alert(what)) => {
                // What a server has for nobody in particular may have a key of another kind.
                let any = sight_of(Keys::Any, address, sni, starttls, limit).await;
                let chain = any.map(|seen| seen.chain).unwrap_or_default();
                return match chain.first() {
                    Some(leaf) if is_default(leaf, Keys::Any, address, starttls, limit).await => {
                        Found::Default
                    }
                    _ => Found::Alert(what),
                };
            }
            Err(Unseen::Unreachable(what)) => return Found::Unreachable(what),
        };
        let Some((leaf, above)) = chain.split_first() else {
            return Found::Alert("the server sent no certificate".to_owned());
        };
        if leaf.as_ref() == self.0.leaf.der() {
            return self.compare_chain(above);
        }
        let fingerprint = sha256(leaf);
        if self.0.previous.contains(&fingerprint) {
            return Found::Old;
        }
        match is_default(leaf, keys, address, starttls, limit).await {
            true => Found::Default,
            false => other(leaf, &fingerprint),
        }
    }

    /// A root after the chain is no harm: some servers add it.
    fn compare_chain(&self, above: &[CertificateDer<'_>]) -> Found {
        let expected = &self.0.chain;
        let same = above.iter().zip(expected).all(|(a, b)| a.as_ref() == b.der());
        let is_root = |der: &CertificateDer<'_>| {
            Certificate::from_der(der).is_ok_and(|certificate| certificate.is_self_issued())
        };
        let more = above.get(expected.len()..);
        if same && more.is_some_and(|more| more.iter().all(is_root)) {
            return Found::New;
        }
        Found::Chain { served: above.len(), expected: expected.len() }
    }
}

/// Whether a server made this certificate for itself, or shows it to anybody, whatever they ask for:
/// then it was not meant for the name that was asked for.
async fn is_default(
    leaf: &CertificateDer<'_>,
    keys: Keys,
    address: SocketAddr,
    starttls: Option<StartTls>,
    limit: Duration,
) -> bool {
    if is_made_by_the_server(leaf) {
        return true;
    }
    for nobody in [None, Some(NOBODY)] {
        let shown = sight_of(keys, address, nobody, starttls, limit).await;
        if shown.is_ok_and(|seen| seen.chain.first() == Some(leaf)) {
            return true;
        }
    }
    false
}

fn other(leaf: &CertificateDer<'_>, fingerprint: &[u8; 32]) -> Found {
    let fingerprint = data_encoding::HEXLOWER.encode(fingerprint);
    match Certificate::from_der(leaf) {
        Ok(leaf) => Found::Other {
            fingerprint,
            subject: crate::bundle::called(&leaf),
            not_after: Some(leaf.not_after()),
        },
        Err(error) => Found::Other { fingerprint, subject: error.to_string(), not_after: None },
    }
}

/// Certificates servers make for themselves where they have none.
fn is_made_by_the_server(leaf: &CertificateDer<'_>) -> bool {
    let leaf = Certificate::from_der(leaf);
    leaf.is_ok_and(|leaf| SELF_MADE.iter().any(|known| leaf.subject().contains(known)))
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, bytes).as_ref());
    hash
}

const SELF_MADE: [&str; 2] =
    ["TRAEFIK DEFAULT CERT", "Kubernetes Ingress Controller Fake Certificate"];
const NOBODY: &str = "nobody.perennial.invalid";
