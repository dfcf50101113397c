//! Obtaining a version: from the first issuer that answers. The key is made here, unless a request
//! came with the declaration, and is sealed before anybody is asked to certify it.

use std::sync::Arc;

use ca::issue::Request;
use ca::{Csr, MemorySigner, RevocationReason, Signer};
use data_encoding::BASE64;
use jiff::Timestamp;
use renew::{Cause, Phase, moment};
use serde_json::json;

use super::{RotationError, Run, outside, stumble};
use crate::catalog::Authority;
use crate::node::Node;
use crate::perform::issuance::{self, Commission, IssuanceError};
use crate::perform::known::{identity, issued_here, leaf};
use crate::perform::{issuers, revocation};
use crate::seal::{Sealed, Secret};
use crate::store::{Commit, Event, Managed, RotationRow, VersionRow};

/// Obtains the version of a rotation.
pub(super) async fn obtain(
    node: &Arc<Node>,
    mut run: Run,
) -> Result<super::Outcome, RotationError> {
    let (mut complaints, mut back_at) = (Vec::new(), Vec::new());
    let certificate = Arc::clone(&run.certificate);
    for issuer in &certificate.spec.issuers {
        let authority = run.catalog.authorities.get(issuer);
        let outcome = match (authority, run.catalog.issuers.get(issuer)) {
            (Some(authority), _) => from_authority(node, &run, authority, &complaints).await,
            (None, Some(outside)) => outside::from_issuer(node, &run, outside, &complaints).await,
            (None, None) => Err(Refusal::Issuer("it is not declared".into())),
        };
        match outcome {
            Ok(Obtained::Version) => return Ok(super::Outcome::More),
            Ok(Obtained::At(slot)) => return queue(node, &run, slot).await,
            Err(Refusal::Ours(error)) => return Err(error),
            Err(Refusal::Issuer(why)) => complaints.push(format!("{issuer}: {why}")),
            Err(Refusal::Until(until, why)) => {
                complaints.push(format!("{issuer}: {why}"));
                back_at.push(until);
            }
        }
        // What was stored on the way is not to be undone.
        run.row = node.store.rotation(run.row.id)?.unwrap_or(run.row);
    }
    let all_rest = back_at.len() == complaints.len();
    let not_before = back_at.into_iter().min().filter(|_| all_rest);
    stumble(node, &run, "rotation.not-obtained", complaints.join("; "), not_before).await
}

/// What the issuers before said, for the timeline.
pub(super) fn said(passed_over: &[String]) -> Option<String> {
    (!passed_over.is_empty()).then(|| format!("passed over: {}", passed_over.join("; ")))
}

/// Waits for the time at which the issuer takes our order.
async fn queue(node: &Node, run: &Run, slot: Timestamp) -> Result<super::Outcome, RotationError> {
    if let Some(row) = node.store.rotation(run.row.id)? {
        node.store.schedule(&row, Some(slot), node.world.now()).await?;
    }
    Ok(super::Outcome::Rest)
}

/// What came of asking an issuer.
pub(super) enum Obtained {
    /// A version, which is stored.
    Version,
    /// A place in its queue.
    At(Timestamp),
}

/// Why an issuer gave nothing.
pub(super) enum Refusal {
    /// It will not: the next one is asked.
    Issuer(String),
    /// It is down, or wants to be left alone until then: the next one is asked.
    Until(Timestamp, String),
    /// The fault is ours: the next one would not help.
    Ours(RotationError),
}

impl<E: Into<RotationError>> From<E> for Refusal {
    fn from(error: E) -> Self {
        Self::Ours(error.into())
    }
}

/// What is to be certified: a key made here, or a request made elsewhere.
pub(super) enum Subject {
    Key {
        signer: MemorySigner,
        secret: Secret,
    },
    /// Made elsewhere; the DER as it came.
    Request {
        csr: Csr,
        der: Vec<u8>,
    },
}

impl Subject {
    fn public_key(&self) -> &ca::PublicKey {
        match self {
            Self::Key { signer, .. } => signer.public_key(),
            Self::Request { csr, .. } => csr.public_key(),
        }
    }
}

