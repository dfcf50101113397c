//! Certification requests (PKCS #10, RFC 2986) as ACME clients send them. Reads one strictly and
//! proves possession of the key; what it asks for is granted or refused elsewhere.

use std::collections::BTreeSet;

use der::asn1::ObjectIdentifier;
use der::{Decode, Encode, Tag, Tagged};
use x509_cert::attr::Attribute;
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::{BasicConstraints, SubjectAltName};
use x509_cert::request::CertReq;

use crate::algorithm::SignatureAlgorithm;
use crate::certificate;
use crate::key::{BadKey, PublicKey};
use crate::name::{Identifier, InvalidName};
use crate::tbs;
use crate::weak::{self, WeakKey};

/// A request whose signature has been verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Csr {
    public_key: PublicKey,
    identifiers: BTreeSet<Identifier>,
    must_staple: bool,
}

impl Csr {
    /// Reads a DER CertificationRequest of at most 64 KiB with at most 1,000 names.
    ///
    /// The names are those of the subjectAltName and the subject's common names. Key usages and
    /// attributes that are not extension requests are passed over: the profile decides.
    ///
    /// # Errors
    /// [`BadCsr`]: not DER, a bad or weak key, a signature that is wrong or by SHA-1 or MD5, an
    /// attribute or extension there twice, a name that is no DNS name or address, or a request to
    /// be an authority.
    pub fn parse(der: &[u8]) -> Result<Self, BadCsr> {
        if der.len() > MAX_CSR {
            return Err(BadCsr::TooLarge);
        }
        let request = CertReq::from_der(der)?;
        if request.to_der()? != der {
            return Err(BadCsr::NotDer);
        }
        let public_key = PublicKey::from_spki(&request.info.public_key.to_der()?)?;
        weak::check_numbers(&public_key)?;
        let algorithm = SignatureAlgorithm::from_identifier(&request.algorithm.to_der()?)
            .map_err(BadKey::from)?;
        let signature = request.signature.as_bytes().ok_or(BadCsr::NotDer)?;
        public_key.verify(algorithm, &request.info.to_der()?, signature)?;

        let mut identifiers = common_names(&request)?;
        let mut must_staple = false;
        for extension in extensions(&request)? {
            match extension.extn_id {
                tbs::SUBJECT_ALT_NAME => read_names(&extension, &mut identifiers)?,
                tbs::BASIC_CONSTRAINTS
                    if BasicConstraints::from_der(extension.extn_value.as_bytes())?.ca =>
                {
                    return Err(BadCsr::Authority);
                }
                tbs::TLS_FEATURE => {
                    let features = Vec::<u16>::from_der(extension.extn_value.as_bytes())?;
                    must_staple = features.contains(&u16::from(tbs::STATUS_REQUEST));
                }
                _ => {}
            }
        }
        Ok(Self { public_key, identifiers, must_staple })
    }

    /// Every name asked for; may be empty.
    #[must_use]
    pub fn identifiers(&self) -> &BTreeSet<Identifier> {
        &self.identifiers
    }

    /// The key, whose possession the requester has proved.
    #[must_use]
    pub fn public_key(&self) -> &PublicKey {
        &self.public_key
    }

    /// Whether the TLS feature extension with status_request is asked for (RFC 7633).
    #[must_use]
    pub fn must_staple(&self) -> bool {
        self.must_staple
    }
}

