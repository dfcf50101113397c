//! Certificates as they are: DER, and what a reader most often asks of it. Judging one is `lint`'s
//! business, making one `issue`'s and `authority`'s.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use der::asn1::AnyRef;
use der::{Decode, Encode, Reader, SliceReader};
use jiff::Timestamp;
use x509_cert::TbsCertificate;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{
    self, AuthorityKeyIdentifier, BasicConstraints, SubjectAltName, SubjectKeyIdentifier,
};
use x509_cert::name::Name;

use crate::algorithm::SignatureAlgorithm;
use crate::constraints::NameConstraints;
use crate::key::{BadKey, PublicKey, sha256};
use crate::name::{DnsName, Identifier};
use crate::serial::Serial;

/// A parsed certificate; cheap to clone.
#[derive(Clone)]
pub struct Certificate(Arc<Contents>);

impl Certificate {
    /// Reads a DER certificate of at most 64 KiB.
    ///
    /// # Errors
    /// [`BadCertificate`] when it is not DER, not a certificate, or has an extension among those
    /// read here that is malformed or there twice.
    pub fn from_der(der: &[u8]) -> Result<Self, BadCertificate> {
        Self::read(der).map(|(certificate, _)| certificate)
    }

    /// As [`from_der`](Self::from_der), with what the parser saw.
    pub(crate) fn read(der: &[u8]) -> Result<(Self, x509_cert::Certificate), BadCertificate> {
        if der.len() > MAX_CERTIFICATE {
            return Err(BadCertificate::TooLarge);
        }
        let parsed = x509_cert::Certificate::from_der(der)?;
        if parsed.to_der()? != der {
            return Err(BadCertificate::NotDer);
        }
        let tbs = parsed.tbs_certificate();
        let basic = tbs.get_extension::<BasicConstraints>()?.map(|(_, basic)| basic);
        let (identifiers, other_names) = names(tbs)?;
        let contents = Contents {
            der: der.into(),
            tbs: tbs_range(der)?,
            serial: Serial::from_der_contents(tbs.serial_number().as_bytes())
                .map_err(|_| BadCertificate::Serial)?,
            subject: tbs.subject().to_der()?,
            issuer: tbs.issuer().to_der()?,
            subject_text: OnceLock::new(),
            issuer_text: OnceLock::new(),
            spki: tbs.subject_public_key_info().to_der()?,
            not_before: timestamp(tbs.validity().not_before)?,
            not_after: timestamp(tbs.validity().not_after)?,
            identifiers,
            other_names,
            is_ca: basic.as_ref().is_some_and(|basic| basic.ca),
            path_len: basic.and_then(|basic| basic.path_len_constraint),
            authority_key_id: tbs
                .get_extension::<AuthorityKeyIdentifier>()?
                .and_then(|(_, id)| id.key_identifier)
                .map(|id| id.as_bytes().to_vec()),
            subject_key_id: tbs
                .get_extension::<SubjectKeyIdentifier>()?
                .map(|(_, id)| id.0.as_bytes().to_vec()),
            constraints: tbs
                .get_extension::<pkix::NameConstraints>()?
                .map(|(_, value)| NameConstraints::from_extension(&value))
                .transpose()
                .map_err(|_| BadCertificate::Constraints)?
                .unwrap_or_default(),
            signature_algorithm: parsed.signature_algorithm().to_der()?,
            signature: parsed.signature().as_bytes().ok_or(BadCertificate::NotDer)?.to_vec(),
        };
        Ok((Self(Arc::new(contents)), parsed))
    }

    /// Reads every certificate of a PEM text of at most 1 MiB, in order; text between them is
    /// passed over (RFC 7468 §5.2).
    ///
    /// # Errors
    /// When there is none, or one cannot be read.
    pub fn from_pem(text: &str) -> Result<Vec<Self>, BadCertificate> {
        if text.len() > MAX_PEM {
            return Err(BadCertificate::TooLarge);
        }
        let mut found = Vec::new();
        let mut rest = text;
        while let Some((_, tail)) = rest.split_once(BEGIN) {
            let (body, tail) = tail.split_once(END).ok_or(BadCertificate::Pem)?;
            let body: String = body.split_ascii_whitespace().collect();
            let der =
                data_encoding::BASE64.decode(body.as_bytes()).map_err(|_| BadCertificate::Pem)?;
            found.push(Self::from_der(&der)?);
            rest = tail;
        }
        if found.is_empty() { Err(BadCertificate::Pem) } else { Ok(found) }
    }

