//! External account binding (RFC 8555 §7.3.4): a MAC by which an account outside ACME vouches for
//! an ACME account key. Which MAC keys exist, and whether one was used up, is the caller's.

use std::fmt;

use aws_lc_rs::hmac;
use serde_json::Value;

use crate::algorithm::Algorithm;
use crate::json::Object;
use crate::jwk::Jwk;
use crate::jws::{Jws, KeyReference};
use crate::{Problem, ProblemType};

/// A binding as received: well-formed, but worth nothing before [`ExternalBinding::verify`].
#[derive(Clone, Debug)]
pub struct ExternalBinding {
    kid: String,
    jws: Jws,
    received: Value,
}

impl fmt::Display for ExternalBinding {
    /// The binding as it was received, JSON: the account shows it (RFC 8555 §7.3.4).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.received.fmt(f)
    }
}

impl ExternalBinding {
    /// Reads the member `externalAccountBinding` of a newAccount payload.
    ///
    /// # Errors
    /// `malformed`, or `badSignatureAlgorithm` unless it uses a MAC.
    pub fn parse(value: Value) -> Result<Self, Problem> {
        let jws = Jws::nested(value.clone(), Algorithm::MACS)?;
        let KeyReference::Kid(kid) = &jws.header.key else {
            return Err(Problem::malformed("the external account binding has no \"kid\""));
        };
        if kid.is_empty() || kid.len() > MAX_KID {
            return Err(Problem::malformed("the external account binding's \"kid\" is unusable"));
        }
        if jws.header.nonce.is_some() {
            return Err(Problem::malformed("the external account binding must not have a nonce"));
        }
        Ok(Self { kid: kid.clone(), jws, received: value })
    }

    /// The identifier of the MAC key it claims to be made with.
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// Checks that the holder of `mac_key` bound it to `account_key` for `url`, the URL of the
    /// newAccount request that carries it.
    ///
    /// # Errors
    /// `unauthorized` if the MAC is wrong, `malformed` if it binds something else.
    pub fn verify(&self, mac_key: &[u8], account_key: &Jwk, url: &str) -> Result<(), Problem> {
        let hash = match self.jws.header.algorithm {
            Algorithm::Hs384 => hmac::HMAC_SHA384,
            Algorithm::Hs512 => hmac::HMAC_SHA512,
            _ => hmac::HMAC_SHA256,
        };
        let (message, tag) = self.jws.signed();
        // `hmac::verify` compares the whole tag in constant time; a truncated one is refused.
        if mac_key.is_empty() || hmac::verify(&hmac::Key::new(hash, mac_key), message, tag).is_err()
        {
            return Err(unknown_key());
        }
        if self.jws.header.url != url {
            return Err(Problem::malformed(
                "the external account binding has another \"url\" than the request",
            ));
        }
        let bound = Object::parse(&self.jws.payload, "the bound key").and_then(Jwk::from_object)?;
        if bound != *account_key {
            return Err(Problem::malformed(
                "the external account binding is for another account key",
            ));
        }
        Ok(())
    }
}

/// The answer to an unknown, used-up or wrong MAC key: one text for all, so that none can be
/// told from another.
#[must_use]
pub fn unknown_key() -> Problem {
    Problem::new(
        ProblemType::Unauthorized,
        "the external account binding's key is unknown, no longer usable, or did not make this MAC",
    )
}

const MAX_KID: usize = 256;
