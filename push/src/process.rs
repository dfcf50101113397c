//! Servers as processes: found by the pid file they write, told by signal.

use std::path::Path;

use rustix::process::{Pid, Signal, kill_process, test_kill_process};

use crate::disk;
use crate::error::PushError;

/// The process a pid file names, if it is running.
///
/// # Errors
/// [`PushError::Unreachable`] when there is no such file or process.
pub(crate) fn running(pid_file: &Path) -> Result<Pid, PushError> {
    let unreachable = |why: &str| PushError::Unreachable {
        what: format!("the server of {}", pid_file.display()),
        why: format!("{why}; start it, then push again"),
    };
    let content = disk::read(pid_file)?.ok_or_else(|| unreachable("the file is not there"))?;
    let id = std::str::from_utf8(&content)
        .ok()
        .and_then(|text| text.lines().next()?.trim().parse().ok());
    let id = id.filter(|id| *id > 1).and_then(Pid::from_raw);
    let id = id.ok_or_else(|| unreachable("the file holds no process number"))?;
    if is_alive(id) { Ok(id) } else { Err(unreachable("no process has that number")) }
}

/// Sends a signal.
///
/// # Errors
/// [`PushError::Unreachable`] when that is not permitted, or the process is gone.
pub(crate) fn signal(id: Pid, signal: Signal) -> Result<(), PushError> {
    kill_process(id, signal).map_err(|error| PushError::Unreachable {
        what: format!("process {}", id.as_raw_nonzero()),
        why: format!("{error}; run as its user or as root"),
    })
}

/// Whether a process runs. One that has ended but was not yet waited for does not.
pub(crate) fn is_alive(id: Pid) -> bool {
    let there = match test_kill_process(id) {
        Ok(()) => true,
        // It is there, and somebody else's.
        Err(error) => error == rustix::io::Errno::PERM,
    };
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", id.as_raw_nonzero()));
    // The state follows the name, which is in parentheses and may hold any character (proc(5)).
    let state = stat.ok().and_then(|stat| stat.rsplit_once(") ").map(|(_, rest)| rest.to_owned()));
    there && !state.is_some_and(|state| state.starts_with('Z'))
}
