//! tls-alpn-01 (RFC 8737, for addresses RFC 8738 §6): a handshake that offers `acme-tls/1` alone,
//! and the certificate it must be answered with. No application data is sent or read.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use acme::ProblemType;
use ca::Identifier;
use const_oid::ObjectIdentifier;
use const_oid::db::rfc5280::ID_CE_SUBJECT_ALT_NAME;
use der::asn1::OctetStringRef;
use der::{Decode, Reader, SliceReader};
use rustls::ClientConfig;
use rustls::pki_types::{DnsName as TlsName, ServerName};
use tokio_rustls::TlsConnector;
use x509_cert::Certificate;
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

use super::connect::Dialer;
use super::danger::is_self_signed;
use super::outcome::{Deadline, Failure, Proof, causes, excerpt};

/// The only protocol offered (RFC 8737 §6.2).
pub(super) const ALPN: &[u8] = b"acme-tls/1";

/// What a validation needs.
pub(super) struct Probe<'a> {
    pub(super) dialer: &'a Dialer,
    pub(super) tls: &'a Arc<ClientConfig>,
    pub(super) deadline: Deadline,
}

impl Probe<'_> {
    /// Connects to `port` of `identifier` and judges the certificate shown.
    ///
    /// # Errors
    /// `dns`, `connection`, `tls` if the handshake fails or picks another protocol,
    /// `incorrectResponse` if the certificate is not the one asked for.
    pub(super) async fn validate(
        &self,
        identifier: &Identifier,
        port: u16,
        digest: &[u8; 32],
    ) -> Result<Proof, Failure> {
        let (stream, address) = self
            .dialer
            .connect(identifier, port, self.deadline)
            .await
            .map_err(|failure| failure.during(&format!("tls-alpn-01: {identifier}")))?;
        let what = format!("tls-alpn-01: TLS handshake with {identifier} at {address}");
        let connector = TlsConnector::from(Arc::clone(self.tls));
        let name = server_name(identifier)
            .map_err(|why| Failure::new(ProblemType::ServerInternal, format!("{what}: {why}")))?;
        let stream = self
            .deadline
            .run(connector.connect(name, stream), ProblemType::Connection, &what)
            .await?
            .map_err(|error| {
                Failure::new(ProblemType::Tls, format!("{what}: {}", causes(&error)))
            })?;
        let (_, session) = stream.get_ref();
        if session.alpn_protocol() != Some(ALPN) {
            let detail = format!("{what}: the server did not select the ALPN protocol acme-tls/1");
            return Err(Failure::new(ProblemType::Tls, detail));
        }
        let leaf = session.peer_certificates().and_then(|chain| chain.first());
        let judged = match leaf {
            Some(leaf) => judge(leaf, identifier, digest),
            None => Err("no certificate was shown".into()),
        };
        judged.map_err(|why| Failure::incorrect(format!("{what}: {why}")))?;
        Ok(proof(identifier, address))
    }
}

fn proof(identifier: &Identifier, address: SocketAddr) -> Proof {
    let seen = format!("tls-alpn-01: validation certificate of {identifier} at {address}");
    Proof { address: Some(address), seen }
}

/// The name to send as SNI; for an address its reverse-mapping name (RFC 8738 §6).
fn server_name(identifier: &Identifier) -> Result<ServerName<'static>, String> {
    let name = match identifier {
        Identifier::Dns(name) => name.to_string(),
        Identifier::Ip(address) => reverse_name(*address),
    };
    TlsName::try_from(name).map(ServerName::DnsName).map_err(|error| error.to_string())
}

/// `1.2.0.192.in-addr.arpa` (RFC 1034 §5.2.1) or its `ip6.arpa` sibling (RFC 3596 §2.5).
fn reverse_name(address: IpAddr) -> String {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, c, d] = v4.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa")
        }
        IpAddr::V6(v6) => {
            let nibbles = v6.octets().into_iter().rev();
            let labels = nibbles.map(|octet| format!("{:x}.{:x}.", octet & 15, octet >> 4));
            labels.collect::<String>() + "ip6.arpa"
        }
    }
}

