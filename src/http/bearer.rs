//! Who comes with an API token (RFC 6750), and what they are told who come without a good one.

use acme::{Problem, ProblemType};
use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{HeaderValue, Response, header};

use super::error::{self, unreadable};
use crate::node::Node;
use crate::store::ApiToken;
use crate::token::{Kind, Token};

/// The token a request comes with, if it is good for this.
pub(super) fn holder(
    node: &Node,
    head: &Parts,
    kind: Kind,
    name: &str,
) -> Result<ApiToken, Refusal> {
    let row = bearer(node, head)?;
    if row.scope.covers(kind, name) { Ok(row) } else { Err(Refusal::OutOfScope) }
}

/// The token a request comes with (RFC 6750 §2.1), whatever it is good for.
pub(super) fn bearer(node: &Node, head: &Parts) -> Result<ApiToken, Refusal> {
    let field = head.headers.get(header::AUTHORIZATION).and_then(|field| field.to_str().ok());
    let (scheme, text) = field.and_then(|field| field.split_once(' ')).ok_or(Refusal::Stranger)?;
    let token = Token::parse(text.trim()).filter(|_| scheme.eq_ignore_ascii_case("bearer"));
    let token = token.ok_or(Refusal::Stranger)?;
    let row = node.store.token_by_hash(&token.hash()).map_err(unreadable)?;
    row.filter(|row| row.is_valid(node.world.now())).ok_or(Refusal::Stranger)
}

/// Why nothing is given.
pub(super) enum Refusal {
    /// Without a token, or with one that is unknown, expired or revoked: who tries cannot tell which.
    Stranger,
    /// The token is not for that, whether there is such a thing or not.
    OutOfScope,
    Other(Problem),
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self::Other(problem)
    }
}

impl Refusal {
    /// RFC 6750 §3: with a challenge, where a token is or could be the reason.
    pub(super) fn response(self) -> Response<Body> {
        self.response_as(error::response)
    }

    /// The same, with problems in a form of their own.
    pub(super) fn response_as(self, form: fn(&Problem) -> Response<Body>) -> Response<Body> {
        let unauthorized = |why: &str| Problem::new(ProblemType::Unauthorized, why);
        let (problem, challenge) = match self {
            Self::Stranger => {
                let why = "a valid API token is needed: Authorization: Bearer TOKEN";
                (unauthorized(why).with_status(401), Some("Bearer realm=\"perennial\""))
            }
            Self::OutOfScope => {
                let challenge = "Bearer realm=\"perennial\", error=\"insufficient_scope\"";
                (unauthorized("the token is not for this"), Some(challenge))
            }
            Self::Other(problem) => (problem, None),
        };
        let mut response = form(&problem);
        if let Some(challenge) = challenge {
            let challenge = HeaderValue::from_static(challenge);
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        }
        response
    }
}