/// A request that cannot be granted, by fault of whoever sent it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadCsr {
    /// Over 64 KiB.
    #[error("the CSR is larger than 64 KiB")]
    TooLarge,
    /// Not the ASN.1 of a CSR.
    #[error("the CSR is malformed: {0}")]
    Malformed(#[from] der::Error),
    /// Readable, but not in the one encoding DER permits.
    #[error("the CSR is not encoded in DER")]
    NotDer,
    /// The key is not acceptable, or the signature is not its.
    #[error("the CSR cannot be accepted: {0}")]
    Key(#[from] BadKey),
    /// The key is weak.
    #[error("the CSR's key is refused: {0}")]
    WeakKey(#[from] WeakKey),
    /// An attribute or extension is there twice; its object identifier.
    #[error("the CSR has {0} more than once")]
    Duplicate(String),
    /// A name that is no DNS name or IP address.
    #[error("the CSR asks for a name that cannot be certified: {0}")]
    Name(#[from] InvalidName),
    /// A subjectAltName entry that is neither a DNS name nor an IP address, or a common name that
    /// is no text.
    #[error("the CSR asks for {0}: only DNS names and IP addresses are certified")]
    NameType(&'static str),
    /// More than 1,000.
    #[error("the CSR asks for more than 1000 names")]
    TooManyNames,
    /// basicConstraints with CA:TRUE.
    #[error("the CSR asks for an authority's certificate (CA:TRUE)")]
    Authority,
}

fn common_names(request: &CertReq) -> Result<BTreeSet<Identifier>, BadCsr> {
    let mut names = BTreeSet::new();
    for attribute in request.info.subject.iter().filter(|pair| pair.oid == COMMON_NAME) {
        let text = match attribute.value.tag() {
            Tag::Utf8String | Tag::PrintableString | Tag::Ia5String => {
                std::str::from_utf8(attribute.value.value()).ok()
            }
            _ => None,
        };
        let text = text.ok_or(BadCsr::NameType("a common name of an unusual string type"))?;
        names.insert(Identifier::parse(text)?);
    }
    Ok(names)
}

/// The requested extensions, each kind at most once.
fn extensions(request: &CertReq) -> Result<Vec<Extension>, BadCsr> {
    let attributes: Vec<&Attribute> = request.info.attributes.iter().collect();
    let mut seen = BTreeSet::new();
    if let Some(twice) = attributes.iter().find(|attribute| !seen.insert(attribute.oid)) {
        return Err(BadCsr::Duplicate(twice.oid.to_string()));
    }
    let Some(requested) = attributes.iter().find(|attribute| attribute.oid == EXTENSION_REQUEST)
    else {
        return Ok(Vec::new());
    };
    let mut values = requested.values.iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return Err(BadCsr::Duplicate(EXTENSION_REQUEST.to_string()));
    };
    let extensions = Vec::<Extension>::from_der(&value.to_der()?)?;
    let mut seen = BTreeSet::new();
    match extensions.iter().find(|extension| !seen.insert(extension.extn_id)) {
        Some(twice) => Err(BadCsr::Duplicate(twice.extn_id.to_string())),
        None => Ok(extensions),
    }
}

fn read_names(extension: &Extension, identifiers: &mut BTreeSet<Identifier>) -> Result<(), BadCsr> {
    use x509_cert::ext::pkix::name::GeneralName as G;

    let SubjectAltName(names) = SubjectAltName::from_der(extension.extn_value.as_bytes())?;
    if names.len() > MAX_NAMES {
        return Err(BadCsr::TooManyNames);
    }
    for name in &names {
        match (certificate::identifier(name), name) {
            (Some(identifier), _) => {
                identifiers.insert(identifier);
            }
            (None, G::DnsName(text)) => {
                crate::name::DnsName::parse(text.as_str())?;
            }
            (None, G::IpAddress(_)) => {
                return Err(BadCsr::NameType("an address that is neither IPv4 nor IPv6"));
            }
            (None, G::Rfc822Name(_)) => return Err(BadCsr::NameType("an e-mail address")),
            (None, G::UniformResourceIdentifier(_)) => return Err(BadCsr::NameType("a URI")),
            (None, _) => return Err(BadCsr::NameType("a name of another type")),
        }
    }
    Ok(())
}

const EXTENSION_REQUEST: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.14");
const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");
const MAX_CSR: usize = 64 * 1024;
const MAX_NAMES: usize = 1000;
