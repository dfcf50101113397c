//! Secrets at rest. Each record is encrypted with AES-256-GCM under a key of its own, and that key
//! is wrapped by the node's key-encryption key; the record's identity is the associated data, so
//! that a sealed value moved to another row does not open. Nothing here is ever logged.

use std::env;
use std::fmt;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use data_encoding::HEXLOWER_PERMISSIVE;
use zeroize::Zeroizing;

use crate::world::World;

/// The key that wraps the key of every sealed record.
pub(crate) struct KeyEncryptionKey(LessSafeKey);

impl KeyEncryptionKey {
    /// Reads the key file, 32 bytes in hexadecimal.
    ///
    /// # Errors
    /// When the file cannot be read, is open to others than its owner (a systemd credential: than
    /// the service), or holds no key.
    pub(crate) fn read(path: &Path) -> Result<Self, KeyFileError> {
        let fault = |why: String| KeyFileError { path: path.to_owned(), why };
        let metadata = fs::metadata(path).map_err(|e| fault(cannot_read(&e)))?;
        if metadata.mode() & not_ours(path) != 0 {
            return Err(fault("it is readable by others: run chmod 600 on it".into()));
        }
        let text = Zeroizing::new(fs::read_to_string(path).map_err(|e| fault(cannot_read(&e)))?);
        let bytes = HEXLOWER_PERMISSIVE.decode(text.trim().as_bytes()).map(Zeroizing::new);
        let bytes = bytes.map_err(|_| fault("it is not hexadecimal".into()))?;
        Self::new(&bytes).ok_or_else(|| fault("it does not hold 32 bytes".into()))
    }

    /// Makes a key and its file, readable by its owner only; the file must not exist yet.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(crate) fn create(path: &Path, world: &World) -> Result<Self, KeyFileError> {
        let fault = |e: io::Error| KeyFileError { path: path.to_owned(), why: cannot_write(&e) };
        let bytes = Zeroizing::new(world.random::<32>());
        let text = Zeroizing::new(HEXLOWER_PERMISSIVE.encode(bytes.as_slice()));
        // It gets its name when it is whole: half a key would stand in the way of the next start.
        let partial = path.with_extension("new");
        let written = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&partial)
            .and_then(|mut file| writeln!(file, "{}", *text).and_then(|()| file.sync_all()))
            .and_then(|()| fs::hard_link(&partial, path));
        let removed = fs::remove_file(&partial);
        written.and(removed).map_err(fault)?;
        if let Some(parent) = path.parent() {
            fs::File::open(parent).and_then(|d| d.sync_all()).map_err(fault)?;
        }
        Self::new(bytes.as_slice()).ok_or_else(|| fault(io::Error::other("key size")))
    }

    fn new(bytes: &[u8]) -> Option<Self> {
        UnboundKey::new(&AES_256_GCM, bytes).ok().map(|key| Self(LessSafeKey::new(key)))
    }

    /// Seals `secret` for the record `identity`.
    pub(crate) fn seal(&self, world: &World, identity: &str, secret: &[u8]) -> Sealed {
        let record_key = Zeroizing::new(world.random::<32>());
        let mut out = vec![FORMAT];
        encrypt(&self.0, world, identity, record_key.as_slice(), &mut out);
        // A key used once: its nonce could be constant, but a random one costs nothing.
        if let Some(key) = Self::new(record_key.as_slice()) {
            encrypt(&key.0, world, identity, secret, &mut out);
        }
        Sealed(out)
    }

    /// Opens what was sealed for the record `identity`.
    ///
    /// # Errors
    /// When it was sealed under another key or for another record, or was altered.
    pub(crate) fn open(&self, identity: &str, sealed: &Sealed) -> Result<Secret, Unsealable> {
        let unsealable = || Unsealable { identity: identity.to_owned() };
        let (&format, rest) = sealed.0.split_first().ok_or_else(unsealable)?;
        if format != FORMAT || rest.len() < WRAPPED_KEY {
            return Err(unsealable());
        }
        let (wrapped, body) = rest.split_at(WRAPPED_KEY);
        let record_key = decrypt(&self.0, identity, wrapped).ok_or_else(unsealable)?;
        let key = Self::new(&record_key).ok_or_else(unsealable)?;
        decrypt(&key.0, identity, body).ok_or_else(unsealable)
    }
}

impl fmt::Debug for KeyEncryptionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyEncryptionKey")
    }
}

