//! Public keys as numbers and octets: checked when they are made, compared, named by thumbprint, and
//! able to verify. How one is written as a JWK is in `jwk`. No private key can be held here.

use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, ML_DSA_44, ML_DSA_65, ML_DSA_87,
    ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256, RsaPublicKeyComponents,
};
use data_encoding::BASE64URL_NOPAD;

use crate::algorithm::Algorithm;

/// A public key whose form is sound. Two are equal if they are the same key.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey(pub(crate) Form);

/// By type, with the octets of the JWK's members.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Form {
    /// RFC 7518 §6.3.1: modulus and exponent, big-endian without leading zeros.
    Rsa { n: Vec<u8>, e: Vec<u8> },
    /// RFC 7518 §6.2.1: ES256 stands for P-256 and ES384 for P-384; coordinates of full length.
    Ec { curve: Algorithm, x: Vec<u8>, y: Vec<u8> },
    /// RFC 8037 §2.
    Ed25519 { x: Vec<u8> },
    /// RFC 9964 §3, where the algorithm is part of the key.
    Akp { algorithm: Algorithm, public: Vec<u8> },
}

impl PublicKey {
    /// The RFC 7638 thumbprint, SHA-256 in base64url; for AKP as RFC 9964 §6 says.
    #[must_use]
    pub fn thumbprint(&self) -> String {
        BASE64URL_NOPAD.encode(digest(&SHA256, self.canonical().as_bytes()).as_ref())
    }

    /// Whether a key of this type can be used with `algorithm`.
    #[must_use]
    pub fn suits(&self, algorithm: Algorithm) -> bool {
        match &self.0 {
            Form::Rsa { .. } => algorithm.is_rsa(),
            Form::Ec { curve, .. } => *curve == algorithm,
            Form::Ed25519 { .. } => matches!(algorithm, Algorithm::EdDsa | Algorithm::Ed25519),
            Form::Akp { algorithm: own, .. } => *own == algorithm,
        }
    }

    /// Whether `signature`, the octets of a JWS signature, is one over `message` by this key with
    /// `algorithm`.
    #[must_use]
    pub fn verifies(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        if !self.suits(algorithm) {
            return false;
        }
        if let Form::Rsa { n, e } = &self.0 {
            let how = match algorithm {
                Algorithm::Ps256 => &RSA_PSS_2048_8192_SHA256,
                _ => &RSA_PKCS1_2048_8192_SHA256,
            };
            return RsaPublicKeyComponents { n, e }.verify(how, message, signature).is_ok();
        }
        self.parsed().is_some_and(|key| key.verify_sig(message, signature).is_ok())
    }

    /// An RSA key of 2048 to 8192 bits.
    pub(crate) fn rsa(n: Vec<u8>, e: Vec<u8>) -> Result<Self, BadKey> {
        let minimal = |number: &[u8]| number.first().is_some_and(|first| *first != 0);
        let odd = |number: &[u8]| number.last().is_some_and(|last| last % 2 == 1);
        if !minimal(&n) || !minimal(&e) || !odd(&n) || !odd(&e) {
            return Err(BadKey::Member("n"));
        }
        let bits = n.len() * 8 - n.first().map_or(0, |first| first.leading_zeros() as usize);
        if !(2048..=8192).contains(&bits) {
            return Err(BadKey::RsaSize(bits));
        }
        if e.len() > 8 || e == [1] {
            return Err(BadKey::Member("e"));
        }
        Ok(Self(Form::Rsa { n, e }))
    }

    /// The library's own form of an RSA key: an `RSAPublicKey` in DER (RFC 8017 §A.1.1).
    pub(crate) fn rsa_der(der: &[u8]) -> Result<Self, BadKey> {
        let (sequence, _) = element(der, 0x30).ok_or(BadKey::Member("n"))?;
        let (n, rest) = element(sequence, 0x02).ok_or(BadKey::Member("n"))?;
        let (e, _) = element(rest, 0x02).ok_or(BadKey::Member("e"))?;
        // A leading zero only says that the number is positive.
        let number = |octets: &[u8]| octets.strip_prefix(&[0]).unwrap_or(octets).to_vec();
        Self::rsa(number(n), number(e))
    }

    /// A point of P-256 (for ES256) or P-384 (for ES384), uncompressed.
    pub(crate) fn ec_point(curve: Algorithm, point: &[u8]) -> Result<Self, BadKey> {
        let size = if curve == Algorithm::Es256 { 32 } else { 48 };
        match point.split_first() {
            Some((&UNCOMPRESSED, rest)) if rest.len() == 2 * size => {
                let (x, y) = rest.split_at(size);
                Self(Form::Ec { curve, x: x.to_vec(), y: y.to_vec() }).checked()
            }
            _ => Err(BadKey::Point),
        }
    }

