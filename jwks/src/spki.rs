//! Public keys as SubjectPublicKeyInfo, DER (RFC 5280 §4.1.2.7): by RFC 8017 §A.1, RFC 5480 §2, RFC 8410
//! §4 and RFC 9881 §4.

use crate::algorithm::Algorithm;
use crate::public_key::{Form, PublicKey};

impl PublicKey {
    /// The key as SubjectPublicKeyInfo, DER: what is in its certificate.
    #[must_use]
    pub fn spki(&self) -> Vec<u8> {
        match &self.0 {
            Form::Rsa { n, e } => {
                let key = element(SEQUENCE, &[&unsigned(n), &unsigned(e)]);
                info(&[RSA, NULL], &key)
            }
            Form::Ec { curve, x, y } => {
                let curve = if *curve == Algorithm::Es256 { P256 } else { P384 };
                info(&[EC, curve], &[&[UNCOMPRESSED], x.as_slice(), y].concat())
            }
            Form::Ed25519 { x } => info(&[ED25519], x),
            Form::Akp { algorithm, public } => match algorithm {
                Algorithm::MlDsa44 => info(&[ML_DSA_44], public),
                Algorithm::MlDsa65 => info(&[ML_DSA_65], public),
                _ => info(&[ML_DSA_87], public),
            },
        }
    }
}

fn info(algorithm: &[&[u8]], key: &[u8]) -> Vec<u8> {
    // No bit of the last octet is unused.
    let key = element(BIT_STRING, &[&[0], key]);
    element(SEQUENCE, &[&element(SEQUENCE, algorithm), &key])
}

/// A positive number of big-endian octets without leading zeros.
fn unsigned(number: &[u8]) -> Vec<u8> {
    let sign: &[u8] = if number.first().is_some_and(|first| *first >= 0x80) { &[0] } else { &[] };
    element(INTEGER, &[sign, number])
}

fn element(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let octets = length.to_be_bytes();
    let significant = &octets[octets.iter().take_while(|octet| **octet == 0).count()..];
    let mut der = vec![tag];
    match (length, u8::try_from(significant.len())) {
        (0..0x80, _) => der.extend(u8::try_from(length)),
        (_, Ok(count)) => {
            der.push(0x80 | count);
            der.extend(significant);
        }
        // A length has eight octets at most.
        (_, Err(_)) => {}
    }
    parts.iter().for_each(|part| der.extend(*part));
    der
}

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const UNCOMPRESSED: u8 = 4;
const NULL: &[u8] = &[0x05, 0x00];
// Object identifiers, whole.
const RSA: &[u8] = &[0x06, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
const EC: &[u8] = &[0x06, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
const P256: &[u8] = &[0x06, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
const P384: &[u8] = &[0x06, 5, 0x2b, 0x81, 0x04, 0x00, 0x22];
const ED25519: &[u8] = &[0x06, 3, 0x2b, 0x65, 0x70];
const ML_DSA_44: &[u8] = &[0x06, 9, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x03, 0x11];
const ML_DSA_65: &[u8] = &[0x06, 9, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x03, 0x12];
const ML_DSA_87: &[u8] = &[0x06, 9, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x03, 0x13];

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{
        ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ML_DSA_44, ML_DSA_65, ML_DSA_87,
        RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256, VerificationAlgorithm,
    };
    use aws_lc_rs::signature::{ED25519, ParsedPublicKey, UnparsedPublicKey};

    use super::*;
    use crate::key::PrivateKey;

    /// The library reads it as the key that signed.
    #[test]
    fn every_key_is_read_back_by_the_library() {
        for algorithm in Algorithm::ALL {
            let how: &'static dyn VerificationAlgorithm = match algorithm {
                Algorithm::Rs256 => &RSA_PKCS1_2048_8192_SHA256,
                Algorithm::Ps256 => &RSA_PSS_2048_8192_SHA256,
                Algorithm::Es256 => &ECDSA_P256_SHA256_FIXED,
                Algorithm::Es384 => &ECDSA_P384_SHA384_FIXED,
                Algorithm::EdDsa | Algorithm::Ed25519 => &ED25519,
                Algorithm::MlDsa44 => &ML_DSA_44,
                Algorithm::MlDsa65 => &ML_DSA_65,
                Algorithm::MlDsa87 => &ML_DSA_87,
            };
            let key = PrivateKey::generate(algorithm, 2048).expect("a key");
            let spki = key.public_key().spki();
            assert!(ParsedPublicKey::new(how, &spki).is_ok(), "{algorithm}");
            let signature = key.sign(b"message").expect("signed");
            let read = UnparsedPublicKey::new(how, &spki);
            assert!(read.verify(b"message", &signature).is_ok(), "{algorithm}");
        }
    }
}
