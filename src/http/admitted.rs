//! What those are told who were let in, or not: the one place where a session's cookie is given.

use acme::{Problem, ProblemType};
use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, SET_COOKIE};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Response, header};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use super::caller::set_cookie;
use super::{RequestId, error};
use crate::people::{Entered, EntryError, Secret, Visit};

/// Somebody who was let in.
#[derive(Serialize, JsonSchema)]
pub(super) struct Admitted {
    name: String,
    display_name: String,
    /// What requests of the session's pages that change something carry as `X-CSRF-Token` from now on.
    csrf_token: String,
    expires_at: Timestamp,
    stepped_up_at: Option<Timestamp>,
}

/// Who they are, what their pages must say from now on, and by a header of its own the cookie.
pub(super) fn response(secret: &Secret, entered: &Entered) -> Response<Body> {
    let Entered { person, session, csrf } = entered;
    let told = Admitted {
        name: person.name.clone(),
        display_name: person.display_name.clone(),
        csrf_token: csrf.reveal().to_owned(),
        expires_at: session.expires_at,
        stepped_up_at: session.stepped_up_at,
    };
    let mut response = Response::new(Body::from(serde_json::to_vec(&told).unwrap_or_default()));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let seconds = session.expires_at.duration_since(session.used_at).as_secs();
    if let Some(cookie) = set_cookie(secret, seconds) {
        headers.insert(SET_COOKIE, cookie);
    }
    response
}

/// Why somebody was not let in, as a problem.
pub(super) fn refused(error: EntryError) -> Problem {
    use EntryError as E;
    let status = match error {
        E::Read(error) => return error::unreadable(error),
        E::Commit(error) => return error::uncommitted(error),
        E::Closed
        | E::Unknown
        | E::Stale
        | E::Refused(_)
        | E::StepUp
        | E::Provider
        | E::NotAdmitted
        | E::Taken => 403,
        E::NoProvider => 404,
        E::TooMany | E::NoName => 409,
        E::Name => return Problem::malformed(error.to_string()),
    };
    Problem::new(ProblemType::Unauthorized, error.to_string()).with_status(status)
}

/// What is noted of the visit that a request is.
pub(super) fn visit(parts: &Parts) -> Visit {
    let agent = parts.headers.get(header::USER_AGENT).and_then(|text| text.to_str().ok());
    Visit {
        request: parts.extensions.get::<RequestId>().map(|id| id.0.clone()).unwrap_or_default(),
        user_agent: agent.map(ToOwned::to_owned),
    }
}