async fn from_authority(
    node: &Arc<Node>,
    run: &Run,
    authority: &Arc<Authority>,
    passed_over: &[String],
) -> Result<Obtained, Refusal> {
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
    let issued = issuance::issue_with(node, actor, &commission, &request, |leaf, commit| {
        let whole: Vec<_> = std::iter::once(leaf.clone()).chain(chain).collect();
        let error = said(passed_over);
        let row = RotationRow { error, pending: None, pending_key: None, ..run.row.clone() };
        let commit = commit.of_rotation(run.row.id);
        store(node, run, commit, &authority.name, &whole, &subject, row)
    });
    match issued.await {
        Ok(_) => Ok(Obtained::Version),
        Err(IssuanceError::Refused(error)) => Err(Refusal::Issuer(error.to_string())),
        Err(IssuanceError::Commit(error)) => Err(Refusal::Ours(error.into())),
        Err(error) => Err(Refusal::Ours(RotationError::Other(error.to_string()))),
    }
}

/// The key or request that this rotation has certified.
pub(super) async fn subject(node: &Node, run: &Run) -> Result<Subject, Refusal> {
    let spec = &run.certificate.spec;
    if let Some(pem) = &spec.csr {
        let (csr, der) = csr_from_pem(pem).map_err(RotationError::Other)?;
        return Ok(Subject::Request { csr, der });
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

/// Puts a new version into the commit that makes it known, with `row`, the rotation as it is stored.
pub(super) fn store(
    node: &Node,
    run: &Run,
    commit: Commit,
    issuer: &str,
    chain: &[ca::Certificate],
    subject: &Subject,
    row: RotationRow,
) -> Commit {
    let now = node.world.now();
    let managed = &run.known.row;
    let number = managed.newest + 1;
    let leaf = &chain[0];
    let sealed_key = match subject {
        Subject::Key { secret, .. } => Some(seal(node, &managed.name, number, secret)),
        Subject::Request { .. } => None,
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
        due_at: Some(now),
        ..row
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
    let issued = issued_here(node, version).map_err(|error| error.to_string())?;
    let Some(row) = issued else { return revoke_outside(node, run, version, reason).await };
    if row.revoked.is_some() {
        return Ok(());
    }
    let subject = format!("certificate/{}", row.serial);
    let event = Event::new("worker", "certificate.revoke", subject).of_rotation(run.row.id);
    let event = event.with(json!({ "managed": run.known.row.name, "version": version.number }));
    revocation::revoke(node, event, row, reason, true).await.map(|_| ()).map_err(|e| e.to_string())
}

async fn revoke_outside(
    node: &Node,
    run: &Run,
    version: &VersionRow,
    reason: RevocationReason,
) -> Result<(), String> {
    let issuer = run.catalog.issuers.get(&version.issuer);
    let issuer = issuer.ok_or_else(|| format!("issuer {:?} is not declared", version.issuer))?;
    let leaf = leaf(version).ok_or("its certificate cannot be read")?;
    let client = issuers::client(node, issuer).await.map_err(|error| error.to_string())?;
    client.revoke(&leaf, reason).await.map_err(|error| error.to_string())
}

/// The request in a PEM text (RFC 7468 §7).
pub(crate) fn csr_from_pem(pem: &str) -> Result<(Csr, Vec<u8>), String> {
    let body = pem.split_once("-----BEGIN CERTIFICATE REQUEST-----").and_then(|(_, rest)| {
        rest.split_once("-----END CERTIFICATE REQUEST-----").map(|(body, _)| body)
    });
    let body = body.ok_or("csr holds no PEM block CERTIFICATE REQUEST")?;
    let body: String = body.split_ascii_whitespace().collect();
    let der = BASE64.decode(body.as_bytes()).map_err(|_| "csr is not valid PEM")?;
    let csr = Csr::parse(&der).map_err(|error| format!("csr: {error}"))?;
    Ok((csr, der))
}
