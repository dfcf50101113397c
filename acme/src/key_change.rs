//! Account key rollover (RFC 8555 §7.3.5): the inner JWS, by which the new key agrees. Whether the
//! new key already has an account is the caller's to find out.

use crate::algorithm::Algorithm;
use crate::json::Object;
use crate::jwk::Jwk;
use crate::jws::{Jws, KeyReference};
use crate::{Problem, ProblemType};

/// Checks a keyChange request, whose outer signature is already verified, and gives the new key.
///
/// `account_url` is the account that signed the outer JWS and `account_key` its present key.
///
/// # Errors
/// `malformed` for whatever breaks one of the nine checks of RFC 8555 §7.3.5;
/// `badSignatureAlgorithm` or `badPublicKey` as for any JWS.
pub fn new_key(outer: &Jws, account_url: &str, account_key: &Jwk) -> Result<Jwk, Problem> {
    let inner = Object::parse(&outer.payload, "the inner JWS")?;
    let inner = Jws::nested(inner.into_value(), Algorithm::SIGNATURES)?;
    let KeyReference::Jwk(new_key) = &inner.header.key else {
        return Err(Problem::malformed("the inner JWS must carry the new key as \"jwk\""));
    };
    inner.verify(new_key)?;
    if inner.header.url != outer.header.url {
        return Err(Problem::malformed("the inner JWS has another \"url\" than the outer"));
    }
    if inner.header.nonce.is_some() {
        return Err(Problem::malformed("the inner JWS must not have a nonce"));
    }
    let mut change = Object::parse(&inner.payload, "the key change")?;
    if change.required_string("account")? != account_url {
        return Err(Problem::malformed("\"account\" is not the account that signed the request"));
    }
    let Some(old_key) = change.take("oldKey") else {
        return Err(change.missing("oldKey"));
    };
    // A key that cannot even be read is not the account's: the same answer for both.
    if Jwk::from_value(old_key).ok().as_ref() != Some(account_key) {
        return Err(Problem::malformed("\"oldKey\" is not the account's present key"));
    }
    Ok(new_key.clone())
}

/// The answer when the new key already has an account (RFC 8555 §7.3.5): 409, and the caller adds
/// that account's URL as `Location`.
#[must_use]
pub fn conflict() -> Problem {
    Problem::new(ProblemType::Malformed, "the new key already has an account").with_status(409)
}
