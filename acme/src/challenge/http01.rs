//! http-01 (RFC 8555 §8.3). Of an answer that is not the one expected, nothing is repeated that a
//! stranger could not know already: a redirect may have led to a server that only we can reach
//! (RFC 8555 §10.4).

use super::KeyAuthorization;
use crate::{Problem, ProblemType};

/// The path under which the key authorization must be served.
#[must_use]
pub fn http01_path(token: &str) -> String {
    format!("/.well-known/acme-challenge/{token}")
}

/// How many octets of a body are to be read at the most; one that is longer is judged as read so
/// far, and is wrong.
#[must_use]
pub fn http01_limit(expected: &KeyAuthorization) -> usize {
    expected.as_str().len() + WHITE_SPACE + 1
}

/// Whether a response, after redirects, is the key authorization; white space after it is ignored.
///
/// # Errors
/// `incorrectResponse`, saying what kind of answer came instead, and never what it said.
pub fn judge_http01(expected: &KeyAuthorization, status: u16, body: &[u8]) -> Result<(), Problem> {
    let wrong = |why: String| Err(Problem::new(ProblemType::IncorrectResponse, why));
    if status != 200 {
        return wrong(format!("the answer has status {status}, not 200"));
    }
    if body.len() >= http01_limit(expected) {
        let limit = http01_limit(expected) - 1;
        return wrong(format!("the body is longer than {limit} octets, not the key authorization"));
    }
    if body.trim_ascii_end() == expected.as_str().as_bytes() {
        return Ok(());
    }
    wrong(format!(
        "the body is not the key authorization \"{}\" but {}",
        expected.as_str(),
        kind_of(body, expected)
    ))
}

/// What came. Only an answer to this very challenge is told apart, since who wrote that knew the
/// token; no digest is given either, for what is short could be guessed from it.
fn kind_of(body: &[u8], expected: &KeyAuthorization) -> String {
    let body = body.trim_ascii_end();
    let token = expected.token();
    let thumbprint = body.strip_prefix(token.as_bytes()).and_then(|rest| rest.strip_prefix(b"."));
    match (body, thumbprint.map(std::str::from_utf8)) {
        ([], _) => "empty".to_owned(),
        (_, Some(Ok(thumbprint))) if is_thumbprint(thumbprint) => {
            format!("one for another account key, of thumbprint {thumbprint}")
        }
        (_, Some(_)) => "the token with something else after it".to_owned(),
        _ if body == token.as_bytes() => "the token alone".to_owned(),
        _ => format!("{} octets of something else, which are not shown", body.len()),
    }
}

/// A SHA-256 in base64url (RFC 7638 §3).
fn is_thumbprint(text: &str) -> bool {
    text.len() == 43 && text.bytes().all(|o| o.is_ascii_alphanumeric() || b"-_".contains(&o))
}

/// Octets of white space after the key authorization that are put up with.
const WHITE_SPACE: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(body: &str) -> String {
        let expected = KeyAuthorization(format!("token.{}", "t".repeat(43)));
        judge_http01(&expected, 200, body.as_bytes()).expect_err(body).detail
    }

    #[test]
    fn a_body_from_elsewhere_is_never_repeated() {
        for secret in ["hunter2", "AKIAIOSFODNN7EXAMPLE", "token hunter2", "tokenhunter2", "a.b"] {
            let detail = wrong(secret);
            assert!(!detail.contains("hunter2") && !detail.contains("AKIA"), "{detail}");
            assert!(detail.contains(&format!("{} octets", secret.len())), "{detail}");
        }
        assert!(!wrong("token.hunter2").contains("hunter2"));
    }

    #[test]
    fn usual_mistakes_are_named() {
        let other = "x".repeat(43);
        assert!(wrong(&format!("token.{other}\n")).contains(&format!("thumbprint {other}")));
        assert!(wrong("token").contains("the token alone"));
        assert!(wrong(" \n").contains("empty"));
        assert!(wrong(&format!("token.{}{}", "t".repeat(43), " ".repeat(129))).contains("longer"));
    }
}
