//! What can go wrong between a bundle and its target, by who is at fault. Messages never contain
//! key material.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Why a target did not take a bundle.
#[derive(Debug, thiserror::Error)]
pub enum PushError {
    /// The target is declared in a way that cannot work: the operator's.
    #[error("{0}")]
    Declaration(String),
    /// A program or server looked at the bundle, or at its own configuration, and refused.
    #[error("{what}: {output}")]
    Refused {
        /// Who refused what, and in which state things are now.
        what: String,
        /// What it said.
        output: String,
    },
    /// Someone else is at work on the target: another try may succeed.
    #[error("{0}")]
    Busy(String),
    /// The server or its control socket cannot be reached.
    #[error("cannot reach {what}: {why}")]
    Unreachable {
        /// What was called.
        what: String,
        /// Why it did not answer, and what to do.
        why: String,
    },
    /// A program did not end, or a server did not answer, in time.
    #[error("{what} did not finish within {} s; it was stopped. It said: {output}", after.as_secs_f32())]
    TimedOut {
        /// What took too long.
        what: String,
        /// How long it was given.
        after: Duration,
        /// What it had said until then.
        output: String,
    },
    /// A program that is not there or cannot be started.
    #[error("cannot run {program}: {source}; install it, or name its path in the target")]
    Program {
        /// What was to be run.
        program: String,
        /// Why it was not.
        source: io::Error,
    },
    /// A file or directory that cannot be read or written.
    #[error("cannot {action} {}: {source}", path.display())]
    Disk {
        /// What was to be done.
        action: &'static str,
        /// To what.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// A keystore that cannot be made.
    #[error("cannot make the keystore: {0}")]
    Format(String),
    /// It failed before the server was told of anything, and what was written is undone.
    #[error("{0}")]
    Untouched(Box<PushError>),
    /// The push failed, and so did putting back what was there before.
    #[error(
        "{error}. Putting back what was there before failed too: {restoring}. The target may be in a mixed state: repair it by hand, then push again"
    )]
    Unrestored {
        /// The first failure.
        error: Box<PushError>,
        /// The second.
        restoring: Box<PushError>,
    },
}

impl PushError {
    /// Who has to act.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            Self::Declaration(_) => Fault::Operator,
            Self::Refused { .. }
            | Self::Busy(_)
            | Self::Unreachable { .. }
            | Self::TimedOut { .. } => Fault::Target,
            Self::Program { .. } | Self::Disk { .. } | Self::Format(_) => Fault::Machine,
            Self::Untouched(error) | Self::Unrestored { error, .. } => error.fault(),
        }
    }

    /// Whether the target surely holds and serves what it did before, so that nothing need be put
    /// back there.
    #[must_use]
    pub fn left_untouched(&self) -> bool {
        matches!(
            self,
            Self::Declaration(_)
                | Self::Busy(_)
                | Self::Unreachable { .. }
                | Self::Program { .. }
                | Self::Untouched(_)
        )
    }

    /// For `map_err` on what comes before a server is told.
    pub(crate) fn untouched(self) -> Self {
        if self.left_untouched() { self } else { Self::Untouched(self.into()) }
    }

    /// A bundle whose key was made elsewhere came where the key is needed.
    pub(crate) fn no_key(why: &str) -> Self {
        Self::Declaration(format!(
            "{why}, but the private key of this certificate is kept elsewhere: give the target a \
             certificate whose key is here, or a kind and path that need none"
        ))
    }

    /// For `map_err` on file operations.
    pub(crate) fn disk(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Disk { action, path, source }
    }
}

/// Whose fault a [`PushError`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// What is declared cannot work until it is changed.
    Operator,
    /// The target refused, is busy or is not there.
    Target,
    /// The machine this runs on: disk, permissions, missing programs.
    Machine,
}
