//! Private keys as signer targets read them: JWKs with their private members (RFC 7517, RFC 7518 §6,
//! RFC 8037 §2, RFC 9964 §3) and PKCS #8 in PEM (RFC 5958, RFC 7468 §10); and the proof that a target
//! signs with a key. What is made here is wiped when dropped.

use data_encoding::{BASE64, BASE64URL_NOPAD};
use serde_json::Value;
use zeroize::Zeroizing;

use crate::algorithm::Algorithm;
use crate::jwk::{Jwk, Kid};
use crate::key::{KeyError, PrivateKey, Secret};
use crate::public_key::element;

/// A JWK with its private members.
///
/// # Errors
/// [`KeyError::Failed`] when the library gives the key in a form that is not understood.
pub fn jwk(key: &PrivateKey, kid: &Kid) -> Result<Secret, KeyError> {
    let mut text = room();
    put_jwk(&mut text, key, kid)?;
    Ok(Secret::new(text.as_bytes()))
}

/// A set of such keys (RFC 7517 §5), in this order.
///
/// # Errors
/// As [`jwk`].
pub fn set<'a>(
    keys: impl IntoIterator<Item = (&'a PrivateKey, &'a Kid)>,
) -> Result<Secret, KeyError> {
    let mut text = room();
    text.push_str("{\"keys\":[");
    for (place, (key, kid)) in keys.into_iter().enumerate() {
        text.push_str(if place == 0 { "" } else { "," });
        put_jwk(&mut text, key, kid)?;
    }
    text.push_str("]}");
    Ok(Secret::new(text.as_bytes()))
}

/// PKCS #8 in PEM; for ML-DSA with the seed alone (RFC 9881 §6).
///
/// # Errors
/// [`KeyError::Failed`] when it cannot be written.
pub fn pem(key: &PrivateKey) -> Result<Secret, KeyError> {
    let secret = key.secret()?;
    let seeded = ml_dsa_arc(key.algorithm());
    let der = seeded.map(|arc| Zeroizing::new([&pkcs8_of_seed(arc), secret.expose()].concat()));
    let der = der.as_ref().map_or(secret.expose(), |der| der.as_slice());
    let encoded = Zeroizing::new(BASE64.encode(der));
    let mut text = room();
    text.push_str("-----BEGIN PRIVATE KEY-----\n");
    let mut rest = encoded.as_str();
    while !rest.is_empty() {
        let (line, more) = rest.split_at(rest.len().min(64));
        text.push_str(line);
        text.push('\n');
        rest = more;
    }
    text.push_str("-----END PRIVATE KEY-----\n");
    Ok(Secret::new(text.as_bytes()))
}

/// Whether `token`, a JWS in compact serialization (RFC 7515 §7.1), is signed by `key` under its name.
///
/// # Errors
/// [`NotProven`] says what it is instead.
pub fn is_signed_by(token: &str, key: &Jwk) -> Result<(), NotProven> {
    let mut parts = token.split('.');
    let (Some(header), Some(payload), Some(signature), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(NotProven::NoToken);
    };
    let octets = |part: &str| BASE64URL_NOPAD.decode(part.as_bytes()).ok();
    let parsed = octets(header).and_then(|json| crate::json::parse(&json).ok());
    let parsed = parsed.filter(|header| header.get("crit").is_none());
    let parsed = parsed.ok_or(NotProven::NoToken)?;
    let kid = parsed.get("kid").and_then(Value::as_str).and_then(|kid| kid.parse::<Kid>().ok());
    let kid = kid.ok_or(NotProven::NoKid)?;
    if key.kid.as_ref() != Some(&kid) {
        return Err(NotProven::Other(kid));
    }
    let named = parsed.get("alg").and_then(Value::as_str).and_then(|name| name.parse().ok());
    let algorithm: Algorithm = named.ok_or(NotProven::Algorithm)?;
    if key.alg != Some(algorithm) {
        return Err(NotProven::Algorithm);
    }
    let signature = octets(signature).ok_or(NotProven::NoToken)?;
    let signed = format!("{header}.{payload}");
    match key.key.verifies(algorithm, signed.as_bytes(), &signature) {
        true => Ok(()),
        false => Err(NotProven::Signature),
    }
}

