//! PKCS #12 (RFC 7292) as today's readers want it: the certificates in one encrypted part, the key in
//! another (PBES2, RFC 8018 §6.2), and an HMAC over both whose key comes from the old derivation of
//! appendix B, with SHA-256.

use std::num::NonZeroU32;

use aws_lc_rs::cipher::{
    AES_256, AES_256_KEY_LEN, EncryptionContext, PaddedBlockEncryptingKey, UnboundCipherKey,
};
use aws_lc_rs::digest::{self, SHA256, SHA256_OUTPUT_LEN};
use aws_lc_rs::{hmac, pbkdf2};
use der::asn1::{AnyRef, ObjectIdentifier};
use der::{Encode, Tag, TagNumber};
use zeroize::Zeroizing;

use super::Contents;
use crate::error::PushError;

/// The PFX.
pub(super) fn encode(contents: &Contents<'_>) -> Result<Zeroizing<Vec<u8>>, PushError> {
    write(contents).map_err(|error| PushError::Format(error.to_string()))
}

fn write(contents: &Contents<'_>) -> Result<Zeroizing<Vec<u8>>, Unwritable> {
    let safe = sequence(&[&certificates(contents)?, &key(contents)?])?;
    let mac = mac(contents, &safe)?;
    let content = content_info(DATA, &octet_string(&safe)?)?;
    Ok(Zeroizing::new(sequence(&[&integer(3)?, &content, &mac])?))
}

/// EncryptedData with a bag for each certificate; the leaf's says which key is its.
fn certificates(contents: &Contents<'_>) -> Result<Vec<u8>, Unwritable> {
    let mut bags = Vec::new();
    for (at, der) in contents.certificates.iter().enumerate() {
        let value = explicit(&octet_string(der)?)?;
        let value = sequence(&[&oid(X509_CERTIFICATE)?, &value])?;
        let attributes = if at == 0 { attributes(contents)? } else { Vec::new() };
        bags.extend(bag(CERT_BAG, &value, &attributes)?);
    }
    let (algorithm, encrypted) = encrypt(contents, "certificates", &sequence(&[&bags])?)?;
    let encrypted = element(context(0, false), &encrypted)?;
    let inner = sequence(&[&oid(DATA)?, &algorithm, &encrypted])?;
    content_info(ENCRYPTED_DATA, &sequence(&[&integer(0)?, &inner])?)
}

/// Data with the key, shrouded.
fn key(contents: &Contents<'_>) -> Result<Vec<u8>, Unwritable> {
    let (algorithm, encrypted) = encrypt(contents, "key", contents.key)?;
    let shrouded = sequence(&[&algorithm, &octet_string(&encrypted)?])?;
    let bag = bag(SHROUDED_KEY_BAG, &shrouded, &attributes(contents)?)?;
    content_info(DATA, &octet_string(&sequence(&[&bag])?)?)
}

/// friendlyName and localKeyId, by which readers put key and certificate together.
fn attributes(contents: &Contents<'_>) -> Result<Vec<u8>, Unwritable> {
    let alias: Vec<u8> = contents.alias.encode_utf16().flat_map(u16::to_be_bytes).collect();
    let name = element(Tag::BmpString, &alias)?;
    let name = sequence(&[&oid(FRIENDLY_NAME)?, &element(Tag::Set, &name)?])?;
    let leaf = contents.certificates.first().copied().unwrap_or_default();
    let id = octet_string(digest::digest(&SHA256, leaf).as_ref())?;
    let id = sequence(&[&oid(LOCAL_KEY_ID)?, &element(Tag::Set, &id)?])?;
    // DER orders a SET OF by its encodings; both begin alike up to the length.
    let mut both = [name, id];
    both.sort();
    element(Tag::Set, &both.concat())
}

fn bag(kind: ObjectIdentifier, value: &[u8], attributes: &[u8]) -> Result<Vec<u8>, Unwritable> {
    sequence(&[&oid(kind)?, &explicit(value)?, attributes])
}

/// PBES2 with PBKDF2-HMAC-SHA256 and AES-256-CBC: the AlgorithmIdentifier, and what is encrypted.
fn encrypt(
    contents: &Contents<'_>,
    purpose: &str,
    plain: &[u8],
) -> Result<(Vec<u8>, Vec<u8>), Unwritable> {
    let octets = contents.salt(purpose);
    let (salt, iv) = octets.split_at(SALT);
    let mut key = Zeroizing::new([0; AES_256_KEY_LEN]);
    let password = contents.password.as_bytes();
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, ITERATIONS, salt, password, &mut *key);
    let key = UnboundCipherKey::new(&AES_256, &*key).map_err(|_| Unwritable::Cipher)?;
    let key = PaddedBlockEncryptingKey::cbc_pkcs7(key).map_err(|_| Unwritable::Cipher)?;
    let iv: [u8; 16] = iv.try_into().map_err(|_| Unwritable::Cipher)?;
    // With room for the padding: a text that grows leaves a copy of the key behind.
    let mut text = Vec::with_capacity(plain.len() + PADDING);
    text.extend_from_slice(plain);
    let context = EncryptionContext::Iv128((&iv).into());
    key.less_safe_encrypt(&mut text, context).map_err(|_| Unwritable::Cipher)?;

    let prf = sequence(&[&oid(HMAC_WITH_SHA256)?, NULL])?;
    let derivation = sequence(&[&octet_string(salt)?, &integer(ITERATIONS.get())?, &prf])?;
    let derivation = sequence(&[&oid(PBKDF2)?, &derivation])?;
    let cipher = sequence(&[&oid(AES_256_CBC)?, &octet_string(&iv)?])?;
    let algorithm = sequence(&[&oid(PBES2)?, &sequence(&[&derivation, &cipher])?])?;
    Ok((algorithm, text))
}

