//! Obtaining a version: from the first issuer that answers. The key is made here, unless a request
//! came with the declaration, and is sealed before anybody is asked to certify it.

use std::sync::Arc;

use ca::issue::Request;
use ca::{Csr, MemorySigner, RevocationReason, Signer};
use data_encoding::BASE64;
use renew::{Cause, Phase, moment};
use serde_json::json;

use super::{Outcome, RotationError, Run, identity, stumble};
use crate::catalog::Authority;
use crate::node::Node;
use crate::perform::issuance::{self, Commission, IssuanceError};
use crate::perform::{managed, revocation};
use crate::seal::{Sealed, Secret};
use crate::store::{Commit, Event, Managed, RotationRow, VersionRow};

/// Obtains the version of a rotation.
pub(super) async fn obtain(node: &Arc<Node>, run: Run) -> Result<Outcome, RotationError> {
    let mut complaints = Vec::new();
    for issuer in &run.certificate.spec.issuers {
        let outcome = match run.catalog.authorities.get(issuer) {
            Some(authority) => from_authority(node, &run, authority).await,
            None => Err(Refusal::Issuer("it is not declared".into())),
        };
        match outcome {
            Ok(()) => return Ok(Outcome::More),
            Err(Refusal::Issuer(why)) => complaints.push(format!("{issuer}: {why}")),
            Err(Refusal::Ours(error)) => return Err(error),
        }
    }
    let why = complaints.join("; ");
    stumble(node, &run, "rotation.not-obtained", why, None).await
}

/// Why an issuer gave nothing.
enum Refusal {
    /// It is down, or will not: the next one is asked.
    Issuer(String),
    /// The fault is ours: the next one would not help.
    Ours(RotationError),
}

impl<E: Into<RotationError>> From<E> for Refusal {
    fn from(error: E) -> Self {
        Self::Ours(error.into())
    }
}

/// What is to be certified: a key made here, or a request made elsewhere.
enum Subject {
    Key { signer: MemorySigner, secret: Secret },
    Request(Csr),
}

impl Subject {
    fn public_key(&self) -> &ca::PublicKey {
        match self {
            Self::Key { signer, .. } => signer.public_key(),
            Self::Request(csr) => csr.public_key(),
        }
    }
}

async fn from_authority(
    node: &Arc<Node>,
    run: &Run,
    authority: &Arc<Authority>,
) -> Result<(), Refusal> {
    let spec = &run.certificate.spec;
    let profile = run.catalog.profiles.get(&spec.profile);
    let profile = profile
        .ok_or_else(|| Refusal::Issuer(format!("profile {:?} is not declared", spec.profile)))?;
    let subject = subject(node, run).await?;
    let identifiers: Vec<_> = spec.identifiers().into_iter().collect();
    let request = Request {
        public_key: subject.public_key(),
        identifiers: &identifiers,
        not_before: None,
        not_after: None,
        must_staple: false,
        blocked: &node.blocked,
    };
    let commission = Commission { authority, profile, account: None };
    let chain: Vec<_> = authority.ca.path().cloned().collect();
    let actor = format!("rotation/{}", run.row.id);
    let issued = issuance::issue_with(node, &actor, &commission, &request, None, |leaf, commit| {
        let whole: Vec<_> = std::iter::once(leaf.clone()).chain(chain).collect();
        store(node, run, commit.of_rotation(run.row.id), &authority.name, &whole, &subject)
    });
    match issued.await {
        Ok(_) => Ok(()),
        Err(IssuanceError::Refused(error)) => Err(Refusal::Issuer(error.to_string())),
        Err(IssuanceError::Commit(error)) => Err(Refusal::Ours(error.into())),
        Err(error) => Err(Refusal::Ours(RotationError::Other(error.to_string()))),
    }
}

