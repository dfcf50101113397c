//! Certificates as they are found, whoever issued them: what anybody would ask of one, read leniently,
//! since the point is to see what is there. What is wrong with them is judged in [`flaw`].

use der::asn1::{AnyRef, ObjectIdentifier, UintRef};
use der::{Decode, SliceReader};
use jiff::Timestamp;
use x509_cert::certificate::{CertificateInner, Raw, TbsCertificateInner};
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{BasicConstraints, SubjectAltName};
use x509_cert::name::Name;

use crate::certificate::{identifier, timestamp};
use crate::key::sha256;

mod algorithms;
mod flaw;

pub use algorithms::{Strength, strength};
pub use flaw::{Anchors, Flaw, flaws};

/// What a certificate says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Survey {
    /// SHA-256 of the DER.
    pub fingerprint: [u8; 32],
    /// As RFC 4514 writes names; empty where the names are in the subjectAltName only.
    pub subject: String,
    /// As RFC 4514 writes names.
    pub issuer: String,
    /// Hexadecimal, as sent.
    pub serial: String,
    /// DNS names and addresses of the subjectAltName, as written there; of an old certificate without
    /// one, the common name.
    pub names: Vec<String>,
    /// First second of validity.
    pub not_before: Timestamp,
    /// Last second of validity (RFC 5280 §4.1.2.5: inclusive).
    pub not_after: Timestamp,
    /// The kind of key, as declarations write it where they can: `p256`, `rsa2048`, `mldsa65`; its
    /// object identifier if it has no name here.
    pub key: String,
    /// Bits of the modulus or of the curve; 0 if that is not known.
    pub key_bits: u32,
    /// The algorithm of its signature: `ecdsa-sha256`, `rsa-sha1`, ...; else an object identifier.
    pub signature: String,
    /// Whether it is an authority's (RFC 5280 §4.2.1.9).
    pub is_ca: bool,
    /// Whether subject and issuer are the same name.
    pub self_issued: bool,
}

impl Survey {
    /// Reads a DER certificate of at most 64 KiB, with what other parsers let pass: negative and long
    /// serial numbers, no extensions, keys of any kind.
    ///
    /// # Errors
    /// [`Unreadable`], with what it is instead.
    pub fn of(der: &[u8]) -> Result<Self, Unreadable> {
        if der.len() > MAX_CERTIFICATE {
            return Err(Unreadable("larger than 64 KiB".to_owned()));
        }
        let parsed = CertificateInner::<Raw>::from_der(der)?;
        let tbs = parsed.tbs_certificate();
        let spki = tbs.subject_public_key_info();
        let (key, key_bits) = algorithms::key(
            spki.algorithm.oid,
            spki.algorithm.parameters.as_ref().map(AnyRef::from),
            spki.subject_public_key.raw_bytes(),
        );
        let date = |time| timestamp(time).map_err(|error| Unreadable(error.to_string()));
        let basic = tbs.get_extension::<BasicConstraints>().ok().flatten();
        Ok(Self {
            fingerprint: sha256(der),
            subject: visible(&tbs.subject().to_string()),
            issuer: visible(&tbs.issuer().to_string()),
            serial: data_encoding::HEXLOWER.encode(tbs.serial_number().as_bytes()),
            names: names(tbs),
            not_before: date(tbs.validity().not_before)?,
            not_after: date(tbs.validity().not_after)?,
            key,
            key_bits,
            signature: algorithms::signature(parsed.signature_algorithm().oid),
            is_ca: basic.is_some_and(|(_, basic)| basic.ca),
            self_issued: tbs.subject() == tbs.issuer(),
        })
    }

    /// What people call it: its first name, else its subject.
    #[must_use]
    pub fn called(&self) -> &str {
        self.names.first().unwrap_or(&self.subject)
    }

    /// Whether key and signature resist a quantum computer (FIPS 204, FIPS 205).
    #[must_use]
    pub fn is_post_quantum(&self) -> bool {
        [&self.key, &self.signature].into_iter().all(|name| strength(name) == Strength::PostQuantum)
    }
}

/// Bytes that are no certificate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no certificate that can be read: {0}")]
pub struct Unreadable(String);

impl From<der::Error> for Unreadable {
    fn from(error: der::Error) -> Self {
        Self(error.to_string())
    }
}

fn names(tbs: &TbsCertificateInner<Raw>) -> Vec<String> {
    match tbs.get_extension::<SubjectAltName>() {
        Ok(Some((_, SubjectAltName(names)))) => {
            names.iter().filter_map(written).take(MAX_NAMES).map(|name| visible(&name)).collect()
        }
        // RFC 6125 §6.4.4: what clients looked at before there was a subjectAltName.
        Ok(None) => common_name(tbs.subject()).map(|name| visible(&name)).into_iter().collect(),
        Err(_) => Vec::new(),
    }
}

/// A name as it is written, even if no such name would be issued here.
fn written(name: &GeneralName) -> Option<String> {
    match (identifier(name), name) {
        (Some(identifier), _) => Some(identifier.to_string()),
        (None, GeneralName::DnsName(name)) => Some(name.to_string()),
        (None, GeneralName::UniformResourceIdentifier(uri)) => Some(uri.to_string()),
        (None, GeneralName::Rfc822Name(address)) => Some(address.to_string()),
        (None, _) => None,
    }
}

/// A text of a stranger, as it may be shown on a terminal.
fn visible(text: &str) -> String {
    text.replace(char::is_control, "\u{fffd}")
}

fn common_name(name: &Name) -> Option<String> {
    let attributes = name.iter().filter(|attribute| attribute.oid == COMMON_NAME);
    attributes.last().map(|attribute| {
        let text = attribute.to_string();
        text.strip_prefix("CN=").unwrap_or(&text).to_owned()
    })
}

/// The bits of an RSA modulus (RFC 8017 §A.1.1).
fn modulus_bits(key: &[u8]) -> Option<u32> {
    let sequence = AnyRef::from_der(key).ok()?;
    let modulus = UintRef::decode(&mut SliceReader::new(sequence.value()).ok()?).ok()?;
    let bytes = modulus.as_bytes();
    let length = u32::try_from(bytes.len()).ok()?;
    Some((length * 8).saturating_sub(bytes.first()?.leading_zeros()))
}

const MAX_CERTIFICATE: usize = 64 * 1024;
const MAX_NAMES: usize = 1000;
const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");
