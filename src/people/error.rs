//! Why people are not let in, or their passkeys not taken.

use passkeys::Refusal;

use crate::store::{CommitError, ReadError};

/// Nobody was let in, and nothing was taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EntryError {
    /// The link is not good, whatever the reason: who tries cannot tell which.
    #[error(
        "the link is not good: it was used, or has expired, or never was one; ask for a new one"
    )]
    Closed,
    /// The passkey is nobody's, or of somebody who may not sign in: who tries cannot tell which.
    #[error("this passkey is not known here; ask an admin for a link")]
    Unknown,
    /// The challenge is too old, was answered before, or was given to somebody else.
    #[error("this took too long or was tried before; try again")]
    Stale,
    /// What the browser sent is not accepted.
    #[error("the passkey is not accepted: {0}")]
    Refused(#[from] Refusal),
    /// Whoever has a passkey must have shown it just before.
    #[error("prove first that it is you: step up with a passkey that you have")]
    StepUp,
    /// There are as many passkeys as there may be.
    #[error("you have as many passkeys as you may; remove one first")]
    TooMany,
    /// The name cannot be one.
    #[error("a passkey's name has 1 to 60 characters")]
    Name,
    /// Browsers bind passkeys to names, and the server has an address only.
    #[error("passkeys need the server to have a name: set public_url in its configuration")]
    NoName,
    /// No such identity provider is declared.
    #[error("there is no such identity provider")]
    NoProvider,
    /// The identity provider does not do as it should; the log says how.
    #[error("the identity provider did not sign you in; the server's log says why")]
    Provider,
    /// They belong to no group that is let in, or are disabled.
    #[error("you belong to no group that may come in here; ask an admin")]
    NotAdmitted,
    /// Somebody else is called so.
    #[error("somebody is called as you are already; ask an admin")]
    Taken,
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Commit(#[from] CommitError),
}