    /// The DER.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.0.der
    }

    /// The PEM (RFC 7468 §5.1), 64 columns, ending in a line feed.
    #[must_use]
    pub fn pem(&self) -> String {
        pem("CERTIFICATE", &self.0.der)
    }

    /// The signed part: the DER TBSCertificate.
    #[must_use]
    pub fn tbs(&self) -> &[u8] {
        &self.0.der[self.0.tbs.clone()]
    }

    /// SHA-256 of the DER.
    #[must_use]
    pub fn fingerprint(&self) -> [u8; 32] {
        sha256(&self.0.der)
    }

    /// The serial number.
    #[must_use]
    pub fn serial(&self) -> Serial {
        self.0.serial
    }

    /// The subject, as RFC 4514 writes names. Empty where the names are in the subjectAltName only.
    #[must_use]
    pub fn subject(&self) -> &str {
        self.0.subject_text.get_or_init(|| text(&self.0.subject))
    }

    /// The issuer, as RFC 4514 writes names.
    #[must_use]
    pub fn issuer(&self) -> &str {
        self.0.issuer_text.get_or_init(|| text(&self.0.issuer))
    }

    /// The DER of the subject's Name.
    #[must_use]
    pub fn subject_der(&self) -> &[u8] {
        &self.0.subject
    }

    /// The DER of the issuer's Name.
    #[must_use]
    pub fn issuer_der(&self) -> &[u8] {
        &self.0.issuer
    }

    /// The DER SubjectPublicKeyInfo.
    #[must_use]
    pub fn spki(&self) -> &[u8] {
        &self.0.spki
    }

    /// The public key, if it is of a kind that is supported here.
    ///
    /// # Errors
    /// [`BadKey`] when it is not, or is malformed.
    pub fn public_key(&self) -> Result<PublicKey, BadKey> {
        PublicKey::from_spki(&self.0.spki)
    }

    /// First second of validity.
    #[must_use]
    pub fn not_before(&self) -> Timestamp {
        self.0.not_before
    }

    /// Last second of validity (RFC 5280 §4.1.2.5: inclusive).
    #[must_use]
    pub fn not_after(&self) -> Timestamp {
        self.0.not_after
    }

    /// The DNS names and addresses of the subjectAltName.
    #[must_use]
    pub fn identifiers(&self) -> &BTreeSet<Identifier> {
        &self.0.identifiers
    }

    /// How many entries of the subjectAltName are of another kind, or no name that could be issued
    /// here.
    #[must_use]
    pub fn other_names(&self) -> usize {
        self.0.other_names
    }

    /// Whether it is an authority's (RFC 5280 §4.2.1.9).
    #[must_use]
    pub fn is_ca(&self) -> bool {
        self.0.is_ca
    }

    /// How many authorities may follow below it, if that is limited.
    #[must_use]
    pub fn path_len(&self) -> Option<u8> {
        self.0.path_len
    }

    /// The issuer's key identifier (AKI).
    #[must_use]
    pub fn authority_key_id(&self) -> Option<&[u8]> {
        self.0.authority_key_id.as_deref()
    }

    /// The subject's key identifier (SKI).
    #[must_use]
    pub fn subject_key_id(&self) -> Option<&[u8]> {
        self.0.subject_key_id.as_deref()
    }

    /// The name constraints, empty where there are none.
    #[must_use]
    pub fn constraints(&self) -> &NameConstraints {
        &self.0.constraints
    }

    /// Whether subject and issuer are the same name, as in a root.
    #[must_use]
    pub fn is_self_issued(&self) -> bool {
        self.0.subject == self.0.issuer
    }

    /// Whether `issuer`'s name and key made this certificate.
    ///
    /// # Errors
    /// [`BadKey::Signature`] when they did not; other variants when a key or algorithm is not
    /// supported.
    pub fn verify_issued_by(&self, issuer: &Self) -> Result<(), BadKey> {
        if self.0.issuer != issuer.0.subject {
            return Err(BadKey::Signature);
        }
        let algorithm = SignatureAlgorithm::from_identifier(&self.0.signature_algorithm)?;
        issuer.public_key()?.verify(algorithm, self.tbs(), &self.0.signature)
    }
}

impl PartialEq for Certificate {
    fn eq(&self, other: &Self) -> bool {
        self.0.der == other.0.der
    }
}

impl Eq for Certificate {}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<String> = self.0.identifiers.iter().map(ToString::to_string).collect();
        f.debug_struct("Certificate")
            .field("serial", &self.0.serial)
            .field("subject", &self.subject())
            .field("issuer", &self.issuer())
            .field("names", &names)
            .finish_non_exhaustive()
    }
}

/// A chain as ACME clients and TLS servers read it: PEM, leaf first (RFC 8555 §9.1).
#[must_use]
pub fn pem_chain<'a>(certificates: impl IntoIterator<Item = &'a Certificate>) -> String {
    certificates.into_iter().map(Certificate::pem).collect()
}

