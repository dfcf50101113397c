//! Why a certificate was not obtained, by whose fault it was, and what follows from that: whether
//! to try again and when, whether to ask another issuer. The CA's own words pass through.

use std::fmt;

use instant_acme::{Error, Problem};
use jiff::SignedDuration;

use super::heard::{Fault, Noted};

/// A certificate, or whatever else was asked of a CA outside, was not obtained.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ObtainError {
    /// Our own settings, or a file they name.
    #[error("{0}")]
    Settings(String),
    /// What answers a challenge could not be put where the CA looks for it.
    #[error("{name}: {why}")]
    Answer {
        /// The identifier, or the DNS name of the record.
        name: String,
        /// What happened, and what to do.
        why: String,
    },
    /// The CA understood and said no.
    #[error("{issuer} refuses: {refusal}")]
    Refused {
        /// The CA, by its declared name.
        issuer: String,
        /// Its problem document.
        refusal: Box<Refusal>,
        /// When it says to come back.
        retry_after: Option<SignedDuration>,
    },
    /// The order became invalid: what answers the challenges does not convince the CA, mostly.
    #[error("{issuer} gives no certificate: {refusal}")]
    Failed {
        /// The CA, by its declared name.
        issuer: String,
        /// The order's error, and those of its challenges.
        refusal: Box<Refusal>,
    },
    /// The order can come to no certificate any more; another one is to be opened.
    #[error("{issuer} has given up order {url} ({why}); another one has to be opened")]
    OrderLost {
        /// The CA, by its declared name.
        issuer: String,
        /// The order.
        url: String,
        /// Its status, or what was said instead.
        why: String,
    },
    /// The CA cannot be reached or does not work.
    #[error("{issuer} is down: {why}")]
    Down {
        /// The CA, by its declared name.
        issuer: String,
        /// What happened.
        why: String,
        /// When it says to come back.
        retry_after: Option<SignedDuration>,
    },
    /// The CA did not finish in the time an order may take; the order stands and can be resumed.
    #[error("{issuer} has not finished {what} after {after:#}; the order can be taken up again")]
    TooSlow {
        /// The CA, by its declared name.
        issuer: String,
        /// What it was waited for.
        what: &'static str,
        /// How long.
        after: SignedDuration,
    },
    /// The CA answered what no CA may.
    #[error("{issuer} does not keep to the protocol: {why}")]
    Misbehaved {
        /// The CA, by its declared name.
        issuer: String,
        /// What it did.
        why: String,
    },
}

/// A problem document (RFC 8555 §6.7) with those about single identifiers (§6.7.1).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// The type, without the prefix of ACME's own; empty if there was none.
    pub(crate) kind: String,
    /// What the CA wrote.
    pub(crate) detail: String,
    /// About which identifier, if about one.
    pub(crate) identifier: Option<String>,
    /// The subproblems.
    pub(crate) parts: Vec<Self>,
}

