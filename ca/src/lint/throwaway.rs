//! The throwaway key under which a certificate is completed in order to be linted, and the trust
//! anchor that goes with it, so that an independent verifier can be asked for a whole path.

use std::time::Duration;

use rustls_pki_types::{
    CertificateDer, ServerName, SignatureVerificationAlgorithm, TrustAnchor, UnixTime,
};
use webpki::{EndEntityCert, KeyUsage};

use super::Finding;
use crate::algorithm::{KeyAlgorithm, SignatureAlgorithm};
use crate::certificate::Certificate;
use crate::name::Identifier;
use crate::profile::ExtendedKeyUsage;
use crate::serial::Serial;
use crate::signer::{MemorySigner, SignError, Signer};
use crate::tbs::{self, Tbs, Validity};

/// A key nobody trusts, with the name, constraints and signature algorithm of an authority.
pub(crate) struct Throwaway {
    signer: MemorySigner,
    anchor: TrustAnchor<'static>,
    verifier: &'static dyn SignatureVerificationAlgorithm,
}

impl Throwaway {
    /// Makes one for the authority of `certificate`. RSA keys are of 2048 bits whatever the
    /// authority's size, since the algorithm identifier is the same and larger ones take seconds.
    pub(crate) fn new(certificate: &Certificate) -> Result<Self, SignError> {
        let algorithm = match certificate.public_key()?.algorithm() {
            KeyAlgorithm::Rsa { .. } => KeyAlgorithm::Rsa { bits: 2048 },
            other => other,
        };
        let signer = MemorySigner::generate(algorithm)?;
        let der = CertificateDer::from(anchor(certificate, &signer)?);
        let anchor = webpki::anchor_from_trusted_cert(&der)
            .map_err(|e| SignError::Failed(format!("the throwaway anchor is unreadable: {e}")))?
            .to_owned();
        Ok(Self { signer, anchor, verifier: verifier(algorithm.signature()) })
    }

    /// Completes `tbs` under the throwaway key.
    pub(crate) fn sign(&self, tbs: &[u8]) -> Result<Vec<u8>, SignError> {
        let algorithm = self.signer.public_key().algorithm().signature();
        Ok(tbs::assemble(tbs, algorithm, &self.signer.sign(tbs)?))
    }

    /// Asks webpki whether `der`, completed by [`sign`](Self::sign), leads to the anchor at
    /// `validity`'s first second, for `usage`, and is valid for `name`.
    pub(crate) fn path(
        &self,
        der: &[u8],
        validity: Validity,
        usage: ExtendedKeyUsage,
        name: &Identifier,
    ) -> Vec<Finding> {
        let found = |what: &str, error: webpki::Error| {
            let detail = format!("webpki refuses {what}: {error}");
            vec![Finding { lint: "path", section: "RFC 5280 §6.1", detail }]
        };
        let der = CertificateDer::from(der);
        let leaf = match EndEntityCert::try_from(&der) {
            Ok(leaf) => leaf,
            Err(error) => return found("the certificate", error),
        };
        let seconds = u64::try_from(validity.not_before.as_second()).unwrap_or(0);
        let usage = match usage {
            ExtendedKeyUsage::ServerAuth => KeyUsage::server_auth(),
            ExtendedKeyUsage::ClientAuth => KeyUsage::client_auth(),
            ExtendedKeyUsage::Jwt => KeyUsage::required(JWT),
        };
        let verified = leaf.verify_for_usage(
            &[self.verifier],
            std::slice::from_ref(&self.anchor),
            &[],
            UnixTime::since_unix_epoch(Duration::from_secs(seconds)),
            usage,
            None,
            None,
        );
        if let Err(error) = verified {
            return found("the path", error);
        }
        let Some(server) = server_name(name) else {
            return found("the name", webpki::Error::UnsupportedNameType);
        };
        match leaf.verify_is_valid_for_subject_name(&server) {
            Ok(()) => Vec::new(),
            Err(error) => found("the name", error),
        }
    }
}

/// A self-signed stand-in for the authority, to read the anchor from.
fn anchor(certificate: &Certificate, signer: &MemorySigner) -> Result<Vec<u8>, SignError> {
    let constraints = certificate.constraints();
    let mut extensions = vec![tbs::basic_constraints(None)];
    if !constraints.is_empty() {
        extensions.push(tbs::extension(tbs::NAME_CONSTRAINTS, true, &constraints.to_der()));
    }
    let algorithm = signer.public_key().algorithm().signature();
    let tbs = Tbs {
        serial: &Serial::from_random([0; 16]),
        signature: algorithm,
        issuer: certificate.subject_der(),
        validity: Validity {
            not_before: certificate.not_before(),
            not_after: certificate.not_after(),
        },
        subject: certificate.subject_der(),
        spki: signer.public_key().spki(),
        extensions: &extensions,
    };
    let tbs =
        tbs.to_der().ok_or_else(|| SignError::Failed("the authority's dates are odd".into()))?;
    let signature = signer.sign(&tbs)?;
    Ok(tbs::assemble(&tbs, algorithm, &signature))
}

/// A name a client could ask for: any host in place of a wildcard.
fn server_name(identifier: &Identifier) -> Option<ServerName<'static>> {
    match identifier {
        Identifier::Dns(name) if name.is_wildcard() => {
            ServerName::try_from(format!("a.{}", name.base())).ok()
        }
        Identifier::Dns(name) => ServerName::try_from(name.to_string()).ok(),
        Identifier::Ip(address) => Some(ServerName::IpAddress((*address).into())),
    }
}

fn verifier(algorithm: SignatureAlgorithm) -> &'static dyn SignatureVerificationAlgorithm {
    use webpki::aws_lc_rs as algorithms;
    match algorithm {
        SignatureAlgorithm::EcdsaSha256 => algorithms::ECDSA_P256_SHA256,
        SignatureAlgorithm::EcdsaSha384 => algorithms::ECDSA_P384_SHA384,
        SignatureAlgorithm::EcdsaSha512 => algorithms::ECDSA_P384_SHA512,
        SignatureAlgorithm::Ed25519 => algorithms::ED25519,
        SignatureAlgorithm::RsaSha256 => algorithms::RSA_PKCS1_2048_8192_SHA256,
        SignatureAlgorithm::RsaSha384 => algorithms::RSA_PKCS1_2048_8192_SHA384,
        SignatureAlgorithm::RsaSha512 => algorithms::RSA_PKCS1_2048_8192_SHA512,
    }
}

/// id-kp-jwt, its octets (RFC 9509 §4).
const JWT: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 37];
