//! Files that are whole or not there: written beside their place, synced, then renamed. Nothing is
//! ever overwritten in place, since a server may read at any moment, and nginx with
//! `ssl_object_cache_inheritable` would not notice. Blocking: callers run it off the runtime.

use std::fs::{self, File, OpenOptions, Permissions};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use zeroize::Zeroizing;

use crate::error::PushError;

/// One file of a delivery: its name, and what is in it.
pub(crate) type Content = (String, Zeroizing<Vec<u8>>);

/// Who may read what is written.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Access {
    /// Permission bits; `None`: those of the file that is replaced, or 0600.
    pub(crate) mode: Option<u32>,
    /// Owner; `None`: as it comes.
    pub(crate) uid: Option<u32>,
    /// Group; `None`: as it comes.
    pub(crate) gid: Option<u32>,
}

/// A file written and synced beside its place, which it has not taken yet. Removed when dropped.
pub(crate) struct Staged {
    staged: PathBuf,
    place: PathBuf,
}

impl Staged {
    /// Writes `content` beside `place`. Owner, group and mode are those of `access`, else of what is
    /// there now.
    pub(crate) fn new(place: &Path, content: &[u8], access: Access) -> Result<Self, PushError> {
        let staged = beside(place)?;
        let staged = Self { staged, place: place.to_owned() };
        let access = access.or_of(place);
        write_new(&staged.staged, content, access)?;
        Ok(staged)
    }

    /// Takes the place. It is not durable before the directory is synced.
    pub(crate) fn take_place(self) -> Result<(), PushError> {
        fs::rename(&self.staged, &self.place).map_err(PushError::disk("replace", &self.place))
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        // After the rename there is nothing of this name; before it, a key must not stay behind.
        let _ = fs::remove_file(&self.staged);
    }
}

impl Access {
    /// Who may read the file at `path` now; nothing is set where there is none.
    pub(crate) fn of(path: &Path) -> Self {
        let Ok(metadata) = fs::metadata(path) else { return Self::default() };
        Self {
            mode: Some(metadata.mode() & 0o777),
            uid: Some(metadata.uid()),
            gid: Some(metadata.gid()),
        }
    }

    /// What is unset is taken from the file at `place`, so that a renewal does not lock out its
    /// reader.
    fn or_of(self, place: &Path) -> Self {
        let now = Self::of(place);
        Self { mode: self.mode.or(now.mode), uid: self.uid.or(now.uid), gid: self.gid.or(now.gid) }
    }

    /// Whether the file at `path` has the mode and owners that are set here.
    pub(crate) fn is_of(self, path: &Path) -> bool {
        fs::metadata(path).is_ok_and(|found| {
            self.mode.is_none_or(|mode| mode == found.mode() & 0o777)
                && self.uid.is_none_or(|uid| uid == found.uid())
                && self.gid.is_none_or(|gid| gid == found.gid())
        })
    }

    /// The same for a directory: whoever may read may also enter.
    fn for_directory(self) -> u32 {
        let mode = self.mode.unwrap_or(PRIVATE);
        mode | (mode & 0o444) >> 2
    }
}

/// Makes a file that is not there yet, with `content`, and syncs it.
pub(crate) fn write_new(path: &Path, content: &[u8], access: Access) -> Result<(), PushError> {
    let write = || -> io::Result<()> {
        // Nobody else may read it until owner and mode are what they should be.
        let mut file = OpenOptions::new().write(true).create_new(true).mode(PRIVATE).open(path)?;
        file.write_all(content)?;
        own(path, access)?;
        file.set_permissions(Permissions::from_mode(access.mode.unwrap_or(PRIVATE)))?;
        file.sync_all()
    };
    write().map_err(PushError::disk("write", path))
}

