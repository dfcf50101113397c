//! Targets of kind `nginx`. The configuration is tested before every reload, since a raw HUP with a
//! bad file is only logged. Old workers answer for some 100 ms after a reload, so one handshake
//! proves little: see `probe`.

use std::path::PathBuf;

use jiff::SignedDuration;
use rustix::process::Signal;
use serde::{Deserialize, Serialize};

use crate::error::PushError;
use crate::placement::{Placement, absolute};
use crate::server::Server;
use crate::spec::{default_timeout, is_default_timeout, limit};
use crate::{command, process};

/// What a target of kind `nginx` says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Nginx {
    /// Where the files go that the configuration names.
    #[serde(flatten)]
    pub placement: Placement,
    /// The program.
    #[serde(default = "default_binary", skip_serializing_if = "is_default_binary")]
    pub binary: String,
    /// The configuration file, if not the one compiled in (`-c`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<PathBuf>,
    /// The prefix, if not the one compiled in (`-p`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<PathBuf>,
    /// The master's pid file: it is then told by signal rather than by `-s reload`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid_file: Option<PathBuf>,
    /// How long testing and reloading may take, each.
    #[serde(
        default = "default_timeout",
        skip_serializing_if = "is_default_timeout",
        with = "ca::duration"
    )]
    pub timeout: SignedDuration,
}

impl Nginx {
    pub(crate) const FIELDS: &[&str] = &["binary", "config", "prefix", "pid_file", "timeout"];

    pub(crate) fn check(&self) -> Result<(), String> {
        self.placement.check()?;
        absolute("config", self.config.as_deref())?;
        absolute("prefix", self.prefix.as_deref())?;
        absolute("pid_file", self.pid_file.as_deref())
    }

    async fn test_and_reload(&self) -> Result<String, PushError> {
        let refused = "nginx -t refused the configuration; nothing was reloaded";
        let mut output = self.run(&["-t"], refused).await?;
        match &self.pid_file {
            Some(pid_file) => process::signal(process::running(pid_file)?, Signal::HUP)?,
            None => {
                let refused = "nginx could not be told to reload";
                output += &self.run(&["-s", "reload"], refused).await?;
            }
        }
        Ok(output)
    }

    async fn run(&self, arguments: &[&str], refused: &str) -> Result<String, PushError> {
        let mut argv = vec![self.binary.clone()];
        for (option, path) in [("-c", &self.config), ("-p", &self.prefix)] {
            if let Some(path) = path {
                argv.extend([option.to_owned(), path.to_string_lossy().into_owned()]);
            }
        }
        argv.extend(arguments.iter().map(|argument| (*argument).to_owned()));
        let refused = format!("{refused}, and the previous files are back");
        command::run(&argv, &[], limit(self.timeout), &refused).await
    }
}

impl Server for Nginx {
    fn placement(&self) -> &Placement {
        &self.placement
    }

    /// A reload that nginx could not be told of has not begun.
    async fn tell(&self) -> Result<String, PushError> {
        self.test_and_reload().await.map_err(PushError::untouched)
    }
}

fn default_binary() -> String {
    "nginx".to_owned()
}

fn is_default_binary(binary: &str) -> bool {
    binary == "nginx"
}