impl ObtainError {
    /// How long the CA wants to be left alone.
    pub(crate) fn retry_after(&self) -> Option<SignedDuration> {
        match self {
            Self::Refused { retry_after, .. } | Self::Down { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// Whether the same names cannot be had from this CA, however often it is tried.
    pub(crate) fn is_final_for_names(&self) -> bool {
        match self {
            Self::Refused { refusal, .. } | Self::Failed { refusal, .. } => {
                refusal.any(|kind| FINAL.contains(&kind))
            }
            _ => false,
        }
    }

    /// Whether the CA cannot serve anybody, or not us, at the moment: the next issuer should.
    pub(crate) fn is_issuer_down(&self) -> bool {
        match self {
            Self::Down { .. } | Self::TooSlow { .. } | Self::Misbehaved { .. } => true,
            Self::Refused { refusal, .. } | Self::Failed { refusal, .. } => {
                refusal.any(|kind| kind == "rateLimited" || kind == "serverInternal")
            }
            _ => false,
        }
    }

    /// Whether the order has come to nothing: it is no use to resume it.
    pub(crate) fn is_order_over(&self) -> bool {
        matches!(self, Self::Failed { .. } | Self::OrderLost { .. })
    }

    /// Sorts an error of the library, made while `noted` was heard of `issuer`.
    pub(super) fn of(issuer: &str, error: Error, noted: &Noted) -> Self {
        let issuer = issuer.to_owned();
        let misbehaved = |issuer, why: String| Self::Misbehaved { issuer, why };
        match error {
            Error::Api(problem) => Self::refused(issuer, &problem, noted),
            Error::Other(cause) => match cause.downcast::<Fault>() {
                Ok(fault) => Self::fault(issuer, &fault, noted.retry_after),
                Err(other) => misbehaved(issuer, other.to_string()),
            },
            Error::Crypto | Error::KeyRejected => {
                Self::Settings(format!("the account key for {issuer} is not usable: {error}"))
            }
            other => misbehaved(issuer, other.to_string()),
        }
    }

    /// What happened on the way, or in the CA. Some say no without a document.
    fn fault(issuer: String, fault: &Fault, retry_after: Option<SignedDuration>) -> Self {
        match fault {
            Fault::Status(status @ 400..500, _) if *status != 429 => {
                let refusal = Refusal { detail: fault.to_string(), ..Refusal::default() };
                Self::Refused { issuer, refusal: Box::new(refusal), retry_after }
            }
            _ => Self::Down { issuer, why: fault.to_string(), retry_after },
        }
    }

    /// A refusal. What a CA says with a status of 5xx is about itself.
    fn refused(issuer: String, problem: &Problem, noted: &Noted) -> Self {
        let (refusal, retry_after) = (Box::new(Refusal::from(problem)), noted.retry_after);
        if noted.status >= 500 {
            return Self::Down { issuer, why: refusal.to_string(), retry_after };
        }
        Self::Refused { issuer, refusal, retry_after }
    }
}

impl Refusal {
    /// Whether this or a part of it is of such a type. A compound problem is judged by its parts.
    pub(super) fn any(&self, mut is: impl FnMut(&str) -> bool) -> bool {
        is(&self.kind) || self.parts.iter().any(|part| is(&part.kind))
    }
}

impl From<&Problem> for Refusal {
    fn from(problem: &Problem) -> Self {
        let parts = problem.subproblems.iter().map(|part| Self {
            kind: kind(part.r#type.as_deref()),
            detail: excerpt(part.detail.as_deref().unwrap_or_default()),
            identifier: part.identifier.as_ref().map(|name| name.authorized(false).to_string()),
            ..Self::default()
        });
        Self {
            kind: kind(problem.r#type.as_deref()),
            detail: excerpt(problem.detail.as_deref().unwrap_or_default()),
            identifier: None,
            parts: parts.take(MAX_PARTS).collect(),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(identifier) = &self.identifier {
            write!(f, "{identifier}: ")?;
        }
        f.write_str(if self.detail.is_empty() { "no reason given" } else { &self.detail })?;
        if !self.kind.is_empty() {
            write!(f, " ({})", self.kind)?;
        }
        for part in &self.parts {
            write!(f, "; {part}")?;
        }
        Ok(())
    }
}

fn kind(uri: Option<&str>) -> String {
    let uri = uri.unwrap_or_default();
    excerpt(uri.strip_prefix("urn:ietf:params:acme:error:").unwrap_or(uri))
}

/// What others wrote, fit for a message: short, in one line.
pub(super) fn excerpt(text: &str) -> String {
    let line: String =
        text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MAX_EXCERPT).collect();
    line.trim().to_owned()
}

/// What no repetition mends (RFC 8555 §6.7).
const FINAL: &[&str] = &["rejectedIdentifier", "unsupportedIdentifier", "caa"];
const MAX_EXCERPT: usize = 500;
const MAX_PARTS: usize = 100;
