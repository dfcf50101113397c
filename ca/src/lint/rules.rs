//! The rules themselves: pure functions over a certificate that has been read back, each named and
//! with the place where it is written.

use std::collections::BTreeSet;

use der::Decode;
use der::asn1::ObjectIdentifier;
use x509_cert::TbsCertificate;
use x509_cert::Version;
use x509_cert::ext::pkix::crl::dp::DistributionPoint;
use x509_cert::ext::pkix::name::{DistributionPointName, GeneralName};
use x509_cert::ext::pkix::{
    AuthorityInfoAccessSyntax, AuthorityKeyIdentifier, BasicConstraints, CrlDistributionPoints,
    ExtendedKeyUsage, KeyUsage, NameConstraints, SubjectAltName, SubjectKeyIdentifier,
};
use x509_cert::time::Time;

use crate::algorithm::KeyAlgorithm;
use crate::certificate::Certificate;
use crate::key::PublicKey;
use crate::name::Identifier;
use crate::tbs;

/// A rule: what it is called, where it is written, and how it is checked.
pub(super) struct Rule {
    pub(super) name: &'static str,
    pub(super) section: &'static str,
    pub(super) check: fn(&Linted<'_>) -> Result<(), String>,
}

/// A certificate as two parsers read it.
pub(super) struct Linted<'a> {
    own: Certificate,
    other: x509_cert::Certificate,
    key: PublicKey,
    issuer: Option<&'a Certificate>,
}

impl<'a> Linted<'a> {
    pub(super) fn read(der: &[u8], issuer: Option<&'a Certificate>) -> Result<Self, String> {
        let (own, other) = Certificate::read(der).map_err(|e| e.to_string())?;
        let key = own.public_key().map_err(|e| e.to_string())?;
        Ok(Self { own, other, key, issuer })
    }

    fn tbs(&self) -> &TbsCertificate {
        self.other.tbs_certificate()
    }

    /// An extension that must be there, and be critical or not.
    fn extension<'b, T>(&'b self, critical: bool) -> Result<T, String>
    where
        T: Decode<'b, Error = der::Error> + const_oid::AssociatedOid,
    {
        self.optional::<T>(critical)?.ok_or_else(|| format!("extension {} is missing", T::OID))
    }

    fn optional<'b, T>(&'b self, critical: bool) -> Result<Option<T>, String>
    where
        T: Decode<'b, Error = der::Error> + const_oid::AssociatedOid,
    {
        match self.tbs().get_extension::<T>().map_err(|e| e.to_string())? {
            Some((is, _)) if is != critical => {
                Err(format!("extension {} has critical = {is}", T::OID))
            }
            found => Ok(found.map(|(_, value)| value)),
        }
    }
}

/// For every certificate.
pub(super) const EVERY: &[Rule] = &[
    Rule { name: "version-3", section: "RFC 5280 §4.1.2.1", check: version },
    Rule { name: "serial", section: "RFC 5280 §4.1.2.2; BR 7.1", check: serial },
    Rule { name: "signature-algorithm", section: "RFC 5280 §4.1.1.2", check: signature },
    Rule { name: "issuer-name", section: "RFC 5280 §4.1.2.4", check: issuer_name },
    Rule { name: "validity-form", section: "RFC 5280 §4.1.2.5", check: validity_form },
    Rule { name: "validity-nested", section: "RFC 5280 §6.1.3", check: validity_nested },
    Rule { name: "no-unique-ids", section: "RFC 5280 §4.1.2.8", check: unique_ids },
    Rule { name: "extensions-once", section: "RFC 5280 §4.2", check: extensions_once },
    Rule { name: "critical-known", section: "RFC 5280 §4.2", check: critical_known },
    Rule { name: "authority-key-id", section: "RFC 5280 §4.2.1.1", check: authority_key_id },
    Rule { name: "subject-key-id", section: "RFC 5280 §4.2.1.2", check: subject_key_id },
    Rule { name: "crl-points", section: "RFC 5280 §4.2.1.13; BR 7.1.2.11.2", check: crl_points },
    Rule { name: "info-access", section: "RFC 5280 §4.2.2.1; BR 7.1.2.10.3", check: info_access },
];

/// For end entities.
pub(super) const LEAF: &[Rule] = &[
    Rule { name: "leaf-not-ca", section: "RFC 5280 §4.2.1.9", check: leaf_not_ca },
    Rule {
        name: "leaf-key-usage", section: "RFC 5280 §4.2.1.3; BR 7.1.2.7.11", check: leaf_usage
    },
    Rule { name: "leaf-purpose", section: "RFC 5280 §4.2.1.12; BR 7.1.2.7.10", check: purpose },
    Rule { name: "alt-name", section: "RFC 5280 §4.2.1.6; BR 7.1.2.7.12", check: alt_name },
    Rule { name: "common-name", section: "BR 7.1.4.3", check: common_name },
    Rule { name: "leaf-no-constraints", section: "RFC 5280 §4.2.1.10", check: leaf_constraints },
    Rule { name: "constraints-hold", section: "RFC 5280 §4.2.1.10", check: constraints_hold },
];

