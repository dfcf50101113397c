//! Public keys, read strictly from their DER form.
//! Whether a well-formed key is also a good one is asked in `weak`; private keys are in `signer`.

use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{self, ParsedPublicKey, UnparsedPublicKey, VerificationAlgorithm};
use der::asn1::{AnyRef, ObjectIdentifier, UintRef};
use der::{Decode, Encode, Reader, SliceReader};
use x509_cert::spki::SubjectPublicKeyInfoRef;

use crate::algorithm::{KeyAlgorithm, SignatureAlgorithm, UnsupportedSignature};

/// A public key whose encoding and form are sound: a known algorithm, DER throughout, a point on
/// its curve.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey {
    spki: Box<[u8]>,
    algorithm: KeyAlgorithm,
    /// Where in `spki` the contents of the BIT STRING begin.
    key_at: usize,
}

impl PublicKey {
    /// Reads a DER SubjectPublicKeyInfo (RFC 5280 §4.1.2.7), at most 4 KiB. Accepts P-256 and P-384
    /// as uncompressed points on the curve, Ed25519 points in canonical form and not of low order,
    /// RSA with a modulus of 2048 to 8192 bits and NULL parameters.
    ///
    /// # Errors
    /// [`BadKey`] says what is wrong with the encoding or the key.
    pub fn from_spki(spki: &[u8]) -> Result<Self, BadKey> {
        if spki.len() > MAX_SPKI {
            return Err(BadKey::TooLarge);
        }
        let parsed = SubjectPublicKeyInfoRef::from_der(spki).map_err(BadKey::Malformed)?;
        if parsed.to_der().map_err(BadKey::Malformed)? != spki {
            return Err(BadKey::NotDer);
        }
        let key = parsed.subject_public_key.as_bytes().ok_or(BadKey::NotDer)?;
        let algorithm = match (parsed.algorithm.oid, parsed.algorithm.parameters) {
            (EC_PUBLIC_KEY, Some(curve)) => check_point(curve, key)?,
            (ED25519, None) => check_edwards(key)?,
            (RSA_ENCRYPTION, Some(parameters)) if parameters.is_null() => {
                let bits = modulus_bits(RsaPublicKey::from_der(key)?.modulus);
                let bits = u16::try_from(bits).unwrap_or(u16::MAX);
                if !(MIN_RSA..=MAX_RSA).contains(&bits) {
                    return Err(BadKey::RsaSize(bits));
                }
                KeyAlgorithm::Rsa { bits }
            }
            (oid @ (EC_PUBLIC_KEY | ED25519 | RSA_ENCRYPTION), _) => {
                return Err(BadKey::Parameters(oid.to_string()));
            }
            (oid, _) => return Err(BadKey::Algorithm(oid.to_string())),
        };
        Ok(Self { spki: spki.into(), algorithm, key_at: spki.len() - key.len() })
    }

    /// The DER SubjectPublicKeyInfo.
    #[must_use]
    pub fn spki(&self) -> &[u8] {
        &self.spki
    }

    /// The algorithm and size.
    #[must_use]
    pub fn algorithm(&self) -> KeyAlgorithm {
        self.algorithm
    }

    /// SHA-256 of the SubjectPublicKeyInfo: the name of a key in lists of keys.
    #[must_use]
    pub fn spki_sha256(&self) -> [u8; 32] {
        sha256(&self.spki)
    }

    /// The key identifier: the leftmost 160 bits of the SHA-256 of the BIT STRING's contents
    /// (RFC 7093 §2, method 1).
    #[must_use]
    pub fn key_id(&self) -> [u8; 20] {
        let hash = sha256(self.key_bytes());
        let mut id = [0; 20];
        id.copy_from_slice(&hash[..20]);
        id
    }

    /// Checks a signature by this key.
    ///
    /// # Errors
    /// [`BadKey::Signature`] when it is wrong, or when `algorithm` does not go with the key.
    pub fn verify(
        &self,
        algorithm: SignatureAlgorithm,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), BadKey> {
        let verifier = verifier(self.algorithm, algorithm).ok_or(BadKey::Signature)?;
        UnparsedPublicKey::new(verifier, self.key_bytes())
            .verify(message, signature)
            .map_err(|_| BadKey::Signature)
    }

