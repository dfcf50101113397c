//! Public keys as authenticators write them (COSE, RFC 9052 §7, RFC 9053 §7, RFC 8230 §4), and what they
//! sign. A key has exactly the members that its kind must have; any other makes it malformed.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256,
    RsaPublicKeyComponents,
};
use minicbor::Decoder;

use crate::Refusal;

/// The algorithms that are accepted, the best liked first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// ECDSA with P-256 and SHA-256
    Es256,
    /// Ed25519
    EdDsa,
    /// RSASSA-PKCS1-v1_5 with SHA-256
    Rs256,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Es256, Self::EdDsa, Self::Rs256];

    /// Its number in the registry of COSE algorithms.
    #[must_use]
    pub fn number(self) -> i64 {
        match self {
            Self::Es256 => -7,
            Self::EdDsa => -8,
            Self::Rs256 => -257,
        }
    }
}

/// A public key that can be used.
#[derive(Clone, Debug)]
pub struct PublicKey(Key);

#[derive(Clone, Debug)]
enum Key {
    /// One of an elliptic curve, on it.
    Curve(Algorithm, ParsedPublicKey),
    Rsa {
        modulus: Vec<u8>,
        exponent: Vec<u8>,
    },
}

impl PublicKey {
    /// Reads a key.
    ///
    /// # Errors
    /// [`Refusal::Malformed`] when it is no key, [`Refusal::Algorithm`] when it is of another kind.
    pub fn parse(cose: &[u8]) -> Result<Self, Refusal> {
        if cose.len() > MAX_LENGTH {
            return Err(Refusal::Malformed("the key is too long"));
        }
        let members = Members::parse(cose)?;
        let key = match (members.kind, members.algorithm) {
            (Some(EC2), Some(-7)) => members.p256(),
            (Some(OKP), Some(-8)) => members.ed25519(),
            (Some(RSA), Some(-257)) => members.rsa(),
            _ => Err(Refusal::Algorithm),
        };
        key.map(Self)
    }

    /// What it signs with.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        match &self.0 {
            Key::Curve(algorithm, _) => *algorithm,
            Key::Rsa { .. } => Algorithm::Rs256,
        }
    }

    /// Checks that it signed `message`.
    ///
    /// # Errors
    /// [`Refusal::Signature`] when it did not.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), Refusal> {
        match &self.0 {
            Key::Curve(_, key) => key.verify_sig(message, signature),
            Key::Rsa { modulus, exponent } => RsaPublicKeyComponents { n: modulus, e: exponent }
                .verify(&RSA_PKCS1_2048_8192_SHA256, message, signature),
        }
        .map_err(|_| Refusal::Signature)
    }
}

/// The members of a key, each at most once. What -1 to -3 mean depends on the kind.
#[derive(Default)]
struct Members<'a> {
    kind: Option<i64>,
    algorithm: Option<i64>,
    curve: Option<i64>,
    minus_1: Option<&'a [u8]>,
    minus_2: Option<&'a [u8]>,
    minus_3: Option<&'a [u8]>,
}

impl<'a> Members<'a> {
    fn parse(cose: &'a [u8]) -> Result<Self, Refusal> {
        let malformed = |_| MALFORMED;
        let mut decoder = Decoder::new(cose);
        let count = decoder.map().map_err(malformed)?.filter(|count| *count <= 5);
        let mut members = Self::default();
        for _ in 0..count.ok_or(MALFORMED)? {
            let label = decoder.i64().map_err(malformed)?;
            // For a curve -1 is a number, for RSA the modulus.
            let is_number = decoder.probe().i64().is_ok();
            let fresh = match label {
                1 => put(&mut members.kind, decoder.i64().map_err(malformed)?),
                3 => put(&mut members.algorithm, decoder.i64().map_err(malformed)?),
                -1 if is_number => put(&mut members.curve, decoder.i64().map_err(malformed)?),
                -1 => put(&mut members.minus_1, decoder.bytes().map_err(malformed)?),
                -2 => put(&mut members.minus_2, decoder.bytes().map_err(malformed)?),
                -3 => put(&mut members.minus_3, decoder.bytes().map_err(malformed)?),
                _ => false,
            };
            if !fresh {
                return Err(MALFORMED);
            }
        }
        if decoder.position() == cose.len() { Ok(members) } else { Err(MALFORMED) }
    }

    /// RFC 9053 §7.1.1, with both coordinates whole (Web Authentication §5.8.5).
    fn p256(&self) -> Result<Key, Refusal> {
        let (Some(1), None, Some(x), Some(y)) =
            (self.curve, self.minus_1, self.minus_2, self.minus_3)
        else {
            return Err(MALFORMED);
        };
        if x.len() != 32 || y.len() != 32 {
            return Err(MALFORMED);
        }
        // SEC 1 §2.3.3: uncompressed.
        let point = [&[4], x, y].concat();
        let key = ParsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, point).map_err(|_| MALFORMED)?;
        Ok(Key::Curve(Algorithm::Es256, key))
    }

    /// RFC 9053 §7.2.
    fn ed25519(&self) -> Result<Key, Refusal> {
        let (Some(6), None, Some(x), None) = (self.curve, self.minus_1, self.minus_2, self.minus_3)
        else {
            return Err(MALFORMED);
        };
        if x.len() != 32 {
            return Err(MALFORMED);
        }
        let key = ParsedPublicKey::new(&ED25519, x).map_err(|_| MALFORMED)?;
        Ok(Key::Curve(Algorithm::EdDsa, key))
    }

    /// RFC 8230 §4: numbers without leading zeros. Weak ones are refused.
    fn rsa(&self) -> Result<Key, Refusal> {
        let (None, Some(modulus), Some(exponent), None) =
            (self.curve, self.minus_1, self.minus_2, self.minus_3)
        else {
            return Err(MALFORMED);
        };
        let whole = modulus.first().is_some_and(|byte| *byte >= 0x80);
        if !whole || !(256..=512).contains(&modulus.len()) || exponent != [1, 0, 1] {
            return Err(Refusal::Algorithm);
        }
        Ok(Key::Rsa { modulus: modulus.to_vec(), exponent: exponent.to_vec() })
    }
}

/// Sets what was not set yet.
fn put<T>(place: &mut Option<T>, value: T) -> bool {
    place.replace(value).is_none()
}

const MALFORMED: Refusal = Refusal::Malformed("the key");
/// An RSA key of 4096 bits is half as long.
const MAX_LENGTH: usize = 1100;
const OKP: i64 = 1;
const EC2: i64 = 2;
const RSA: i64 = 3;
