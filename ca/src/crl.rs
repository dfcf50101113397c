//! Certificate revocation lists (RFC 5280 §5): the reasons, the entries, and the signing of a list.
//! Which certificates are revoked is handed in; when a list is due is the caller's.

use std::fmt;
use std::str::FromStr;

use der::asn1::ObjectIdentifier;
use jiff::Timestamp;

use crate::asn1;
use crate::authority::{self, Authority};
use crate::certificate;
use crate::key::BadKey;
use crate::serial::Serial;
use crate::signer::SignError;
use crate::tbs;

/// Why a certificate was revoked (RFC 5280 §5.3.1). `removeFromCRL` (8) is missing, since it belongs
/// to delta CRLs, which are not made here; 7 is unused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum RevocationReason {
    /// No reason given; left out of the CRL, as the RFC asks.
    #[default]
    Unspecified = 0,
    /// The private key is known to others.
    KeyCompromise = 1,
    /// The private key of an authority is known to others.
    CaCompromise = 2,
    /// The subject's name or affiliation changed.
    AffiliationChanged = 3,
    /// Another certificate took its place.
    Superseded = 4,
    /// It is no longer needed.
    CessationOfOperation = 5,
    /// Suspended for now.
    CertificateHold = 6,
    /// A right it stood for was withdrawn.
    PrivilegeWithdrawn = 9,
    /// An attribute authority's key is known to others.
    AaCompromise = 10,
}

impl RevocationReason {
    /// The CRLReason code.
    #[must_use]
    pub fn code(self) -> u8 {
        self as u8
    }

    /// The reason of a CRLReason code.
    ///
    /// # Errors
    /// For 7, 8 and everything above 10.
    pub fn from_code(code: u64) -> Result<Self, BadReason> {
        ALL.into_iter().find(|reason| u64::from(reason.code()) == code).ok_or(BadReason)
    }

    /// The reason an ACME client may give (RFC 8555 §7.6: a server may refuse some): 0, 1, 3, 4, 5, as
    /// the Baseline Requirements give them to subscribers (BR 7.2.2). Not 2 and 10, which are about
    /// authorities, 6, which the Baseline Requirements forbid, nor 9, which is the authority's own to
    /// say.
    ///
    /// # Errors
    /// For every other code; answer `badRevocationReason`.
    pub fn for_acme(code: u64) -> Result<Self, BadReason> {
        match Self::from_code(code)? {
            Self::CaCompromise
            | Self::CertificateHold
            | Self::PrivilegeWithdrawn
            | Self::AaCompromise => Err(BadReason),
            reason => Ok(reason),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Unspecified => "unspecified",
            Self::KeyCompromise => "keyCompromise",
            Self::CaCompromise => "cACompromise",
            Self::AffiliationChanged => "affiliationChanged",
            Self::Superseded => "superseded",
            Self::CessationOfOperation => "cessationOfOperation",
            Self::CertificateHold => "certificateHold",
            Self::PrivilegeWithdrawn => "privilegeWithdrawn",
            Self::AaCompromise => "aACompromise",
        }
    }
}

impl fmt::Display for RevocationReason {
    /// The RFC's name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for RevocationReason {
    type Err = BadReason;

    /// Reads the RFC's name, in any case.
    fn from_str(text: &str) -> Result<Self, BadReason> {
        ALL.into_iter().find(|reason| reason.name().eq_ignore_ascii_case(text)).ok_or(BadReason)
    }
}

/// Not a reason for revocation, or not one that may be given here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a reason: give unspecified, keyCompromise, affiliationChanged, superseded, \
     cessationOfOperation or privilegeWithdrawn"
)]
pub struct BadReason;

/// An entry of a CRL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Revoked {
    /// The certificate.
    pub serial: Serial,
    /// When it was revoked; whole seconds count.
    pub at: Timestamp,
    /// Why.
    pub reason: RevocationReason,
}

