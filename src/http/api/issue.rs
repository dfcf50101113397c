//! Issuing and revoking by an operator's hand: certificates, and accounts out of use.

use std::sync::Arc;

use acme::resource::AccountStatus;
use acme::{Problem, ProblemType};
use axum::extract::{Request, State};
use ca::issue;
use ca::{Csr, RevocationReason, Serial};
use data_encoding::BASE64URL_NOPAD;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::extract::Path;
use super::guard::denied;
use super::{Answer, body, missing, views};
use crate::access::{Action, Asker, Resource};
use crate::http::error::{not_issued, uncommitted, unreadable};
use crate::node::Node;
use crate::perform::issuance::{self, Commission};
use crate::perform::revocation;
use crate::store::{Account, Actor, Commit, Event};

/// A certificate to be issued.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "CertificateWanted")]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    authority: String,
    profile: String,
    /// base64url of the DER.
    csr: String,
}

/// Why something is revoked.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "Revocation")]
#[serde(deny_unknown_fields)]
pub(super) struct Why {
    /// As RFC 5280 §5.3.1 calls it, or with hyphens: `keyCompromise`, `key-compromise`.
    reason: String,
}

/// Issues a certificate for a CSR.
pub(super) async fn create(
    State(node): State<Arc<Node>>,
    asker: Asker,
    request: Request,
) -> Answer {
    Answer(create_for(&node, &asker, request).await)
}

/// Revokes a certificate.
pub(super) async fn revoke(
    State(node): State<Arc<Node>>,
    Path(serial): Path<String>,
    actor: Actor,
    request: Request,
) -> Answer {
    Answer(revoke_one(&node, actor, &serial, request).await)
}

/// Takes an account out of use (RFC 8555 §7.1.6: revoked by the server).
pub(super) async fn revoke_account(
    State(node): State<Arc<Node>>,
    Path(id): Path<i64>,
    actor: Actor,
) -> Answer {
    Answer(revoke_account_of(&node, actor, id).await)
}

async fn revoke_account_of(node: &Node, actor: Actor, id: i64) -> Result<Value, Problem> {
    let found = node.store.account(id).map_err(unreadable)?;
    let account = found.ok_or_else(|| missing("account", &id.to_string()))?;
    if account.status != AccountStatus::Valid {
        return Err(Problem::new(ProblemType::Malformed, "the account is out of use already"));
    }
    let account = Account { status: AccountStatus::Revoked, ..account };
    let event = Event::new(actor, "account.revoke", format!("account/{id}"));
    let commit = Commit::new(event).put(account.clone());
    node.store.commit(commit, node.world.now()).await.map_err(uncommitted)?;
    Ok(views::account(&account))
}

async fn create_for(node: &Node, asker: &Asker, request: Request) -> Result<Value, Problem> {
    let wanted: Wanted = body(request).await?;
    let bad = |why: String| Problem::new(ProblemType::BadCsr, why);
    let der = BASE64URL_NOPAD.decode(wanted.csr.as_bytes());
    let der = der.map_err(|_| bad("the CSR is not base64url".into()))?;
    let csr = Csr::parse(&der).map_err(|e| bad(e.to_string()))?;
    let on = Resource {
        authorities: vec![wanted.authority.clone()],
        profile: Some(wanted.profile.clone()),
        names: csr.identifiers().iter().map(ToString::to_string).collect(),
        ..Resource::all("certificate")
    };
    asker.may(Action::CertificateIssue, &on).map_err(denied)?;
    let catalog = node.catalog.load();
    let authority = catalog.authorities.get(&wanted.authority);
    let authority = authority.ok_or_else(|| missing("authority", &wanted.authority))?;
    let profile = catalog.profiles.get(&wanted.profile);
    let profile = profile.ok_or_else(|| missing("profile", &wanted.profile))?;
    if node.store.is_blocked(&csr.public_key().spki_sha256()).map_err(unreadable)? {
        return Err(bad("the key is known to be compromised; make another".into()));
    }
    let identifiers: Vec<_> = csr.identifiers().iter().cloned().collect();
    let request = issue::Request {
        public_key: csr.public_key(),
        identifiers: &identifiers,
        not_before: None,
        not_after: None,
        must_staple: csr.must_staple(),
        blocked: &node.blocked,
    };
    let commission = Commission { authority, profile, account: None };
    let issued = issuance::issue(node, asker.actor(), &commission, &request).await;
    let (_, row) = issued.map_err(not_issued)?;
    Ok(views::certificate_with_chain(&row, Some(authority), node.world.now()))
}

async fn revoke_one(
    node: &Node,
    actor: Actor,
    serial: &str,
    request: Request,
) -> Result<Value, Problem> {
    let why: Why = body(request).await?;
    let reason: RevocationReason =
        why.reason.parse().map_err(|e: ca::crl::BadReason| Problem::malformed(e.to_string()))?;
    let unknown = || missing("certificate", serial);
    let number: Serial = serial.parse().map_err(|_| unknown())?;
    let found = node.store.certificate_by_serial(&number).map_err(unreadable)?;
    let row = found.filter(|row| row.der.is_some()).ok_or_else(unknown)?;
    let event = Event::new(actor, "certificate.revoke", format!("certificate/{number}"));
    let row = revocation::revoke(node, event, row, reason, true).await?;
    let catalog = node.catalog.load();
    let authority = catalog.authority(row.authority).map(AsRef::as_ref);
    Ok(views::certificate(&row, authority, node.world.now()))
}
