//! TLS that does not ask who signed the certificate, for the two places where that is right: a
//! redirect of http-01 to https, and the validation certificate of tls-alpn-01, whose content is
//! the proof. That the peer holds the certificate's key is still verified. Nothing else may use it.

use std::sync::Arc;

use der::{AnyRef, Decode, Encode, Reader, SliceReader};
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, aws_lc_rs};
use rustls::pki_types::{CertificateDer, ServerName, SignatureVerificationAlgorithm, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, PeerMisbehaved, SignatureScheme,
};
use x509_cert::Certificate;
use x509_cert::spki::AlgorithmIdentifierOwned;

/// A TLS 1.2 and 1.3 client configuration that takes any certificate, offers `protocols` (ALPN),
/// and resumes no session, so that a certificate is shown every time.
///
/// # Errors
/// When rustls refuses its provider; not at run time.
pub(super) fn any_certificate(protocols: &[&[u8]]) -> Result<Arc<ClientConfig>, Error> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = AnyCertificate(provider.signature_verification_algorithms);
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(rustls::DEFAULT_VERSIONS)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

/// Whether a certificate, in DER, can be read and is signed with its own key.
pub(super) fn is_self_signed(der: &[u8]) -> bool {
    let (Ok(certificate), Ok(signed)) = (Certificate::from_der(der), signed_part(der)) else {
        return false;
    };
    let algorithms = aws_lc_rs::default_provider().signature_verification_algorithms.all;
    let named = algorithms.iter().copied().filter(|algorithm| {
        equal(certificate.signature_algorithm(), algorithm.signature_alg_id().as_ref())
    });
    certificate.tbs_certificate().issuer() == certificate.tbs_certificate().subject()
        && signed_with(&certificate, named, signed, certificate.signature().raw_bytes())
}

/// The bytes the certificate's signature is over, as they were sent.
fn signed_part(certificate: &[u8]) -> Result<&[u8], der::Error> {
    let mut reader = SliceReader::new(certificate)?;
    der::Header::decode(&mut reader)?;
    reader.tlv_bytes()
}

#[derive(Debug)]
struct AnyCertificate(WebPkiSupportedAlgorithms);

impl AnyCertificate {
    /// The verifiers in rustls read the whole certificate and stop at the critical acmeIdentifier,
    /// so the key is taken out here.
    fn verify(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
        tls13: bool,
    ) -> Result<HandshakeSignatureValid, Error> {
        let certificate = Certificate::from_der(certificate)
            .map_err(|_| Error::InvalidCertificate(CertificateError::BadEncoding))?;
        let offered = self.0.mapping.iter().find(|(scheme, _)| *scheme == signature.scheme);
        let Some((_, algorithms)) = offered else {
            return Err(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme.into());
        };
        // In TLS 1.3 a scheme fixes the curve: only the first is meant (RFC 8446 §4.2.3).
        let count = if tls13 { 1 } else { algorithms.len() };
        let algorithms = algorithms.iter().copied().take(count);
        if signed_with(&certificate, algorithms, message, signature.signature()) {
            return Ok(HandshakeSignatureValid::assertion());
        }
        Err(Error::InvalidCertificate(CertificateError::BadSignature))
    }
}

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _certificate: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verify(message, certificate, signature, false)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        // RFC 8446 §4.2.3 leaves PKCS #1 v1.5 and SHA-1 to certificates.
        let pkcs1 = [
            SignatureScheme::RSA_PKCS1_SHA256,
            SignatureScheme::RSA_PKCS1_SHA384,
            SignatureScheme::RSA_PKCS1_SHA512,
        ];
        if pkcs1.contains(&signature.scheme) {
            return Err(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme.into());
        }
        self.verify(message, certificate, signature, true)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}

/// Whether `signature` over `message` is by the key of `certificate`, under one of `algorithms`.
fn signed_with(
    certificate: &Certificate,
    algorithms: impl Iterator<Item = &'static dyn SignatureVerificationAlgorithm>,
    message: &[u8],
    signature: &[u8],
) -> bool {
    let key = certificate.tbs_certificate().subject_public_key_info();
    algorithms
        .filter(|algorithm| equal(&key.algorithm, algorithm.public_key_alg_id().as_ref()))
        .any(|algorithm| {
            let key = key.subject_public_key.raw_bytes();
            algorithm.verify_signature(key, message, signature).is_ok()
        })
}

/// Whether `identifier` encodes to `contents` within its SEQUENCE.
fn equal(identifier: &AlgorithmIdentifierOwned, contents: &[u8]) -> bool {
    let Ok(encoded) = identifier.to_der() else { return false };
    AnyRef::from_der(&encoded).is_ok_and(|sequence| sequence.value() == contents)
}