    /// A key of 32 octets.
    pub(crate) fn ed25519(x: &[u8]) -> Result<Self, BadKey> {
        Self(Form::Ed25519 { x: x.to_vec() }).checked()
    }

    /// A key of the length that its algorithm has.
    pub(crate) fn ml_dsa(algorithm: Algorithm, public: &[u8]) -> Result<Self, BadKey> {
        let length = match algorithm {
            Algorithm::MlDsa44 => 1312,
            Algorithm::MlDsa65 => 1952,
            Algorithm::MlDsa87 => 2592,
            _ => return Err(BadKey::Member("alg")),
        };
        if public.len() != length {
            return Err(BadKey::Member("pub"));
        }
        Self(Form::Akp { algorithm, public: public.to_vec() }).checked()
    }

    fn checked(self) -> Result<Self, BadKey> {
        if self.parsed().is_some() { Ok(self) } else { Err(BadKey::Point) }
    }

    /// The key as the library holds it; `None` if it is not on its curve.
    fn parsed(&self) -> Option<ParsedPublicKey> {
        match &self.0 {
            Form::Rsa { .. } => None,
            Form::Ec { curve, x, y } => {
                let point = [&[UNCOMPRESSED], x.as_slice(), y].concat();
                match curve {
                    Algorithm::Es256 => ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).ok(),
                    _ => ParsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, point).ok(),
                }
            }
            Form::Ed25519 { x } if x.len() == 32 => ParsedPublicKey::new(&ED25519, x).ok(),
            Form::Ed25519 { .. } => None,
            Form::Akp { algorithm, public } => match algorithm {
                Algorithm::MlDsa44 => ParsedPublicKey::new(&ML_DSA_44, public).ok(),
                Algorithm::MlDsa65 => ParsedPublicKey::new(&ML_DSA_65, public).ok(),
                _ => ParsedPublicKey::new(&ML_DSA_87, public).ok(),
            },
        }
    }

    /// RFC 7638 §3.2: exactly the required members, in order, without white space.
    fn canonical(&self) -> String {
        let text = |octets: &[u8]| BASE64URL_NOPAD.encode(octets);
        match &self.0 {
            Form::Rsa { n, e } => format!(r#"{{"e":"{}","kty":"RSA","n":"{}"}}"#, text(e), text(n)),
            Form::Ec { curve, x, y } => format!(
                r#"{{"crv":"{}","kty":"EC","x":"{}","y":"{}"}}"#,
                curve_name(*curve),
                text(x),
                text(y)
            ),
            Form::Ed25519 { x } => format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, text(x)),
            Form::Akp { algorithm, public } => {
                format!(r#"{{"alg":"{algorithm}","kty":"AKP","pub":"{}"}}"#, text(public))
            }
        }
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.canonical())
    }
}

/// The curve's name in `crv` (RFC 7518 §6.2.1.1).
pub(crate) fn curve_name(curve: Algorithm) -> &'static str {
    if curve == Algorithm::Es256 { "P-256" } else { "P-384" }
}

/// The contents of a DER element with this tag, and what follows it.
pub(crate) fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&first, rest) = der.split_first()?;
    let (&short, rest) = rest.split_first()?;
    let (length, rest) = match usize::from(short) {
        length @ 0..0x80 => (length, rest),
        long => {
            let (octets, rest) = rest.split_at_checked(long - 0x80)?;
            (octets.iter().fold(0_usize, |sum, octet| sum << 8 | usize::from(*octet)), rest)
        }
    };
    if first == tag { rest.split_at_checked(length) } else { None }
}

/// A JWK that cannot be used, by fault of whoever made it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadKey {
    /// A member is missing, or is not what its type demands.
    #[error("the JWK's {0:?} is missing or malformed")]
    Member(&'static str),
    /// Not a point of its curve.
    #[error("the JWK is no point of its curve")]
    Point,
    /// An RSA modulus of this many bits.
    #[error("the JWK's RSA modulus has {0} bits: 2048 to 8192 are accepted")]
    RsaSize(usize),
    /// A private or symmetric key where a public one belongs.
    #[error("the JWK has the private member {0:?}: that key is not secret any more, replace it")]
    Private(&'static str),
    /// A `kid` that is empty, longer than 256 octets, or has control characters.
    #[error("the key id is empty, longer than 256 octets, or has control characters")]
    Kid,
}

const UNCOMPRESSED: u8 = 4;
