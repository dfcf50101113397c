//! Obtaining a version: from the first issuer that answers. The key is made here, unless a request
//! came with the declaration, and is sealed before anybody is asked to certify it.

use std::sync::Arc;

use ca::RevocationReason;
use ca::issue::Request;
use jiff::Timestamp;
use serde_json::json;

use super::version::{Obtained, Refusal, said, store, subject};
use super::{RotationError, Run, outside, stumble};
use crate::catalog::Authority;
use crate::node::Node;
use crate::perform::issuance::{self, Commission, IssuanceError};
use crate::perform::known::{issued_here, leaf};
use crate::perform::{issuers, revocation};
use crate::store::{Event, RotationRow, VersionRow};

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

/// Waits for the time at which the issuer takes our order.
async fn queue(node: &Node, run: &Run, slot: Timestamp) -> Result<super::Outcome, RotationError> {
    if let Some(row) = node.store.rotation(run.row.id)? {
        node.store.schedule(&row, Some(slot), node.world.now()).await?;
    }
    Ok(super::Outcome::Rest)
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
