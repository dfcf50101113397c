//! Targets of kind `postfix`. Each smtpd process reads the files when it begins, as root, and ends after
//! some hundred connections; so new ones find new files without being told, and a reload only makes the
//! old ones end after the connection they have. A process that finds half of a change offers no TLS for
//! as long as it lives: one file for key and certificates is never half.

use std::path::PathBuf;

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use crate::command;
use crate::error::PushError;
use crate::placement::{Placement, absolute};
use crate::server::Server;
use crate::spec::{default_timeout, is_default_timeout, limit};

/// What a target of kind `postfix` says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Postfix {
    /// Where the files go: `smtpd_tls_chain_files` names `path`, or `current/bundle.pem` of a
    /// `directory`.
    #[serde(flatten)]
    pub placement: Placement,
    /// The program.
    #[serde(default = "default_binary", skip_serializing_if = "is_default_binary")]
    pub binary: String,
    /// The directory with `main.cf` and `master.cf`, if not the one compiled in (`-c`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<PathBuf>,
    /// How long checking and reloading may take, each.
    #[serde(
        default = "default_timeout",
        skip_serializing_if = "is_default_timeout",
        with = "ca::duration"
    )]
    pub timeout: SignedDuration,
}

impl Postfix {
    pub(crate) const FIELDS: &[&str] = &["binary", "config", "timeout"];

    pub(crate) fn check(&self) -> Result<(), String> {
        self.placement.check()?;
        absolute("config", self.config.as_deref())
    }

    async fn run(&self, what: &str, refused: &str) -> Result<String, PushError> {
        let mut argv = vec![self.binary.clone()];
        if let Some(config) = &self.config {
            argv.extend(["-c".to_owned(), config.to_string_lossy().into_owned()]);
        }
        argv.push(what.to_owned());
        command::run(&argv, &[], limit(self.timeout), refused).await
    }
}

impl Server for Postfix {
    fn placement(&self) -> &Placement {
        &self.placement
    }

    async fn prepare(&self) -> Result<Placement, PushError> {
        self.run("check", "Postfix refused its configuration; nothing was changed").await?;
        self.run("status", "Postfix does not run; nothing was changed: start it").await?;
        Ok(self.placement.clone())
    }

    async fn tell(&self) -> Result<String, PushError> {
        self.placement.check_pair().await?;
        self.run("reload", "Postfix was not reloaded, and the previous files are back").await
    }
}

fn default_binary() -> String {
    "postfix".to_owned()
}

fn is_default_binary(binary: &str) -> bool {
    binary == "postfix"
}
