//! What the process of `serve` asks of the system, and tells it. Nothing here knows what is served.

use std::io;

use tracing_subscriber::EnvFilter;

use super::Failure;
use crate::config::{Log, LogFormat};

/// Logs to standard error from here on, as `log` says.
///
/// # Errors
/// When its level is not understood.
pub(super) fn start_log(log: &Log) -> Result<(), Failure> {
    let level = log.level.as_deref().unwrap_or("info");
    let filter = EnvFilter::try_new(level)
        .map_err(|e| Failure::new(format!("[log] level {level:?} is not understood: {e}")))?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    match log.format {
        LogFormat::Text => builder.with_ansi(io::IsTerminal::is_terminal(&io::stderr())).init(),
        LogFormat::Json => builder.json().init(),
    }
    Ok(())
}

/// A core dump would hold keys in the clear.
pub(super) fn forbid_core_dumps() {
    let none = rustix::process::Rlimit { current: Some(0), maximum: Some(0) };
    if let Err(error) = rustix::process::setrlimit(rustix::process::Resource::Core, none) {
        tracing::warn!(%error, "core dumps cannot be switched off");
    }
}

/// Each connection is a file, and the usual limit is made for programs with few of them.
pub(super) fn raise_file_limit() {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let most = rustix::process::Rlimit { current: limit.maximum, ..limit };
    if let Err(error) = rustix::process::setrlimit(rustix::process::Resource::Nofile, most) {
        tracing::warn!(%error, "the limit of open files cannot be raised");
    }
}
