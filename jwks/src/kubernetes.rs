//! A keyset that signs for kube-apiserver (KEP-740): what its claims must say, since they are signed
//! as they are given; which keys it can read; and how it caches them. How it asks is not known here.

use data_encoding::BASE64URL_NOPAD;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value};

use crate::algorithm::Algorithm;
use crate::consumer::Consumer;
use crate::policy::Settings;
use crate::token::{BadToken, Bounds, Payload, Signer, named, time};
use crate::window::{plus, words};

/// Whether kube-apiserver takes tokens that are signed so. It refuses others, and one key that it
/// cannot name in its own JWKS keeps it from publishing any.
#[must_use]
pub fn knows(algorithm: Algorithm) -> bool {
    matches!(algorithm, Algorithm::Rs256 | Algorithm::Es256 | Algorithm::Es384)
}

/// The shortest longest lifetime of a token with which kube-apiserver starts.
pub const SHORTEST_LIFETIME: SignedDuration = SignedDuration::from_secs(600);

/// How far its clock may be ahead of ours.
pub const CLOCK: SignedDuration = SignedDuration::from_mins(1);

/// Counts kube-apiserver in: what it caches, for at most the `max_age` it is told as a hint, and
/// that it dates tokens by its own clock.
pub fn count_in(settings: &mut Settings) {
    settings.consumers.retain(|consumer| consumer.name != Consumer::KUBERNETES);
    settings.consumers.push(Consumer::kubernetes(settings.max_age));
    settings.signer_lag += CLOCK;
}

impl Bounds {
    /// Accepts the claims of a service account as kube-apiserver gives them at `now`: the second
    /// segment of a JWT, which is signed as it is.
    ///
    /// # Errors
    /// [`BadClaims`] says what is wrong, and what to do.
    pub fn service_account(&self, claims: &str, now: Timestamp) -> Result<Payload, BadClaims> {
        if claims.len() > self.max_payload.div_ceil(3) * 4 {
            return Err(BadToken::TooLarge(claims.len() / 4 * 3, self.max_payload).into());
        }
        let json = BASE64URL_NOPAD.decode(claims.as_bytes()).map_err(|_| BadClaims::Encoding)?;
        // With a member that is there twice, a consumer could read another exp than is read here.
        let parsed = crate::json::parse(&json).map_err(|e| BadToken::Json(e.to_string()))?;
        let Value::Object(members) = parsed else {
            return Err(BadToken::Json("it is no object".to_owned()).into());
        };
        self.check_given_issuer(&members)?;
        named(&members, "aud", &self.audiences)?;
        named(&members, "sub", &self.subjects)?;
        self.check_given_times(&members, now)?;
        Ok(self.whole(json)?)
    }

    fn check_given_issuer(&self, claims: &Map<String, Value>) -> Result<(), BadClaims> {
        match claims.get("iss") {
            Some(Value::String(issuer)) if *issuer == self.issuer => Ok(()),
            Some(Value::String(issuer)) => Err(BadClaims::Issuer {
                given: issuer.chars().take(256).collect(),
                declared: self.issuer.clone(),
            }),
            _ => Err(BadToken::Claim("iss", "must be text").into()),
        }
    }

    fn check_given_times(
        &self,
        claims: &Map<String, Value>,
        now: Timestamp,
    ) -> Result<(), BadClaims> {
        let needed = |name| time(claims, name)?.ok_or(BadToken::Claim(name, "is missing"));
        let (iat, exp) = (needed("iat")?, needed("exp")?);
        time(claims, "nbf")?;
        if iat > plus(now, CLOCK).as_second() {
            return Err(BadClaims::Ahead(words(SignedDuration::from_secs(iat - now.as_second()))));
        }
        if exp <= now.as_second() {
            return Err(BadClaims::Past);
        }
        if exp - iat > self.longest.as_secs() {
            return Err(BadClaims::Lifetime {
                asked: words(SignedDuration::from_secs(exp - iat)),
                longest: words(self.longest),
            });
        }
        Ok(())
    }
}

/// What kube-apiserver puts before and after the claims, each encoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    /// `alg`, `kid` and `typ`, and nothing else.
    pub header: String,
    /// The signature.
    pub signature: String,
}

/// Signs claims of a service account.
///
/// # Errors
/// When the library fails.
pub fn sign(signer: &Signer, payload: &Payload) -> Result<Signed, BadToken> {
    let token = signer.jwt(payload)?;
    // A JWT has three segments.
    let (header, rest) = token.split_once('.').unwrap_or_default();
    let (_, signature) = rest.split_once('.').unwrap_or_default();
    Ok(Signed { header: header.to_owned(), signature: signature.to_owned() })
}

/// Claims that are not signed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadClaims {
    /// The caller: not the second segment of a JWT.
    #[error("the claims are not base64url without padding, as in the second segment of a JWT")]
    Encoding,
    /// The caller: too large, not JSON, or a claim that cannot be or is not allowed.
    #[error(transparent)]
    Claims(#[from] BadToken),
    /// Who runs the two: they name different issuers.
    #[error(
        "the claim \"iss\" is {given:?}, but the keyset's issuer is {declared:?}: start \
         kube-apiserver with --service-account-issuer={declared}, or declare the other issuer"
    )]
    Issuer {
        /// What kube-apiserver says.
        given: String,
        /// What is declared.
        declared: String,
    },
    /// Who runs the two: token_lifetime was shortened meanwhile.
    #[error(
        "the token would live {asked}, longer than token_lifetime, which is {longest}: restart \
         kube-apiserver, which read that when it started, or declare a longer one"
    )]
    Lifetime {
        /// `exp - iat`.
        asked: String,
        /// The keyset's longest.
        longest: String,
    },
    /// Who runs the two: `iat` lies so far ahead.
    #[error("the token is issued {0} from now: set the clock of this machine or of kube-apiserver")]
    Ahead(String),
    /// Who runs the two: `exp` is over.
    #[error("the token has expired: set the clock of this machine or of kube-apiserver")]
    Past,
}
