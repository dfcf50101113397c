//! Targets of kind `files`: files that something reads, and perhaps a command that makes it read
//! them again. The kind for whatever has none of its own.

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use crate::command;
use crate::error::PushError;
use crate::placement::Placement;
use crate::server::Server;
use crate::spec::{default_timeout, is_default_timeout, limit};

/// What a target of kind `files` says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Files {
    /// Where the files go.
    #[serde(flatten)]
    pub placement: Placement,
    /// The argument list of a command to run afterwards, each time; none if empty. If it fails, the
    /// previous files are put back.
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

impl Files {
    pub(crate) const FIELDS: &[&str] = &["reload", "timeout"];

    pub(crate) fn check(&self) -> Result<(), String> {
        self.placement.check()
    }
}

impl Server for Files {
    fn placement(&self) -> &Placement {
        &self.placement
    }

    async fn tell(&self) -> Result<String, PushError> {
        if self.reload.is_empty() {
            return Ok(String::new());
        }
        let refused = "the reload command failed, and the previous files are back";
        command::run(&self.reload, &[], limit(self.timeout), refused).await
    }
}
