//! The algorithms of keys and of signatures: their names in text and in DER.

use std::fmt;
use std::str::FromStr;

use der::Decode;
use serde::{Deserialize, Serialize};
use x509_cert::spki::AlgorithmIdentifierRef;

/// What kind of key, and how large where that varies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyAlgorithm {
    /// ECDSA on P-256 (RFC 5480).
    EcdsaP256,
    /// ECDSA on P-384 (RFC 5480).
    EcdsaP384,
    /// Ed25519 (RFC 8410).
    Ed25519,
    /// RSA (RFC 3279 §2.3.1).
    Rsa {
        /// Bits of the modulus.
        bits: u16,
    },
}

impl KeyAlgorithm {
    /// The algorithm with which a key of this kind signs certificates here: SHA-256 for P-256 and
    /// RSA (PKCS #1 v1.5), SHA-384 for P-384.
    #[must_use]
    pub fn signature(self) -> SignatureAlgorithm {
        match self {
            Self::EcdsaP256 => SignatureAlgorithm::EcdsaSha256,
            Self::EcdsaP384 => SignatureAlgorithm::EcdsaSha384,
            Self::Ed25519 => SignatureAlgorithm::Ed25519,
            Self::Rsa { .. } => SignatureAlgorithm::RsaSha256,
        }
    }
}

impl fmt::Display for KeyAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EcdsaP256 => f.write_str("p256"),
            Self::EcdsaP384 => f.write_str("p384"),
            Self::Ed25519 => f.write_str("ed25519"),
            Self::Rsa { bits } => write!(f, "rsa{bits}"),
        }
    }
}

impl FromStr for KeyAlgorithm {
    type Err = UnknownAlgorithm;

    /// Only what can be generated: the RSA sizes are 2048, 3072 and 4096.
    fn from_str(text: &str) -> Result<Self, UnknownAlgorithm> {
        Ok(match text {
            "p256" => Self::EcdsaP256,
            "p384" => Self::EcdsaP384,
            "ed25519" => Self::Ed25519,
            "rsa2048" => Self::Rsa { bits: 2048 },
            "rsa3072" => Self::Rsa { bits: 3072 },
            "rsa4096" => Self::Rsa { bits: 4096 },
            _ => return Err(UnknownAlgorithm(text.chars().take(64).collect())),
        })
    }
}

impl Serialize for KeyAlgorithm {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for KeyAlgorithm {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Text that names no key algorithm.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a key algorithm: write p256, p384, ed25519, rsa2048, rsa3072 or rsa4096")]
pub struct UnknownAlgorithm(String);

/// A signature algorithm that is accepted; SHA-1 and MD5 have no variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SignatureAlgorithm {
    /// ecdsa-with-SHA256 (RFC 5758 §3.2).
    EcdsaSha256,
    /// ecdsa-with-SHA384 (RFC 5758 §3.2).
    EcdsaSha384,
    /// ecdsa-with-SHA512 (RFC 5758 §3.2).
    EcdsaSha512,
    /// id-Ed25519 (RFC 8410 §3).
    Ed25519,
    /// sha256WithRSAEncryption (RFC 4055 §5).
    RsaSha256,
    /// sha384WithRSAEncryption (RFC 4055 §5).
    RsaSha384,
    /// sha512WithRSAEncryption (RFC 4055 §5).
    RsaSha512,
}

impl SignatureAlgorithm {
    /// The DER of its AlgorithmIdentifier.
    #[must_use]
    pub fn identifier(self) -> &'static [u8] {
        match self {
            Self::EcdsaSha256 => b"\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02",
            Self::EcdsaSha384 => b"\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x03",
            Self::EcdsaSha512 => b"\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x04",
            Self::Ed25519 => b"\x30\x05\x06\x03\x2b\x65\x70",
            Self::RsaSha256 => b"\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b\x05\x00",
            Self::RsaSha384 => b"\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0c\x05\x00",
            Self::RsaSha512 => b"\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0d\x05\x00",
        }
    }

    /// Reads an AlgorithmIdentifier. RSA parameters may be absent as well as NULL (RFC 4055 §5),
    /// those of the others must be absent.
    ///
    /// # Errors
    /// [`UnsupportedSignature`] for every other algorithm, SHA-1 and MD5 among them.
    pub fn from_identifier(der: &[u8]) -> Result<Self, UnsupportedSignature> {
        let refused = |what| UnsupportedSignature(what);
        let identifier =
            AlgorithmIdentifierRef::from_der(der).map_err(|e| refused(e.to_string()))?;
        let algorithm = ALL_SIGNATURES
            .into_iter()
            .find(|known| {
                AlgorithmIdentifierRef::from_der(known.identifier())
                    .is_ok_and(|known| known.oid == identifier.oid)
            })
            .ok_or_else(|| refused(identifier.oid.to_string()))?;
        match identifier.parameters {
            None => Ok(algorithm),
            Some(parameters) if algorithm.is_rsa() && parameters.is_null() => Ok(algorithm),
            Some(_) => Err(refused(format!("{} with parameters", identifier.oid))),
        }
    }

    fn is_rsa(self) -> bool {
        matches!(self, Self::RsaSha256 | Self::RsaSha384 | Self::RsaSha512)
    }
}

/// A signature algorithm that is not accepted; its object identifier, or what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("signature algorithm {0} is not accepted")]
pub struct UnsupportedSignature(String);

const ALL_SIGNATURES: [SignatureAlgorithm; 7] = [
    SignatureAlgorithm::EcdsaSha256,
    SignatureAlgorithm::EcdsaSha384,
    SignatureAlgorithm::EcdsaSha512,
    SignatureAlgorithm::Ed25519,
    SignatureAlgorithm::RsaSha256,
    SignatureAlgorithm::RsaSha384,
    SignatureAlgorithm::RsaSha512,
];
