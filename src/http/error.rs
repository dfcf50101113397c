//! The only place where errors become HTTP: every failure leaves as a problem document.

use acme::{Problem, ProblemType};
use axum::body::Body;
use axum::http::{HeaderValue, Response, StatusCode, header};
use ca::issue::Fault;
use tracing::error;

use crate::perform::issuance::IssuanceError;
use crate::store::{CommitError, ReadError};

/// A problem as a response (RFC 7807 §3), with `Retry-After` if it says when.
pub(crate) fn response(problem: &Problem) -> Response<Body> {
    let body = serde_json::to_vec(problem).unwrap_or_default();
    let mut response = Response::new(Body::from(body));
    *response.status_mut() =
        StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    if let Some(wait) = problem.retry_after {
        headers
            .insert(header::RETRY_AFTER, HeaderValue::from(wait.as_secs().max(1).unsigned_abs()));
    }
    response
}

/// The store cannot be read: the client is told to come back, the log says why.
pub(crate) fn unreadable(error: ReadError) -> Problem {
    error!(%error, "a request failed");
    Problem::new(ProblemType::ServerInternal, "the store cannot be read; try again later")
}

/// A commit did not happen: nothing was changed.
pub(crate) fn uncommitted(error: CommitError) -> Problem {
    if matches!(error, CommitError::Conflict) {
        return Problem::new(
            ProblemType::Malformed,
            "it was changed by another request at the same time; read it again",
        )
        .with_status(409);
    }
    error!(%error, "a request failed");
    let then = match error {
        CommitError::Unknown => "look at what stands before you try again",
        _ => "nothing was changed, try again later",
    };
    Problem::new(ProblemType::ServerInternal, format!("{error}; {then}")).with_status(503)
}

/// A certificate was not issued.
pub(crate) fn not_issued(error: IssuanceError) -> Problem {
    match error {
        IssuanceError::Refused(error) => refused(&error),
        IssuanceError::Read(error) => unreadable(error),
        IssuanceError::Commit(error) => uncommitted(error),
        error => {
            error!(%error, "a certificate was not issued");
            Problem::new(ProblemType::ServerInternal, error.to_string())
        }
    }
}

/// A certificate would not fit its profile or its authority.
pub(crate) fn refused(error: &ca::IssueError) -> Problem {
    let kind = match error.fault() {
        // RFC 8555 §6.7: policy on names is one thing, an unacceptable CSR another.
        Fault::Policy
            if matches!(error, ca::IssueError::KeyPolicy(_) | ca::IssueError::MustStaple) =>
        {
            ProblemType::BadCsr
        }
        Fault::Request => ProblemType::BadCsr,
        Fault::Policy => ProblemType::RejectedIdentifier,
        Fault::Authority => {
            error!(%error, "a certificate cannot be issued");
            ProblemType::ServerInternal
        }
    };
    Problem::new(kind, error.to_string())
}