/// Whether `leaf` is the validation certificate for `identifier` that carries `digest` (RFC 8737
/// §3): self-signed, with exactly that name and a critical acmeIdentifier.
fn judge(leaf: &[u8], identifier: &Identifier, digest: &[u8; 32]) -> Result<(), String> {
    let unreadable = |error: der::Error| format!("the certificate cannot be read: {error}");
    let certificate = Certificate::from_der(leaf).map_err(unreadable)?;
    let signed = signed_part(leaf).map_err(unreadable)?;
    if !is_self_signed(&certificate, signed) {
        return Err("the certificate is not self-signed".into());
    }
    let extensions = certificate.tbs_certificate().extensions().map_or(&[][..], Vec::as_slice);
    judge_names(sole(extensions, ID_CE_SUBJECT_ALT_NAME, "subjectAltName")?, identifier)?;
    judge_digest(sole(extensions, ACME_IDENTIFIER, "acmeIdentifier")?, digest)
}

fn judge_names(extension: &Extension, identifier: &Identifier) -> Result<(), String> {
    let SubjectAltName(names) = SubjectAltName::from_der(extension.extn_value.as_bytes())
        .map_err(|error| format!("its subjectAltName cannot be read: {error}"))?;
    let [name] = names.as_slice() else {
        return Err(format!("its subjectAltName has {} names and not one", names.len()));
    };
    let (equal, shown) = match (name, identifier) {
        (GeneralName::DnsName(name), Identifier::Dns(wanted)) => {
            (name.as_str().eq_ignore_ascii_case(wanted.as_str()), name.to_string())
        }
        (GeneralName::DnsName(name), Identifier::Ip(_)) => (false, name.to_string()),
        (GeneralName::IpAddress(octets), wanted) => {
            let address = address(octets.as_bytes());
            let equal = matches!(wanted, Identifier::Ip(wanted) if address == Some(*wanted));
            (equal, address.map_or("a malformed address".into(), |address| address.to_string()))
        }
        _ => (false, "neither a DNS name nor an address".into()),
    };
    if equal {
        return Ok(());
    }
    let shown = excerpt(&shown, SHOWN_NAME);
    Err(format!("its subjectAltName is {shown} and not {identifier}"))
}

fn judge_digest(extension: &Extension, digest: &[u8; 32]) -> Result<(), String> {
    if !extension.critical {
        return Err("its acmeIdentifier extension is not critical".into());
    }
    let value = <&OctetStringRef>::from_der(extension.extn_value.as_bytes())
        .map_err(|_| "its acmeIdentifier extension is not an OCTET STRING")?;
    if value.as_bytes().len() != digest.len() {
        let length = value.as_bytes().len();
        return Err(format!("its acmeIdentifier extension holds {length} octets and not 32"));
    }
    if value.as_bytes() != digest {
        return Err(format!(
            "its acmeIdentifier extension holds {} and not {}, the SHA-256 of the key authorization",
            data_encoding::HEXLOWER.encode(value.as_bytes()),
            data_encoding::HEXLOWER.encode(digest),
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

/// The bytes the certificate's signature is over, as they were sent.
fn signed_part(certificate: &[u8]) -> Result<&[u8], der::Error> {
    let mut reader = SliceReader::new(certificate)?;
    der::Header::decode(&mut reader)?;
    reader.tlv_bytes()
}

fn address(octets: &[u8]) -> Option<IpAddr> {
    <[u8; 4]>::try_from(octets)
        .map(IpAddr::from)
        .or_else(|_| <[u8; 16]>::try_from(octets).map(IpAddr::from))
        .ok()
}

/// `id-pe-acmeIdentifier` (RFC 8737 §6.1).
const ACME_IDENTIFIER: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.1.31");
/// Characters of a foreign name shown in a detail.
const SHOWN_NAME: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_asked_for_by_their_reverse_name() {
        let reverse = |text: &str| reverse_name(text.parse().expect("test address"));
        assert_eq!(reverse("192.0.2.1"), "1.2.0.192.in-addr.arpa");
        assert_eq!(
            reverse("2001:db8::1"),
            "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa"
        );
        let name = server_name(&Identifier::Ip("2001:db8::1".parse().expect("test address")));
        assert!(matches!(name, Ok(ServerName::DnsName(_))));
    }
}
