//! Targets of kind `postgresql`. It has no test of its configuration, and a reload always "succeeds":
//! `pg_reload_conf()` returns true and `pg_ctl reload` exits 0 where the server then refuses the files,
//! says so in its log alone and keeps the old ones. So what it would refuse is looked for here first: a
//! key that others can read, or that is not the certificate's.

use std::fs;
use std::path::{Path, PathBuf};

use jiff::SignedDuration;
use rustix::process::{Pid, Signal};
use serde::{Deserialize, Serialize};

use crate::disk::blocking;
use crate::error::PushError;
use crate::placement::{Owned, Placement, Reader, absolute};
use crate::server::Server;
use crate::spec::{default_timeout, is_default_timeout, limit};
use crate::{command, process};

/// What a target of kind `postgresql` says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Postgresql {
    /// Where the files go that `ssl_cert_file` and `ssl_key_file` name.
    #[serde(flatten)]
    pub placement: Placement,
    /// The server's data directory: it is then told by signal, and its user is the owner of new files
    /// unless `owner` or `group` says otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_directory: Option<PathBuf>,
    /// Instead: the argument list of a command to reload with.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reload: Vec<String>,
    /// How long that command may take.
    #[serde(
        default = "default_timeout",
        skip_serializing_if = "is_default_timeout",
        with = "ca::duration"
    )]
    pub timeout: SignedDuration,
}

impl Postgresql {
    pub(crate) const FIELDS: &[&str] = &["data_directory", "reload", "timeout"];

    pub(crate) fn check(&self) -> Result<(), String> {
        self.placement.check()?;
        absolute("data_directory", self.data_directory.as_deref())?;
        match (&self.data_directory, self.reload.is_empty()) {
            (None, true) => Err("nothing says how PostgreSQL is told: set data_directory".into()),
            (Some(_), false) => {
                Err("data_directory and reload exclude each other: remove one".into())
            }
            _ => Ok(()),
        }
    }
}

impl Server for Postgresql {
    fn placement(&self) -> &Placement {
        &self.placement
    }

    async fn prepare(&self) -> Result<Placement, PushError> {
        let placement = self.placement.clone();
        let Some(directory) = &self.data_directory else { return Ok(placement) };
        let directory = directory.clone();
        blocking(move || match Reader::of(postmaster(&directory)?) {
            Some(reader) => {
                let placement = placement.for_reader(&reader)?;
                demand_secrecy(&placement, &reader)?;
                Ok(placement)
            }
            None => Ok(placement),
        })
        .await
    }

    async fn tell(&self) -> Result<String, PushError> {
        self.placement.check_pair().await.map_err(PushError::untouched)?;
        match &self.data_directory {
            Some(directory) => {
                process::signal(postmaster(directory)?, Signal::HUP)?;
                Ok(String::new())
            }
            None => {
                let refused = "the reload command failed, and the previous files are back";
                command::run(&self.reload, &[], limit(self.timeout), refused).await
            }
        }
    }
}

/// The postmaster of a data directory. Its file is written by the server's user, and outlives a server that
/// was killed, so that its number may be another's by now: the postmaster works in the directory.
fn postmaster(directory: &Path) -> Result<Pid, PushError> {
    let id = process::running(&directory.join(PID_FILE))?;
    let works_in = fs::read_link(format!("/proc/{}/cwd", id.as_raw_nonzero())).ok();
    if works_in.is_some() && works_in == fs::canonicalize(directory).ok() {
        return Ok(id);
    }
    Err(PushError::Unreachable {
        what: format!("the server of {}", directory.display()),
        why: format!(
            "process {} of its {PID_FILE} does not work there; start it, or run as its user or as root",
            id.as_raw_nonzero()
        ),
    })
}

/// As PostgreSQL does itself, by the same rules, when it is too late.
fn demand_secrecy(placement: &Placement, reader: &Reader) -> Result<(), PushError> {
    let Some(Owned { uid, mode, .. }) = placement.key_to_be()? else { return Ok(()) };
    let others = if uid == 0 && reader.uid != 0 { 0o037 } else { 0o077 };
    if (uid == reader.uid || uid == 0) && mode & others == 0 {
        return Ok(());
    }
    Err(PushError::Declaration(format!(
        "PostgreSQL, which runs as user {}, would refuse the key: it would belong to user {uid} with mode \
         {mode:04o}; nothing was changed: have it belong to that user with mode 0600, or to root with a \
         group that may read it and mode 0640",
        reader.uid
    )))
}

/// The number of the postmaster is its first line.
const PID_FILE: &str = "postmaster.pid";