/// A secret in the clear; erased when dropped.
pub(crate) type Secret = Zeroizing<Vec<u8>>;

/// A secret as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sealed(pub(crate) Vec<u8>);

/// The key file is not usable.
#[derive(Debug, thiserror::Error)]
#[error("key-encryption key {}: {why}", path.display())]
pub(crate) struct KeyFileError {
    path: PathBuf,
    why: String,
}

/// A sealed record does not open.
#[derive(Debug, thiserror::Error)]
#[error(
    "{identity} does not open under this key-encryption key: it is the wrong key, or the record was altered"
)]
pub(crate) struct Unsealable {
    identity: String,
}

fn encrypt(key: &LessSafeKey, world: &World, identity: &str, secret: &[u8], out: &mut Vec<u8>) {
    let nonce = world.random::<NONCE_LEN>();
    let mut buffer = Zeroizing::new(secret.to_vec());
    let aad = Aad::from(identity.as_bytes());
    let nonce_value = Nonce::assume_unique_for_key(nonce);
    // Fails only past 64 GiB of input.
    if let Ok(tag) = key.seal_in_place_separate_tag(nonce_value, aad, &mut buffer) {
        out.extend_from_slice(&nonce);
        out.extend_from_slice(&buffer);
        out.extend_from_slice(tag.as_ref());
    }
}

fn decrypt(key: &LessSafeKey, identity: &str, sealed: &[u8]) -> Option<Secret> {
    let (nonce, body) = sealed.split_at_checked(NONCE_LEN)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
    let mut buffer = Zeroizing::new(body.to_vec());
    let plain = key.open_in_place(nonce, Aad::from(identity.as_bytes()), &mut buffer).ok()?;
    Some(Zeroizing::new(plain.to_vec()))
}

/// The permission bits that must be clear. systemd lets the service read a credential by an access
/// control list, whose mask shows as the group's bits; its directory keeps everybody else out.
pub(crate) fn not_ours(path: &Path) -> u32 {
    match env::var_os("CREDENTIALS_DIRECTORY") {
        Some(directory) if path.parent() == Some(Path::new(&directory)) => 0o007,
        _ => 0o077,
    }
}

fn cannot_read(error: &io::Error) -> String {
    format!(
        "it cannot be read ({error}); restore it from where it was kept: what it sealed is lost without it"
    )
}

fn cannot_write(error: &io::Error) -> String {
    format!(
        "it cannot be written ({error}); make its directory writable, or name another in [keys] file"
    )
}

/// First byte of every sealed record.
const FORMAT: u8 = 1;
const TAG_LEN: usize = 16;
const WRAPPED_KEY: usize = NONCE_LEN + 32 + TAG_LEN;

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> KeyEncryptionKey {
        KeyEncryptionKey::new(&[byte; 32]).expect("32 bytes")
    }

    #[test]
    fn opens_only_under_its_key_for_its_record_and_unaltered() {
        let world = World::system();
        let sealed = key(1).seal(&world, "authority/1", b"secret");
        assert_eq!(key(1).open("authority/1", &sealed).expect("opens").as_slice(), b"secret");
        assert!(key(2).open("authority/1", &sealed).is_err());
        assert!(key(1).open("authority/2", &sealed).is_err());
        for i in 0..sealed.0.len() {
            let mut altered = sealed.clone();
            altered.0[i] ^= 1;
            assert!(key(1).open("authority/1", &altered).is_err(), "byte {i}");
            altered.0.truncate(i);
            assert!(key(1).open("authority/1", &altered).is_err(), "cut at {i}");
        }
    }

    #[test]
    fn the_key_file_is_private_and_reads_back() {
        let dir = env::temp_dir().join(format!("perennial-seal-{}", std::process::id()));
        fs::create_dir_all(&dir).expect("temp dir");
        let path = dir.join("kek");
        let world = World::system();
        let sealed = KeyEncryptionKey::create(&path, &world).expect("made").seal(&world, "x", b"s");
        assert_eq!(fs::metadata(&path).expect("file").mode() & 0o777, 0o600);
        let again = KeyEncryptionKey::read(&path).expect("read");
        assert_eq!(again.open("x", &sealed).expect("opens").as_slice(), b"s");
        assert!(KeyEncryptionKey::create(&path, &world).is_err(), "never overwritten");
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o644))
            .expect("chmod");
        assert!(KeyEncryptionKey::read(&path).is_err(), "readable by others");
        fs::remove_dir_all(&dir).expect("clean up");
    }
}