    /// Modulus and exponent, if this is an RSA key.
    pub(crate) fn rsa(&self) -> Option<RsaPublicKey<'_>> {
        match self.algorithm {
            KeyAlgorithm::Rsa { .. } => RsaPublicKey::from_der(self.key_bytes()).ok(),
            _ => None,
        }
    }

    /// What the BIT STRING contains.
    pub(crate) fn key_bytes(&self) -> &[u8] {
        &self.spki[self.key_at..]
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = data_encoding::HEXLOWER.encode(&self.spki_sha256());
        write!(f, "PublicKey({} {id})", self.algorithm)
    }
}

/// An RSA public key's numbers, big-endian without leading zeros (RFC 8017 §A.1.1).
#[derive(Clone, Copy)]
pub(crate) struct RsaPublicKey<'a> {
    pub(crate) modulus: &'a [u8],
    pub(crate) exponent: &'a [u8],
}

impl<'a> RsaPublicKey<'a> {
    fn from_der(der: &'a [u8]) -> Result<Self, BadKey> {
        let sequence = AnyRef::from_der(der).map_err(BadKey::Malformed)?;
        sequence.header().tag().assert_eq(der::Tag::Sequence).map_err(BadKey::Malformed)?;
        let mut reader = SliceReader::new(sequence.value()).map_err(BadKey::Malformed)?;
        let modulus = UintRef::decode(&mut reader).map_err(BadKey::Malformed)?;
        let exponent = UintRef::decode(&mut reader).map_err(BadKey::Malformed)?;
        reader.finish().map_err(BadKey::Malformed)?;
        Ok(Self { modulus: modulus.as_bytes(), exponent: exponent.as_bytes() })
    }
}

/// A key or signature that cannot be used, by fault of whoever sent it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadKey {
    /// More than 4 KiB.
    #[error("the public key is larger than 4 KiB")]
    TooLarge,
    /// Not the ASN.1 it should be.
    #[error("the public key is malformed: {0}")]
    Malformed(der::Error),
    /// Readable, but not in the one encoding DER permits.
    #[error("the public key is not encoded in DER")]
    NotDer,
    /// An algorithm that is not supported; its object identifier.
    #[error("public keys of algorithm {0} are not supported: use P-256, P-384, Ed25519 or RSA")]
    Algorithm(String),
    /// Algorithm parameters that are wrong, or a curve that is not supported.
    #[error("the public key has unsupported algorithm parameters ({0})")]
    Parameters(String),
    /// A compressed, truncated or off-curve point.
    #[error("the public key is not an uncompressed point on its curve")]
    Point,
    /// An Ed25519 point of low order, or not in canonical form.
    #[error("the Ed25519 public key is of low order or not in canonical form")]
    LowOrder,
    /// An RSA modulus of this many bits.
    #[error("the RSA modulus has {0} bits: 2048 to 8192 are accepted")]
    RsaSize(u16),
    /// A signature algorithm that is not accepted.
    #[error(transparent)]
    SignatureAlgorithm(#[from] UnsupportedSignature),
    /// A signature that does not verify.
    #[error("the signature does not verify")]
    Signature,
}

pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest(&SHA256, bytes).as_ref());
    out
}

fn check_point(curve: AnyRef<'_>, point: &[u8]) -> Result<KeyAlgorithm, BadKey> {
    let curve = ObjectIdentifier::try_from(curve).map_err(BadKey::Malformed)?;
    let (algorithm, verifier, length): (_, &'static dyn VerificationAlgorithm, _) = match curve {
        SECP256R1 => (KeyAlgorithm::EcdsaP256, &signature::ECDSA_P256_SHA256_ASN1, 65),
        SECP384R1 => (KeyAlgorithm::EcdsaP384, &signature::ECDSA_P384_SHA384_ASN1, 97),
        other => return Err(BadKey::Parameters(other.to_string())),
    };
    if point.len() != length || point.first() != Some(&UNCOMPRESSED) {
        return Err(BadKey::Point);
    }
    // Rejects coordinates out of range and points that are not on the curve.
    ParsedPublicKey::new(verifier, point).map_err(|_| BadKey::Point)?;
    Ok(algorithm)
}

