//! How the API shows things: rows and catalog entries as JSON, under the names everything else
//! uses for them. Nothing sealed is ever shown.

use ca::Certificate;
use data_encoding::HEXLOWER;
use jiff::Timestamp;
use serde_json::Value;

use super::shape::{self, value};
use crate::catalog::{Authority, Directory};
use crate::store::{
    Account, ApiToken, Authorization, CertificatePhase, CertificateRow, ExternalKey, Order,
    PasskeyRow, PersonRow, Recorded, SessionRow,
};
use crate::world::second;

/// An authority.
pub(super) fn authority(authority: &Authority) -> Value {
    let certificate = authority.ca.certificate();
    value(&shape::Authority {
        name: authority.name.clone(),
        generation: authority.generation,
        subject: certificate.subject().to_owned(),
        issuer: authority.issuer.clone(),
        key: authority.spec.key.to_string(),
        serial: certificate.serial().to_string(),
        not_before: certificate.not_before(),
        not_after: certificate.not_after(),
        fingerprint_sha256: HEXLOWER.encode(&certificate.fingerprint()),
        crl: authority.ca.urls().crl.clone(),
        pem: ca::pem_chain(authority.ca.path()),
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
    value(&shape::Account {
        id: account.id,
        directory: account.directory.clone(),
        status: account.status,
        contact: account.contact.clone(),
        terms_agreed: account.terms_agreed,
        external_key: account.external_key.clone(),
        thumbprint: data_encoding::BASE64URL_NOPAD.encode(&account.thumbprint),
        created_at: account.created_at,
    })
}

/// An order with its authorizations.
pub(super) fn order(order: &Order, rows: &[Authorization], now: Timestamp) -> Value {
    let statuses: Vec<_> = rows.iter().map(|r| r.phase.status(r.expires_at, now)).collect();
    let status = order.phase.status(&statuses, order.expires_at, now);
    let authorizations = rows.iter().zip(statuses).map(|(row, status)| shape::OrderAuthorization {
        id: row.id,
        identifier: row.identifier.to_string(),
        status: status.name(),
        expires_at: row.expires_at,
    });
    value(&shape::Order {
        id: order.id,
        account: order.account,
        status: value(&status),
        identifiers: order.identifiers.iter().map(|i| i.value.clone()).collect(),
        profile: order.profile.clone(),
        certificate: order.certificate,
        error: value(&order.error),
        authorizations: authorizations.collect(),
        created_at: order.created_at,
        expires_at: order.expires_at,
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
    value(&shape::Certificate {
        id: row.id,
        serial: row.serial.to_string(),
        status,
        names,
        authority: authority.map(|authority| authority.name.clone()),
        profile: row.profile.clone(),
        account: row.account,
        not_before: row.not_before,
        not_after: row.not_after,
        key_sha256: HEXLOWER.encode(&row.key_hash),
        replaced_by: row.replaced_by,
        revoked_at: row.revoked.map(|(at, _)| at),
        revocation_reason: row.revoked.map(|(_, reason)| reason.to_string()),
        pem: None,
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
    value(&shape::ExternalKey {
        kid: key.kid.clone(),
        directory: key.directory.clone(),
        status,
        permitted: value(&key.permitted),
        comment: key.comment.clone(),
        account: key.account,
        created_at: key.created_at,
        expires_at: key.expires_at,
        hmac_key: None,
    })
}

/// An API token, never the token itself.
pub(super) fn token(token: &ApiToken, now: Timestamp) -> Value {
    value(&shape::Token {
        id: token.id,
        name: token.name.clone(),
        status: token.status(now),
        scope: value(&token.scope),
        created_at: token.created_at,
        expires_at: token.expires_at,
        used_at: token.used_at,
        revoked_at: token.revoked_at,
        token: None,
    })
}

/// A person, without the link that may let them in.
pub(super) fn person(person: &PersonRow, now: Timestamp) -> Value {
    let open = person.invitation.filter(|open| now < open.expires_at);
    value(&shape::Person {
        id: person.id,
        name: person.name.clone(),
        display_name: person.display_name.clone(),
        state: person.state.name(),
        roles: person.roles.iter().map(|role| role.name()).collect(),
        groups: person.groups.clone(),
        created_at: person.created_at,
        entered_at: person.entered_at,
        invited_until: open.map(|open| open.expires_at),
        sessions: None,
        passkeys: None,
        link: None,
    })
}

/// A passkey.
pub(super) fn passkey(passkey: &PasskeyRow) -> shape::Passkey {
    shape::Passkey {
        id: passkey.id,
        name: passkey.name.clone(),
        backed_up: passkey.credential.backed_up,
        created_at: passkey.created_at,
        used_at: passkey.used_at,
    }
}

/// A session of the person of this name.
pub(super) fn session(session: &SessionRow, person: &str) -> Value {
    value(&shape::Session {
        id: session.id,
        person: person.to_owned(),
        way: session.way.clone(),
        created_at: session.created_at,
        used_at: session.used_at,
        expires_at: session.expires_at,
        stepped_up_at: session.stepped_up_at,
        user_agent: session.user_agent.clone(),
        status: None,
    })
}

/// An audit event.
pub(super) fn event(event: &Recorded) -> Value {
    value(&recorded(event))
}

/// An audit event, as part of something else.
pub(super) fn recorded(event: &Recorded) -> shape::Event {
    shape::Event {
        id: event.id,
        at: second(event.at),
        actor: event.actor.clone(),
        action: event.action.clone(),
        subject: event.subject.clone(),
        request: event.request.clone(),
        rotation: event.rotation,
        detail: event.detail.clone().unwrap_or_default(),
    }
}