/// Bytes that are no certificate, by fault of whoever sent them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadCertificate {
    /// Over 64 KiB of DER, or 1 MiB of PEM.
    #[error("the certificate is too large")]
    TooLarge,
    /// Not the ASN.1 of a certificate, or an extension is malformed or duplicated.
    #[error("the certificate is malformed: {0}")]
    Malformed(#[from] der::Error),
    /// Readable, but not in the one encoding DER permits.
    #[error("the certificate is not encoded in DER")]
    NotDer,
    /// A serial number that is zero, negative or too long.
    #[error("the serial number is not a positive integer of at most 20 octets")]
    Serial,
    /// Name constraints that cannot be honoured.
    #[error("the name constraints cannot be read")]
    Constraints,
    /// A date that cannot be expressed.
    #[error("a date is out of range")]
    Date,
    /// No certificate in the text, or one without an end or with a bad body.
    #[error("no certificate in PEM (-----BEGIN CERTIFICATE-----)")]
    Pem,
}

/// The PEM of a certificate whose DER is at hand and need not be read (RFC 7468 §5.1).
#[must_use]
pub fn pem_of(der: &[u8]) -> String {
    pem("CERTIFICATE", der)
}

/// `label` and base64 in lines of 64.
pub(crate) fn pem(label: &str, der: &[u8]) -> String {
    let body = data_encoding::BASE64.encode(der);
    let mut text = String::with_capacity(body.len() * 66 / 64 + 64);
    text.push_str(&format!("-----BEGIN {label}-----\n"));
    let mut rest = body.as_str();
    while !rest.is_empty() {
        let (line, tail) = rest.split_at(rest.len().min(64));
        text.push_str(line);
        text.push('\n');
        rest = tail;
    }
    text.push_str(&format!("-----END {label}-----\n"));
    text
}

/// A GeneralName as an identifier, if it is of a kind that is issued here.
pub(crate) fn identifier(name: &GeneralName) -> Option<Identifier> {
    match name {
        GeneralName::DnsName(name) => DnsName::parse(name.as_str()).ok().map(Identifier::Dns),
        GeneralName::IpAddress(bytes) => match bytes.as_bytes() {
            bytes @ [_, _, _, _] => <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from),
            bytes => <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from),
        }
        .map(Identifier::Ip),
        _ => None,
    }
}

struct Contents {
    der: Box<[u8]>,
    tbs: Range<usize>,
    serial: Serial,
    subject: Vec<u8>,
    issuer: Vec<u8>,
    /// Written when first asked for, which issuing never does.
    subject_text: OnceLock<String>,
    issuer_text: OnceLock<String>,
    spki: Vec<u8>,
    not_before: Timestamp,
    not_after: Timestamp,
    identifiers: BTreeSet<Identifier>,
    other_names: usize,
    is_ca: bool,
    path_len: Option<u8>,
    authority_key_id: Option<Vec<u8>>,
    subject_key_id: Option<Vec<u8>>,
    constraints: NameConstraints,
    signature_algorithm: Vec<u8>,
    signature: Vec<u8>,
}

/// A Name that has been read before.
fn text(name: &[u8]) -> String {
    Name::from_der(name).map(|name| name.to_string()).unwrap_or_default()
}

fn names(tbs: &TbsCertificate) -> Result<(BTreeSet<Identifier>, usize), der::Error> {
    let Some((_, SubjectAltName(names))) = tbs.get_extension::<SubjectAltName>()? else {
        return Ok((BTreeSet::new(), 0));
    };
    let mut identifiers = BTreeSet::new();
    let mut others = 0;
    for name in &names {
        match identifier(name) {
            Some(identifier) => {
                identifiers.insert(identifier);
            }
            None => others += 1,
        }
    }
    Ok((identifiers, others))
}

/// Where in `der` the TBSCertificate, the first element of the outer sequence, lies.
fn tbs_range(der: &[u8]) -> Result<Range<usize>, der::Error> {
    let outer = AnyRef::from_der(der)?;
    let start = der.len() - outer.value().len();
    let length = SliceReader::new(outer.value())?.tlv_bytes()?.len();
    Ok(start..start + length)
}

pub(crate) fn timestamp(time: x509_cert::time::Time) -> Result<Timestamp, BadCertificate> {
    let seconds = i64::try_from(time.to_unix_duration().as_secs());
    seconds
        .ok()
        .and_then(|seconds| Timestamp::from_second(seconds).ok())
        .ok_or(BadCertificate::Date)
}

const MAX_CERTIFICATE: usize = 64 * 1024;
const MAX_PEM: usize = 1024 * 1024;
const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";
