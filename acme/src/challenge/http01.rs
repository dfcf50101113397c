//! http-01 (RFC 8555 §8.3).

use super::{KeyAuthorization, shown};
use crate::{Problem, ProblemType};

/// The path under which the key authorization must be served.
#[must_use]
pub fn http01_path(token: &str) -> String {
    format!("/.well-known/acme-challenge/{token}")
}

/// Whether a response, after redirects, is the key authorization; white space after it is ignored.
///
/// # Errors
/// `incorrectResponse`, saying what came instead.
pub fn judge_http01(expected: &KeyAuthorization, status: u16, body: &[u8]) -> Result<(), Problem> {
    let wrong = |why: String| Err(Problem::new(ProblemType::IncorrectResponse, why));
    if status != 200 {
        return wrong(format!("the answer has status {status}, not 200"));
    }
    if body.trim_ascii_end() == expected.as_str().as_bytes() {
        return Ok(());
    }
    wrong(format!(
        "the body is not the key authorization: expected \"{}\", got {}",
        expected.as_str(),
        shown(body)
    ))
}
