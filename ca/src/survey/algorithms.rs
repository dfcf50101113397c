//! The names of the algorithms that certificates out there use, safe or not.

use der::asn1::{AnyRef, ObjectIdentifier};
use serde::Serialize;

/// Name and size of a key of this algorithm; the object identifier where it has no name here.
pub(super) fn key(
    oid: ObjectIdentifier,
    parameters: Option<AnyRef<'_>>,
    key: &[u8],
) -> (String, u32) {
    let text = oid.to_string();
    match text.as_str() {
        "1.2.840.113549.1.1.1" | "1.2.840.113549.1.1.10" => {
            let bits = super::modulus_bits(key).unwrap_or(0);
            (format!("rsa{bits}"), bits)
        }
        "1.2.840.10045.2.1" => {
            let curve = parameters.and_then(|curve| curve.decode_as::<ObjectIdentifier>().ok());
            let curve = curve.map(|curve| curve.to_string()).unwrap_or_default();
            match CURVES.iter().find(|(oid, ..)| *oid == curve) {
                Some((_, name, bits)) => ((*name).to_owned(), *bits),
                None => (format!("ec-{curve}"), 0),
            }
        }
        "1.2.840.10040.4.1" => ("dsa".to_owned(), 0),
        other => match KEYS.iter().find(|(oid, ..)| *oid == other) {
            Some((_, name, bits)) => ((*name).to_owned(), *bits),
            None => (text, 0),
        },
    }
}

/// The name of a signature algorithm; its object identifier where it has none here.
pub(super) fn signature(oid: ObjectIdentifier) -> String {
    let text = oid.to_string();
    let known = SIGNATURES.iter().find(|(oid, _)| *oid == text).map(|(_, name)| *name);
    let as_key = || KEYS.iter().find(|(oid, ..)| *oid == text).map(|(_, name, _)| *name);
    known.or_else(as_key).map_or(text.clone(), str::to_owned)
}

/// Whom an algorithm withstands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Strength {
    /// Nobody who tries: MD2, MD5, SHA-1, DSA, RSA under 2048 bits, curves under 224 bits.
    Weak,
    /// Everybody without a quantum computer.
    Classical,
    /// Those with one too (FIPS 204, FIPS 205).
    PostQuantum,
    /// Nothing is known of it here.
    Unknown,
}

/// How strong an algorithm is, by the name that certificates, declarations or tokens (RFC 7518, RFC 9964)
/// have for it.
#[must_use]
pub fn strength(name: &str) -> Strength {
    let name = name.to_ascii_lowercase().replace('-', "");
    let begins = |with: &[&str]| with.iter().any(|with| name.starts_with(with));
    let rsa = name.strip_prefix("rsa").and_then(|bits| bits.parse::<u32>().ok());
    if begins(&["mldsa", "slhdsa"]) {
        Strength::PostQuantum
    } else if WEAK.iter().any(|weak| name.contains(weak))
        || begins(&["dsa", "p192"])
        || rsa.is_some_and(|bits| bits < 2048)
    {
        Strength::Weak
    } else if begins(&["rsa", "ec", "ed", "p2", "p3", "p5", "secp", "brainpool"])
        || matches!(name.as_str(), "rs256" | "ps256" | "es256" | "es384")
    {
        Strength::Classical
    } else {
        Strength::Unknown
    }
}

const WEAK: [&str; 3] = ["md2", "md5", "sha1"];

/// RFC 5480 §2.1.1.1, SEC 2, RFC 5639.
const CURVES: [(&str, &str, u32); 8] = [
    ("1.2.840.10045.3.1.7", "p256", 256),
    ("1.3.132.0.34", "p384", 384),
    ("1.3.132.0.35", "p521", 521),
    ("1.2.840.10045.3.1.1", "p192", 192),
    ("1.3.132.0.33", "p224", 224),
    ("1.3.132.0.10", "secp256k1", 256),
    ("1.3.36.3.3.2.8.1.1.7", "brainpoolp256r1", 256),
    ("1.3.36.3.3.2.8.1.1.11", "brainpoolp384r1", 384),
];

/// Keys whose algorithm says all of it, and which sign under the same identifier: RFC 8410, RFC 9881,
/// RFC 9909.
const KEYS: [(&str, &str, u32); 17] = [
    ("1.3.101.112", "ed25519", 256),
    ("1.3.101.113", "ed448", 456),
    ("2.16.840.1.101.3.4.3.17", "mldsa44", 0),
    ("2.16.840.1.101.3.4.3.18", "mldsa65", 0),
    ("2.16.840.1.101.3.4.3.19", "mldsa87", 0),
    ("2.16.840.1.101.3.4.3.20", "slhdsa-sha2-128s", 0),
    ("2.16.840.1.101.3.4.3.21", "slhdsa-sha2-128f", 0),
    ("2.16.840.1.101.3.4.3.22", "slhdsa-sha2-192s", 0),
    ("2.16.840.1.101.3.4.3.23", "slhdsa-sha2-192f", 0),
    ("2.16.840.1.101.3.4.3.24", "slhdsa-sha2-256s", 0),
    ("2.16.840.1.101.3.4.3.25", "slhdsa-sha2-256f", 0),
    ("2.16.840.1.101.3.4.3.26", "slhdsa-shake-128s", 0),
    ("2.16.840.1.101.3.4.3.27", "slhdsa-shake-128f", 0),
    ("2.16.840.1.101.3.4.3.28", "slhdsa-shake-192s", 0),
    ("2.16.840.1.101.3.4.3.29", "slhdsa-shake-192f", 0),
    ("2.16.840.1.101.3.4.3.30", "slhdsa-shake-256s", 0),
    ("2.16.840.1.101.3.4.3.31", "slhdsa-shake-256f", 0),
];

/// RFC 4055, RFC 5758, and what came before.
const SIGNATURES: [(&str, &str); 14] = [
    ("1.2.840.113549.1.1.2", "rsa-md2"),
    ("1.2.840.113549.1.1.4", "rsa-md5"),
    ("1.2.840.113549.1.1.5", "rsa-sha1"),
    ("1.2.840.113549.1.1.14", "rsa-sha224"),
    ("1.2.840.113549.1.1.11", "rsa-sha256"),
    ("1.2.840.113549.1.1.12", "rsa-sha384"),
    ("1.2.840.113549.1.1.13", "rsa-sha512"),
    ("1.2.840.113549.1.1.10", "rsa-pss"),
    ("1.2.840.10045.4.1", "ecdsa-sha1"),
    ("1.2.840.10045.4.3.2", "ecdsa-sha256"),
    ("1.2.840.10045.4.3.3", "ecdsa-sha384"),
    ("1.2.840.10045.4.3.4", "ecdsa-sha512"),
    ("1.2.840.10040.4.3", "dsa-sha1"),
    ("2.16.840.1.101.3.4.3.2", "dsa-sha256"),
];