/// What part of an authority's certificates a CRL covers (RFC 5280 §5.2.5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// Where this very list is published; the URLs in the certificates it covers.
    pub urls: Vec<String>,
    /// Whether it lists end entities only.
    pub only_user_certificates: bool,
}

/// A signed CRL.
#[derive(Clone, PartialEq, Eq)]
pub struct Crl {
    der: Vec<u8>,
    number: u64,
    this_update: Timestamp,
    next_update: Timestamp,
    entries: usize,
}

impl Crl {
    /// The DER CertificateList.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The DER, without copying it.
    #[must_use]
    pub fn into_der(self) -> Vec<u8> {
        self.der
    }

    /// The PEM (RFC 7468 §6).
    #[must_use]
    pub fn pem(&self) -> String {
        certificate::pem("X509 CRL", &self.der)
    }

    /// The CRL number (RFC 5280 §5.2.3).
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }

    /// When it was made.
    #[must_use]
    pub fn this_update(&self) -> Timestamp {
        self.this_update
    }

    /// By when there will be another.
    #[must_use]
    pub fn next_update(&self) -> Timestamp {
        self.next_update
    }

    /// How many certificates it lists.
    #[must_use]
    pub fn entries(&self) -> usize {
        self.entries
    }
}

impl fmt::Debug for Crl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Crl(number {}, {} entries)", self.number, self.entries)
    }
}

/// Signs a version 2 CRL. Entries are written as they come, about 40 octets each; the caller sees to
/// it that each serial comes once, and that `number` only grows. Without `scope` the list is taken to
/// cover everything the authority issued.
///
/// # Errors
/// [`CrlError`].
pub fn sign(
    authority: &Authority,
    revoked: impl IntoIterator<Item = Revoked>,
    number: u64,
    this_update: Timestamp,
    next_update: Timestamp,
    scope: Option<&Scope>,
) -> Result<Crl, CrlError> {
    if next_update <= this_update {
        return Err(CrlError::Dates);
    }
    let algorithm = authority.signer().public_key().algorithm().signature();
    let mut list = Vec::new();
    let mut entries = 0;
    for entry in revoked {
        append(&mut list, &entry)?;
        entries += 1;
    }
    let head = [
        VERSION_2.to_vec(),
        algorithm.identifier().to_vec(),
        authority.certificate().subject_der().to_vec(),
        asn1::time(this_update).ok_or(CrlError::Dates)?,
        asn1::time(next_update).ok_or(CrlError::Dates)?,
    ]
    .concat();
    let tail = extensions(authority, number, scope)?;
    let der = complete(authority, &head, list, &tail)?;
    Ok(Crl { der, number, this_update, next_update, entries })
}

