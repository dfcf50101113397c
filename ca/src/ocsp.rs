//! OCSP (RFC 6960) as one who asks: the request for one certificate, and what follows from a response.
//! No nonce (RFC 5019 §2.1.1): responses are made ahead of time, and good until they say. Whether a
//! responder's own certificate is revoked is not asked (§4.2.2.2.1): it lives for days or weeks.

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use const_oid::ObjectIdentifier;
use const_oid::db::rfc5912::{ID_KP_OCSP_SIGNING, ID_SHA_1};
use der::asn1::{AnyRef, ContextSpecific, GeneralizedTime, OctetStringRef};
use der::{Decode, Reader, SliceReader, Tag, TagNumber, Tagged};
use jiff::{SignedDuration, Timestamp};
use x509_cert::TbsCertificate;
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::{CrlReason, ExtendedKeyUsage};
use x509_cert::spki::AlgorithmIdentifierRef;
use x509_cert::time::Time;

use crate::asn1;
use crate::certificate::{self, BadCertificate, Certificate};
use crate::crl::RevocationReason;
use crate::key::BadKey;
use crate::signed::{Signed, is_early, is_late};

/// The most octets of a response.
pub const MAX_RESPONSE: usize = 64 * 1024;

/// What a responder says of a certificate (§2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Not revoked.
    Good,
    /// Revoked, or on hold.
    Revoked {
        /// Since then.
        at: Timestamp,
        /// Why.
        reason: RevocationReason,
    },
    /// The responder does not know the certificate.
    Unknown,
}

/// The DER OCSPRequest about `certificate`, which `issuer` issued.
///
/// # Errors
/// [`BadKey`] when the issuer's key is of a kind that could not be verified by either.
pub fn request(certificate: &Certificate, issuer: &Certificate) -> Result<Vec<u8>, BadKey> {
    let Subject { name, key, serial } = Subject::of(certificate, issuer)?;
    let [name, key] = [name, key].map(|hash| asn1::element(asn1::OCTET_STRING, &[&hash]));
    let serial = asn1::element(asn1::INTEGER, &[&serial]);
    let id = asn1::element(asn1::SEQUENCE, &[SHA_1, &name, &key, &serial]);
    let sequence = |inner: Vec<u8>| asn1::element(asn1::SEQUENCE, &[&inner]);
    // OCSPRequest, TBSRequest, requestList, Request.
    Ok(sequence(sequence(sequence(sequence(id)))))
}

/// What a DER OCSPResponse of at most [`MAX_RESPONSE`] octets says of `certificate`.
///
/// # Errors
/// [`BadResponse`]: nothing follows from it.
pub fn read(
    der: &[u8],
    certificate: &Certificate,
    issuer: &Certificate,
    now: Timestamp,
) -> Result<Status, BadResponse> {
    if der.len() > MAX_RESPONSE {
        return Err(BadResponse::TooLarge);
    }
    let basic = basic(der)?;
    let mut reader = sequence(basic)?;
    let signed = Signed::read(&mut reader)?;
    let enclosed = ContextSpecific::<Vec<AnyRef<'_>>>::decode_explicit(&mut reader, TagNumber(0))?;
    reader.finish()?;
    let enclosed = enclosed.map(|tagged| tagged.value).unwrap_or_default();
    let mut data = sequence(signed.tbs)?;
    if ContextSpecific::<u8>::decode_explicit(&mut data, TagNumber(0))?
        .is_some_and(|v| v.value != 0)
    {
        return Err(malformed(Tag::Integer));
    }
    let responder = AnyRef::decode(&mut data)?;
    let _produced_at = GeneralizedTime::decode(&mut data)?;
    let responses = data.tlv_bytes()?;
    let more = ContextSpecific::<Vec<Extension>>::decode_explicit(&mut data, TagNumber(1))?;
    data.finish()?;
    refuse_critical(more)?;
    verify(&signed, responder, &enclosed, issuer, now)?;
    let subject = Subject::of(certificate, issuer)?;
    let mut responses = sequence(responses)?;
    while !responses.is_finished() {
        let single = responses.tlv_bytes()?;
        if let Some(status) = read_single(single, &subject, now)? {
            return Ok(status);
        }
    }
    Err(BadResponse::Other)
}

