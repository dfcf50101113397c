//! Private keys that sign tokens, held parsed so that a signature costs nothing but the signature.
//! Nothing here prints or compares a secret; sealing is the caller's. Generation and signing are
//! where randomness is not handed in: aws-lc-rs draws it from its own generator.

use std::fmt;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
    KeyPair, ML_DSA_44_SIGNING, ML_DSA_65_SIGNING, ML_DSA_87_SIGNING, PqdsaKeyPair,
    PqdsaSigningAlgorithm, RSA_PKCS1_SHA256, RSA_PSS_SHA256, RsaKeyPair,
};
use zeroize::Zeroizing;

use crate::algorithm::Algorithm;
use crate::jwk::{BadKey, PublicKey};

/// A private key and the one algorithm it signs with.
pub struct PrivateKey {
    algorithm: Algorithm,
    public: PublicKey,
    pair: Pair,
}

impl PrivateKey {
    /// Makes a key. `rsa_bits` counts for RSA only: 2048 (the usual), 3072 or 4096. An RSA key takes
    /// a tenth of a second to some seconds, any other well under a millisecond.
    ///
    /// # Errors
    /// [`KeyError::RsaSize`] for another size; [`KeyError::Failed`] when generation fails.
    pub fn generate(algorithm: Algorithm, rsa_bits: u16) -> Result<Self, KeyError> {
        let failed = |_| KeyError::Failed("generated");
        let pair = match algorithm {
            Algorithm::Rs256 | Algorithm::Ps256 => {
                let size = match rsa_bits {
                    2048 => KeySize::Rsa2048,
                    3072 => KeySize::Rsa3072,
                    4096 => KeySize::Rsa4096,
                    other => return Err(KeyError::RsaSize(other)),
                };
                Pair::Rsa(RsaKeyPair::generate(size).map_err(failed)?)
            }
            Algorithm::Es256 => Pair::Ecdsa(
                EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(failed)?,
            ),
            Algorithm::Es384 => Pair::Ecdsa(
                EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).map_err(failed)?,
            ),
            Algorithm::EdDsa | Algorithm::Ed25519 => {
                Pair::Ed25519(Ed25519KeyPair::generate().map_err(failed)?)
            }
            Algorithm::MlDsa44 | Algorithm::MlDsa65 | Algorithm::MlDsa87 => {
                let mut seed = Zeroizing::new([0; SEED]);
                aws_lc_rs::rand::fill(seed.as_mut()).map_err(failed)?;
                return Self::from_secret(algorithm, seed.as_ref());
            }
        };
        Self::new(algorithm, pair)
    }

    /// Reads what [`secret`](Self::secret) gave: PKCS #8 (RFC 5958), for ML-DSA the 32-byte seed
    /// (the `priv` of RFC 9964).
    ///
    /// # Errors
    /// [`KeyError::Unreadable`] when it is no private key for `algorithm`.
    pub fn from_secret(algorithm: Algorithm, secret: &[u8]) -> Result<Self, KeyError> {
        let unreadable = |_| KeyError::Unreadable(algorithm);
        let ecdsa = |curve| EcdsaKeyPair::from_pkcs8(curve, secret).map(Pair::Ecdsa);
        let pair = match algorithm {
            Algorithm::Rs256 | Algorithm::Ps256 => {
                Pair::Rsa(RsaKeyPair::from_pkcs8(secret).map_err(unreadable)?)
            }
            Algorithm::Es256 => ecdsa(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(unreadable)?,
            Algorithm::Es384 => ecdsa(&ECDSA_P384_SHA384_FIXED_SIGNING).map_err(unreadable)?,
            Algorithm::EdDsa | Algorithm::Ed25519 => {
                Pair::Ed25519(Ed25519KeyPair::from_pkcs8(secret).map_err(unreadable)?)
            }
            Algorithm::MlDsa44 | Algorithm::MlDsa65 | Algorithm::MlDsa87 => {
                let pair = PqdsaKeyPair::from_seed(ml_dsa(algorithm), secret);
                let seed = <[u8; SEED]>::try_from(secret);
                let seed = seed.map_err(|_| KeyError::Unreadable(algorithm))?;
                let pair = pair.map_err(unreadable)?;
                Pair::Seeded(pair, Zeroizing::new(seed))
            }
        };
        Self::new(algorithm, pair)
    }

    /// The private key in the form in which it is sealed.
    ///
    /// # Errors
    /// [`KeyError::Failed`] when it cannot be written.
    pub fn secret(&self) -> Result<Secret, KeyError> {
        let failed = |_| KeyError::Failed("exported");
        Ok(Secret(Zeroizing::new(match &self.pair {
            Pair::Rsa(pair) => {
                let der: Pkcs8V1Der<'_> = pair.as_der().map_err(failed)?;
                der.as_ref().to_vec()
            }
            Pair::Ecdsa(pair) => pair.to_pkcs8v1().map_err(failed)?.as_ref().to_vec(),
            Pair::Ed25519(pair) => pair.to_pkcs8v1().map_err(failed)?.as_ref().to_vec(),
            Pair::Seeded(_, seed) => seed.to_vec(),
        })))
    }

    /// The algorithm it signs with.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The public half.
    #[must_use]
    pub fn public_key(&self) -> &PublicKey {
        &self.public
    }

    /// Signs `message` (which is hashed here, not before); the octets of a JWS signature, for ECDSA
    /// `r` and `s` in equal length (RFC 7518 §3.4).
    ///
    /// # Errors
    /// [`KeyError::Failed`] when the library fails.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        let failed = |_| KeyError::Failed("used to sign");
        let random = SystemRandom::new();
        match &self.pair {
            Pair::Ecdsa(pair) => Ok(pair.sign(&random, message).map_err(failed)?.as_ref().to_vec()),
            Pair::Ed25519(pair) => Ok(pair.try_sign(message).map_err(failed)?.as_ref().to_vec()),
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                let how: &dyn aws_lc_rs::signature::RsaEncoding = match self.algorithm {
                    Algorithm::Ps256 => &RSA_PSS_SHA256,
                    _ => &RSA_PKCS1_SHA256,
                };
                pair.sign(how, &random, message, &mut signature).map_err(failed)?;
                Ok(signature)
            }
            Pair::Seeded(pair, _) => {
                let mut signature = vec![0; pair.algorithm().signature_len()];
                let length = pair.sign(message, &mut signature).map_err(failed)?;
                signature.truncate(length);
                Ok(signature)
            }
        }
    }

    fn new(algorithm: Algorithm, pair: Pair) -> Result<Self, KeyError> {
        let public = match &pair {
            Pair::Ecdsa(pair) => PublicKey::ec_point(algorithm, pair.public_key().as_ref())?,
            Pair::Ed25519(pair) => PublicKey::ed25519(pair.public_key().as_ref())?,
            Pair::Rsa(pair) => PublicKey::rsa_der(pair.public_key().as_ref())?,
            Pair::Seeded(pair, _) => PublicKey::ml_dsa(algorithm, pair.public_key().as_ref())?,
        };
        Ok(Self { algorithm, public, pair })
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey({} {})", self.algorithm, self.public.thumbprint())
    }
}

