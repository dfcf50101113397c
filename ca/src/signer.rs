//! Private keys that sign. The one seam behind which a key may live in memory, in an HSM or with a
//! cloud KMS. Nothing here prints, compares or stores a secret; sealing is the caller's.
//!
//! Key generation is the one place in the crate where randomness is not handed in: aws-lc-rs draws
//! it from its own generator.

use std::fmt;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
    KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
};
use zeroize::Zeroizing;

use crate::algorithm::KeyAlgorithm;
use crate::key::{BadKey, PublicKey};

/// A private key that can sign, wherever it is kept. Certificates are not verified again after
/// signing, since that costs more than all the rest: an implementation whose key lives elsewhere
/// verifies what it gets back.
pub trait Signer: Send + Sync {
    /// The public half. Its algorithm decides how [`sign`](Self::sign) signs:
    /// [`KeyAlgorithm::signature`].
    fn public_key(&self) -> &PublicKey;

    /// Signs `message` (which is hashed here, not before). ECDSA signatures are in their ASN.1 form
    /// (RFC 3279 §2.2.3), RSA is PKCS #1 v1.5.
    ///
    /// # Errors
    /// When the key cannot be reached or refuses.
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError>;
}

/// A key held in this process.
pub struct MemorySigner {
    public: PublicKey,
    pair: Pair,
}

impl MemorySigner {
    /// Makes a key with aws-lc-rs's own random generator. RSA takes a tenth of a second (2048) to
    /// some seconds (4096).
    ///
    /// # Errors
    /// [`SignError::Unsupported`] for an RSA size other than 2048, 3072 and 4096;
    /// [`SignError::Failed`] when generation fails.
    pub fn generate(algorithm: KeyAlgorithm) -> Result<Self, SignError> {
        let failed = |_| SignError::Failed("key generation failed".into());
        Self::new(match algorithm {
            KeyAlgorithm::EcdsaP256 => Pair::Ecdsa(
                EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).map_err(failed)?,
            ),
            KeyAlgorithm::EcdsaP384 => Pair::Ecdsa(
                EcdsaKeyPair::generate(&ECDSA_P384_SHA384_ASN1_SIGNING).map_err(failed)?,
            ),
            KeyAlgorithm::Ed25519 => Pair::Ed25519(Ed25519KeyPair::generate().map_err(failed)?),
            KeyAlgorithm::Rsa { bits } => {
                let size = match bits {
                    2048 => KeySize::Rsa2048,
                    3072 => KeySize::Rsa3072,
                    4096 => KeySize::Rsa4096,
                    _ => return Err(SignError::Unsupported(algorithm)),
                };
                Pair::Rsa(RsaKeyPair::generate(size).map_err(failed)?)
            }
        })
    }

    /// Reads an unencrypted PKCS #8 private key (RFC 5958) of any supported algorithm.
    ///
    /// # Errors
    /// [`SignError::Unreadable`] when it is none.
    pub fn from_pkcs8(der: &[u8]) -> Result<Self, SignError> {
        let ecdsa = |algorithm| EcdsaKeyPair::from_pkcs8(algorithm, der).map(Pair::Ecdsa);
        let pair = ecdsa(&ECDSA_P256_SHA256_ASN1_SIGNING)
            .or_else(|_| ecdsa(&ECDSA_P384_SHA384_ASN1_SIGNING))
            .or_else(|_| Ed25519KeyPair::from_pkcs8(der).map(Pair::Ed25519))
            .or_else(|_| RsaKeyPair::from_pkcs8(der).map(Pair::Rsa))
            .map_err(|_| SignError::Unreadable)?;
        Self::new(pair)
    }

    /// The private key as PKCS #8 version 1 DER, for sealing or delivery.
    ///
    /// # Errors
    /// [`SignError::Failed`] when it cannot be written.
    pub fn pkcs8(&self) -> Result<Zeroizing<Vec<u8>>, SignError> {
        let failed = |_| SignError::Failed("the key cannot be exported".into());
        Ok(Zeroizing::new(match &self.pair {
            Pair::Ecdsa(pair) => pair.to_pkcs8v1().map_err(failed)?.as_ref().to_vec(),
            Pair::Ed25519(pair) => pair.to_pkcs8v1().map_err(failed)?.as_ref().to_vec(),
            Pair::Rsa(pair) => {
                let der: Pkcs8V1Der<'_> = pair.as_der().map_err(failed)?;
                der.as_ref().to_vec()
            }
        }))
    }

    fn new(pair: Pair) -> Result<Self, SignError> {
        let spki: Result<PublicKeyX509Der<'_>, _> = match &pair {
            Pair::Ecdsa(pair) => pair.public_key().as_der(),
            Pair::Ed25519(pair) => pair.public_key().as_der(),
            Pair::Rsa(pair) => pair.public_key().as_der(),
        };
        let spki = spki.map_err(|_| SignError::Failed("the public key is unreadable".into()))?;
        Ok(Self { public: PublicKey::from_spki(spki.as_ref())?, pair })
    }
}

impl Signer for MemorySigner {
    fn public_key(&self) -> &PublicKey {
        &self.public
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        let failed = |_| SignError::Failed("signing failed".into());
        let random = SystemRandom::new();
        match &self.pair {
            Pair::Ecdsa(pair) => Ok(pair.sign(&random, message).map_err(failed)?.as_ref().to_vec()),
            Pair::Ed25519(pair) => Ok(pair.try_sign(message).map_err(failed)?.as_ref().to_vec()),
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).map_err(failed)?;
                Ok(signature)
            }
        }
    }
}

impl fmt::Debug for MemorySigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("MemorySigner").field(&self.public).finish()
    }
}

/// A private key that cannot be made, read or used: a fault on our side, or of where it is kept.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// No key of this kind can be generated.
    #[error(
        "keys of type {0} cannot be generated: use p256, p384, ed25519, rsa2048, rsa3072 or rsa4096"
    )]
    Unsupported(KeyAlgorithm),
    /// The bytes are no PKCS #8 key of a supported algorithm.
    #[error("not an unencrypted PKCS #8 private key of a supported algorithm")]
    Unreadable,
    /// The public half is not acceptable.
    #[error(transparent)]
    Key(#[from] BadKey),
    /// The key, or whatever holds it, failed.
    #[error("{0}")]
    Failed(String),
}

enum Pair {
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Rsa(RsaKeyPair),
}
