//! What can go wrong in the bench, sorted by who is at fault.

use std::path::PathBuf;
use std::process::ExitStatus;

/// Why an order, a server or the whole bench failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// A program is not installed.
    #[error("{program} is not installed: run `{install}`")]
    Missing {
        /// What was looked for on the path.
        program: &'static str,
        /// The command that brings it.
        install: &'static str,
    },
    /// The bench was asked for something it cannot do.
    #[error("{0}")]
    Usage(String),
    /// The server ended, or never answered, when it should have become ready.
    #[error("{server} did not become ready ({why}); its log: {log}")]
    NotReady {
        /// The server's name.
        server: &'static str,
        /// What was seen instead.
        why: String,
        /// Where it wrote.
        log: PathBuf,
    },
    /// The server answered with something other than success.
    #[error("{step}: HTTP {status}: {problem}")]
    Refused {
        /// The step of the order.
        step: &'static str,
        /// HTTP status.
        status: u16,
        /// The problem document, or what there was of it.
        problem: String,
    },
    /// The server answered success with a body that makes no sense.
    #[error("{step}: {what}")]
    Nonsense {
        /// The step of the order.
        step: &'static str,
        /// What was expected and not there.
        what: String,
    },
    /// One step did not end within its limit.
    #[error("{0}: no answer within the step limit")]
    Stalled(&'static str),
    /// A connection broke.
    #[error("{step}: {why}")]
    Connection {
        /// The step of the order.
        step: &'static str,
        /// What the network said.
        why: String,
    },
    /// A process of ours did not do its work.
    #[error("{program} ended with {status}")]
    Ended {
        /// Which program.
        program: &'static str,
        /// How it ended.
        status: ExitStatus,
    },
    /// A file or process could not be used.
    #[error("{what}: {source}")]
    Io {
        /// What was being done, to what.
        what: String,
        /// The system's words.
        source: std::io::Error,
    },
    /// A cryptographic operation failed on good input.
    #[error("cannot {0}")]
    Crypto(&'static str),
}

impl Error {
    /// Says what was being done when the system refused.
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }
}
