//! The bytes of a certificate: what is to be signed, the extensions it carries, and the whole once
//! a signature is there (RFC 5280 §4.1). Decides nothing.

use std::net::IpAddr;

use der::asn1::ObjectIdentifier;
use jiff::Timestamp;

use crate::algorithm::SignatureAlgorithm;
use crate::asn1;
use crate::name::Identifier;
use crate::serial::Serial;

/// From when until when, both inclusive, in whole seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Validity {
    pub(crate) not_before: Timestamp,
    pub(crate) not_after: Timestamp,
}

/// A certificate before it is signed.
pub(crate) struct Tbs<'a> {
    pub(crate) serial: &'a Serial,
    pub(crate) signature: SignatureAlgorithm,
    /// DER of the issuer's name.
    pub(crate) issuer: &'a [u8],
    pub(crate) validity: Validity,
    /// DER of the subject's name.
    pub(crate) subject: &'a [u8],
    pub(crate) spki: &'a [u8],
    /// DER of each extension, from [`extension`].
    pub(crate) extensions: &'a [Vec<u8>],
}

impl Tbs<'_> {
    /// The DER TBSCertificate, or `None` when a date is outside the years 1950 to 9999.
    pub(crate) fn to_der(&self) -> Option<Vec<u8>> {
        let validity = asn1::element(
            asn1::SEQUENCE,
            &[&asn1::time(self.validity.not_before)?, &asn1::time(self.validity.not_after)?],
        );
        let extensions: Vec<&[u8]> = self.extensions.iter().map(Vec::as_slice).collect();
        let extensions = asn1::element(asn1::SEQUENCE, &extensions);
        Some(asn1::element(
            asn1::SEQUENCE,
            &[
                VERSION_3,
                &self.serial.to_der(),
                self.signature.identifier(),
                self.issuer,
                &validity,
                self.subject,
                self.spki,
                &asn1::element(asn1::constructed(3), &[&extensions]),
            ],
        ))
    }
}

/// A signed structure: what was signed, how, and the signature.
pub(crate) fn assemble(tbs: &[u8], algorithm: SignatureAlgorithm, signature: &[u8]) -> Vec<u8> {
    asn1::element(asn1::SEQUENCE, &[tbs, algorithm.identifier(), &asn1::bit_string(signature)])
}

/// A Name of a common name and an organization, either of which may be missing.
pub(crate) fn name(common_name: Option<&str>, organization: Option<&str>) -> Vec<u8> {
    let attribute = |oid: ObjectIdentifier, text: Option<&str>| {
        text.map_or_else(Vec::new, |text| {
            let value = asn1::element(asn1::UTF8_STRING, &[text.as_bytes()]);
            let pair = asn1::element(asn1::SEQUENCE, &[&object_identifier(oid), &value]);
            asn1::element(asn1::SET, &[&pair])
        })
    };
    asn1::element(
        asn1::SEQUENCE,
        &[&attribute(ORGANIZATION, organization), &attribute(COMMON_NAME, common_name)],
    )
}

/// An Extension.
pub(crate) fn extension(oid: ObjectIdentifier, critical: bool, value: &[u8]) -> Vec<u8> {
    asn1::element(
        asn1::SEQUENCE,
        &[
            &object_identifier(oid),
            if critical { asn1::BOOLEAN_TRUE } else { &[] },
            &asn1::element(asn1::OCTET_STRING, &[value]),
        ],
    )
}

/// basicConstraints of an authority, critical (RFC 5280 §4.2.1.9).
pub(crate) fn basic_constraints(path_len: Option<u8>) -> Vec<u8> {
    let path_len = path_len.map_or_else(Vec::new, |length| asn1::unsigned(&[length]));
    let value = asn1::element(asn1::SEQUENCE, &[asn1::BOOLEAN_TRUE, &path_len]);
    extension(BASIC_CONSTRAINTS, true, &value)
}

/// keyUsage, critical (RFC 5280 §4.2.1.3); `bits` has bit 0, digitalSignature, on the left.
pub(crate) fn key_usage(bits: u8) -> Vec<u8> {
    let unused = u8::try_from(bits.trailing_zeros().min(7)).unwrap_or(0);
    extension(KEY_USAGE, true, &asn1::element(asn1::BIT_STRING, &[&[unused, bits]]))
}

/// extKeyUsage, not critical (RFC 5280 §4.2.1.12).
pub(crate) fn extended_key_usage(purposes: impl Iterator<Item = ObjectIdentifier>) -> Vec<u8> {
    let purposes: Vec<u8> = purposes.flat_map(object_identifier).collect();
    extension(EXTENDED_KEY_USAGE, false, &asn1::element(asn1::SEQUENCE, &[&purposes]))
}

