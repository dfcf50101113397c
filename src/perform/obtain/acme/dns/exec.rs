//! TXT records by a program, called as lego or acme.sh call theirs. Names and values are arguments
//! and never become part of a command line; what the program wrote is in the error if it fails.

use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use jiff::SignedDuration;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};

use super::{Record, fault};
use crate::perform::obtain::acme::error::{ObtainError, excerpt};
use crate::perform::obtain::acme::spec::Convention;

/// A program that adds and removes records.
pub(super) struct Exec {
    command: PathBuf,
    convention: Convention,
    timeout: Duration,
}

impl Exec {
    pub(super) fn new(command: &Path, convention: Convention, timeout: SignedDuration) -> Self {
        let timeout = Duration::try_from(timeout).unwrap_or_default();
        Self { command: command.to_owned(), convention, timeout }
    }

    pub(super) async fn add(&self, record: &Record) -> Result<(), ObtainError> {
        self.run("present", "_add", record).await
    }

    pub(super) async fn remove(&self, record: &Record) -> Result<(), ObtainError> {
        self.run("cleanup", "_rm", record).await
    }

    async fn run(&self, lego: &str, acme_sh: &str, record: &Record) -> Result<(), ObtainError> {
        let mut command = match self.convention {
            // https://go-acme.github.io/lego/dns/exec: names are absolute.
            Convention::Lego => {
                let mut command = Command::new(&self.command);
                command.arg(lego).arg(format!("{}.", record.name)).arg(&record.value);
                command
            }
            // https://github.com/acmesh-official/acme.sh/wiki/DNS-API-Dev-Guide
            Convention::AcmeSh => {
                let stem = self.command.file_stem().unwrap_or_default().to_string_lossy();
                let mut command = Command::new("/bin/sh");
                command.args(["-c", ACME_SH, "sh"]).arg(&self.command);
                command.arg(format!("{stem}{acme_sh}")).arg(&record.name).arg(&record.value);
                command
            }
        };
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // Of its own group, so that what it started ends with it.
        command.kill_on_drop(true).process_group(0);
        let shown = self.command.display();
        let cannot = |why: String| fault(&record.name, format!("{shown} {why}"));
        let mut child = command.spawn().map_err(|e| cannot(format!("cannot be run: {e}")))?;
        let group = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        let ended = tokio::time::timeout(self.timeout, finish(&mut child)).await;
        let Ok((status, wrote)) = ended else {
            let _ = group.map(|group| kill_process_group(group, Signal::KILL));
            return Err(cannot(format!("has not ended after {:?}", self.timeout)));
        };
        let status = status.map_err(|e| cannot(format!("was lost: {e}")))?;
        if status.success() {
            return Ok(());
        }
        Err(cannot(format!("failed ({status}): {}", excerpt(&wrote))))
    }
}

/// Waits for the end; gives what was written to stderr and stdout, as far as it matters.
async fn finish(child: &mut Child) -> (std::io::Result<ExitStatus>, String) {
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let (status, out, err) = tokio::join!(child.wait(), read(out), read(err));
    (status, format!("{err} {out}"))
}

async fn read(pipe: Option<impl AsyncRead + Unpin>) -> String {
    let Some(mut pipe) = pipe else { return String::new() };
    let mut kept = Vec::new();
    let mut buffer = [0; 4096];
    // Read to its end, so that the program is not stopped by a full pipe, and forgotten beyond
    // what is kept.
    while let Ok(count @ 1..) = pipe.read(&mut buffer).await {
        let room = MAX_OUTPUT.saturating_sub(kept.len());
        kept.extend_from_slice(&buffer[..count.min(room)]);
    }
    String::from_utf8_lossy(&kept).into_owned()
}

/// Reads a file of acme.sh's `dnsapi`, with acme.sh itself where it stands above it, and calls one
/// of its functions. Nothing is put into this text; all comes as arguments.
const ACME_SH: &str = r#"
file=$1 call=$2 name=$3 value=$4
set --
core=${file%/*}/../acme.sh
_info() { echo "$@"; }
_err() { echo "$@" >&2; }
_debug() { :; }
_debug2() { :; }
_debug3() { :; }
_secure_debug() { :; }
if [ -f "$core" ]; then . "$core" >/dev/null; fi
. "$file"
"$call" "$name" "$value"
"#;
const MAX_OUTPUT: usize = 4096;