/// Why a CRL was not made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CrlError {
    /// It would end before it begins, or a date is outside the years 1950 to 9999: the caller's.
    #[error("the dates of the CRL are out of order or out of range")]
    Dates,
    /// A URL that is not http, or not printable ASCII: the operator's.
    #[error("{0:?} cannot be put into a CRL: use an http:// URL in ASCII")]
    Url(String),
    /// The signer returned a wrong signature: ours.
    #[error("the signer returned a wrong signature: {0}")]
    Signature(#[from] BadKey),
    /// The key failed: ours.
    #[error(transparent)]
    Sign(#[from] SignError),
}

/// The signed whole. It grows in one vector, for lists may be large: room for the outer header in
/// front, then the signed part, then algorithm and signature.
fn complete(
    authority: &Authority,
    head: &[u8],
    list: Vec<u8>,
    tail: &[u8],
) -> Result<Vec<u8>, CrlError> {
    let mut list_header = Vec::new();
    if !list.is_empty() {
        // An empty list must be left out (§5.1.2.6).
        asn1::header(&mut list_header, asn1::SEQUENCE, list.len());
    }
    let inner = head.len() + list_header.len() + list.len() + tail.len();
    let mut out = Vec::with_capacity(inner + ROOM + SIGNATURE_ROOM);
    out.resize(ROOM, 0);
    asn1::header(&mut out, asn1::SEQUENCE, inner);
    for part in [head, &list_header, &list, tail] {
        out.extend_from_slice(part);
    }
    drop(list);
    let key = authority.signer().public_key();
    let algorithm = key.algorithm().signature();
    let signature = authority.signer().sign(&out[ROOM..])?;
    key.verify(algorithm, &out[ROOM..], &signature)?;
    out.extend_from_slice(algorithm.identifier());
    out.extend_from_slice(&asn1::bit_string(&signature));
    let mut outer = Vec::new();
    asn1::header(&mut outer, asn1::SEQUENCE, out.len() - ROOM);
    out.splice(..ROOM, outer);
    Ok(out)
}

/// One element of revokedCertificates.
fn append(list: &mut Vec<u8>, entry: &Revoked) -> Result<(), CrlError> {
    let serial = entry.serial.to_der();
    let at = asn1::time(entry.at).ok_or(CrlError::Dates)?;
    let mut reason = REASON_EXTENSION;
    let reason: &[u8] = if entry.reason == RevocationReason::Unspecified {
        &[]
    } else {
        reason[REASON_EXTENSION.len() - 1] = entry.reason.code();
        &reason
    };
    asn1::header(list, asn1::SEQUENCE, serial.len() + at.len() + reason.len());
    for part in [&serial, &at, reason] {
        list.extend_from_slice(part);
    }
    Ok(())
}

fn extensions(
    authority: &Authority,
    number: u64,
    scope: Option<&Scope>,
) -> Result<Vec<u8>, CrlError> {
    let issuer = authority.certificate().subject_key_id().unwrap_or_default();
    let mut extensions = tbs::authority_key_id(issuer);
    let number = asn1::unsigned(&number.to_be_bytes());
    extensions.extend(tbs::extension(CRL_NUMBER, false, &number));
    if let Some(scope) = scope {
        if let Some(url) = scope.urls.iter().find(|url| !authority::is_http(url)) {
            return Err(CrlError::Url(url.clone()));
        }
        let point = match scope.urls.as_slice() {
            [] => Vec::new(),
            urls => tbs::distribution_point_name(urls),
        };
        let user: &[u8] = if scope.only_user_certificates { ONLY_USER } else { &[] };
        // An IDP that says nothing must not be there (§5.2.5).
        if !point.is_empty() || !user.is_empty() {
            let value = asn1::element(asn1::SEQUENCE, &[&point, user]);
            extensions.extend(tbs::extension(ISSUING_DISTRIBUTION_POINT, true, &value));
        }
    }
    let extensions = asn1::element(asn1::SEQUENCE, &[&extensions]);
    Ok(asn1::element(asn1::constructed(0), &[&extensions]))
}

const ALL: [RevocationReason; 9] = [
    RevocationReason::Unspecified,
    RevocationReason::KeyCompromise,
    RevocationReason::CaCompromise,
    RevocationReason::AffiliationChanged,
    RevocationReason::Superseded,
    RevocationReason::CessationOfOperation,
    RevocationReason::CertificateHold,
    RevocationReason::PrivilegeWithdrawn,
    RevocationReason::AaCompromise,
];
/// INTEGER 1.
const VERSION_2: &[u8] = &[0x02, 0x01, 0x01];
/// crlEntryExtensions with a reasonCode (2.5.29.21), the code itself last.
const REASON_EXTENSION: [u8; 14] =
    [0x30, 0x0c, 0x30, 0x0a, 0x06, 0x03, 0x55, 0x1d, 0x15, 0x04, 0x03, 0x0a, 0x01, 0x00];
/// `onlyContainsUserCerts [1] BOOLEAN TRUE`.
const ONLY_USER: &[u8] = &[0x81, 0x01, 0xff];
const CRL_NUMBER: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.20");
const ISSUING_DISTRIBUTION_POINT: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.28");
/// The longest DER header there can be.
const ROOM: usize = 10;
/// For the largest RSA signature, with headers.
const SIGNATURE_ROOM: usize = 1100;
