//! The algorithms a JWS may name: those of account keys, and those of external bindings.

use std::fmt;

/// A JWS algorithm (RFC 7518 §3.1, RFC 8037 §3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// ECDSA on P-384 with SHA-384.
    Es384,
    /// ECDSA on P-521 with SHA-512.
    Es512,
    /// Ed25519.
    EdDsa,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// RSASSA-PSS with SHA-256.
    Ps256,
    /// HMAC with SHA-256; only in an EAB.
    Hs256,
    /// HMAC with SHA-384; only in an EAB.
    Hs384,
    /// HMAC with SHA-512; only in an EAB.
    Hs512,
}

impl Algorithm {
    /// Those an account key may sign with, in order of preference.
    pub const SIGNATURES: &'static [Self] =
        &[Self::Es256, Self::Es384, Self::Es512, Self::EdDsa, Self::Rs256, Self::Ps256];
    /// Those an external account binding may use (RFC 8555 §7.3.4).
    pub const MACS: &'static [Self] = &[Self::Hs256, Self::Hs384, Self::Hs512];

    /// The name registered for `alg`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::Es512 => "ES512",
            Self::EdDsa => "EdDSA",
            Self::Rs256 => "RS256",
            Self::Ps256 => "PS256",
            Self::Hs256 => "HS256",
            Self::Hs384 => "HS384",
            Self::Hs512 => "HS512",
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
