//! A Unix socket with a name in the file system: made so that nobody but its group can open it at any
//! instant, in the place of one that nobody listens on any more, and removed again by who made it.

use std::fs::{self, DirBuilder, Metadata, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::net::{UnixListener, UnixStream};
use tracing::warn;

/// A socket of ours. Its file goes when it is dropped, if it is still the one that was made.
pub(super) struct Socket {
    path: PathBuf,
    identity: (u64, u64),
}

impl Socket {
    /// Listens at `path`, for this user and the members of `group`. The directory is made if there is
    /// none.
    ///
    /// # Errors
    /// [`SocketError`] says what stands in the way.
    pub(super) async fn bind(
        path: &Path,
        group: Option<&str>,
    ) -> Result<(Self, UnixListener), SocketError> {
        let fault = |what: &'static str| {
            move |error| SocketError::Disk { path: path.to_owned(), what, error }
        };
        let group = group.map(push::group).transpose()?;
        prepare_dir(path.parent().unwrap_or(Path::new("/")), group)?;
        refuse_to_replace(path).await?;
        let mut fresh = path.as_os_str().to_owned();
        fresh.push(FRESH);
        let fresh = PathBuf::from(fresh);
        if let Err(error) = fs::remove_file(&fresh)
            && error.kind() != io::ErrorKind::NotFound
        {
            return Err(fault("what an earlier start left cannot be removed")(error));
        }
        // The umask leaves it to this user, until it has its group.
        let listener = UnixListener::bind(&fresh).map_err(fault("it cannot be made"))?;
        let made = finish(&fresh, path, group).map_err(fault("it cannot be given to its group"));
        let made = made.inspect_err(|_| _ = fs::remove_file(&fresh))?;
        let identity = (made.dev(), made.ino());
        Ok((Self { path: path.to_owned(), identity }, listener))
    }

    /// Whether its file is there still.
    pub(super) fn is_there(&self) -> bool {
        fs::symlink_metadata(&self.path).is_ok_and(|file| (file.dev(), file.ino()) == self.identity)
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if self.is_there()
            && let Err(error) = fs::remove_file(&self.path)
        {
            warn!(path = %self.path.display(), %error, "a socket is left behind");
        }
    }
}

/// Gives the socket its group, then its name: who finds it there finds it as it stays.
fn finish(fresh: &Path, path: &Path, group: Option<u32>) -> io::Result<Metadata> {
    let mode = if group.is_some() { 0o660 } else { 0o600 };
    if group.is_some() {
        chown(fresh, None, group)?;
    }
    fs::set_permissions(fresh, Permissions::from_mode(mode))?;
    fs::rename(fresh, path)?;
    fs::symlink_metadata(path)
}

/// Makes the directory of the socket, or looks whether others could put a socket of theirs in its
/// place.
fn prepare_dir(dir: &Path, group: Option<u32>) -> Result<(), SocketError> {
    let fault =
        |what: &'static str| move |error| SocketError::Disk { path: dir.to_owned(), what, error };
    let mode = if group.is_some() { 0o750 } else { 0o700 };
    match DirBuilder::new().mode(mode).create(dir) {
        Ok(()) if group.is_some() => {
            let given = chown(dir, None, group);
            // The umask has taken the group's part away.
            let given = given.and_then(|()| fs::set_permissions(dir, Permissions::from_mode(mode)));
            given.map_err(fault("the directory cannot be given to the group"))?;
        }
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(fault("the directory cannot be made")(error)),
    }
    let found = fs::metadata(dir).map_err(fault("the directory cannot be read"))?;
    let own = rustix::process::geteuid().as_raw();
    let foreign = found.uid() != own && found.uid() != 0;
    if !found.is_dir() || foreign || found.mode() & 0o022 != 0 {
        return Err(SocketError::Directory(dir.to_owned()));
    }
    Ok(())
}

/// Only a socket that nobody listens on makes room.
async fn refuse_to_replace(path: &Path) -> Result<(), SocketError> {
    let fault =
        |error| SocketError::Disk { path: path.to_owned(), what: "it is in the way", error };
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(fault(error)),
        Ok(found) if !found.file_type().is_socket() => {
            return Err(SocketError::NoSocket(path.to_owned()));
        }
        Ok(_) => {}
    }
    match tokio::time::timeout(ANSWER, UnixStream::connect(path)).await {
        Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
        Ok(Err(error)) => Err(fault(error)),
        Ok(Ok(_)) | Err(_) => Err(SocketError::InUse(path.to_owned())),
    }
}

/// Why there is no socket.
#[derive(Debug, thiserror::Error)]
pub(super) enum SocketError {
    #[error(transparent)]
    Group(#[from] push::PushError),
    #[error("{path}: another process listens there; stop it, or declare another path", path = .0.display())]
    InUse(PathBuf),
    #[error("{path}: there is something that is no socket; move it away, or declare another path", path = .0.display())]
    NoSocket(PathBuf),
    #[error(
        "{path}: others may write to this directory, and so put a socket of theirs in place of ours; \
         give the socket a directory of its own, which belongs to root or to this user and which only \
         they may write",
        path = .0.display()
    )]
    Directory(PathBuf),
    #[error("{path}: {what}: {error}", path = path.display())]
    Disk { path: PathBuf, what: &'static str, error: io::Error },
}

/// What the name of a socket ends with until it has its group.
const FRESH: &str = ".new";
/// How long one that listens may take to accept.
const ANSWER: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    fn home(name: &str) -> PathBuf {
        let home = std::env::temp_dir().join(format!("perennial-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&home);
        DirBuilder::new().mode(0o700).create(&home).expect("a directory");
        home
    }

    #[tokio::test]
    async fn a_socket_is_made_with_its_directory_and_goes_when_it_is_dropped() {
        let home = home("socket");
        let path = home.join("own/signer.sock");
        let (socket, listener) = Socket::bind(&path, None).await.expect("bound");
        let mode = |path: &Path| fs::metadata(path).expect("there").mode() & 0o777;
        assert_eq!((mode(&path), mode(&home.join("own"))), (0o600, 0o700));
        UnixStream::connect(&path).await.expect("somebody listens");
        let second = Socket::bind(&path, None).await.err().expect("it is in use");
        assert!(matches!(second, SocketError::InUse(_)), "{second}");
        drop(listener);
        assert!(socket.is_there());
        let (again, _listener) = Socket::bind(&path, None).await.expect("nobody listened");
        assert!(!socket.is_there() && again.is_there());
        drop(socket);
        assert!(again.is_there(), "only who made it removes it");
        drop(again);
        assert!(!path.exists());
        fs::remove_dir_all(&home).expect("removed");
    }

    #[tokio::test]
    async fn what_is_no_socket_stays_and_a_directory_of_all_is_refused() {
        let home = home("no-socket");
        fs::write(home.join("file"), "precious").expect("written");
        let refused = Socket::bind(&home.join("file"), None).await.err().expect("no socket");
        assert!(refused.to_string().contains("no socket"), "{refused}");
        assert_eq!(fs::read(home.join("file")).expect("there"), b"precious");
        let open = home.join("open");
        fs::create_dir(&open).expect("made");
        fs::set_permissions(&open, Permissions::from_mode(0o777)).expect("opened");
        let refused = Socket::bind(&open.join("signer.sock"), None).await.err().expect("open");
        assert!(matches!(refused, SocketError::Directory(_)), "{refused}");
        let group = Socket::bind(&home.join("x.sock"), Some("nobody-of-this-name")).await.err();
        assert!(group.expect("unknown").to_string().contains("not known on this machine"));
        fs::remove_dir_all(&home).expect("removed");
    }
}
