//! Signers of CertificateSigningRequests: what a cluster has approved is signed by an authority here, or
//! refused for good where it does not fit the policy. What fails otherwise waits, and is tried again:
//! the request in the cluster is the row.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ca::issue::{Fault, Request};
use ca::{Csr, ExtendedKeyUsage, Profile};
use cluster::{ClusterError, SigningRequest};
use jiff::{SignedDuration, Timestamp};
use rustls::pki_types::CertificateSigningRequestDer;
use rustls::pki_types::pem::PemObject;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tracing::{info, warn};

use super::issuance::{self, Commission, IssuanceError};
use crate::catalog::ClusterSignerSpec;
use crate::http::server::{Drain, begun};
use crate::node::Node;

/// Looks for requests again and again, until `drain`.
pub(crate) async fn run(node: Arc<Node>, mut drain: Drain) {
    let mut desks: BTreeMap<String, Desk> = BTreeMap::new();
    loop {
        let mut under_way = JoinSet::new();
        let catalog = node.catalog.load();
        for (name, spec) in &catalog.cluster_signers {
            let (node, name, spec) = (Arc::clone(&node), name.clone(), Arc::clone(spec));
            let mut desk = desks.remove(&name).unwrap_or_default();
            under_way.spawn(async move {
                desk.serve(&node, &spec).await;
                (name, desk)
            });
        }
        desks.clear();
        while let Some(done) = under_way.join_next().await {
            desks.extend(done);
        }
        tokio::select! {
            () = sleep(LOOK) => {}
            () = begun(&mut drain) => return,
        }
    }
}

/// One signer at work.
#[derive(Default)]
struct Desk {
    /// What was signed and could not be handed over, by the request's uid: nothing is signed twice.
    undelivered: BTreeMap<String, String>,
    /// The failure that was told last.
    said: Option<String>,
}

impl Desk {
    /// Answers every request that waits.
    async fn serve(&mut self, node: &Node, spec: &ClusterSignerSpec) {
        let error = self.answer(node, spec).await.err().map(|error| error.to_string());
        if let Some(error) = error.as_ref().filter(|error| self.said.as_ref() != Some(*error)) {
            warn!(signer = spec.name, error, "requests are not answered; it will be retried");
        }
        self.said = error;
    }

    /// The same; gives the last failure that is not a request's own.
    async fn answer(&mut self, node: &Node, spec: &ClusterSignerSpec) -> Result<(), SignerError> {
        let connection = spec.connection();
        let waiting = connection.waiting_for(&spec.signer).await?;
        self.undelivered.retain(|uid, _| waiting.iter().any(|request| request.uid == *uid));
        let mut failed = None;
        for request in waiting {
            let (name, requester) = (&request.name, &request.requester);
            let signed = match self.undelivered.get(&request.uid) {
                Some(certificates) => Ok(certificates.clone()),
                None => sign(node, spec, &request).await,
            };
            let answered = match signed {
                Ok(certificates) => {
                    let granted = connection.grant(&request, &certificates).await;
                    match granted {
                        Ok(()) => info!(signer = spec.name, request = name, requester, "signed"),
                        Err(_) => {
                            self.undelivered.insert(request.uid.clone(), certificates);
                        }
                    }
                    granted
                }
                Err(Unsigned::Refused(why)) => {
                    let now = whole(node.world.now()).to_string();
                    let refused = connection.refuse(&request, &why, &now).await;
                    if refused.is_ok() {
                        warn!(signer = spec.name, request = name, requester, why, "refused");
                    }
                    refused
                }
                Err(Unsigned::Failed(error)) => {
                    failed = Some(error);
                    continue;
                }
            };
            match answered {
                // It was denied, answered or made anew in the meantime: the next look tells.
                Err(ClusterError::Conflict(_)) | Ok(()) => {}
                // What cannot be handed over need not be signed.
                Err(error) => return Err(error.into()),
            }
        }
        failed.map_or(Ok(()), Err)
    }
}