/// The key or request that this rotation has certified.
async fn subject(node: &Node, run: &Run) -> Result<Subject, Refusal> {
    let spec = &run.certificate.spec;
    if let Some(pem) = &spec.csr {
        let csr = csr_from_pem(pem).map_err(RotationError::Other)?;
        return Ok(Subject::Request(csr));
    }
    let kept = spec.reuse_key && !matches!(run.row.cause, Cause::Emergency { .. });
    if kept
        && let Some(from) = run.from()
        && let Some(sealed) = &from.sealed_key
    {
        let secret = node.key.open(&identity(&spec.name, from.number), sealed)?;
        let signer = MemorySigner::from_pkcs8(&secret).map_err(RotationError::from)?;
        if signer.public_key().algorithm() == spec.key {
            return Ok(Subject::Key { signer, secret });
        }
    }
    let algorithm = spec.key;
    // An RSA key takes its time to be found: not on a thread that serves requests.
    let made = tokio::task::spawn_blocking(move || MemorySigner::generate(algorithm)).await;
    let signer = made.map_err(|_| RotationError::Other("key generation was interrupted".into()))?;
    let signer = signer.map_err(RotationError::from)?;
    let secret = signer.pkcs8().map_err(RotationError::from)?;
    Ok(Subject::Key { signer, secret })
}

/// Puts a new version into the commit that makes it known.
fn store(
    node: &Node,
    run: &Run,
    commit: Commit,
    issuer: &str,
    chain: &[ca::Certificate],
    subject: &Subject,
) -> Commit {
    let now = node.world.now();
    let managed = &run.known.row;
    let number = managed.newest + 1;
    let leaf = &chain[0];
    let sealed_key = match subject {
        Subject::Key { secret, .. } => Some(seal(node, &managed.name, number, secret)),
        Subject::Request(_) => None,
    };
    let id = node.store.id();
    let share = run.certificate.spec.share();
    let renew_at =
        moment::of_lifetime(share, leaf.not_before(), leaf.not_after(), managed.id.unsigned_abs());
    let version = VersionRow {
        id,
        version: 0,
        managed: managed.id,
        number,
        issuer: issuer.to_owned(),
        chain: chain.iter().map(ca::Certificate::pem).collect(),
        sealed_key,
        fingerprint: leaf.fingerprint(),
        request: run.certificate.request,
        not_before: leaf.not_before(),
        not_after: leaf.not_after(),
        renew_at,
        suggestion: None,
        obtained_at: now,
        proven_at: None,
        retired_at: None,
        revoked_at: None,
    };
    let row = RotationRow {
        phase: Phase::Deploying,
        to: Some(number),
        attempts: 0,
        error: None,
        due_at: Some(now),
        ..run.row.clone()
    };
    commit.put(version).put(row).put(Managed { newest: number, ..managed.clone() })
}

fn seal(node: &Node, name: &str, number: u32, secret: &Secret) -> Sealed {
    node.key.seal(&node.world, &identity(name, number), secret)
}

/// Revokes a version where it was issued.
pub(super) async fn revoke(
    node: &Node,
    run: &Run,
    version: &VersionRow,
    reason: &str,
) -> Result<(), String> {
    let reason: RevocationReason =
        reason.parse().map_err(|error: ca::crl::BadReason| error.to_string())?;
    let issued = managed::issued_here(node, version).map_err(|error| error.to_string())?;
    let Some(row) = issued else {
        return Err(format!("version {} was issued elsewhere", version.number));
    };
    if row.revoked.is_some() {
        return Ok(());
    }
    let subject = format!("certificate/{}", row.serial);
    let event = Event::new("worker", "certificate.revoke", subject).of_rotation(run.row.id);
    let event = event.with(json!({ "managed": run.known.row.name, "version": version.number }));
    revocation::revoke(node, event, row, reason, true).await.map(|_| ()).map_err(|e| e.to_string())
}

/// The request in a PEM text (RFC 7468 §7).
pub(crate) fn csr_from_pem(pem: &str) -> Result<Csr, String> {
    let body = pem.split_once("-----BEGIN CERTIFICATE REQUEST-----").and_then(|(_, rest)| {
        rest.split_once("-----END CERTIFICATE REQUEST-----").map(|(body, _)| body)
    });
    let body = body.ok_or("csr holds no PEM block CERTIFICATE REQUEST")?;
    let body: String = body.split_ascii_whitespace().collect();
    let der = BASE64.decode(body.as_bytes()).map_err(|_| "csr is not valid PEM")?;
    Csr::parse(&der).map_err(|error| format!("csr: {error}"))
}
