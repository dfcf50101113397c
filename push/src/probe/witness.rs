//! How certificates are looked at: any is accepted, since the point is to see it; but its key must
//! have signed the handshake, or a server with another's certificate would pass for its owner.
//!
//! The settings are made once: building them costs as much as a handshake.

use std::sync::{Arc, LazyLock};

use ca::KeyAlgorithm;
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, aws_lc_rs, verify_tls12_signature,
    verify_tls13_signature,
};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, SignatureAlgorithm,
    SignatureScheme, SupportedCipherSuite,
};

/// Whose signatures the client says it accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keys {
    /// Keys of any kind.
    Any,
    /// RSA keys.
    Rsa,
    /// ECDSA keys of any curve.
    Ecdsa,
    /// Ed25519 keys.
    Ed25519,
}

impl Keys {
    pub(super) fn of(algorithm: KeyAlgorithm) -> Self {
        match algorithm {
            KeyAlgorithm::EcdsaP256 | KeyAlgorithm::EcdsaP384 => Self::Ecdsa,
            KeyAlgorithm::Ed25519 => Self::Ed25519,
            KeyAlgorithm::Rsa { .. } => Self::Rsa,
        }
    }

    /// The settings of a client that looks for such a key.
    pub(super) fn config(self) -> Arc<ClientConfig> {
        Arc::clone(match self {
            Self::Any => &CONFIGS[0],
            Self::Rsa => &CONFIGS[1],
            Self::Ecdsa => &CONFIGS[2],
            Self::Ed25519 => &CONFIGS[3],
        })
    }

    fn admits(self, scheme: SignatureScheme) -> bool {
        use SignatureScheme as S;
        match scheme {
            S::RSA_PSS_SHA256
            | S::RSA_PSS_SHA384
            | S::RSA_PSS_SHA512
            | S::RSA_PKCS1_SHA256
            | S::RSA_PKCS1_SHA384
            | S::RSA_PKCS1_SHA512 => matches!(self, Self::Any | Self::Rsa),
            S::ECDSA_NISTP256_SHA256 | S::ECDSA_NISTP384_SHA384 | S::ECDSA_NISTP521_SHA512 => {
                matches!(self, Self::Any | Self::Ecdsa)
            }
            S::ED25519 => matches!(self, Self::Any | Self::Ed25519),
            _ => self == Self::Any,
        }
    }

    /// TLS 1.3 suites say nothing about keys; those of TLS 1.2 do.
    fn admits_suite(self, suite: &SupportedCipherSuite) -> bool {
        match self {
            Self::Any => true,
            Self::Rsa => suite.usable_for_signature_algorithm(SignatureAlgorithm::RSA),
            Self::Ecdsa => suite.usable_for_signature_algorithm(SignatureAlgorithm::ECDSA),
            Self::Ed25519 => suite.usable_for_signature_algorithm(SignatureAlgorithm::ED25519),
        }
    }

    fn build(self) -> Arc<ClientConfig> {
        let mut provider = aws_lc_rs::default_provider();
        provider.cipher_suites.retain(|suite| self.admits_suite(suite));
        let algorithms = provider.signature_verification_algorithms;
        let schemes = algorithms.supported_schemes();
        let schemes = schemes.into_iter().filter(|scheme| self.admits(*scheme)).collect();
        let witness = Witness { schemes, algorithms };
        let mut config = builder(provider)
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(witness))
            .with_no_client_auth();
        // A resumed session shows the certificate of the one before.
        config.resumption = Resumption::disabled();
        Arc::new(config)
    }
}

fn builder(provider: CryptoProvider) -> rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier> {
    ClientConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()
        .expect("the provider has suites for TLS 1.2 and 1.3 whichever kind of key is wanted")
}

#[derive(Debug)]
struct Witness {
    schemes: Vec<SignatureScheme>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for Witness {
    fn verify_server_cert(
        &self,
        _leaf: &CertificateDer<'_>,
        _above: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        or_unreadable(verify_tls12_signature(message, leaf, signed, &self.algorithms))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        or_unreadable(verify_tls13_signature(message, leaf, signed, &self.algorithms))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes.clone()
    }
}

/// A leaf that cannot be read (version 1, odd extensions) is still to be seen; it is never one of
/// ours.
fn or_unreadable(
    verified: Result<HandshakeSignatureValid, Error>,
) -> Result<HandshakeSignatureValid, Error> {
    match verified {
        Err(Error::InvalidCertificate(error)) if error != CertificateError::BadSignature => {
            Ok(HandshakeSignatureValid::assertion())
        }
        other => other,
    }
}

static CONFIGS: LazyLock<[Arc<ClientConfig>; 4]> = LazyLock::new(|| {
    [Keys::Any.build(), Keys::Rsa.build(), Keys::Ecdsa.build(), Keys::Ed25519.build()]
});
