//! Secrets that operators keep in files, so that they are in no declaration: read when needed,
//! erased when done with, and refused where others can read them.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use zeroize::Zeroizing;

use super::error::ObtainError;
use crate::seal::not_ours;

/// The text in `path`, at most 64 KiB.
///
/// # Errors
/// [`ObtainError::Settings`] when it cannot be read, is larger, or others can read it.
pub(crate) fn read(path: &Path) -> Result<Zeroizing<String>, ObtainError> {
    let fault = |why: &str| ObtainError::Settings(format!("{}: {why}", path.display()));
    let metadata = fs::metadata(path)
        .map_err(|e| fault(&format!("it cannot be read ({e}); put the secret there")))?;
    if metadata.mode() & not_ours(path) != 0 {
        return Err(fault("it is readable by others: run chmod 600 on it"));
    }
    if metadata.len() > MAX {
        return Err(fault("it is larger than 64 KiB: this is no secret"));
    }
    fs::read_to_string(path).map(Zeroizing::new).map_err(|e| fault(&format!("unreadable: {e}")))
}

const MAX: u64 = 64 * 1024;
