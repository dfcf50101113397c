//! Targets of kind `apache`. Its `-t` says "Syntax OK" to a key that is not the certificate's, and the
//! parent process then dies of the reload: so the pair on disk is checked here first, and afterwards
//! whether the parent still lives.

use std::path::PathBuf;
use std::time::Duration;

use jiff::SignedDuration;
use rustix::process::{Pid, Signal};
use serde::{Deserialize, Serialize};
use tokio::time::sleep;

use crate::error::PushError;
use crate::placement::{Placement, absolute};
use crate::server::Server;
use crate::spec::{default_timeout, is_default_timeout, limit};
use crate::{command, process};

/// What a target of kind `apache` says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Apache {
    /// Where the files go that the configuration names.
    #[serde(flatten)]
    pub placement: Placement,
    /// The program: `apachectl`, which on Debian sets the environment the configuration needs, or
    /// `apache2` or `httpd`.
    #[serde(default = "default_binary", skip_serializing_if = "is_default_binary")]
    pub binary: String,
    /// The configuration file, if not the one compiled in (`-f`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<PathBuf>,
    /// The parent's pid file, if not the one the configuration names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid_file: Option<PathBuf>,
    /// How long testing the configuration may take.
    #[serde(
        default = "default_timeout",
        skip_serializing_if = "is_default_timeout",
        with = "ca::duration"
    )]
    pub timeout: SignedDuration,
}

impl Apache {
    pub(crate) const FIELDS: &[&str] = &["binary", "config", "pid_file", "timeout"];

    pub(crate) fn check(&self) -> Result<(), String> {
        self.placement.check()?;
        absolute("config", self.config.as_deref())?;
        absolute("pid_file", self.pid_file.as_deref())
    }

    /// Everything that can be found out before the parent is told: its number, and what the test of
    /// the configuration said.
    async fn examine(&self) -> Result<(Pid, String), PushError> {
        let output = self.test().await?;
        let pid_file = match &self.pid_file {
            Some(pid_file) => pid_file.clone(),
            None => pid_file(&output).ok_or_else(|| {
                PushError::Declaration("Apache did not tell its PidFile: set pid_file".into())
            })?,
        };
        let parent = process::running(&pid_file)?;
        self.placement.check_pair().await?;
        Ok((parent, output))
    }

    /// Tests the configuration; the output also tells where the pid file is.
    async fn test(&self) -> Result<String, PushError> {
        let mut argv = vec![self.binary.clone(), "-t".into(), "-D".into(), "DUMP_RUN_CFG".into()];
        if let Some(config) = &self.config {
            argv.extend(["-f".to_owned(), config.to_string_lossy().into_owned()]);
        }
        let refused = "Apache refused the configuration; nothing was reloaded, and the previous \
                       files are back";
        command::run(&argv, &[], limit(self.timeout), refused).await
    }
}

impl Server for Apache {
    fn placement(&self) -> &Placement {
        &self.placement
    }

    async fn tell(&self) -> Result<String, PushError> {
        let (parent, output) = self.examine().await.map_err(PushError::untouched)?;
        process::signal(parent, Signal::USR1)?;
        for _ in 0..CHECKS {
            sleep(BETWEEN_CHECKS).await;
            if !process::is_alive(parent) {
                return Err(PushError::Refused {
                    what: "Apache's parent process died of the reload and nothing is served now; \
                           the previous files are back: start Apache, and read its error log"
                        .into(),
                    output,
                });
            }
        }
        Ok(output)
    }
}

/// From `PidFile: "/run/apache2/apache2.pid"`.
fn pid_file(output: &str) -> Option<PathBuf> {
    let line = output.lines().find_map(|line| line.trim().strip_prefix("PidFile:"))?;
    Some(PathBuf::from(line.trim().trim_matches('"'))).filter(|path| path.is_absolute())
}

fn default_binary() -> String {
    "apachectl".to_owned()
}

fn is_default_binary(binary: &str) -> bool {
    binary == "apachectl"
}

/// A graceful restart takes about a second, and the parent reads the key early in it.
const CHECKS: u32 = 15;
const BETWEEN_CHECKS: Duration = Duration::from_millis(100);
