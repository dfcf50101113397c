//! tls-alpn-01 (RFC 8737, for addresses RFC 8738 §6): a self-signed certificate, shown under the
//! ALPN protocol `acme-tls/1`, that names the identifier alone and carries the key authorization's
//! digest.

use std::net::IpAddr;

use data_encoding::HEXLOWER;
use x509_cert::Certificate;
use x509_cert::der::Decode;
use x509_cert::der::asn1::{ObjectIdentifier, OctetStringRef};
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

use super::KeyAuthorization;
use crate::{Problem, ProblemType};

/// The ALPN protocol the client offers, alone, and the server must choose (RFC 8737 §6.2).
pub const ACME_TLS_ALPN: &[u8] = b"acme-tls/1";

/// What a server showed in a handshake.
#[derive(Clone, Copy, Debug)]
pub struct Shown<'a> {
    /// The ALPN protocol it chose.
    pub protocol: Option<&'a [u8]>,
    /// Its end entity certificate, in DER.
    pub certificate: Option<&'a [u8]>,
    /// Whether that certificate is signed with its own key, which is the caller's to verify.
    pub is_self_signed: bool,
}

/// The SNI value to send: the name, or the address as its reverse-mapping name (RFC 8738 §6):
/// `1.2.0.192.in-addr.arpa` (RFC 1034 §5.2.1) or its `ip6.arpa` sibling (RFC 3596 §2.5).
#[must_use]
pub fn server_name(identifier: &ca::Identifier) -> String {
    match identifier {
        ca::Identifier::Dns(name) => name.base().to_string(),
        ca::Identifier::Ip(IpAddr::V4(address)) => {
            let [a, b, c, d] = address.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa")
        }
        ca::Identifier::Ip(IpAddr::V6(address)) => {
            let nibbles = address.octets().into_iter().rev().flat_map(|o| [o & 15, o >> 4]);
            let labels: Vec<_> = nibbles.map(|nibble| format!("{nibble:x}")).collect();
            format!("{}.ip6.arpa", labels.join("."))
        }
    }
}

/// Whether a finished handshake proves control of `identifier`: the protocol chosen and the
/// certificate shown are those of RFC 8737 §3.
///
/// # Errors
/// `tls` if another protocol was chosen or no certificate shown, else `incorrectResponse`, saying
/// what is wrong with the certificate.
pub fn judge_tls_alpn01(
    expected: &KeyAuthorization,
    identifier: &ca::Identifier,
    shown: &Shown<'_>,
) -> Result<(), Problem> {
    let tls = |why: &str| Problem::new(ProblemType::Tls, why);
    if shown.protocol != Some(ACME_TLS_ALPN) {
        return Err(tls("the server did not select the ALPN protocol acme-tls/1"));
    }
    let certificate = shown.certificate.ok_or_else(|| tls("the server showed no certificate"))?;
    judge_certificate(certificate, shown.is_self_signed, identifier, &expected.digest())
        .map_err(|why| Problem::new(ProblemType::IncorrectResponse, why))
}

fn judge_certificate(
    der: &[u8],
    is_self_signed: bool,
    identifier: &ca::Identifier,
    digest: &[u8; 32],
) -> Result<(), String> {
    let certificate = Certificate::from_der(der)
        .map_err(|error| format!("the certificate cannot be read: {error}"))?;
    if !is_self_signed {
        return Err("the certificate is not self-signed".into());
    }
    let extensions = certificate.tbs_certificate().extensions().map_or(&[][..], Vec::as_slice);
    check_name(sole(extensions, SUBJECT_ALT_NAME, "subjectAltName")?, identifier)?;
    check_digest(sole(extensions, ACME_IDENTIFIER, "acmeIdentifier")?, digest)
}

fn check_name(extension: &Extension, identifier: &ca::Identifier) -> Result<(), String> {
    let SubjectAltName(names) = SubjectAltName::from_der(extension.extn_value.as_bytes())
        .map_err(|error| format!("its subjectAltName cannot be read: {error}"))?;
    let [name] = names.as_slice() else {
        return Err(format!("its subjectAltName has {} names and not one", names.len()));
    };
    let (is_it, found) = match (name, identifier) {
        (GeneralName::DnsName(name), ca::Identifier::Dns(own)) => {
            (name.as_str().eq_ignore_ascii_case(own.base().as_str()), name.to_string())
        }
        (GeneralName::DnsName(name), ca::Identifier::Ip(_)) => (false, name.to_string()),
        (GeneralName::IpAddress(octets), own) => {
            let address = address(octets.as_bytes());
            let is_it = matches!(own, ca::Identifier::Ip(own) if address == Some(*own));
            (is_it, address.map_or("a malformed address".into(), |address| address.to_string()))
        }
        _ => (false, "neither a DNS name nor an address".into()),
    };
    if is_it {
        return Ok(());
    }
    let found: String = found.chars().take(SHOWN_NAME).collect();
    Err(format!("its subjectAltName is {found} and not {identifier}"))
}

fn check_digest(extension: &Extension, digest: &[u8; 32]) -> Result<(), String> {
    if !extension.critical {
        return Err("its acmeIdentifier extension is not critical".into());
    }
    let value = <&OctetStringRef>::from_der(extension.extn_value.as_bytes())
        .map_err(|_| "its acmeIdentifier extension is not an OCTET STRING")?
        .as_bytes();
    if value.len() != digest.len() {
        let length = value.len();
        return Err(format!("its acmeIdentifier extension holds {length} octets and not 32"));
    }
    if value != digest {
        return Err(format!(
            "its acmeIdentifier extension holds {} and not {}, the SHA-256 of the key authorization",
            HEXLOWER.encode(value),
            HEXLOWER.encode(digest),
        ));
    }
    Ok(())
}

/// The only extension of that type.
fn sole<'a>(
    extensions: &'a [Extension],
    id: ObjectIdentifier,
    name: &str,
) -> Result<&'a Extension, String> {
    let mut found = extensions.iter().filter(|extension| extension.extn_id == id);
    match (found.next(), found.next()) {
        (Some(extension), None) => Ok(extension),
        (None, _) => Err(format!("the certificate has no {name} extension")),
        (Some(_), Some(_)) => Err(format!("the certificate has more than one {name} extension")),
    }
}

fn address(octets: &[u8]) -> Option<IpAddr> {
    <[u8; 4]>::try_from(octets)
        .map(IpAddr::from)
        .or_else(|_| <[u8; 16]>::try_from(octets).map(IpAddr::from))
        .ok()
}

/// id-ce-subjectAltName (RFC 5280 §4.2.1.6).
const SUBJECT_ALT_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.17");
/// id-pe-acmeIdentifier (RFC 8737 §6.1).
const ACME_IDENTIFIER: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.1.31");
/// Characters of a foreign name shown in a detail.
const SHOWN_NAME: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_asked_for_by_their_reverse_name() {
        let sni = |text| server_name(&ca::Identifier::parse(text).expect("test name"));
        assert_eq!(sni("www.example.com"), "www.example.com");
        assert_eq!(sni("192.0.2.1"), "1.2.0.192.in-addr.arpa");
        // RFC 8738 §6.
        assert_eq!(
            sni("2001:db8::1"),
            "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa"
        );
    }
}