fn mac(contents: &Contents<'_>, safe: &[u8]) -> Result<Vec<u8>, Unwritable> {
    let octets = contents.salt("mac");
    let salt = &octets[..SALT];
    let key = hmac::Key::new(hmac::HMAC_SHA256, &*mac_key(contents, salt));
    let tag = hmac::sign(&key, safe);
    let algorithm = sequence(&[&oid(SHA256_OID)?, NULL])?;
    let info = sequence(&[&algorithm, &octet_string(tag.as_ref())?])?;
    sequence(&[&info, &octet_string(salt)?, &integer(ITERATIONS.get())?])
}

/// RFC 7292 appendix B.2 for as many octets as the hash has, which is its first round alone: the
/// hash, many times, of diversifier, salt and password, each repeated to whole blocks of 64 octets.
fn mac_key(contents: &Contents<'_>, salt: &[u8]) -> Zeroizing<[u8; SHA256_OUTPUT_LEN]> {
    let mut password = contents.password_utf16();
    password.extend_from_slice(&[0, 0]);
    let blocks = |octets: &[u8]| octets.len().div_ceil(BLOCK) * BLOCK;
    let mut input = Zeroizing::new(vec![MAC_DIVERSIFIER; BLOCK]);
    input.reserve_exact(blocks(salt) + blocks(&password));
    input.extend(salt.iter().cycle().take(blocks(salt)));
    input.extend(password.iter().cycle().take(blocks(&password)));
    let mut key = Zeroizing::new([0; SHA256_OUTPUT_LEN]);
    key.copy_from_slice(digest::digest(&SHA256, &input).as_ref());
    for _ in 1..ITERATIONS.get() {
        let next = digest::digest(&SHA256, &*key);
        key.copy_from_slice(next.as_ref());
    }
    key
}

fn content_info(kind: ObjectIdentifier, content: &[u8]) -> Result<Vec<u8>, Unwritable> {
    sequence(&[&oid(kind)?, &explicit(content)?])
}

fn sequence(parts: &[&[u8]]) -> Result<Vec<u8>, Unwritable> {
    element(Tag::Sequence, &parts.concat())
}

fn octet_string(octets: &[u8]) -> Result<Vec<u8>, Unwritable> {
    element(Tag::OctetString, octets)
}

fn explicit(content: &[u8]) -> Result<Vec<u8>, Unwritable> {
    element(context(0, true), content)
}

fn integer(number: u32) -> Result<Vec<u8>, Unwritable> {
    Ok(number.to_der()?)
}

fn oid(oid: ObjectIdentifier) -> Result<Vec<u8>, Unwritable> {
    Ok(oid.to_der()?)
}

fn context(number: u32, constructed: bool) -> Tag {
    Tag::ContextSpecific { constructed, number: TagNumber(number) }
}

fn element(tag: Tag, content: &[u8]) -> Result<Vec<u8>, Unwritable> {
    Ok(AnyRef::new(tag, content)?.to_der()?)
}

#[derive(Debug, thiserror::Error)]
enum Unwritable {
    #[error("its DER cannot be written: {0}")]
    Der(#[from] der::Error),
    #[error("encryption failed")]
    Cipher,
}

const DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.1");
const ENCRYPTED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.6");
const SHROUDED_KEY_BAG: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.2.840.113549.1.12.10.1.2");
const CERT_BAG: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.12.10.1.3");
const X509_CERTIFICATE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.22.1");
const FRIENDLY_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.20");
const LOCAL_KEY_ID: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.21");
const PBES2: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.5.13");
const PBKDF2: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.5.12");
const HMAC_WITH_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.2.9");
const AES_256_CBC: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.1.42");
const SHA256_OID: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1");
const NULL: &[u8] = &[5, 0];
/// As Java has it.
const ITERATIONS: NonZeroU32 = NonZeroU32::new(10_000).expect("it is not zero");
const SALT: usize = 16;
const PADDING: usize = 16;
const BLOCK: usize = 64;
const MAC_DIVERSIFIER: u8 = 3;