/// A private key as octets, to be sealed. It is wiped when dropped and prints nothing of itself.
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    pub(crate) fn new(octets: &[u8]) -> Self {
        Self(Zeroizing::new(octets.to_vec()))
    }

    /// The octets.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// A private key that cannot be made, read or used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// No RSA key of this size is made.
    #[error("RSA keys of {0} bits are not made: use 2048, 3072 or 4096")]
    RsaSize(u16),
    /// The octets are no private key for the algorithm.
    #[error("what is stored is no private key for {0}")]
    Unreadable(Algorithm),
    /// The public half is not acceptable.
    #[error(transparent)]
    Key(#[from] BadKey),
    /// The library failed.
    #[error("the key cannot be {0}: the cryptographic library failed")]
    Failed(&'static str),
}

enum Pair {
    Rsa(RsaKeyPair),
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    /// ML-DSA, with the seed it was made from, which the library does not give back.
    Seeded(PqdsaKeyPair, Zeroizing<[u8; SEED]>),
}

fn ml_dsa(algorithm: Algorithm) -> &'static PqdsaSigningAlgorithm {
    match algorithm {
        Algorithm::MlDsa44 => &ML_DSA_44_SIGNING,
        Algorithm::MlDsa65 => &ML_DSA_65_SIGNING,
        _ => &ML_DSA_87_SIGNING,
    }
}

const SEED: usize = 32;
