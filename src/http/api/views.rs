//! How the API shows things: rows and catalog entries as JSON, under the names everything else
//! uses for them. Nothing sealed is ever shown.

use ca::Certificate;
use data_encoding::HEXLOWER;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::catalog::{Authority, Directory};
use crate::store::{
    Account, ApiToken, Authorization, CertificatePhase, CertificateRow, ExternalKey, Order,
    PersonRow, Recorded, SessionRow,
};
use crate::world::second;

/// An authority.
pub(super) fn authority(authority: &Authority) -> Value {
    let certificate = authority.ca.certificate();
    json!({
        "name": authority.name,
        "generation": authority.generation,
        "subject": certificate.subject(),
        "issuer": authority.issuer,
        "key": authority.spec.key.to_string(),
        "serial": certificate.serial().to_string(),
        "not_before": certificate.not_before().to_string(),
        "not_after": certificate.not_after().to_string(),
        "fingerprint_sha256": HEXLOWER.encode(&certificate.fingerprint()),
        "crl": authority.ca.urls().crl,
        "pem": ca::pem_chain(authority.ca.path()),
    })
}

/// A profile.
pub(super) fn profile(profile: &ca::Profile) -> Value {
    serde_json::to_value(profile).unwrap_or_default()
}

/// A directory.
pub(super) fn directory(directory: &Directory, https_url: &str) -> Value {
    let mut value = serde_json::to_value(&directory.spec).unwrap_or_default();
    value["url"] = format!("{https_url}/acme/{}/directory", directory.spec.name).into();
    value
}

/// An account.
pub(super) fn account(account: &Account) -> Value {
    json!({
        "id": account.id,
        "directory": account.directory,
        "status": serde_json::to_value(account.status).unwrap_or_default(),
        "contact": account.contact,
        "terms_agreed": account.terms_agreed,
        "external_key": account.external_key,
        "thumbprint": data_encoding::BASE64URL_NOPAD.encode(&account.thumbprint),
        "created_at": account.created_at.to_string(),
    })
}

/// An order with its authorizations.
pub(super) fn order(order: &Order, rows: &[Authorization], now: Timestamp) -> Value {
    let statuses: Vec<_> = rows.iter().map(|r| r.phase.status(r.expires_at, now)).collect();
    let status = order.phase.status(&statuses, order.expires_at, now);
    let authorizations = rows.iter().zip(statuses).map(|(row, status)| {
        json!({
            "id": row.id,
            "identifier": row.identifier.to_string(),
            "status": status.name(),
            "expires_at": row.expires_at.to_string(),
        })
    });
    json!({
        "id": order.id,
        "account": order.account,
        "status": status,
        "identifiers": order.identifiers.iter().map(|i| i.value.clone()).collect::<Vec<_>>(),
        "profile": order.profile,
        "certificate": order.certificate,
        "error": order.error,
        "authorizations": authorizations.collect::<Vec<_>>(),
        "created_at": order.created_at.to_string(),
        "expires_at": order.expires_at.to_string(),
    })
}

/// A certificate.
pub(super) fn certificate(
    row: &CertificateRow,
    authority: Option<&Authority>,
    now: Timestamp,
) -> Value {
    let leaf = row.der.as_deref().and_then(|der| Certificate::from_der(der).ok());
    let names: Vec<_> =
        leaf.iter().flat_map(Certificate::identifiers).map(ToString::to_string).collect();
    let status = match (row.phase, &row.revoked, row.not_after < now) {
        (CertificatePhase::Intended, ..) => "intended",
        (CertificatePhase::Abandoned, ..) => "abandoned",
        (CertificatePhase::Issued, Some(_), _) => "revoked",
        (CertificatePhase::Issued, None, true) => "expired",
        (CertificatePhase::Issued, None, false) => "valid",
    };
    json!({
        "id": row.id,
        "serial": row.serial.to_string(),
        "status": status,
        "names": names,
        "authority": authority.map(|authority| authority.name.clone()),
        "profile": row.profile,
        "account": row.account,
        "not_before": row.not_before.to_string(),
        "not_after": row.not_after.to_string(),
        "key_sha256": HEXLOWER.encode(&row.key_hash),
        "replaced_by": row.replaced_by,
        "revoked_at": row.revoked.map(|(at, _)| at.to_string()),
        "revocation_reason": row.revoked.map(|(_, reason)| reason.to_string()),
    })
}

/// A certificate with its chain as PEM.
pub(super) fn certificate_with_chain(
    row: &CertificateRow,
    authority: Option<&Authority>,
    now: Timestamp,
) -> Value {
    let mut value = certificate(row, authority, now);
    let leaf = row.der.as_deref().and_then(|der| Certificate::from_der(der).ok());
    if let (Some(leaf), Some(authority)) = (leaf, authority) {
        value["pem"] = authority.ca.bundles(&leaf).into_iter().next().into();
    }
    value
}

/// An external account key, never the key itself.
pub(super) fn external_key(key: &ExternalKey, now: Timestamp) -> Value {
    let expired = key.expires_at.is_some_and(|expires| expires <= now);
    let status = match (key.revoked_at, key.account) {
        (Some(_), _) => "revoked",
        (None, Some(_)) => "bound",
        (None, None) if expired => "expired",
        (None, None) => "open",
    };
    json!({
        "kid": key.kid,
        "directory": key.directory,
        "status": status,
        "permitted": key.permitted,
        "comment": key.comment,
        "account": key.account,
        "created_at": key.created_at.to_string(),
        "expires_at": key.expires_at.map(|at| at.to_string()),
    })
}

/// An API token, never the token itself.
pub(super) fn token(token: &ApiToken, now: Timestamp) -> Value {
    json!({
        "id": token.id,
        "name": token.name,
        "status": token.status(now),
        "scope": token.scope,
        "created_at": token.created_at.to_string(),
        "expires_at": token.expires_at.map(|at| at.to_string()),
        "used_at": token.used_at.map(|at| at.to_string()),
        "revoked_at": token.revoked_at.map(|at| at.to_string()),
    })
}

/// A person, without the link that may let them in.
pub(super) fn person(person: &PersonRow, now: Timestamp) -> Value {
    let open = person.invitation.filter(|open| now < open.expires_at);
    json!({
        "id": person.id,
        "name": person.name,
        "display_name": person.display_name,
        "state": person.state.name(),
        "roles": person.roles.iter().map(|role| role.name()).collect::<Vec<_>>(),
        "groups": person.groups,
        "created_at": person.created_at.to_string(),
        "entered_at": person.entered_at.map(|at| at.to_string()),
        "invited_until": open.map(|open| open.expires_at.to_string()),
    })
}

/// A session of the person of this name.
pub(super) fn session(session: &SessionRow, person: &str) -> Value {
    json!({
        "id": session.id,
        "person": person,
        "way": session.way,
        "created_at": session.created_at.to_string(),
        "used_at": session.used_at.to_string(),
        "expires_at": session.expires_at.to_string(),
        "stepped_up_at": session.stepped_up_at.map(|at| at.to_string()),
        "user_agent": session.user_agent,
    })
}

/// An audit event.
pub(super) fn event(event: &Recorded) -> Value {
    json!({
        "id": event.id,
        "at": second(event.at).to_string(),
        "actor": event.actor,
        "action": event.action,
        "subject": event.subject,
        "request": event.request,
        "rotation": event.rotation,
        "detail": event.detail,
    })
}
