//! What the system knows about a server from outside: CPU time, memory, disk, syncs. It reads and
//! never changes anything.

use std::fmt::Display;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::error::Error;

/// User and system time that a process has used, all threads together (proc_pid_stat(5)); or one
/// of its threads, as `PID/task/TID`.
pub(crate) fn cpu(of: impl Display) -> Result<Duration, Error> {
    let path = format!("/proc/{of}/stat");
    let stat = fs::read_to_string(&path).map_err(Error::io(&path))?;
    // The second field is the program's name, which may hold anything, closed by the last `)`.
    let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_ascii_whitespace();
    // utime and stime are fields 14 and 15; the first one here is the third.
    let ticks: u64 = fields.skip(11).take(2).filter_map(|f| f.parse::<u64>().ok()).sum();
    Ok(Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND))
}

/// Resident memory of a process in bytes, mapped files included.
pub(crate) fn memory(pid: u32) -> Result<u64, Error> {
    let path = format!("/proc/{pid}/status");
    let status = fs::read_to_string(&path).map_err(Error::io(&path))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("0");
    let kib: u64 = line.split_ascii_whitespace().next().and_then(|n| n.parse().ok()).unwrap_or(0);
    Ok(kib * 1024)
}

/// Bytes of disk that everything below `path` takes up, holes not counted.
pub(crate) fn disk(path: &Path) -> Result<u64, Error> {
    let failed = |e| Error::io(path.display().to_string())(e);
    let meta = fs::symlink_metadata(path).map_err(failed)?;
    if !meta.is_dir() {
        return Ok(meta.blocks() * 512);
    }
    let mut sum = 0;
    for entry in fs::read_dir(path).map_err(failed)? {
        match disk(&entry.map_err(failed)?.path()) {
            Ok(bytes) => sum += bytes,
            // A journal may vanish while we look.
            Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(sum)
}

/// Whether `path` lies in memory, where syncing costs nothing.
pub(crate) fn in_memory(path: &Path) -> bool {
    rustix::fs::statfs(path).is_ok_and(|found| found.f_type == TMPFS_MAGIC)
}

/// Syncs that `strace -f -ttt` noted in `trace` between two moments.
pub(crate) fn syncs(trace: &Path, span: (SystemTime, SystemTime)) -> Result<usize, Error> {
    let text = fs::read_to_string(trace).map_err(Error::io(trace.display().to_string()))?;
    let epoch = |at: SystemTime| at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let (from, to) = (epoch(span.0), epoch(span.1));
    let begun = text.lines().filter(|line| {
        // `123 1700000000.123456 fdatasync(3 <unfinished ...>`; the end of such a call says
        // `<... fdatasync resumed>` and has no name directly before the bracket.
        let mut words = line.split_ascii_whitespace().skip(1);
        let at = words.next().and_then(|at| at.parse().ok()).map(Duration::from_secs_f64);
        let call = words.next().and_then(|call| call.split_once('(')).map_or("", |(name, _)| name);
        SYNC_CALLS.contains(&call) && at.is_some_and(|at| at >= from && at <= to)
    });
    Ok(begun.count())
}

/// The system calls that wait for the disk.
pub(crate) const SYNC_CALLS: [&str; 6] =
    ["fsync", "fdatasync", "msync", "sync_file_range", "syncfs", "sync"];
/// `USER_HZ` is 100 on every Linux we run on, whatever the kernel's own tick is.
const TICKS_PER_SECOND: u64 = 100;
const TMPFS_MAGIC: i64 = 0x0102_1994;
