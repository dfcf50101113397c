//! The algorithms of JWT signatures, by their registered names (RFC 7518 §3.1, RFC 8037, RFC 9864,
//! RFC 9964). HMAC, SHA-1 and `none` have no variant, so nothing here can be talked into them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// How a JWS is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256 (RFC 7518 §3.3).
    Rs256,
    /// RSASSA-PSS with SHA-256 (RFC 7518 §3.5).
    Ps256,
    /// ECDSA on P-256 with SHA-256 (RFC 7518 §3.4).
    Es256,
    /// ECDSA on P-384 with SHA-384 (RFC 7518 §3.4).
    Es384,
    /// Ed25519 under the name of RFC 8037 §3.1, which most consumers know.
    EdDsa,
    /// Ed25519 under its fully specified name (RFC 9864 §2.2). The same keys and signatures as
    /// [`EdDsa`](Self::EdDsa); consumers take one name, the other, or both.
    Ed25519,
    /// ML-DSA-44 (RFC 9964, FIPS 204).
    MlDsa44,
    /// ML-DSA-65 (RFC 9964, FIPS 204).
    MlDsa65,
    /// ML-DSA-87 (RFC 9964, FIPS 204).
    MlDsa87,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Rs256,
        Self::Ps256,
        Self::Es256,
        Self::Es384,
        Self::EdDsa,
        Self::Ed25519,
        Self::MlDsa44,
        Self::MlDsa65,
        Self::MlDsa87,
    ];

    /// Its name in `alg`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Ps256 => "PS256",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::EdDsa => "EdDSA",
            Self::Ed25519 => "Ed25519",
            Self::MlDsa44 => "ML-DSA-44",
            Self::MlDsa65 => "ML-DSA-65",
            Self::MlDsa87 => "ML-DSA-87",
        }
    }

    /// Whether its keys are of a type that consumers have known for years (RSA, EC, OKP). Those of
    /// type AKP (RFC 9964 §3) make some consumers drop the whole set, and are published apart.
    #[must_use]
    pub fn is_classical(self) -> bool {
        !matches!(self, Self::MlDsa44 | Self::MlDsa65 | Self::MlDsa87)
    }

    /// Whether its keys are RSA keys, whose size can be chosen.
    #[must_use]
    pub fn is_rsa(self) -> bool {
        matches!(self, Self::Rs256 | Self::Ps256)
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Algorithm {
    type Err = UnknownAlgorithm;

    /// Names are case-sensitive (RFC 7515 §4.1.1).
    fn from_str(text: &str) -> Result<Self, UnknownAlgorithm> {
        let found = Self::ALL.into_iter().find(|algorithm| algorithm.name() == text);
        found.ok_or_else(|| UnknownAlgorithm(text.chars().take(64).collect()))
    }
}

impl Serialize for Algorithm {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Algorithm {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Text that names no algorithm that is used here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no signature algorithm for tokens: write RS256, PS256, ES256, ES384, EdDSA, Ed25519, \
     ML-DSA-44, ML-DSA-65 or ML-DSA-87"
)]
pub struct UnknownAlgorithm(String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back_and_nothing_else_is() {
        for algorithm in Algorithm::ALL {
            assert_eq!(algorithm.to_string().parse(), Ok(algorithm));
        }
        for other in ["", "none", "HS256", "es256", "ES512", "RS1", "Ed448", "ML-DSA"] {
            assert!(other.parse::<Algorithm>().is_err(), "{other}");
        }
    }
}
