//! Whether a certificate and a key that lie somewhere belong together. Apache's own test does not look,
//! and its parent process dies of it at the next reload.

use std::path::Path;

use ca::Certificate;
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;

use crate::error::PushError;
use crate::{Observed, disk};

/// Checks that the first certificate of a PEM text, which is or will be at `path`, goes with the
/// first key in the file at `key_path`.
pub(crate) fn check(path: &Path, certificates: &[u8], key_path: &Path) -> Result<(), PushError> {
    let refused = |output: &str| PushError::Refused {
        what: format!("{} and {} do not go together", path.display(), key_path.display()),
        output: format!("{output}; the server was not told to read them"),
    };
    let text = String::from_utf8_lossy(certificates);
    let certificates = Certificate::from_pem(&text).map_err(|error| refused(&error.to_string()))?;
    let leaf = certificates.first().ok_or_else(|| refused("there is no certificate"))?;
    let key = disk::read(key_path)?.ok_or_else(|| refused("there is no file with the key"))?;
    let key = PrivateKeyDer::from_pem_slice(&key).map_err(|_| refused("the key is no PEM"))?;
    let key = any_supported_type(&key).map_err(|_| refused("the key is of an unknown kind"))?;
    match key.public_key() {
        Some(spki) if spki.as_ref() == leaf.spki() => Ok(()),
        Some(_) => Err(refused("the key is another certificate's")),
        None => Err(refused("the key does not tell its public half")),
    }
}

/// What somebody holds who has these PEM texts of certificates and of a key.
pub(crate) fn observed(certificates: Option<&[u8]>, key: Option<&[u8]>) -> Observed {
    let text = certificates.map(String::from_utf8_lossy);
    let certificates = text.and_then(|text| Certificate::from_pem(&text).ok()).unwrap_or_default();
    let Some(leaf) = certificates.first() else { return Observed::Nothing };
    let key = key.and_then(|key| {
        let key = PrivateKeyDer::from_pem_slice(key).ok()?;
        Some(any_supported_type(&key).ok()?.public_key()?.as_ref().to_vec())
    });
    match key {
        Some(spki) if spki == leaf.spki() => Observed::Leaf(leaf.fingerprint()),
        _ => Observed::Torn,
    }
}