/// For authorities.
pub(super) const AUTHORITY: &[Rule] = &[
    Rule { name: "ca-basic-constraints", section: "RFC 5280 §4.2.1.9", check: ca_basic },
    Rule { name: "ca-key-usage", section: "RFC 5280 §4.2.1.3", check: ca_usage },
    Rule { name: "ca-subject", section: "RFC 5280 §4.1.2.6", check: ca_subject },
    Rule { name: "ca-path-length", section: "RFC 5280 §4.2.1.9", check: ca_path_length },
    Rule { name: "ca-constraints", section: "RFC 5280 §4.2.1.10", check: ca_constraints },
];

fn version(c: &Linted<'_>) -> Result<(), String> {
    require(c.tbs().version() == Version::V3, "the version is not 3")
}

fn serial(c: &Linted<'_>) -> Result<(), String> {
    // That it is positive and at most 20 octets has been checked in reading it.
    require(c.own.serial().as_bytes().len() >= 8, "fewer than 64 bits")
}

fn signature(c: &Linted<'_>) -> Result<(), String> {
    let same = c.tbs().signature() == c.other.signature_algorithm();
    require(same, "the algorithm inside and outside the signed part differ")
}

fn issuer_name(c: &Linted<'_>) -> Result<(), String> {
    require(!c.tbs().issuer().is_empty(), "the issuer's name is empty")?;
    let expected = c.issuer.map_or(c.own.subject_der(), Certificate::subject_der);
    require(c.own.issuer_der() == expected, "not the issuing authority's subject")
}

fn validity_form(c: &Linted<'_>) -> Result<(), String> {
    let validity = c.tbs().validity();
    for time in [validity.not_before, validity.not_after] {
        let expected_utc = time.to_date_time().year() < 2050;
        require(matches!(time, Time::UtcTime(_)) == expected_utc, "the wrong type of time")?;
    }
    require(c.own.not_before() < c.own.not_after(), "it ends before it begins")
}

fn validity_nested(c: &Linted<'_>) -> Result<(), String> {
    let Some(issuer) = c.issuer else { return Ok(()) };
    require(issuer.not_before() <= c.own.not_before(), "it begins before its issuer")?;
    require(c.own.not_after() <= issuer.not_after(), "it outlives its issuer")
}

fn unique_ids(c: &Linted<'_>) -> Result<(), String> {
    let none = c.tbs().issuer_unique_id().is_none() && c.tbs().subject_unique_id().is_none();
    require(none, "a unique identifier is present")
}

fn extensions_once(c: &Linted<'_>) -> Result<(), String> {
    let mut seen = BTreeSet::new();
    match c.tbs().extensions().into_iter().flatten().find(|e| !seen.insert(e.extn_id)) {
        Some(twice) => Err(format!("extension {} is there twice", twice.extn_id)),
        None => Ok(()),
    }
}

fn critical_known(c: &Linted<'_>) -> Result<(), String> {
    let unknown = c
        .tbs()
        .extensions()
        .into_iter()
        .flatten()
        .find(|e| e.critical && !MAY_BE_CRITICAL.contains(&e.extn_id));
    match unknown {
        Some(extension) => Err(format!("extension {} is critical", extension.extn_id)),
        None => Ok(()),
    }
}

fn authority_key_id(c: &Linted<'_>) -> Result<(), String> {
    let id = c.extension::<AuthorityKeyIdentifier>(false)?.key_identifier;
    let id = id.as_ref().map(der::asn1::OctetString::as_bytes);
    let expected = c.issuer.map_or(c.own.subject_key_id(), Certificate::subject_key_id);
    require(id.is_some() && id == expected, "not the issuing authority's key identifier")
}

fn subject_key_id(c: &Linted<'_>) -> Result<(), String> {
    let SubjectKeyIdentifier(id) = c.extension(false)?;
    // A cross-signed authority keeps the identifier it had, whatever made it.
    let expected = c.own.is_ca() || id.as_bytes() == c.key.key_id();
    require(expected && !id.is_empty(), "not the key's identifier (RFC 7093 method 1)")
}

fn crl_points(c: &Linted<'_>) -> Result<(), String> {
    let Some(CrlDistributionPoints(points)) = c.optional(false)? else { return Ok(()) };
    for DistributionPoint { distribution_point, reasons, crl_issuer } in points {
        require(reasons.is_none() && crl_issuer.is_none(), "reasons or a CRL issuer are given")?;
        let Some(DistributionPointName::FullName(names)) = distribution_point else {
            return Err("a point has no full name".into());
        };
        require(!names.is_empty() && names.iter().all(is_http), "not an http URI")?;
    }
    Ok(())
}

fn info_access(c: &Linted<'_>) -> Result<(), String> {
    let Some(AuthorityInfoAccessSyntax(entries)) = c.optional(false)? else { return Ok(()) };
    require(!entries.is_empty(), "it is empty")?;
    require(entries.iter().all(|e| is_http(&e.access_location)), "not an http URI")
}