/// Has the authority sign a request; the certificate and its chain in PEM.
async fn sign(
    node: &Node,
    spec: &ClusterSignerSpec,
    request: &SigningRequest,
) -> Result<String, Unsigned> {
    let refused = |why: String| Unsigned::Refused(why);
    let catalog = node.catalog.load();
    let gone = |what: &str| SignerError::Gone(what.to_owned());
    let authority =
        catalog.authorities.get(&spec.authority).ok_or_else(|| gone(&spec.authority))?;
    let profile = catalog.profiles.get(&spec.profile).ok_or_else(|| gone(&spec.profile))?;
    check_usages(&request.usages, profile).map_err(refused)?;
    let der = CertificateSigningRequestDer::from_pem_slice(&request.request)
        .map_err(|_| refused("spec.request is no PKCS #10 request in PEM".into()))?;
    let csr = Csr::parse(&der).map_err(|error| refused(error.to_string()))?;
    let key = csr.public_key().spki_sha256();
    if node.store.is_blocked(&key).map_err(IssuanceError::from)? {
        return Err(refused("the key is known to be compromised; make another".into()));
    }
    let identifiers: Vec<_> = csr.identifiers().iter().cloned().collect();
    for identifier in &identifiers {
        spec.names.check(identifier).map_err(|error| refused(error.to_string()))?;
    }
    let now = node.world.now();
    let wanted = Request {
        public_key: csr.public_key(),
        identifiers: &identifiers,
        not_before: None,
        not_after: not_after(request.lifetime, profile, now).map_err(refused)?,
        must_staple: csr.must_staple(),
        blocked: &node.blocked,
    };
    let commission = Commission { authority, profile, account: None };
    let actor = format!("signer/{} for {} ({})", spec.name, request.requester, request.name);
    let (leaf, _) = match issuance::issue(node, actor, &commission, &wanted).await {
        // What is wrong with a request stays; what is wrong here is mended.
        Err(IssuanceError::Refused(error)) if error.fault() != Fault::Authority => {
            return Err(refused(error.to_string()));
        }
        other => other?,
    };
    Ok(authority.ca.bundles(&leaf).into_iter().next().unwrap_or_default())
}

/// Whether a certificate under this profile is for what was asked, and for nothing else that matters.
fn check_usages(asked: &[String], profile: &Profile) -> Result<(), String> {
    let mut purposes = Vec::new();
    for usage in asked {
        match usage.as_str() {
            "digital signature" | "key encipherment" => {}
            "server auth" => purposes.push(ExtendedKeyUsage::ServerAuth),
            "client auth" => purposes.push(ExtendedKeyUsage::ClientAuth),
            other => return Err(format!("usage {other:?} is not what this signer certifies")),
        }
    }
    // A certificate for more than what was approved is another one.
    let same = profile.extended_key_usages.iter().all(|usage| purposes.contains(usage))
        && purposes.iter().all(|usage| profile.extended_key_usages.contains(usage));
    match same {
        true => Ok(()),
        false => Err(format!(
            "usages {asked:?} are not those of profile {:?}, under which this signer certifies",
            profile.name
        )),
    }
}

/// The last second of a certificate that is to live for `lifetime` seconds; none: as long as may be.
fn not_after(
    lifetime: Option<i64>,
    profile: &Profile,
    now: Timestamp,
) -> Result<Option<Timestamp>, String> {
    let Some(seconds) = lifetime else { return Ok(None) };
    if seconds < SHORTEST {
        return Err(format!("expirationSeconds must be at least {SHORTEST}"));
    }
    // The profile counts from the back-dated beginning on.
    let longest = profile.lifetime - profile.backdate - SignedDuration::from_secs(1);
    let lifetime = SignedDuration::from_secs(seconds);
    Ok((lifetime < longest).then(|| now.checked_add(lifetime).ok()).flatten())
}

fn whole(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}

/// Why a request was not signed.
enum Unsigned {
    /// It does not fit, and never will.
    Refused(String),
    Failed(SignerError),
}

impl<E: Into<SignerError>> From<E> for Unsigned {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

/// Why a signer does not do its work, by no fault of the requests.
#[derive(Debug, thiserror::Error)]
enum SignerError {
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    #[error(transparent)]
    Issuance(#[from] IssuanceError),
    #[error("{0:?} is not declared any more")]
    Gone(String),
}

/// How often it is looked.
const LOOK: Duration = Duration::from_secs(5);
/// The least that the API lets anybody ask for, in seconds.
const SHORTEST: i64 = 600;

#[cfg(test)]
mod tests {
    use super::*;

    fn usages(asked: &[&str], profile: &Profile) -> bool {
        let asked: Vec<_> = asked.iter().map(|usage| (*usage).to_owned()).collect();
        check_usages(&asked, profile).is_ok()
    }

    #[test]
    fn a_certificate_is_for_what_was_approved_and_nothing_else() {
        let (server, peer) = (Profile::tls_server(), Profile::tls_peer());
        assert!(usages(&["digital signature", "key encipherment", "server auth"], &server));
        assert!(usages(&["client auth", "server auth"], &peer));
        assert!(!usages(&["server auth"], &peer), "it could be used for more");
        assert!(!usages(&["client auth"], &server));
        assert!(!usages(&["server auth", "cert sign"], &server));
        assert!(!usages(&[], &server));
    }

    #[test]
    fn a_certificate_lives_as_long_as_asked_but_never_longer_than_the_profile_lets_it() {
        let (profile, now) = (Profile::tls_server(), Timestamp::UNIX_EPOCH);
        let hour = not_after(Some(3600), &profile, now).expect("an hour");
        assert_eq!(hour.map(Timestamp::as_second), Some(3600));
        assert_eq!(not_after(None, &profile, now), Ok(None));
        assert_eq!(not_after(Some(i64::MAX), &profile, now), Ok(None));
        assert!(not_after(Some(599), &profile, now).is_err());
    }
}
