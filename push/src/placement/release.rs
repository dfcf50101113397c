//! A directory of releases. Layout:
//!
//! ```text
//! releases/<version>/...     written once, synced, never changed
//! current -> releases/<version>
//! ```
//!
//! A release is made under another name and renamed, and the link is replaced by rename, so that at
//! every moment, crashes included, `current` is one whole release. For that, and since a push that
//! has ended is stored as one that is there, these syncs are all needed, in this order:
//!
//! 1. each file, or its name might last longer than its content;
//! 2. the release's directory, for the names of the files, before it has the name of a release;
//! 3. `releases`, for the name of the release, before the link says it;
//! 4. the directory of the link; `releases`, if it is new, lasts from then on too.
//!
//! What is removed needs none: should it come back, the next push removes it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::Undo;
use crate::disk::{self, Access, Content};
use crate::error::PushError;

/// Makes `current` a release with exactly these files. `None` if it was one already.
pub(super) fn put(
    directory: &Path,
    version: u64,
    files: &[Content],
    access: Access,
) -> Result<Option<Undo>, PushError> {
    let link = directory.join(CURRENT);
    let releases = directory.join(RELEASES);
    if holds(&link, files, access)? {
        // Whoever put it there may have been interrupted before the last syncs.
        if releases.is_dir() {
            disk::sync_directory(&releases)?;
        }
        disk::sync_directory(directory)?;
        return Ok(None);
    }
    let before = match fs::read_link(&link) {
        Ok(before) => Some(before),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => return Err(PushError::disk("read the link", &link)(error)),
    };
    disk::make_directory(directory, access)?;
    if !releases.is_dir() {
        disk::make_new_directory(&releases, access)?;
    }
    let name = make(&releases, version, files, access)?;
    disk::point(&link, &Path::new(RELEASES).join(&name))?;
    prune(&releases, &[Some(name.as_str()), before.as_deref().and_then(last)]);
    Ok(Some(Undo::Link { link, before }))
}

/// The release that is current, by its own path.
pub(crate) fn current(directory: &Path) -> Result<PathBuf, PushError> {
    let link = directory.join(CURRENT);
    let release = fs::read_link(&link).map_err(PushError::disk("read the link", &link))?;
    Ok(directory.join(release))
}

/// Writes a release, unless there is one of this version with the same files, and gives its name. A
/// version whose files are to be different now (other formats, another owner) gets a name with a number.
fn make(
    releases: &Path,
    version: u64,
    files: &[Content],
    access: Access,
) -> Result<String, PushError> {
    let mut name = version.to_string();
    for number in 2.. {
        let place = releases.join(&name);
        if !place.exists() {
            break;
        }
        if holds(&place, files, access)? {
            disk::sync_directory(releases)?;
            return Ok(name);
        }
        name = format!("{version}-{number}");
    }
    let unfinished = releases.join(format!(".{name}.new"));
    match fs::remove_dir_all(&unfinished) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(PushError::disk("remove", &unfinished)(error));
        }
        _ => {}
    }
    disk::make_new_directory(&unfinished, access)?;
    for (file, content) in files {
        disk::write_new(&unfinished.join(file), content, access)?;
    }
    disk::sync_directory(&unfinished)?;
    let place = releases.join(&name);
    fs::rename(&unfinished, &place).map_err(PushError::disk("make the release", &place))?;
    disk::sync_directory(releases)?;
    Ok(name)
}

/// Whether a directory holds these files and no others, readable by whom they should be.
fn holds(directory: &Path, files: &[Content], access: Access) -> Result<bool, PushError> {
    let Ok(entries) = fs::read_dir(directory) else { return Ok(false) };
    if entries.count() != files.len() {
        return Ok(false);
    }
    for (file, content) in files {
        let file = directory.join(file);
        if disk::read(&file)?.as_ref() != Some(content) || !access.is_of(&file) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Removes all but the newest releases and those in `keep`. That it fails is no reason to fail a
/// push: the next one tries again.
fn prune(releases: &Path, keep: &[Option<&str>]) {
    let Ok(entries) = fs::read_dir(releases) else { return };
    let mut found: Vec<(SystemTime, PathBuf)> = entries
        .flatten()
        .filter(|entry| !entry.file_name().to_string_lossy().starts_with('.'))
        .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
        .collect();
    found.sort();
    let old = found.len().saturating_sub(KEPT);
    for (_, path) in found.into_iter().take(old) {
        if keep.iter().flatten().any(|name| last(&path) == Some(name)) {
            continue;
        }
        if let Err(error) = fs::remove_dir_all(&path) {
            tracing::warn!(path = %path.display(), %error, "an old release cannot be removed");
        }
    }
}

fn last(path: &Path) -> Option<&str> {
    path.file_name()?.to_str()
}

pub(super) const CURRENT: &str = "current";
const RELEASES: &str = "releases";
/// Enough to go back by hand, few enough not to spread keys.
const KEPT: usize = 3;
