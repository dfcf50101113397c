//! Renewal information (RFC 9773): when a certificate should be replaced, and which order does.

use std::collections::BTreeSet;

use acme::ari::{self, CertificateId};
use acme::resource::RenewalInfo;
use acme::{Problem, ProblemType};
use axum::body::Body;
use axum::http::{Response, StatusCode, header};
use ca::{Certificate, Identifier, Serial};

use super::call::{Call, Signed, with_header};
use super::not_found;
use crate::http::error::unreadable;
use crate::store::CertificateRow;

/// When to renew the certificate `id` (RFC 9773 §4.2); anybody may ask.
pub(super) fn show(call: &Call, id: &str) -> Result<Response<Body>, Problem> {
    let id: CertificateId = id.parse().map_err(|e: ari::InvalidCertificateId| {
        Problem::malformed(e.to_string()).with_status(404)
    })?;
    let row =
        find(call, &id)?.ok_or_else(|| not_found("this directory issued no such certificate"))?;
    let seed = row.id.unsigned_abs();
    let must_go = row.must_go_at.or(row.revoked.map(|(at, _)| at));
    let info = RenewalInfo {
        suggested_window: ari::suggested_window(row.not_before, row.not_after, seed, must_go),
        explanation_url: None,
    };
    let wait = ari::retry_after(row.not_before, row.not_after).as_secs().to_string();
    let response = call.json(StatusCode::OK, &info);
    Ok(with_header(response, header::RETRY_AFTER, &wait))
}

/// The certificate a new order replaces, if it may (RFC 9773 §5): known here, the account's own,
/// with a name in common, and not replaced yet.
pub(super) fn replaceable(
    call: &Call,
    signed: &Signed<'_>,
    id: &CertificateId,
    identifiers: &[Identifier],
) -> Result<Serial, Problem> {
    let refused = |why: &str| Problem::malformed(format!("replaces {id}: {why}"));
    let row =
        find(call, id)?.ok_or_else(|| refused("this directory issued no such certificate"))?;
    if row.account != Some(signed.account.id) {
        return Err(Problem::new(
            ProblemType::Unauthorized,
            format!("replaces {id}: the certificate is another account's"),
        ));
    }
    if row.replaced_by.is_some() {
        return Err(already_replaced());
    }
    let certificate = row.der.as_deref().map(Certificate::from_der);
    let Some(Ok(certificate)) = certificate else { return Err(refused("it cannot be read")) };
    let wanted: BTreeSet<_> = identifiers.iter().cloned().collect();
    if certificate.identifiers().is_disjoint(&wanted) {
        return Err(refused("it has no name in common with the order"));
    }
    Ok(row.serial)
}

/// The certificate has a successor, or an order for one (RFC 9773 §5).
pub(super) fn already_replaced() -> Problem {
    Problem::new(ProblemType::AlreadyReplaced, "another order replaces that certificate already")
}

/// The identifier of a certificate of this directory's authority.
pub(super) fn id_of(call: &Call, serial: &Serial) -> String {
    let authority_key_identifier = key_id(call);
    CertificateId { authority_key_identifier, serial: serial.to_der_contents() }.to_string()
}

fn find(call: &Call, id: &CertificateId) -> Result<Option<CertificateRow>, Problem> {
    if id.authority_key_identifier != key_id(call) {
        return Ok(None);
    }
    let Ok(serial) = Serial::from_der_contents(&id.serial) else { return Ok(None) };
    let row = call.node.store.certificate_by_serial(&serial).map_err(unreadable)?;
    Ok(row.filter(|row| row.der.is_some() && row.authority == call.directory.authority.id))
}

fn key_id(call: &Call) -> Vec<u8> {
    call.directory.authority.ca.certificate().subject_key_id().unwrap_or_default().to_vec()
}
