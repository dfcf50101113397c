//! What we make and sign ourselves on the way to a certificate: the request (RFC 2986), and the
//! certificate that answers tls-alpn-01 (RFC 8737 §3).

use std::fmt;
use std::sync::Arc;

use ca::{Identifier, KeyAlgorithm, Signer};
use der::Decode;
use rcgen::string::Ia5String;
use rcgen::{CertificateParams, CustomExtension, DistinguishedName, KeyPair, SanType};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::CertifiedKey;
use x509_cert::spki::SubjectPublicKeyInfoRef;

use super::error::ObtainError;

/// A certification request in DER: `key` asks for `identifiers` and for nothing else.
///
/// # Errors
/// [`ObtainError::Settings`] when the key does not sign.
pub(crate) fn csr(key: &dyn Signer, identifiers: &[Identifier]) -> Result<Vec<u8>, ObtainError> {
    let request = params(identifiers)?.serialize_request(&Subject::new(key)?).map_err(fault)?;
    Ok(request.der().to_vec())
}

/// A self-signed certificate for `identifier` with the digest of a key authorization, under a key
/// that lives as long as the challenge.
///
/// # Errors
/// [`ObtainError::Settings`] when the crypto library fails.
pub(super) fn challenge_certificate(
    identifier: &Identifier,
    digest: &[u8],
) -> Result<Arc<CertifiedKey>, ObtainError> {
    let mut params = params(std::slice::from_ref(identifier))?;
    params.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
    let key = KeyPair::generate().map_err(fault)?;
    let certificate = params.self_signed(&key).map_err(fault)?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let key = provider.key_provider.load_private_key(key).map_err(fault)?;
    // Not checked by rustls: to it the critical extension is unknown, as it is meant to be.
    Ok(Arc::new(CertifiedKey::new(vec![certificate.der().clone()], key)))
}

fn params(identifiers: &[Identifier]) -> Result<CertificateParams, ObtainError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    for identifier in identifiers {
        params.subject_alt_names.push(match identifier {
            Identifier::Dns(name) => {
                SanType::DnsName(Ia5String::try_from(name.as_str()).map_err(fault)?)
            }
            Identifier::Ip(address) => SanType::IpAddress(*address),
        });
    }
    Ok(params)
}

/// One of our signers, as rcgen sees it.
struct Subject<'a> {
    key: &'a dyn Signer,
    bits: Vec<u8>,
}

impl<'a> Subject<'a> {
    fn new(key: &'a dyn Signer) -> Result<Self, ObtainError> {
        let spki = SubjectPublicKeyInfoRef::from_der(key.public_key().spki()).map_err(fault)?;
        Ok(Self { key, bits: spki.subject_public_key.raw_bytes().to_vec() })
    }
}

impl rcgen::PublicKeyData for Subject<'_> {
    fn der_bytes(&self) -> &[u8] {
        &self.bits
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        match self.key.public_key().algorithm() {
            KeyAlgorithm::EcdsaP256 => &rcgen::PKCS_ECDSA_P256_SHA256,
            KeyAlgorithm::EcdsaP384 => &rcgen::PKCS_ECDSA_P384_SHA384,
            KeyAlgorithm::Ed25519 => &rcgen::PKCS_ED25519,
            KeyAlgorithm::Rsa { .. } => &rcgen::PKCS_RSA_SHA256,
        }
    }
}

impl rcgen::SigningKey for Subject<'_> {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        self.key.sign(message).map_err(|_| rcgen::Error::RemoteKeyError)
    }
}

fn fault(error: impl fmt::Display) -> ObtainError {
    ObtainError::Settings(format!("the key or a name of the certificate is not usable: {error}"))
}

#[cfg(test)]
mod tests {
    use ca::MemorySigner;

    use super::*;

    #[test]
    fn a_request_by_any_key_is_one_our_own_ca_takes() {
        let names = ["example.com", "*.example.com", "192.0.2.1", "2001:db8::1"];
        let names = names.map(|name| Identifier::parse(name).expect("a name"));
        let rsa = KeyAlgorithm::Rsa { bits: 2048 };
        for kind in [KeyAlgorithm::EcdsaP256, KeyAlgorithm::EcdsaP384, KeyAlgorithm::Ed25519, rsa] {
            let key = MemorySigner::generate(kind).expect("a key");
            let request = csr(&key, &names).expect("a request");
            let read = ca::Csr::parse(&request).expect("it is good");
            assert_eq!(read.public_key(), key.public_key());
            assert_eq!(read.identifiers(), &names.iter().cloned().collect());
        }
    }
}