/// Why a response says nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadResponse {
    /// Over [`MAX_RESPONSE`].
    #[error("the OCSP response is larger than 64 KiB")]
    TooLarge,
    /// Not the ASN.1 of a response.
    #[error("the OCSP response is malformed: {0}")]
    Malformed(#[from] der::Error),
    /// A certificate or date in it that cannot be read.
    #[error("the OCSP response cannot be used: {0}")]
    Certificate(#[from] BadCertificate),
    /// The responder has no answer (§2.3).
    #[error("the OCSP responder says {0}")]
    Refused(&'static str),
    /// It is not signed by the issuer, nor by whom the issuer appointed (§4.2.2.2).
    #[error("the OCSP response is signed by nobody whom the issuer appointed to")]
    Responder,
    /// The signature is wrong, or of a kind that is not accepted.
    #[error("the OCSP response's signature: {0}")]
    Signature(#[from] BadKey),
    /// It is about other certificates.
    #[error("the OCSP response is about another certificate")]
    Other,
    /// thisUpdate lies in the future.
    #[error("the OCSP response is of {0}, which is still to come; check the clock")]
    NotYet(Timestamp),
    /// nextUpdate has passed.
    #[error("the OCSP response is out of date since {0}")]
    Stale(Timestamp),
    /// A critical extension nobody here knows; its object identifier.
    #[error("the OCSP response has the critical extension {0}, which is not known")]
    Critical(ObjectIdentifier),
}

/// The parts of a CertID (§4.1.1).
struct Subject {
    name: [u8; 20],
    key: [u8; 20],
    serial: Vec<u8>,
}

impl Subject {
    fn of(certificate: &Certificate, issuer: &Certificate) -> Result<Self, BadKey> {
        Ok(Self {
            name: sha1(issuer.subject_der()),
            key: sha1(issuer.public_key()?.key_bytes()),
            serial: certificate.serial().to_der_contents(),
        })
    }

    fn is(&self, id: &[u8]) -> Result<bool, der::Error> {
        let mut reader = sequence(id)?;
        let algorithm = AlgorithmIdentifierRef::decode(&mut reader)?;
        let name = <&OctetStringRef>::decode(&mut reader)?;
        let key = <&OctetStringRef>::decode(&mut reader)?;
        let serial = AnyRef::decode(&mut reader)?;
        reader.finish()?;
        Ok(algorithm.oid == ID_SHA_1
            && name.as_bytes() == self.name
            && key.as_bytes() == self.key
            && serial.tag() == Tag::Integer
            && serial.value() == self.serial)
    }
}

/// The BasicOCSPResponse in an OCSPResponse.
fn basic(der: &[u8]) -> Result<&[u8], BadResponse> {
    let mut reader = sequence(der)?;
    let status = AnyRef::decode(&mut reader)?;
    status.tag().assert_eq(Tag::Enumerated)?;
    match status.value() {
        [0] => {}
        [1] => return Err(BadResponse::Refused("malformedRequest")),
        [2] => return Err(BadResponse::Refused("internalError")),
        [3] => return Err(BadResponse::Refused("tryLater")),
        [5] => return Err(BadResponse::Refused("sigRequired")),
        [6] => return Err(BadResponse::Refused("unauthorized")),
        _ => return Err(malformed(Tag::Enumerated)),
    }
    let bytes = AnyRef::decode(&mut reader)?;
    reader.finish()?;
    bytes.tag().assert_eq(EXPLICIT_0)?;
    let mut bytes = sequence(bytes.value())?;
    if ObjectIdentifier::decode(&mut bytes)? != BASIC {
        return Err(malformed(Tag::ObjectIdentifier));
    }
    let basic = <&OctetStringRef>::decode(&mut bytes)?;
    bytes.finish()?;
    Ok(basic.as_bytes())
}

/// Whether the issuer signed, or one in the response to whom the issuer gave a certificate for it.
fn verify(
    signed: &Signed<'_>,
    responder: AnyRef<'_>,
    enclosed: &[AnyRef<'_>],
    issuer: &Certificate,
    now: Timestamp,
) -> Result<(), BadResponse> {
    if is_named(responder, issuer)? {
        return Ok(signed.verify(&issuer.public_key()?)?);
    }
    for der in enclosed.iter().take(MAX_ENCLOSED) {
        der.tag().assert_eq(Tag::Sequence)?;
        let der = asn1::element(asn1::SEQUENCE, &[der.value()]);
        let Ok(delegate) = Certificate::from_der(&der) else { continue };
        if is_named(responder, &delegate)? && is_appointed(&delegate, issuer, now)? {
            return Ok(signed.verify(&delegate.public_key()?)?);
        }
    }
    Err(BadResponse::Responder)
}

/// Whether a ResponderID (§4.2.1) means the holder of `certificate`.
fn is_named(responder: AnyRef<'_>, certificate: &Certificate) -> Result<bool, BadResponse> {
    if responder.tag() == BY_NAME {
        return Ok(responder.value() == certificate.subject_der());
    }
    responder.tag().assert_eq(BY_KEY)?;
    let hash = <&OctetStringRef>::from_der(responder.value())?;
    let key = certificate.public_key();
    Ok(key.is_ok_and(|key| sha1(key.key_bytes()) == *hash.as_bytes()))
}

fn is_appointed(
    delegate: &Certificate,
    issuer: &Certificate,
    now: Timestamp,
) -> Result<bool, BadResponse> {
    let tbs = TbsCertificate::from_der(delegate.tbs())?;
    let purposes = tbs.get_extension::<ExtendedKeyUsage>()?;
    let is_for_it = purposes.is_some_and(|(_, all)| all.0.contains(&ID_KP_OCSP_SIGNING));
    let is_current = delegate.not_before() <= now && now <= delegate.not_after();
    Ok(is_for_it && is_current && delegate.verify_issued_by(issuer).is_ok())
}

/// What a SingleResponse says, if it is about the subject.
fn read_single(
    der: &[u8],
    subject: &Subject,
    now: Timestamp,
) -> Result<Option<Status>, BadResponse> {
    let mut reader = sequence(der)?;
    if !subject.is(reader.tlv_bytes()?)? {
        return Ok(None);
    }
    let status = AnyRef::decode(&mut reader)?;
    let this_update = time(&mut reader)?;
    let next = ContextSpecific::<GeneralizedTime>::decode_explicit(&mut reader, TagNumber(0))?;
    let more = ContextSpecific::<Vec<Extension>>::decode_explicit(&mut reader, TagNumber(1))?;
    reader.finish()?;
    refuse_critical(more)?;
    if is_early(this_update, now) {
        return Err(BadResponse::NotYet(this_update));
    }
    let until = match next {
        Some(next) => certificate::timestamp(Time::GeneralTime(next.value))?,
        // Newer information is there at any time (§4.2.2.1): it was made for us.
        None => this_update.checked_add(MADE_FOR_US).unwrap_or(Timestamp::MAX),
    };
    if is_late(until, now) {
        return Err(BadResponse::Stale(until));
    }
    read_status(status).map(Some)
}

fn read_status(status: AnyRef<'_>) -> Result<Status, BadResponse> {
    match status.tag() {
        GOOD if status.value().is_empty() => Ok(Status::Good),
        UNKNOWN if status.value().is_empty() => Ok(Status::Unknown),
        REVOKED => {
            let mut reader = SliceReader::new(status.value())?;
            let at = time(&mut reader)?;
            let reason = ContextSpecific::<CrlReason>::decode_explicit(&mut reader, TagNumber(0))?;
            reader.finish()?;
            let code = reason.map_or(0, |reason| u64::from(reason.value as u32));
            let reason = RevocationReason::from_code(code).unwrap_or_default();
            Ok(Status::Revoked { at, reason })
        }
        other => Err(malformed(other)),
    }
}

fn refuse_critical(extensions: Option<ContextSpecific<Vec<Extension>>>) -> Result<(), BadResponse> {
    let mut all = extensions.into_iter().flat_map(|tagged| tagged.value);
    match all.find(|extension| extension.critical) {
        Some(extension) => Err(BadResponse::Critical(extension.extn_id)),
        None => Ok(()),
    }
}

fn time(reader: &mut SliceReader<'_>) -> Result<Timestamp, BadResponse> {
    Ok(certificate::timestamp(Time::GeneralTime(GeneralizedTime::decode(reader)?))?)
}

/// The contents of a SEQUENCE, and nothing after it.
fn sequence(der: &[u8]) -> Result<SliceReader<'_>, der::Error> {
    let element = AnyRef::from_der(der)?;
    element.tag().assert_eq(Tag::Sequence)?;
    SliceReader::new(element.value())
}

fn malformed(tag: Tag) -> BadResponse {
    der::Error::from(tag.value_error()).into()
}

/// As CertIDs have it; nothing is at stake should two issuers have the same (RFC 5019 §2.1.1).
fn sha1(bytes: &[u8]) -> [u8; 20] {
    let mut out = [0; 20];
    out.copy_from_slice(digest(&SHA1_FOR_LEGACY_USE_ONLY, bytes).as_ref());
    out
}

const fn tag(constructed: bool, number: u32) -> Tag {
    Tag::ContextSpecific { constructed, number: TagNumber(number) }
}

/// AlgorithmIdentifier of SHA-1 with NULL parameters, as every responder expects it.
const SHA_1: &[u8] = b"\x30\x09\x06\x05\x2b\x0e\x03\x02\x1a\x05\x00";
/// id-pkix-ocsp-basic.
const BASIC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.48.1.1");
const EXPLICIT_0: Tag = tag(true, 0);
const BY_NAME: Tag = tag(true, 1);
const BY_KEY: Tag = tag(true, 2);
const GOOD: Tag = tag(false, 0);
const REVOKED: Tag = tag(true, 1);
const UNKNOWN: Tag = tag(false, 2);
/// Certificates in a response that are looked at.
const MAX_ENCLOSED: usize = 8;
const MADE_FOR_US: SignedDuration = SignedDuration::from_hours(1);
