//! Calls of the library that are repeated as long as the CA only dislikes the nonce: it may refuse
//! any number for no fault of ours (RFC 8555 §6.5), and the library itself tries three.

use std::time::Duration;

use instant_acme::Error;

use super::error::{ObtainError, Refusal};
use super::heard::Noted;

/// How often it was tried.
#[derive(Default)]
pub(super) struct Patience(u32);

impl Patience {
    /// The outcome, sorted; nothing if it is to be tried again.
    pub(super) async fn judge<T>(
        &mut self,
        issuer: &str,
        outcome: Result<T, Error>,
        noted: Noted,
    ) -> Option<Result<(T, Noted), ObtainError>> {
        match outcome {
            Ok(value) => Some(Ok((value, noted))),
            Err(Error::Api(problem)) if self.0 < ATTEMPTS && is_bad_nonce(&problem) => {
                self.0 += 1;
                tokio::time::sleep(PAUSE).await;
                None
            }
            Err(error) => Some(Err(ObtainError::of(issuer, error, &noted))),
        }
    }
}

fn is_bad_nonce(problem: &instant_acme::Problem) -> bool {
    Refusal::from(problem).kind == "badNonce"
}

/// Does an operation of the library for an issuer; gives its value, and what was heard. A macro,
/// because a future made by an async closure that borrows cannot be proven to be `Send`.
macro_rules! noting {
    ($issuer:expr, $operation:expr) => {{
        let mut patience = $crate::perform::obtain::acme::patience::Patience::default();
        loop {
            let operation = async { $operation };
            let (outcome, noted) = $crate::perform::obtain::acme::wire::listening(operation).await;
            if let Some(outcome) = patience.judge($issuer, outcome, noted).await {
                break outcome;
            }
        }
    }};
}

/// The same for a client, for the value alone.
macro_rules! call {
    ($client:expr, $operation:expr) => {
        $crate::perform::obtain::acme::patience::noting!(&$client.spec.name, $operation)
            .map(|(value, _)| value)
    };
}

pub(super) use {call, noting};

const ATTEMPTS: u32 = 20;
const PAUSE: Duration = Duration::from_millis(50);
