//! One push at a time to each HAProxy: a lock within this process, and for sockets that are files an
//! advisory one (flock) that other processes on the machine see.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::OwnedMutexGuard;
use tokio::time::{Instant, sleep, timeout_at};

use crate::error::PushError;

/// Held until dropped.
pub(super) struct Held {
    _process: OwnedMutexGuard<()>,
    _machine: Option<File>,
}

/// Waits for the lock of a socket, at most for `limit`.
///
/// # Errors
/// [`PushError::Busy`] when somebody else keeps it.
pub(super) async fn acquire(socket: &str, limit: Duration) -> Result<Held, PushError> {
    let until = Instant::now() + limit;
    let busy = || {
        PushError::Busy(format!(
            "another push to the HAProxy of {socket} has been under way for {} s; nothing was changed",
            limit.as_secs()
        ))
    };
    let own = {
        let mut locks = LOCKS.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(locks.entry(socket.to_owned()).or_default())
    };
    let process = timeout_at(until, own.lock_owned()).await.map_err(|_| busy())?;
    let Some(file) = lock_file(socket) else {
        return Ok(Held { _process: process, _machine: None });
    };
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(Held { _process: process, _machine: Some(file) }),
            Err(TryLockError::WouldBlock) if Instant::now() < until => sleep(AGAIN).await,
            Err(TryLockError::WouldBlock) => return Err(busy()),
            Err(TryLockError::Error(error)) => {
                return Err(PushError::disk("lock the socket's lock file of", Path::new(socket))(
                    error,
                ));
            }
        }
    }
}

/// The lock file beside a socket. It stays: removing it would let two hold "the" lock.
fn lock_file(socket: &str) -> Option<File> {
    if !socket.starts_with('/') {
        return None;
    }
    let path = format!("{socket}.perennial.lock");
    let mut options = OpenOptions::new();
    let file = options.write(true).create(true).truncate(false).mode(0o600).open(&path);
    if let Err(error) = &file {
        tracing::warn!(path, %error, "other processes are not kept from pushing at the same time");
    }
    file.ok()
}

/// By socket. There are as many as targets are declared.
static LOCKS: LazyLock<Mutex<BTreeMap<String, Arc<tokio::sync::Mutex<()>>>>> =
    LazyLock::new(Mutex::default);
const AGAIN: Duration = Duration::from_millis(50);
