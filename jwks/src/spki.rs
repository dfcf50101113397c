//! Public keys as a `SubjectPublicKeyInfo` in DER (RFC 5280 §4.1.2.7), as X.509 has them and Go calls
//! PKIX. Written here and nowhere read.

use crate::algorithm::Algorithm;
use crate::public_key::{Form, PublicKey};

impl PublicKey {
    /// Its `SubjectPublicKeyInfo` in DER (RFC 3279 §2.3.1, RFC 5480 §2, RFC 8410 §4, RFC 9881 §4).
    #[must_use]
    pub fn to_spki(&self) -> Vec<u8> {
        let (algorithm, key): (&[u8], Vec<u8>) = match &self.0 {
            Form::Rsa { n, e } => (RSA, sequence(&[integer(n), integer(e)].concat())),
            Form::Ec { curve, x, y } => {
                let named = if *curve == Algorithm::Es256 { EC_P256 } else { EC_P384 };
                (named, [&[UNCOMPRESSED], x.as_slice(), y].concat())
            }
            Form::Ed25519 { x } => (ED25519, x.clone()),
            Form::Akp { algorithm, public } => match algorithm {
                Algorithm::MlDsa44 => (ML_DSA_44, public.clone()),
                Algorithm::MlDsa65 => (ML_DSA_65, public.clone()),
                _ => (ML_DSA_87, public.clone()),
            },
        };
        // No bit of the last octet is unused.
        let bits = element(BIT_STRING, &[&[0], key.as_slice()].concat());
        sequence(&[sequence(algorithm), bits].concat())
    }
}

/// A number that is not negative, from its octets without leading zeros.
fn integer(octets: &[u8]) -> Vec<u8> {
    let positive = octets.first().is_some_and(|first| *first >= 0x80);
    let sign: &[u8] = if positive { &[0] } else { &[] };
    element(INTEGER, &[sign, octets].concat())
}

fn sequence(contents: &[u8]) -> Vec<u8> {
    element(SEQUENCE, contents)
}

fn element(tag: u8, contents: &[u8]) -> Vec<u8> {
    let length = contents.len().to_be_bytes();
    let length = match contents.len() {
        0..0x80 => length[length.len() - 1..].to_vec(),
        _ => {
            let zeros = length.iter().take_while(|octet| **octet == 0).count();
            let octets = &length[zeros..];
            // At most eight.
            [&[0x80 | u8::try_from(octets.len()).unwrap_or(0)], octets].concat()
        }
    };
    [&[tag], length.as_slice(), contents].concat()
}

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const SEQUENCE: u8 = 0x30;
const UNCOMPRESSED: u8 = 0x04;

// What stands in an AlgorithmIdentifier: an object identifier, and its parameters.
/// rsaEncryption, NULL.
const RSA: &[u8] = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00";
/// id-ecPublicKey, secp256r1.
const EC_P256: &[u8] =
    b"\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07";
/// id-ecPublicKey, secp384r1.
const EC_P384: &[u8] = b"\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x22";
/// id-Ed25519.
const ED25519: &[u8] = b"\x06\x03\x2b\x65\x70";
/// id-ml-dsa-44 and the two after it.
const ML_DSA_44: &[u8] = b"\x06\x09\x60\x86\x48\x01\x65\x03\x04\x03\x11";
const ML_DSA_65: &[u8] = b"\x06\x09\x60\x86\x48\x01\x65\x03\x04\x03\x12";
const ML_DSA_87: &[u8] = b"\x06\x09\x60\x86\x48\x01\x65\x03\x04\x03\x13";