fn leaf_not_ca(c: &Linted<'_>) -> Result<(), String> {
    match c.optional::<BasicConstraints>(true)? {
        Some(basic) if basic.ca || basic.path_len_constraint.is_some() => {
            Err("basicConstraints of an authority".into())
        }
        _ => Ok(()),
    }
}

fn leaf_usage(c: &Linted<'_>) -> Result<(), String> {
    let usage: KeyUsage = c.extension(true)?;
    require(usage.digital_signature(), "digitalSignature is missing")?;
    require(!usage.key_cert_sign() && !usage.crl_sign(), "it could sign certificates or CRLs")?;
    let encipherment = usage.key_encipherment() || usage.data_encipherment();
    let rsa = matches!(c.key.algorithm(), KeyAlgorithm::Rsa { .. });
    require(rsa || !encipherment, "encipherment with a key that cannot")?;
    let agreement = usage.key_agreement() || usage.encipher_only() || usage.decipher_only();
    require(!agreement && !usage.non_repudiation(), "usages TLS has no use for")
}

fn purpose(c: &Linted<'_>) -> Result<(), String> {
    let ExtendedKeyUsage(purposes) = c.extension(false)?;
    require(!purposes.is_empty(), "it has no purpose")?;
    require(!purposes.contains(&ANY_EXTENDED_KEY_USAGE), "anyExtendedKeyUsage")
}

fn alt_name(c: &Linted<'_>) -> Result<(), String> {
    let critical = c.tbs().subject().is_empty();
    let SubjectAltName(names) = c.extension(critical)?;
    require(!names.is_empty(), "it is empty")?;
    require(c.own.other_names() == 0, "a name that is no DNS name or address in its one form")?;
    let lowered = names.iter().all(|name| match name {
        GeneralName::DnsName(name) => !name.as_str().bytes().any(|b| b.is_ascii_uppercase()),
        _ => true,
    });
    require(lowered, "a DNS name has capitals")?;
    require(names.len() == c.own.identifiers().len(), "a name is there twice")
}

fn common_name(c: &Linted<'_>) -> Result<(), String> {
    let name = c.tbs().subject().common_name().map_err(|e| e.to_string())?;
    let Some(name) = name else { return Ok(()) };
    let name = name.value();
    require(name.len() <= MAX_COMMON_NAME, "longer than 64 octets")?;
    let named = Identifier::parse(&name).is_ok_and(|id| c.own.identifiers().contains(&id));
    require(named, "not among the subjectAltName's names")
}

fn leaf_constraints(c: &Linted<'_>) -> Result<(), String> {
    let found = c.optional::<NameConstraints>(true)?;
    require(found.is_none(), "only authorities may carry name constraints")
}

fn constraints_hold(c: &Linted<'_>) -> Result<(), String> {
    let Some(issuer) = c.issuer else { return Ok(()) };
    match c.own.identifiers().iter().find(|id| !issuer.constraints().permits(id)) {
        Some(outside) => Err(format!("{outside} is outside the issuer's name constraints")),
        None => Ok(()),
    }
}

fn ca_basic(c: &Linted<'_>) -> Result<(), String> {
    require(c.extension::<BasicConstraints>(true)?.ca, "CA is not TRUE")
}

fn ca_usage(c: &Linted<'_>) -> Result<(), String> {
    let usage: KeyUsage = c.extension(true)?;
    require(usage.key_cert_sign(), "keyCertSign is missing")?;
    require(usage.crl_sign(), "cRLSign is missing")
}

fn ca_subject(c: &Linted<'_>) -> Result<(), String> {
    require(!c.tbs().subject().is_empty(), "an authority needs a name")
}

fn ca_path_length(c: &Linted<'_>) -> Result<(), String> {
    let Some(limit) = c.issuer.and_then(Certificate::path_len) else { return Ok(()) };
    let within = c.own.path_len().is_some_and(|length| length < limit);
    require(within, "not below the issuer's path length")
}

fn ca_constraints(c: &Linted<'_>) -> Result<(), String> {
    match c.optional::<NameConstraints>(true)? {
        Some(constraints)
            if constraints.permitted_subtrees.is_none()
                && constraints.excluded_subtrees.is_none() =>
        {
            Err("name constraints that constrain nothing".into())
        }
        _ => Ok(()),
    }
}

fn is_http(name: &GeneralName) -> bool {
    matches!(name, GeneralName::UniformResourceIdentifier(url)
        if url.as_str().starts_with("http://"))
}

fn require(holds: bool, otherwise: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise.to_owned()) }
}

const ANY_EXTENDED_KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37.0");
const MAX_COMMON_NAME: usize = 64;
const MAY_BE_CRITICAL: [ObjectIdentifier; 4] =
    [tbs::BASIC_CONSTRAINTS, tbs::KEY_USAGE, tbs::SUBJECT_ALT_NAME, tbs::NAME_CONSTRAINTS];
