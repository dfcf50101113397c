//! tls-alpn-01 (RFC 8737, for addresses RFC 8738 §6): a self-signed certificate, shown under the
//! ALPN protocol `acme-tls/1`, that names the identifier alone and carries the key authorization's
//! digest.

use std::net::IpAddr;

use x509_cert::Certificate;
use x509_cert::der::asn1::{ObjectIdentifier, OctetString};
use x509_cert::der::{Decode, Encode};
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

use super::KeyAuthorization;
use crate::{Problem, ProblemType};

/// The ALPN protocol the client offers, alone, and the server must choose (RFC 8737 §6.2).
pub const ACME_TLS_ALPN: &[u8] = b"acme-tls/1";

/// The SNI value to send: the name, or the address as its reverse-mapping name (RFC 8738 §6).
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

/// Whether a finished handshake proves control of `identifier`: the protocol chosen and the end
/// entity certificate shown, in DER, are those of RFC 8737 §3. Its signature does not matter.
///
/// # Errors
/// `incorrectResponse`, saying what is wrong; `tls` if there is no certificate.
pub fn judge_tls_alpn01(
    expected: &KeyAuthorization,
    identifier: &ca::Identifier,
    protocol: Option<&[u8]>,
    certificate: Option<&[u8]>,
) -> Result<(), Problem> {
    let wrong = |why: &str| Problem::new(ProblemType::IncorrectResponse, why);
    if protocol != Some(ACME_TLS_ALPN) {
        return Err(wrong("the server did not choose the ALPN protocol acme-tls/1"));
    }
    let Some(der) = certificate else {
        return Err(Problem::new(ProblemType::Tls, "the server showed no certificate"));
    };
    let certificate =
        Certificate::from_der(der).map_err(|_| wrong("the certificate shown is not readable"))?;
    check_name(&certificate, identifier).map_err(wrong)?;
    check_digest(&certificate, &expected.digest()).map_err(wrong)
}

fn check_name(certificate: &Certificate, identifier: &ca::Identifier) -> Result<(), &'static str> {
    let names = match certificate.tbs_certificate().get_extension::<SubjectAltName>() {
        Ok(Some((_, SubjectAltName(names)))) => names,
        Ok(None) => return Err("the certificate shown has no subjectAltName"),
        Err(_) => return Err("the certificate's subjectAltName is not readable or stands twice"),
    };
    let [name] = names.as_slice() else {
        return Err("the certificate shown must have exactly one subjectAltName");
    };
    let is_it = match (name, identifier) {
        (GeneralName::DnsName(name), ca::Identifier::Dns(own)) => {
            name.as_str().eq_ignore_ascii_case(own.base().as_str())
        }
        (GeneralName::IpAddress(octets), ca::Identifier::Ip(IpAddr::V4(own))) => {
            octets.as_bytes() == own.octets()
        }
        (GeneralName::IpAddress(octets), ca::Identifier::Ip(IpAddr::V6(own))) => {
            octets.as_bytes() == own.octets()
        }
        _ => false,
    };
    if is_it { Ok(()) } else { Err("the certificate shown is for another identifier") }
}

fn check_digest(certificate: &Certificate, digest: &[u8; 32]) -> Result<(), &'static str> {
    let extensions = certificate.tbs_certificate().extensions().map_or(&[][..], Vec::as_slice);
    let mut found = extensions.iter().filter(|one| one.extn_id == ACME_IDENTIFIER);
    let (Some(extension), None) = (found.next(), found.next()) else {
        return Err("the certificate shown must have one acmeIdentifier extension");
    };
    if !extension.critical {
        return Err("the acmeIdentifier extension must be critical");
    }
    let expected = OctetString::new(digest.as_slice()).and_then(|value| value.to_der());
    if expected.is_ok_and(|expected| expected == extension.extn_value.as_bytes()) {
        Ok(())
    } else {
        Err("the acmeIdentifier extension does not hold the key authorization's SHA-256")
    }
}

/// id-pe-acmeIdentifier (RFC 8737 §6.1).
const ACME_IDENTIFIER: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.1.31");

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