/// What was shown does not prove that a target signs with a key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotProven {
    /// Not a JWS in compact serialization.
    #[error("it shows no signed token")]
    NoToken,
    /// It does not say by which key it is signed.
    #[error("its token names no kid")]
    NoKid,
    /// It names another key.
    #[error("its token is signed by key {0}")]
    Other(Kid),
    /// It names another algorithm.
    #[error("its token is of another algorithm than the key's")]
    Algorithm,
    /// It names the key and is not signed by it.
    #[error("its token names the key and is not signed by it")]
    Signature,
}

/// Room for all of it at once: what grows leaves copies behind.
fn room() -> Zeroizing<String> {
    Zeroizing::new(String::with_capacity(ROOM))
}

fn put_jwk(text: &mut String, key: &PrivateKey, kid: &Kid) -> Result<(), KeyError> {
    let public =
        Jwk::new(key.public_key().clone(), key.algorithm(), Some(kid.clone()))?.to_string();
    text.push_str(public.strip_suffix('}').ok_or(UNREADABLE)?);
    let secret = key.secret()?;
    for (name, octets) in members(key.algorithm(), secret.expose()).ok_or(UNREADABLE)? {
        let encoded = Zeroizing::new(BASE64URL_NOPAD.encode(octets));
        for piece in [",\"", name, "\":\"", &encoded, "\""] {
            text.push_str(piece);
        }
    }
    text.push('}');
    Ok(())
}

/// The private members of a key, by name, out of what is sealed of it.
fn members(algorithm: Algorithm, secret: &[u8]) -> Option<Vec<(&'static str, &[u8])>> {
    if ml_dsa_arc(algorithm).is_some() {
        return Some(vec![("priv", secret)]);
    }
    // OneAsymmetricKey: version, algorithm, key (RFC 5958 §2).
    let (info, _) = element(secret, SEQUENCE)?;
    let (_, rest) = element(info, INTEGER)?;
    let (_, rest) = element(rest, SEQUENCE)?;
    let (key, _) = element(rest, OCTETS)?;
    match algorithm {
        Algorithm::EdDsa | Algorithm::Ed25519 => Some(vec![("d", element(key, OCTETS)?.0)]),
        Algorithm::Es256 | Algorithm::Es384 => {
            // ECPrivateKey: version, key of the curve's length (RFC 5915 §3).
            let (key, _) = element(key, SEQUENCE)?;
            let (_, rest) = element(key, INTEGER)?;
            Some(vec![("d", element(rest, OCTETS)?.0)])
        }
        _ => {
            // RSAPrivateKey: version, n, e, then the private ones (RFC 8017 §A.1.2).
            let (mut rest, _) = element(key, SEQUENCE)?;
            for _ in 0..3 {
                (_, rest) = element(rest, INTEGER)?;
            }
            let mut found = Vec::new();
            for name in ["d", "p", "q", "dp", "dq", "qi"] {
                let (number, more) = element(rest, INTEGER)?;
                // A leading zero only says that the number is positive.
                found.push((name, number.strip_prefix(&[0]).unwrap_or(number)));
                rest = more;
            }
            Some(found)
        }
    }
}

/// What comes before the seed in `OneAsymmetricKey` (RFC 9881 §6): the identifier of the algorithm, whose
/// last arc is given, and the seed's own tag.
fn pkcs8_of_seed(arc: u8) -> [u8; 22] {
    [
        0x30, 0x34, 0x02, 0x01, 0x00, 0x30, 0x0b, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03,
        0x04, 0x03, arc, 0x04, 0x22, 0x80, 0x20,
    ]
}

fn ml_dsa_arc(algorithm: Algorithm) -> Option<u8> {
    match algorithm {
        Algorithm::MlDsa44 => Some(0x11),
        Algorithm::MlDsa65 => Some(0x12),
        Algorithm::MlDsa87 => Some(0x13),
        _ => None,
    }
}

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const OCTETS: u8 = 0x04;
const UNREADABLE: KeyError = KeyError::Failed("exported");
/// Two RSA keys of 4096 bits take 8 KiB.
const ROOM: usize = 16 * 1024;
