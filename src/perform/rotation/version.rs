//! A version in the making: the key or request it is for, the row it becomes, and what an issuer says
//! instead.

use ca::{Csr, MemorySigner, Signer};
use data_encoding::BASE64;
use jiff::Timestamp;
use renew::{Cause, Phase, moment};

use super::{RotationError, Run};
use crate::node::Node;
use crate::perform::known::identity;
use crate::seal::{Sealed, Secret};
use crate::store::{Commit, Managed, RotationRow, VersionRow};

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
    pub(super) fn public_key(&self) -> &ca::PublicKey {
        match self {
            Self::Key { signer, .. } => signer.public_key(),
            Self::Request { csr, .. } => csr.public_key(),
        }
    }
}

/// The key or request that this rotation has certified.
pub(super) async fn subject(node: &Node, run: &Run) -> Result<Subject, Refusal> {
    let spec = &run.certificate.spec;
    if let Some(pem) = &spec.csr {
        let (csr, der) = csr_from_pem(pem).map_err(RotationError::Other)?;
        return Ok(Subject::Request { csr, der });
    }
    // A key that was given away is certified by nobody, and who revoked need not say that it was.
    let renewed = matches!(run.row.cause, Cause::Emergency { .. } | Cause::Revoked);
    let kept = spec.reuse_key && !renewed;
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

/// What the issuers before said, for the timeline.
pub(super) fn said(passed_over: &[String]) -> Option<String> {
    (!passed_over.is_empty()).then(|| format!("passed over: {}", passed_over.join("; ")))
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
