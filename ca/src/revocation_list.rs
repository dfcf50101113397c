//! CRLs that other authorities publish (RFC 5280 §5 and §6.3.3): read, verified, and asked about one
//! certificate. They come from strangers over plain HTTP and may be large, so what is kept of one is
//! its bytes and eight octets an entry, and everything is done once per entry. Indirect and delta
//! CRLs and those for some reasons only are refused, for what they leave out proves nothing.

use std::cmp::Ordering;

use const_oid::ObjectIdentifier;
use der::asn1::{AnyRef, ContextSpecific};
use der::{Decode, Reader, SliceReader, Tag, Tagged};
use jiff::Timestamp;
use x509_cert::TbsCertificate;
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::crl::IssuingDistributionPoint;
use x509_cert::ext::pkix::name::{DistributionPointName, GeneralName};
use x509_cert::ext::pkix::{CrlReason, KeyUsage};
use x509_cert::time::Time;

use crate::certificate::{self, BadCertificate, Certificate};
use crate::crl::{RevocationReason, Revoked};
use crate::key::BadKey;
use crate::pointers::Pointers;
use crate::signed::{Signed, is_early, is_late};

/// The most octets of a CRL: over a million entries. The largest that public CAs publish have some
/// hundred thousand.
pub const MAX_LIST: usize = 32 * 1024 * 1024;

/// A CRL whose signature was verified.
pub struct RevocationList {
    der: Box<[u8]>,
    /// In the order of the serial numbers' octets.
    entries: Vec<Entry>,
    issuer: Vec<u8>,
    next_update: Timestamp,
    scope: Scope,
}

/// An entry: where in the DER the contents of its serial number are, followed by the date.
#[derive(Clone, Copy)]
struct Entry {
    at: u32,
    length: u8,
    reason: RevocationReason,
}

/// What certificates a CRL is about (§5.2.5).
#[derive(Default)]
struct Scope {
    /// Only those that name one of these as a distribution point; none: any.
    points: Option<Vec<String>>,
    only_users: bool,
    only_authorities: bool,
}

impl RevocationList {
    /// Reads a DER CRL of at most [`MAX_LIST`] octets that `issuer` signed and that is current.
    ///
    /// # Errors
    /// [`BadList`]: nothing follows from such a list, for no certificate.
    pub fn read(
        der: impl Into<Box<[u8]>>,
        issuer: &Certificate,
        now: Timestamp,
    ) -> Result<Self, BadList> {
        let der = der.into();
        if der.len() > MAX_LIST {
            return Err(BadList::TooLarge);
        }
        let outer = AnyRef::from_der(&der)?;
        outer.tag().assert_eq(Tag::Sequence)?;
        let mut reader = SliceReader::new(outer.value())?;
        let signed = Signed::read(&mut reader)?;
        reader.finish()?;
        may_sign(issuer)?;
        let before = der.len() - outer.value().len();
        let contents = AnyRef::from_der(signed.tbs)?;
        contents.tag().assert_eq(Tag::Sequence)?;
        let start = before + signed.tbs.len() - contents.value().len();
        let mut tbs = SliceReader::new(contents.value())?;
        let head = Head::read(&mut tbs)?;
        if head.algorithm != signed.algorithm {
            return Err(BadList::Algorithms);
        }
        if head.issuer != issuer.subject_der() {
            return Err(BadList::Issuer);
        }
        signed.verify(&issuer.public_key()?)?;
        let next_update = head.current(now)?;
        let mut entries = entries(&mut tbs, start)?;
        let scope = scope(&mut tbs)?;
        tbs.finish()?;
        entries.sort_unstable_by(|one, other| one.serial(&der).cmp(other.serial(&der)));
        entries.shrink_to_fit();
        Ok(Self { entries, issuer: head.issuer.to_vec(), next_update, scope, der })
    }

    /// By when there is another.
    #[must_use]
    pub fn next_update(&self) -> Timestamp {
        self.next_update
    }

    /// How many certificates it lists.
    #[must_use]
    pub fn entries(&self) -> usize {
        self.entries.len()
    }

    /// How many octets of memory it takes, about.
    #[must_use]
    pub fn size(&self) -> usize {
        self.der.len() + self.entries.len() * size_of::<Entry>()
    }

