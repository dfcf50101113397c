//! Certificates: downloaded (RFC 8555 §7.4.2) and revoked (§7.6).

use acme::request::{RevokeCertificate, post_as_get};
use acme::{Jws, KeyReference, Problem, ProblemType};
use axum::body::Body;
use axum::http::{HeaderValue, Response, StatusCode, header};
use ca::{Certificate, RevocationReason};

use super::call::{Call, Signed, with_link};
use super::not_found;
use super::resource::Resource;
use crate::catalog::Authority;
use crate::http::error::unreadable;
use crate::perform::revocation;
use crate::store::{CertificateRow, Event};

/// A certificate with its chain, leaf first (RFC 8555 §7.4.2). The first chain ends below the
/// root, which clients have; the alternate one holds the root too.
pub(super) fn download(
    call: &Call,
    signed: &Signed<'_>,
    id: i64,
    chain: usize,
) -> Result<Response<Body>, Problem> {
    post_as_get(&signed.jws.payload)?;
    let found = call.node.store.certificate(id).map_err(unreadable)?;
    let (row, der) = found
        .and_then(|mut row| row.der.take().map(|der| (row, der)))
        .ok_or_else(|| not_found("there is no such certificate"))?;
    if row.account != Some(signed.account.id) {
        return Err(Problem::new(
            ProblemType::Unauthorized,
            "the certificate is another account's",
        ));
    }
    let catalog = call.node.catalog.load();
    let authority = catalog.authority(row.authority);
    let authority = authority.ok_or_else(|| not_found("the certificate's authority is gone"))?;
    let chains = chains(authority);
    let above = chains.get(chain).ok_or_else(|| not_found("there is no such chain"))?;
    let pem = [ca::certificate::pem_of(&der), ca::pem_chain(above.iter().copied())].concat();
    let mut response = Response::new(Body::from(pem));
    let kind = HeaderValue::from_static("application/pem-certificate-chain");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    let others = (0..chains.len()).filter(|other| *other != chain);
    Ok(others.fold(response, |response, other| {
        with_link(response, &call.url_of(&Resource::Certificate(id, other)), "alternate")
    }))
}

/// revokeCert (RFC 8555 §7.6): by the account that has it, by one that holds all of its names, or
/// by its own key.
pub(super) async fn revoke(call: &Call, jws: &Jws) -> Result<Response<Body>, Problem> {
    let (actor, row, reason, holds_key) = match &jws.header.key {
        KeyReference::Kid(_) => {
            let signed = call.of_account(jws)?;
            let (row, certificate, reason) = wanted(call, &jws.payload)?;
            let holds_key = row.account == Some(signed.account.id);
            if !holds_key {
                check_names(call, &signed, &certificate)?;
            }
            (format!("account/{}", signed.account.id), row, reason, holds_key)
        }
        KeyReference::Jwk(_) => {
            let key = call.of_key(jws)?;
            let (row, certificate, reason) = wanted(call, &jws.payload)?;
            if key.subject_public_key_info().as_deref() != Some(certificate.spki()) {
                return Err(Problem::new(
                    ProblemType::Unauthorized,
                    "the key that signed this is not the certificate's",
                ));
            }
            (format!("certificate-key/{}", row.serial), row, reason, true)
        }
    };
    let event = Event::new(actor, "certificate.revoke", format!("certificate/{}", row.serial));
    revocation::revoke(&call.node, event, row, reason, holds_key).await?;
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::OK;
    Ok(response)
}

/// The stored certificate the payload holds, byte for byte, and why it is to be revoked.
fn wanted(
    call: &Call,
    payload: &[u8],
) -> Result<(CertificateRow, Certificate, RevocationReason), Problem> {
    let request = RevokeCertificate::parse(payload)?;
    let certificate = Certificate::from_der(&request.certificate)
        .map_err(|e| Problem::malformed(format!("the certificate cannot be read: {e}")))?;
    let reason = match request.reason {
        None => RevocationReason::Unspecified,
        Some(code) => RevocationReason::for_acme(code.into()).map_err(|_| {
            let detail = format!("{code} is no reason a client may give: 0, 1, 3, 4 and 5 are");
            Problem::new(ProblemType::BadRevocationReason, detail)
        })?,
    };
    let found = call.node.store.certificate_by_serial(&certificate.serial()).map_err(unreadable)?;
    let row = found.filter(|row| row.der.as_deref() == Some(certificate.der()));
    let row = row.filter(|row| {
        // Only what a directory's own authority issued can be revoked through it.
        row.authority == call.directory.authority.id
    });
    let row = row.ok_or_else(|| not_found("this directory issued no such certificate"))?;
    Ok((row, certificate, reason))
}

fn check_names(call: &Call, signed: &Signed<'_>, certificate: &Certificate) -> Result<(), Problem> {
    let now = call.node.world.now();
    for identifier in certificate.identifiers() {
        let name = identifier.to_string();
        let held = call.node.store.is_authorized(signed.account.id, &name, now);
        if !held.map_err(unreadable)? {
            return Err(Problem::new(
                ProblemType::Unauthorized,
                format!("the account neither has the certificate nor is it authorized for {name}"),
            ));
        }
    }
    Ok(())
}

/// The chains a certificate of the authority can be served with, without the leaf.
fn chains(authority: &Authority) -> [Vec<&Certificate>; 2] {
    let whole: Vec<_> = authority.ca.path().collect();
    let without_root = whole.iter().copied().filter(|ca| !ca.is_self_issued()).collect();
    [without_root, whole]
}
