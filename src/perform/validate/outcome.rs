//! What a validation ends with, a proof or a failure, and the deadline it ends by. Text that came
//! from outside passes through here before a client or a log sees it: no control characters, and
//! never more than a limit.

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use acme::{Problem, ProblemType};
use serde::Serialize;
use tokio::time::Instant;

/// That a challenge was met, and what was seen: for the audit record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Proof {
    /// The address that gave the right answer; absent where the answer came from DNS.
    pub address: Option<SocketAddr>,
    /// What was asked and what came back, in one line.
    pub seen: String,
}

/// That a challenge was not met, or that a lookup failed, and why, in words the client's operator
/// can act on: the detail names what was asked, of which address, and what came back.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub(crate) struct Failure {
    /// The problem type that goes to the client.
    pub kind: ProblemType,
    /// One line of printable text of bounded length.
    pub detail: String,
}

impl Failure {
    /// A failure of `kind`; `detail` is made printable and cut to a bounded length.
    #[must_use]
    pub(crate) fn new(kind: ProblemType, detail: impl AsRef<str>) -> Self {
        Self { kind, detail: excerpt(detail.as_ref(), DETAIL_LIMIT) }
    }

    /// The target answered, but not what the challenge asks for (`incorrectResponse`).
    #[must_use]
    pub(crate) fn incorrect(detail: impl AsRef<str>) -> Self {
        Self::new(ProblemType::IncorrectResponse, detail)
    }

    /// The same failure, said to have happened during `what`.
    #[must_use]
    pub(crate) fn during(self, what: &str) -> Self {
        Self::new(self.kind, format!("{what}: {}", self.detail))
    }
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        Self::new(failure.kind, failure.detail)
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self::new(problem.kind, problem.detail)
    }
}

/// The moment by which a validation must have ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline {
    at: Instant,
    whole: Duration,
}

impl Deadline {
    /// `whole` from now.
    pub(super) fn after(whole: Duration) -> Self {
        Self { at: Instant::now() + whole, whole }
    }

    /// What `future` gives, or, when the deadline comes first, a failure of `kind` while `what`.
    pub(super) async fn run<T>(
        self,
        future: impl Future<Output = T>,
        kind: ProblemType,
        what: &str,
    ) -> Result<T, Failure> {
        tokio::time::timeout_at(self.at, future)
            .await
            .map_err(|_| Failure::new(kind, format!("{what}: not done within {:?}", self.whole)))
    }

    /// The earlier of this deadline and `limit` from now.
    pub(super) fn or_after(self, limit: Duration) -> Self {
        let at = Instant::now() + limit;
        if at < self.at { Self { at, whole: limit } } else { self }
    }
}

/// `text` with everything but printable ASCII replaced by `?`, runs of white space made one space,
/// and no more than `limit` characters.
pub(super) fn excerpt(text: &str, limit: usize) -> String {
    let mut out = String::with_capacity(text.len().min(limit));
    let mut spaced = false;
    for (taken, character) in text.chars().enumerate() {
        if taken == limit {
            out.push_str("...");
            break;
        }
        let character = match character {
            '\t' | '\r' | '\n' | ' ' => ' ',
            c if c.is_ascii_graphic() => c,
            _ => '?',
        };
        if !(spaced && character == ' ') {
            out.push(character);
        }
        spaced = character == ' ';
    }
    out
}

/// Long enough for four addresses and two URLs; short enough for a log line.
const DETAIL_LIMIT: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn details_are_printable_and_bounded() {
        let failure =
            Failure::incorrect(format!("a\0b\u{1b}[2J\r\n\u{202e}c {}", "x".repeat(5000)));
        assert!(failure.detail.starts_with("a?b?[2J ?c xxx"), "{}", failure.detail);
        assert!(failure.detail.len() <= DETAIL_LIMIT + 3);
        assert!(failure.detail.bytes().all(|b| (0x20..0x7f).contains(&b)));
    }

    #[test]
    fn a_failure_becomes_the_problem_a_client_sees() {
        let problem = Problem::from(Failure::incorrect("no").during("http-01"));
        assert_eq!(problem.kind, ProblemType::IncorrectResponse);
        assert_eq!(problem.detail, "http-01: no");
    }
}
