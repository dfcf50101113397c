//! The life of an order (RFC 8555 §7.1.3, §7.1.6). Only what cannot be derived is stored, its
//! [`Phase`]; whether it is pending, ready or invalid follows from its authorizations and the time,
//! so that the two can never disagree.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::Serialize;

use crate::authorization::AuthorizationStatus;
use crate::{Identifier, Problem, ProblemType};

/// How far an order has come. `Issued` and `Failed` are final.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Not finalized: its authorizations decide.
    Open,
    /// Finalized: the certificate is being made.
    Processing,
    /// The certificate is there.
    Issued,
    /// No certificate will come of it.
    Failed,
}

/// The status clients see (RFC 8555 §7.1.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum OrderStatus {
    /// Some authorization is not valid yet.
    Pending,
    /// It can be finalized.
    Ready,
    /// The certificate is being made.
    Processing,
    /// The certificate is there.
    Valid,
    /// It is over.
    Invalid,
}

impl Phase {
    /// The status of an order in this phase with these authorizations, which expires at `expires`.
    /// Once finalized, neither time nor authorizations change it. An order without any
    /// authorization is never ready.
    #[must_use]
    pub fn status(
        self,
        authorizations: &[AuthorizationStatus],
        expires: Timestamp,
        now: Timestamp,
    ) -> OrderStatus {
        use AuthorizationStatus::{Pending, Valid};
        match self {
            Self::Processing => OrderStatus::Processing,
            Self::Issued => OrderStatus::Valid,
            Self::Failed => OrderStatus::Invalid,
            Self::Open if now >= expires => OrderStatus::Invalid,
            Self::Open if authorizations.iter().any(|one| !matches!(one, Pending | Valid)) => {
                OrderStatus::Invalid
            }
            Self::Open if !authorizations.is_empty() && !authorizations.contains(&Pending) => {
                OrderStatus::Ready
            }
            Self::Open => OrderStatus::Pending,
        }
    }

    /// Checks that the order can be finalized now (RFC 8555 §7.4).
    ///
    /// # Errors
    /// `orderNotReady`, 403, unless it is ready.
    pub fn finalize(
        self,
        authorizations: &[AuthorizationStatus],
        expires: Timestamp,
        now: Timestamp,
    ) -> Result<(), Problem> {
        let why = match self.status(authorizations, expires, now) {
            OrderStatus::Ready => return Ok(()),
            OrderStatus::Pending => "not all of its authorizations are valid",
            OrderStatus::Processing => "it was finalized before and its certificate is being made",
            OrderStatus::Valid => "it was finalized before and its certificate is there",
            OrderStatus::Invalid if self == Self::Open && now >= expires => "it has expired",
            OrderStatus::Invalid => "it has failed: make a new order",
        };
        Err(Problem::new(
            ProblemType::OrderNotReady,
            format!("the order cannot be finalized: {why}"),
        ))
    }
}

/// Checks that a CSR asks for exactly the identifiers of the order (RFC 8555 §7.4).
///
/// # Errors
/// `badCSR`, with a subproblem for each identifier missing or in excess.
pub fn check_names(order: &[ca::Identifier], csr: &[ca::Identifier]) -> Result<(), Problem> {
    let order: BTreeSet<_> = order.iter().collect();
    let csr: BTreeSet<_> = csr.iter().collect();
    let complain = |identifier: &ca::Identifier, why: &str| {
        Problem::new(ProblemType::BadCsr, format!("{identifier} is {why}"))
            .about(Identifier::from(identifier))
    };
    let missing =
        order.difference(&csr).map(|one| complain(one, "in the order but not in the CSR"));
    let excess = csr.difference(&order).map(|one| complain(one, "in the CSR but not in the order"));
    let wrong: Vec<_> = missing.chain(excess).take(MAX_SUBPROBLEMS).collect();
    if wrong.is_empty() {
        return Ok(());
    }
    Err(Problem::new(ProblemType::BadCsr, "the CSR does not name exactly what the order does")
        .with_subproblems(wrong))
}

const MAX_SUBPROBLEMS: usize = 100;