/// subjectAltName (RFC 5280 §4.2.1.6).
pub(crate) fn subject_alt_name<'a>(
    identifiers: impl Iterator<Item = &'a Identifier>,
    critical: bool,
) -> Vec<u8> {
    let names: Vec<u8> = identifiers
        .flat_map(|identifier| match identifier {
            Identifier::Dns(name) => asn1::element(asn1::context(2), &[name.as_str().as_bytes()]),
            Identifier::Ip(IpAddr::V4(ip)) => asn1::element(asn1::context(7), &[&ip.octets()]),
            Identifier::Ip(IpAddr::V6(ip)) => asn1::element(asn1::context(7), &[&ip.octets()]),
        })
        .collect();
    extension(SUBJECT_ALT_NAME, critical, &asn1::element(asn1::SEQUENCE, &[&names]))
}

/// subjectKeyIdentifier (RFC 5280 §4.2.1.2).
pub(crate) fn subject_key_id(id: &[u8]) -> Vec<u8> {
    extension(SUBJECT_KEY_ID, false, &asn1::element(asn1::OCTET_STRING, &[id]))
}

/// authorityKeyIdentifier with a key identifier alone (RFC 5280 §4.2.1.1).
pub(crate) fn authority_key_id(id: &[u8]) -> Vec<u8> {
    let id = asn1::element(asn1::context(0), &[id]);
    extension(AUTHORITY_KEY_ID, false, &asn1::element(asn1::SEQUENCE, &[&id]))
}

/// cRLDistributionPoints: one point, at any of `urls` (RFC 5280 §4.2.1.13).
pub(crate) fn crl_distribution_point(urls: &[String]) -> Vec<u8> {
    let point = asn1::element(asn1::SEQUENCE, &[&distribution_point_name(urls)]);
    extension(CRL_DISTRIBUTION_POINTS, false, &asn1::element(asn1::SEQUENCE, &[&point]))
}

/// authorityInfoAccess: OCSP responders, then the issuer's certificate (RFC 5280 §4.2.2.1).
pub(crate) fn authority_info_access(ocsp: &[String], issuer: &[String]) -> Vec<u8> {
    let describe = |method, url: &String| {
        asn1::element(asn1::SEQUENCE, &[&object_identifier(method), &uri(url)])
    };
    let descriptions: Vec<u8> = ocsp
        .iter()
        .map(|url| describe(OCSP, url))
        .chain(issuer.iter().map(|url| describe(CA_ISSUERS, url)))
        .flatten()
        .collect();
    extension(AUTHORITY_INFO_ACCESS, false, &asn1::element(asn1::SEQUENCE, &[&descriptions]))
}

/// A TLS feature extension that asks for a stapled OCSP response (RFC 7633 §6).
pub(crate) fn must_staple() -> Vec<u8> {
    let value = asn1::element(asn1::SEQUENCE, &[&asn1::unsigned(&[STATUS_REQUEST])]);
    extension(TLS_FEATURE, false, &value)
}

/// `distributionPoint [0]` with a full name of URIs.
pub(crate) fn distribution_point_name(urls: &[String]) -> Vec<u8> {
    let urls: Vec<u8> = urls.iter().flat_map(uri).collect();
    let full_name = asn1::element(asn1::constructed(0), &[&urls]);
    asn1::element(asn1::constructed(0), &[&full_name])
}

fn object_identifier(oid: ObjectIdentifier) -> Vec<u8> {
    asn1::element(asn1::OBJECT_IDENTIFIER, &[oid.as_bytes()])
}

fn uri(url: &String) -> Vec<u8> {
    asn1::element(asn1::context(6), &[url.as_bytes()])
}

/// The bits of keyUsage, leftmost first.
pub(crate) const DIGITAL_SIGNATURE: u8 = 0x80;
pub(crate) const KEY_ENCIPHERMENT: u8 = 0x20;
pub(crate) const KEY_CERT_SIGN: u8 = 0x04;
pub(crate) const CRL_SIGN: u8 = 0x02;

/// status_request (RFC 6066 §8).
pub(crate) const STATUS_REQUEST: u8 = 5;

pub(crate) const AUTHORITY_INFO_ACCESS: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.1.1");
pub(crate) const TLS_FEATURE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.1.24");
pub(crate) const SUBJECT_KEY_ID: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.14");
pub(crate) const KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.15");
pub(crate) const SUBJECT_ALT_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.17");
pub(crate) const BASIC_CONSTRAINTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.19");
pub(crate) const NAME_CONSTRAINTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.30");
pub(crate) const CRL_DISTRIBUTION_POINTS: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("2.5.29.31");
pub(crate) const AUTHORITY_KEY_ID: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.35");
pub(crate) const EXTENDED_KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37");
const OCSP: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.48.1");
const CA_ISSUERS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.48.2");
const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");
const ORGANIZATION: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.10");
/// `[0] INTEGER 2`.
const VERSION_3: &[u8] = &[0xa0, 0x03, 0x02, 0x01, 0x02];
