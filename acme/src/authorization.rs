//! The life of an authorization (RFC 8555 §7.1.4, §7.1.6): what is stored is its [`Phase`]; the
//! statuses of the authorization and of its challenges are derived from it and the time. Pure
//! transitions: storing them, and doing the validation, are the caller's.

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::{ChallengeType, Problem};

/// How far an authorization has come. `Invalid`, `Deactivated` and `Revoked` are final.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phase {
    /// No challenge was answered yet.
    Pending,
    /// The client answered a challenge, and it is being validated.
    Processing {
        /// The challenge answered.
        challenge: ChallengeType,
        /// When it was answered.
        accepted_at: Timestamp,
        /// How many validations failed so far.
        attempts: u32,
        /// Why the last one failed (RFC 8555 §8.2).
        error: Option<Problem>,
    },
    /// A challenge was validated, or none was needed.
    Valid {
        /// The challenge validated; `None` where the directory trusts the account instead.
        challenge: Option<ChallengeType>,
        /// When.
        at: Timestamp,
    },
    /// A challenge failed for good.
    Invalid {
        /// The challenge that failed.
        challenge: ChallengeType,
        /// Why.
        error: Problem,
    },
    /// The client gave it up (RFC 8555 §7.5.2).
    Deactivated,
    /// The server took it back.
    Revoked,
}

/// The status clients see (RFC 8555 §7.1.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum AuthorizationStatus {
    /// No challenge is validated yet.
    Pending,
    /// The account may have the identifier certified.
    Valid,
    /// A challenge failed.
    Invalid,
    /// The client gave it up.
    Deactivated,
    /// Its time is over.
    Expired,
    /// The server took it back.
    Revoked,
}

/// The status of one challenge (RFC 8555 §7.1.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ChallengeStatus {
    /// Not answered.
    Pending,
    /// Answered, being validated.
    Processing,
    /// Validated.
    Valid,
    /// Failed.
    Invalid,
}

/// One challenge as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChallengeState {
    /// Which.
    pub challenge: ChallengeType,
    /// How far it has come.
    pub status: ChallengeStatus,
    /// When it was validated.
    pub validated: Option<Timestamp>,
    /// Why it failed, or why the last attempt did.
    pub error: Option<Problem>,
}

/// A phase to be stored, and when the worker has to look at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Next {
    /// The new phase.
    pub phase: Phase,
    /// When to validate; `None` if there is nothing to do.
    pub due: Option<Timestamp>,
}

/// How often and how fast validation is tried (RFC 8555 §8.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retries {
    /// How many validations may fail; the last failure is final. Zero counts as one.
    pub attempts: u32,
    /// How long to wait after the first failure; it doubles with each further one.
    pub first_wait: SignedDuration,
    /// The longest wait.
    pub longest_wait: SignedDuration,
}

impl Default for Retries {
    /// Five attempts, after about 2, 4, 8 and 16 seconds.
    fn default() -> Self {
        Self {
            attempts: 5,
            first_wait: SignedDuration::from_secs(2),
            longest_wait: SignedDuration::from_secs(300),
        }
    }
}

impl Retries {
    /// How long to wait after the `failures`th failure (from 1): doubled each time, less up to a
    /// quarter, as `seed`, such as the row's id, decides. The same arguments give the same wait.
    #[must_use]
    pub fn wait(&self, failures: u32, seed: u64) -> SignedDuration {
        let doublings = failures.saturating_sub(1).min(20);
        let full = self.first_wait.saturating_mul(1 << doublings).min(self.longest_wait);
        let share = i32::try_from(mix(seed ^ (u64::from(failures) << 32)) % 1000).unwrap_or(0);
        full - full / 4000 * share
    }
}

impl Phase {
    /// The status of an authorization in this phase that expires at `expires`.
    #[must_use]
    pub fn status(&self, expires: Timestamp, now: Timestamp) -> AuthorizationStatus {
        match self {
            Self::Invalid { .. } => AuthorizationStatus::Invalid,
            Self::Deactivated => AuthorizationStatus::Deactivated,
            Self::Revoked => AuthorizationStatus::Revoked,
            _ if now >= expires => AuthorizationStatus::Expired,
            Self::Valid { .. } => AuthorizationStatus::Valid,
            Self::Pending | Self::Processing { .. } => AuthorizationStatus::Pending,
        }
    }

