//! Targets of kind `dovecot`. It reads the files as root when it reloads, and may when a process of it begins.
//! Neither the test of its configuration nor a reload looks whether the key is the certificate's, and
//! where it is not, every login process fails from then on: so the pair is checked here first.

use std::path::PathBuf;

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use crate::command;
use crate::error::PushError;
use crate::placement::{Placement, absolute};
use crate::server::Server;
use crate::spec::{default_timeout, is_default_timeout, limit};

/// What a target of kind `dovecot` says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Dovecot {
    /// Where the files go that `ssl_cert` and `ssl_key` name.
    #[serde(flatten)]
    pub placement: Placement,
    /// The program: `doveadm`.
    #[serde(default = "default_binary", skip_serializing_if = "is_default_binary")]
    pub binary: String,
    /// The configuration file, if not the one compiled in (`-c`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<PathBuf>,
    /// How long testing and reloading may take, each.
    #[serde(
        default = "default_timeout",
        skip_serializing_if = "is_default_timeout",
        with = "ca::duration"
    )]
    pub timeout: SignedDuration,
}

impl Dovecot {
    pub(crate) const FIELDS: &[&str] = &["binary", "config", "timeout"];

    pub(crate) fn check(&self) -> Result<(), String> {
        self.placement.check()?;
        absolute("config", self.config.as_deref())
    }

    async fn test_and_reload(&self) -> Result<String, PushError> {
        self.placement.check_pair().await?;
        // It reads all of the configuration, the files of certificates too, and prints one setting:
        // others are passwords.
        let refused = "Dovecot refused the configuration; nothing was reloaded";
        self.run(&["config", "-h", "ssl"], refused).await?;
        self.run(&["reload"], "Dovecot was not reloaded").await
    }

    async fn run(&self, arguments: &[&str], refused: &str) -> Result<String, PushError> {
        let mut argv = vec![self.binary.clone()];
        if let Some(config) = &self.config {
            argv.extend(["-c".to_owned(), config.to_string_lossy().into_owned()]);
        }
        argv.extend(arguments.iter().map(|argument| (*argument).to_owned()));
        let refused = format!("{refused}, and the previous files are back");
        command::run(&argv, &[], limit(self.timeout), &refused).await
    }
}

impl Server for Dovecot {
    fn placement(&self) -> &Placement {
        &self.placement
    }

    async fn tell(&self) -> Result<String, PushError> {
        // A process that began meanwhile may have read the new files already.
        self.test_and_reload().await
    }
}

fn default_binary() -> String {
    "doveadm".to_owned()
}

fn is_default_binary(binary: &str) -> bool {
    binary == "doveadm"
}
