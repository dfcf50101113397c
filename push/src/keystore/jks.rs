//! JKS, Java's first keystore, as sun.security.provider.JavaKeyStore and KeyProtector write it: big-
//! endian numbers, the key XORed with a stream of SHA-1 hashes of the password, a SHA-1 hash of the
//! password and all the rest at the end. SHA-1 is what the format has; nothing else here uses it.

use aws_lc_rs::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY, SHA1_OUTPUT_LEN};
use der::asn1::{AnyRef, ObjectIdentifier};
use der::{Encode, Tag};
use zeroize::Zeroizing;

use super::Contents;
use crate::error::PushError;

/// The keystore, with one entry.
pub(super) fn encode(contents: &Contents<'_>) -> Result<Zeroizing<Vec<u8>>, PushError> {
    let password = contents.password_utf16();
    let mut store = Zeroizing::new(Vec::new());
    for number in [MAGIC, VERSION, 1, PRIVATE_KEY_ENTRY] {
        store.extend_from_slice(&number.to_be_bytes());
    }
    text(&mut store, &contents.alias.to_lowercase())?;
    store.extend_from_slice(&contents.made.as_millisecond().to_be_bytes());
    octets(&mut store, &protected(contents, &password)?)?;
    store.extend_from_slice(&length(contents.certificates.len())?);
    for certificate in &contents.certificates {
        text(&mut store, "X.509")?;
        octets(&mut store, certificate)?;
    }
    let hash = sha1(&[&password, WHITENER, &store]);
    store.extend_from_slice(&hash);
    Ok(store)
}

/// The key as an EncryptedPrivateKeyInfo under Sun's own algorithm: salt, the key XORed with the
/// stream, and a hash of password and key.
fn protected(contents: &Contents<'_>, password: &[u8]) -> Result<Vec<u8>, PushError> {
    let salt = &contents.salt("jks")[..SHA1_OUTPUT_LEN];
    let mut protected = salt.to_vec();
    let mut stream = sha1(&[password, salt]);
    for chunk in contents.key.chunks(SHA1_OUTPUT_LEN) {
        protected.extend(chunk.iter().zip(stream).map(|(octet, mask)| octet ^ mask));
        stream = sha1(&[password, &stream]);
    }
    protected.extend_from_slice(&sha1(&[password, contents.key]));
    encrypted_key(&protected).map_err(|error| PushError::Format(error.to_string()))
}

fn encrypted_key(protected: &[u8]) -> Result<Vec<u8>, der::Error> {
    let algorithm = [KEY_PROTECTOR.to_der()?, vec![5, 0]].concat();
    let algorithm = AnyRef::new(Tag::Sequence, &algorithm)?.to_der()?;
    let protected = AnyRef::new(Tag::OctetString, protected)?.to_der()?;
    AnyRef::new(Tag::Sequence, &[algorithm, protected].concat())?.to_der()
}

/// As java.io.DataOutput.writeUTF has it, which for all but NUL and characters beyond the first
/// plane is UTF-8 with its length before it.
fn text(store: &mut Vec<u8>, text: &str) -> Result<(), PushError> {
    let plain = text.chars().all(|one| one != '\0' && u32::from(one) <= 0xffff);
    match u16::try_from(text.len()) {
        Ok(length) if plain => {
            store.extend_from_slice(&length.to_be_bytes());
            store.extend_from_slice(text.as_bytes());
            Ok(())
        }
        _ => Err(PushError::Format(format!("{text:?} cannot be an alias in a JKS"))),
    }
}

fn octets(store: &mut Vec<u8>, octets: &[u8]) -> Result<(), PushError> {
    store.extend_from_slice(&length(octets.len())?);
    store.extend_from_slice(octets);
    Ok(())
}

fn length(length: usize) -> Result<[u8; 4], PushError> {
    u32::try_from(length)
        .map(u32::to_be_bytes)
        .map_err(|_| PushError::Format("it is too large for a JKS".into()))
}

fn sha1(parts: &[&[u8]]) -> [u8; SHA1_OUTPUT_LEN] {
    let mut context = Context::new(&SHA1_FOR_LEGACY_USE_ONLY);
    for part in parts {
        context.update(part);
    }
    let mut hash = [0; SHA1_OUTPUT_LEN];
    hash.copy_from_slice(context.finish().as_ref());
    hash
}

const KEY_PROTECTOR: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.42.2.17.1.1");
const WHITENER: &[u8] = b"Mighty Aphrodite";
const MAGIC: u32 = 0xfeed_feed;
const VERSION: u32 = 2;
const PRIVATE_KEY_ENTRY: u32 = 1;