/// Makes a directory and those above it, if they are not there, all of them durable.
pub(crate) fn make_directory(path: &Path, access: Access) -> Result<(), PushError> {
    let missing: Vec<_> = path.ancestors().take_while(|above| !above.is_dir()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let failed = PushError::disk("make the directory", path);
    fs::create_dir_all(path).and_then(|()| give(path, access)).map_err(failed)?;
    missing.into_iter().try_for_each(sync_parent)
}

/// Makes one directory. It is not durable before the one it is in is synced.
pub(crate) fn make_new_directory(path: &Path, access: Access) -> Result<(), PushError> {
    let failed = PushError::disk("make the directory", path);
    fs::create_dir(path).and_then(|()| give(path, access)).map_err(failed)
}

/// Points the symlink at `link` to `to`, in one step, and makes that durable.
pub(crate) fn point(link: &Path, to: &Path) -> Result<(), PushError> {
    let staged = beside(link)?;
    std::os::unix::fs::symlink(to, &staged).map_err(PushError::disk("make the link", &staged))?;
    fs::rename(&staged, link).map_err(|error| {
        let _ = fs::remove_file(&staged);
        PushError::disk("replace the link", link)(error)
    })?;
    sync_parent(link)
}

/// What is in a file of at most 4 MiB; `None` if there is none.
pub(crate) fn read(path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>, PushError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(PushError::disk("read", path)(error)),
    };
    let length = file.metadata().map_err(PushError::disk("read", path))?.len().min(MAX_FILE);
    // Room for all of it at once: what grows leaves copies behind.
    let room = usize::try_from(length).unwrap_or_default() + 1;
    let mut content = Zeroizing::new(Vec::with_capacity(room));
    file.take(MAX_FILE).read_to_end(&mut content).map_err(PushError::disk("read", path))?;
    Ok(Some(content))
}

/// Removes a file, if it is there, for good.
pub(crate) fn remove(path: &Path) -> Result<(), PushError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(PushError::disk("remove", path)(error))
        }
        _ => sync_parent(path),
    }
}

/// Makes what was renamed into or removed from the directory of `path` durable.
pub(crate) fn sync_parent(path: &Path) -> Result<(), PushError> {
    sync_directory(parent(path)?)
}

/// Makes durable which names a directory has; what is in its files is synced with each of them.
pub(crate) fn sync_directory(path: &Path) -> Result<(), PushError> {
    File::open(path).and_then(|dir| dir.sync_all()).map_err(PushError::disk("sync", path))
}

/// A name beside `path` that nothing has. It begins with a dot, because HAProxy loads every other
/// file of a certificate directory. What another run of the program left there is removed: it may
/// be a key.
fn beside(path: &Path) -> Result<PathBuf, PushError> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    // Not the process id: in a container that is the same every time.
    static RUN: LazyLock<String> =
        LazyLock::new(|| format!("{:016x}", RandomState::new().hash_one(std::process::id())));
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let directory = parent(path)?;
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let found = entry.file_name();
        let run = found.to_str().and_then(|found| run_of(found, &name));
        if run.is_some_and(|run| run != *RUN) {
            let _ = fs::remove_file(entry.path());
        }
    }
    Ok(directory.join(format!(".{name}.{}-{count}.new", *RUN)))
}

/// The run of the program that staged `found` for `name`, if that is what it is.
fn run_of<'a>(found: &'a str, name: &str) -> Option<&'a str> {
    let rest = found.strip_prefix('.')?.strip_prefix(name)?.strip_prefix('.')?;
    let (run, count) = rest.strip_suffix(".new")?.split_once('-')?;
    let ours = run.bytes().all(|b| b.is_ascii_hexdigit()) && count.parse::<u64>().is_ok();
    ours.then_some(run)
}

pub(crate) fn parent(path: &Path) -> Result<&Path, PushError> {
    path.parent().ok_or_else(|| {
        PushError::Declaration(format!("{} is no path of a file: name one", path.display()))
    })
}

/// Gives a directory that is new its mode and owner.
fn give(directory: &Path, access: Access) -> io::Result<()> {
    fs::set_permissions(directory, Permissions::from_mode(access.for_directory()))?;
    own(directory, access)
}

fn own(path: &Path, access: Access) -> io::Result<()> {
    match access {
        Access { uid: None, gid: None, .. } => Ok(()),
        Access { uid, gid, .. } => {
            // Someone who is not root may not even "change" an owner to what it is.
            let now = fs::metadata(path)?;
            if uid.is_none_or(|uid| uid == now.uid()) && gid.is_none_or(|gid| gid == now.gid()) {
                return Ok(());
            }
            chown(path, uid, gid)
        }
    }
}

/// Runs file operations off the runtime.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, PushError> + Send + 'static,
) -> Result<T, PushError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        // The task is never aborted, so it panicked: that is passed on.
        Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
    }
}

/// What a file gets whose mode nobody set.
pub(crate) const PRIVATE: u32 = 0o600;
const MAX_FILE: u64 = 4 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_another_run_staged_is_told_from_what_is_not_ours() {
        assert_eq!(run_of(".shop.pem.00ff-3.new", "shop.pem"), Some("00ff"));
        for other in [".shop.pem.00ff-3.new", "shop.00ff-3.new", ".shop.x-3.new", ".shop.00ff.new"]
        {
            assert_eq!(run_of(other, "shop"), None, "{other}");
        }
    }
}