fn check_edwards(point: &[u8]) -> Result<KeyAlgorithm, BadKey> {
    let point: &[u8; 32] = point.try_into().map_err(|_| BadKey::Point)?;
    let mut y = *point;
    y[31] &= 0x7f;
    // Canonical is y < p = 2^255 - 19, compared from the most significant (last) byte down.
    let canonical = y.iter().rev().lt(FIELD_PRIME.iter().rev());
    if !canonical || LOW_ORDER.contains(&y) {
        return Err(BadKey::LowOrder);
    }
    ParsedPublicKey::new(&signature::ED25519, point).map_err(|_| BadKey::Point)?;
    Ok(KeyAlgorithm::Ed25519)
}

fn modulus_bits(modulus: &[u8]) -> usize {
    let unused = modulus.first().map_or(0, |byte| byte.leading_zeros() as usize);
    modulus.len() * 8 - unused
}

fn verifier(
    key: KeyAlgorithm,
    algorithm: SignatureAlgorithm,
) -> Option<&'static dyn VerificationAlgorithm> {
    use SignatureAlgorithm as S;
    Some(match (key, algorithm) {
        (KeyAlgorithm::EcdsaP256, S::EcdsaSha256) => &signature::ECDSA_P256_SHA256_ASN1,
        (KeyAlgorithm::EcdsaP256, S::EcdsaSha384) => &signature::ECDSA_P256_SHA384_ASN1,
        (KeyAlgorithm::EcdsaP256, S::EcdsaSha512) => &signature::ECDSA_P256_SHA512_ASN1,
        (KeyAlgorithm::EcdsaP384, S::EcdsaSha256) => &signature::ECDSA_P384_SHA256_ASN1,
        (KeyAlgorithm::EcdsaP384, S::EcdsaSha384) => &signature::ECDSA_P384_SHA384_ASN1,
        (KeyAlgorithm::EcdsaP384, S::EcdsaSha512) => &signature::ECDSA_P384_SHA512_ASN1,
        (KeyAlgorithm::Ed25519, S::Ed25519) => &signature::ED25519,
        (KeyAlgorithm::Rsa { .. }, S::RsaSha256) => &signature::RSA_PKCS1_2048_8192_SHA256,
        (KeyAlgorithm::Rsa { .. }, S::RsaSha384) => &signature::RSA_PKCS1_2048_8192_SHA384,
        (KeyAlgorithm::Rsa { .. }, S::RsaSha512) => &signature::RSA_PKCS1_2048_8192_SHA512,
        _ => return None,
    })
}

const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const SECP256R1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const SECP384R1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const UNCOMPRESSED: u8 = 4;
const MAX_SPKI: usize = 4096;
const MIN_RSA: u16 = 2048;
const MAX_RSA: u16 = 8192;
const FIELD_PRIME: [u8; 32] = {
    let mut prime = [0xff; 32];
    prime[0] = 0xed;
    prime[31] = 0x7f;
    prime
};
/// The y coordinates, little-endian, of the eight points whose order divides 8: 0 and 1 and -1, and
/// the two of order 8 (the sign of x is masked off before comparing).
const LOW_ORDER: [[u8; 32]; 5] = {
    let mut one = [0; 32];
    one[0] = 1;
    let mut minus_one = FIELD_PRIME;
    minus_one[0] -= 1;
    [[0; 32], one, minus_one, ORDER_8, ORDER_8_NEGATED]
};
const ORDER_8: [u8; 32] = [
    0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0,
    0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
];
const ORDER_8_NEGATED: [u8; 32] = [
    0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f,
    0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
];