    /// Whether `certificate`, whose pointers are `pointers`, is listed. A certificate on hold is
    /// (§5.3.1): it is not to be relied on now.
    ///
    /// # Errors
    /// [`BadList::Issuer`] or [`BadList::Elsewhere`] when the list is not about the certificate.
    pub fn find(
        &self,
        certificate: &Certificate,
        pointers: &Pointers,
    ) -> Result<Option<Revoked>, BadList> {
        if certificate.issuer_der() != self.issuer {
            return Err(BadList::Issuer);
        }
        let Scope { points, only_users, only_authorities } = &self.scope;
        let is_other = if certificate.is_ca() { *only_users } else { *only_authorities };
        let is_named = points
            .as_ref()
            .is_none_or(|points| points.iter().any(|url| pointers.crl.contains(url)));
        if is_other || !is_named {
            return Err(BadList::Elsewhere);
        }
        let serial = certificate.serial();
        let wanted = serial.to_der_contents();
        let compare = |entry: &Entry| -> Ordering { entry.serial(&self.der).cmp(&wanted) };
        let Ok(found) = self.entries.binary_search_by(compare) else { return Ok(None) };
        let Entry { at, length, reason } = self.entries[found];
        let mut rest = SliceReader::new(&self.der[at as usize + usize::from(length)..])?;
        let at = certificate::timestamp(Time::decode(&mut rest)?)?;
        Ok(Some(Revoked { serial, at, reason }))
    }
}

impl std::fmt::Debug for RevocationList {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RevocationList({} entries, until {})", self.entries.len(), self.next_update)
    }
}

impl Entry {
    fn serial<'a>(&self, der: &'a [u8]) -> &'a [u8] {
        let at = self.at as usize;
        &der[at..at + usize::from(self.length)]
    }
}