    /// The client answered `challenge` (RFC 8555 §7.5.1), or asks to try it again now (§8.2).
    /// Doing so twice is harmless: a validated challenge stays validated.
    ///
    /// # Errors
    /// `malformed` if the authorization is over, or another challenge is being validated.
    pub fn accept(
        &self,
        challenge: ChallengeType,
        expires: Timestamp,
        now: Timestamp,
    ) -> Result<Next, Problem> {
        match (self, self.status(expires, now)) {
            (Self::Pending, AuthorizationStatus::Pending) => Ok(Next {
                phase: Self::Processing { challenge, accepted_at: now, attempts: 0, error: None },
                due: Some(now),
            }),
            (Self::Processing { challenge: own, .. }, AuthorizationStatus::Pending) => {
                if *own == challenge {
                    Ok(Next { phase: self.clone(), due: Some(now) })
                } else {
                    Err(Problem::malformed(format!("{own} is being validated already")))
                }
            }
            (Self::Valid { .. }, AuthorizationStatus::Valid) => {
                Ok(Next { phase: self.clone(), due: None })
            }
            (_, status) => Err(over(status)),
        }
    }

    /// A validation ended with `outcome`. `seed` spreads the retries of many rows; see
    /// [`Retries::wait`].
    ///
    /// # Errors
    /// [`NotProcessing`] if none was under way, or time ran out meanwhile; then nothing changes.
    pub fn settle(
        &self,
        outcome: Result<(), Problem>,
        retries: &Retries,
        seed: u64,
        expires: Timestamp,
        now: Timestamp,
    ) -> Result<Next, NotProcessing> {
        let Self::Processing { challenge, accepted_at, attempts, .. } = self else {
            return Err(NotProcessing);
        };
        if now >= expires {
            return Err(NotProcessing);
        }
        let Err(error) = outcome else {
            let phase = Self::Valid { challenge: Some(*challenge), at: now };
            return Ok(Next { phase, due: None });
        };
        let attempts = attempts.saturating_add(1);
        // A date that cannot be stored is as good as no further attempt.
        let due = now.checked_add(retries.wait(attempts, seed)).ok();
        match due.filter(|due| attempts < retries.attempts && *due < expires) {
            Some(due) => Ok(Next {
                phase: Self::Processing {
                    challenge: *challenge,
                    accepted_at: *accepted_at,
                    attempts,
                    error: Some(error),
                },
                due: Some(due),
            }),
            None => Ok(Next { phase: Self::Invalid { challenge: *challenge, error }, due: None }),
        }
    }

    /// The client gives the authorization up (RFC 8555 §7.5.2). Doing so twice is harmless.
    ///
    /// # Errors
    /// `malformed` if it is invalid, expired or revoked.
    pub fn deactivate(&self, expires: Timestamp, now: Timestamp) -> Result<Self, Problem> {
        match self.status(expires, now) {
            AuthorizationStatus::Pending
            | AuthorizationStatus::Valid
            | AuthorizationStatus::Deactivated => Ok(Self::Deactivated),
            status => Err(over(status)),
        }
    }

    /// The server takes a valid authorization back (RFC 8555 §7.1.6); `None` if there is nothing
    /// to take back.
    #[must_use]
    pub fn revoke(&self, expires: Timestamp, now: Timestamp) -> Option<Self> {
        matches!(
            self.status(expires, now),
            AuthorizationStatus::Valid | AuthorizationStatus::Pending
        )
        .then_some(Self::Revoked)
    }

    /// The challenges to show out of those `offered` (RFC 8555 §7.1.4): all while it is pending,
    /// only the validated or the failed one afterwards.
    #[must_use]
    pub fn challenges(&self, offered: &[ChallengeType]) -> Vec<ChallengeState> {
        let state =
            |challenge, status| ChallengeState { challenge, status, validated: None, error: None };
        match self {
            Self::Processing { challenge: own, error, .. } => offered
                .iter()
                .map(|challenge| match challenge == own {
                    true => ChallengeState {
                        error: error.clone(),
                        ..state(*own, ChallengeStatus::Processing)
                    },
                    false => state(*challenge, ChallengeStatus::Pending),
                })
                .collect(),
            Self::Valid { challenge, at } => challenge
                .iter()
                .map(|challenge| ChallengeState {
                    validated: Some(*at),
                    ..state(*challenge, ChallengeStatus::Valid)
                })
                .collect(),
            Self::Invalid { challenge, error } => vec![ChallengeState {
                error: Some(error.clone()),
                ..state(*challenge, ChallengeStatus::Invalid)
            }],
            Self::Pending | Self::Deactivated | Self::Revoked => offered
                .iter()
                .map(|challenge| state(*challenge, ChallengeStatus::Pending))
                .collect(),
        }
    }
}

/// An outcome arrived for an authorization that no longer waits for one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the authorization is not being validated")]
pub struct NotProcessing;

impl AuthorizationStatus {
    /// The name on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Valid => "valid",
            Self::Invalid => "invalid",
            Self::Deactivated => "deactivated",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        }
    }
}

fn over(status: AuthorizationStatus) -> Problem {
    Problem::malformed(format!(
        "the authorization is {}: make a new order to get another",
        status.name()
    ))
}

/// Spreads close seeds evenly (the finalizer of SplitMix64).
pub(crate) fn mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