/// Why a CRL says nothing, or nothing about the certificate in question.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadList {
    /// Over [`MAX_LIST`].
    #[error("the CRL is larger than 32 MiB")]
    TooLarge,
    /// Not the ASN.1 of a CRL.
    #[error("the CRL is malformed: {0}")]
    Malformed(#[from] der::Error),
    /// A date that cannot be expressed, or an issuer's certificate that cannot be read.
    #[error("the CRL cannot be used: {0}")]
    Certificate(#[from] BadCertificate),
    /// The two places where the signature algorithm is named differ (§5.1.1.2).
    #[error("the CRL names two signature algorithms")]
    Algorithms,
    /// Of another issuer.
    #[error("the CRL is not of the certificate's issuer")]
    Issuer,
    /// The issuer's keyUsage lacks cRLSign (§6.3.3 f).
    #[error("the issuer's certificate does not permit it to sign CRLs")]
    KeyUsage,
    /// The signature is wrong, or of a kind that is not accepted.
    #[error("the CRL's signature: {0}")]
    Signature(#[from] BadKey),
    /// thisUpdate lies in the future.
    #[error("the CRL is of {0}, which is still to come; check the clock")]
    NotYet(Timestamp),
    /// nextUpdate has passed.
    #[error("the CRL is out of date since {0}")]
    Stale(Timestamp),
    /// nextUpdate is missing (§5.1.2.5).
    #[error("the CRL does not say until when it is good")]
    NoEnd,
    /// Delta, indirect, for some reasons or for attribute certificates.
    #[error("the CRL is {0}, and such are not read")]
    Partial(&'static str),
    /// A critical extension nobody here knows (§5.2); its object identifier.
    #[error("the CRL has the critical extension {0}, which is not known")]
    Critical(ObjectIdentifier),
    /// It is about other certificates of the issuer (§6.3.3 b).
    #[error("the CRL is about other certificates of the issuer")]
    Elsewhere,
}

/// What comes before the entries.
struct Head<'a> {
    algorithm: &'a [u8],
    issuer: &'a [u8],
    this_update: Timestamp,
    next_update: Option<Timestamp>,
}

impl<'a> Head<'a> {
    fn read(reader: &mut SliceReader<'a>) -> Result<Self, BadList> {
        if Tag::peek(reader)? == Tag::Integer && u8::decode(reader)? != VERSION_2 {
            return Err(malformed(Tag::Integer));
        }
        Ok(Self {
            algorithm: reader.tlv_bytes()?,
            issuer: reader.tlv_bytes()?,
            this_update: certificate::timestamp(Time::decode(reader)?)?,
            next_update: match next(reader)? {
                Some(Tag::UtcTime | Tag::GeneralizedTime) => {
                    Some(certificate::timestamp(Time::decode(reader)?)?)
                }
                _ => None,
            },
        })
    }

    /// Until when it is good, if it is at `now`.
    fn current(&self, now: Timestamp) -> Result<Timestamp, BadList> {
        let until = self.next_update.ok_or(BadList::NoEnd)?;
        if is_early(self.this_update, now) {
            return Err(BadList::NotYet(self.this_update));
        }
        if is_late(until, now) { Err(BadList::Stale(until)) } else { Ok(until) }
    }
}

/// An issuer whose certificate says what its key is for must say this.
fn may_sign(issuer: &Certificate) -> Result<(), BadList> {
    let tbs = TbsCertificate::from_der(issuer.tbs())?;
    match tbs.get_extension::<KeyUsage>()? {
        Some((_, usage)) if !usage.crl_sign() => Err(BadList::KeyUsage),
        _ => Ok(()),
    }
}

/// revokedCertificates, if there are any; `start` is where the reader's input begins in the DER.
fn entries(reader: &mut SliceReader<'_>, start: usize) -> Result<Vec<Entry>, BadList> {
    if next(reader)? != Some(Tag::Sequence) {
        return Ok(Vec::new());
    }
    let list = AnyRef::decode(reader)?;
    let start = start + usize::try_from(reader.position())? - list.value().len();
    let mut reader = SliceReader::new(list.value())?;
    let mut entries = Vec::new();
    while !reader.is_finished() {
        let entry = AnyRef::decode(&mut reader)?;
        entry.tag().assert_eq(Tag::Sequence)?;
        let start = start + usize::try_from(reader.position())? - entry.value().len();
        entries.extend(read_entry(entry.value(), start)?);
    }
    Ok(entries)
}

/// One entry, unless it says that the certificate is not revoked any more.
fn read_entry(contents: &[u8], start: usize) -> Result<Option<Entry>, BadList> {
    let mut reader = SliceReader::new(contents)?;
    let serial = AnyRef::decode(&mut reader)?;
    serial.tag().assert_eq(Tag::Integer)?;
    let end = start + usize::try_from(reader.position())?;
    let too_long = |_| malformed(Tag::Integer);
    let length = u8::try_from(serial.value().len()).map_err(too_long)?;
    let at = u32::try_from(end - serial.value().len()).map_err(too_long)?;
    certificate::timestamp(Time::decode(&mut reader)?)?;
    let mut entry = Entry { at, length, reason: RevocationReason::Unspecified };
    if reader.is_finished() {
        return Ok(Some(entry));
    }
    let extensions = Vec::<Extension>::decode(&mut reader)?;
    reader.finish()?;
    for extension in extensions {
        match extension.extn_id {
            REASON => match CrlReason::from_der(extension.extn_value.as_bytes())? {
                CrlReason::RemoveFromCRL => return Ok(None),
                reason => {
                    let known = RevocationReason::from_code(u64::from(reason as u32));
                    entry.reason = known.unwrap_or_default();
                }
            },
            CERTIFICATE_ISSUER => return Err(BadList::Partial("indirect")),
            other if extension.critical => return Err(BadList::Critical(other)),
            _ => {}
        }
    }
    Ok(Some(entry))
}

/// crlExtensions: what the list is about.
fn scope(reader: &mut SliceReader<'_>) -> Result<Scope, BadList> {
    let extensions = ContextSpecific::<Vec<Extension>>::decode_explicit(reader, EXTENSIONS)?;
    let mut scope = None;
    for extension in extensions.into_iter().flat_map(|tagged| tagged.value) {
        match extension.extn_id {
            ISSUING_DISTRIBUTION_POINT if scope.is_some() => {
                return Err(malformed(Tag::Sequence));
            }
            ISSUING_DISTRIBUTION_POINT => {
                scope = Some(read_scope(extension.extn_value.as_bytes())?);
            }
            DELTA => return Err(BadList::Partial("a delta CRL")),
            // What they say does not bear on whether a certificate is listed.
            CRL_NUMBER | AUTHORITY_KEY_ID => {}
            other if extension.critical => return Err(BadList::Critical(other)),
            _ => {}
        }
    }
    Ok(scope.unwrap_or_default())
}

fn read_scope(der: &[u8]) -> Result<Scope, BadList> {
    let point = IssuingDistributionPoint::from_der(der)?;
    if point.indirect_crl {
        return Err(BadList::Partial("indirect"));
    }
    if point.only_some_reasons.is_some() {
        return Err(BadList::Partial("for some reasons only"));
    }
    if point.only_contains_attribute_certs {
        return Err(BadList::Partial("for attribute certificates"));
    }
    let points = match point.distribution_point {
        None => None,
        Some(DistributionPointName::FullName(names)) => Some(
            names
                .into_iter()
                .filter_map(|name| match name {
                    GeneralName::UniformResourceIdentifier(url) => Some(url.as_str().to_owned()),
                    _ => None,
                })
                .collect(),
        ),
        Some(DistributionPointName::NameRelativeToCRLIssuer(_)) => {
            return Err(BadList::Partial("named relative to its issuer"));
        }
    };
    Ok(Scope {
        points,
        only_users: point.only_contains_user_certs,
        only_authorities: point.only_contains_ca_certs,
    })
}

fn malformed(tag: Tag) -> BadList {
    der::Error::from(tag.value_error()).into()
}

fn next(reader: &SliceReader<'_>) -> Result<Option<Tag>, der::Error> {
    if reader.is_finished() { Ok(None) } else { Tag::peek(reader).map(Some) }
}

const VERSION_2: u8 = 1;
const EXTENSIONS: der::TagNumber = der::TagNumber(0);
const CRL_NUMBER: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.20");
const REASON: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.21");
const DELTA: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.27");
const ISSUING_DISTRIBUTION_POINT: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.28");
const CERTIFICATE_ISSUER: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.29");
const AUTHORITY_KEY_ID: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.35");
