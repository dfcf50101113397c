//! Which tokens may be signed, and how one is written. Claims are bounded before they are signed:
//! whom they are from, for whom, about whom and for how long. A payload that is given as it is is
//! bounded in size and in lifetime. Whether a caller may sign at all is asked elsewhere.

use std::fmt;
use std::str::FromStr;

use data_encoding::BASE64URL_NOPAD;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value};

use crate::jwk::Kid;
use crate::key::{KeyError, PrivateKey};
use crate::window::{plus, words};

/// What tokens of a caller may say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The keyset's issuer.
    pub issuer: String,
    /// The longest lifetime: the keyset's, or less.
    pub longest: SignedDuration,
    /// Which audiences may be named. Without `*` among them there must be one.
    pub audiences: Vec<Pattern>,
    /// Which subjects may be named. Without `*` among them there must be one.
    pub subjects: Vec<Pattern>,
    /// The largest payload in octets.
    pub max_payload: usize,
}

impl Bounds {
    /// The largest payload, unless another is set: with an ML-DSA signature it still goes into most
    /// servers' header limits.
    pub const MAX_PAYLOAD: usize = 4096;

    /// Reads claims from JSON and makes them fit to sign at `now`: `iss` is the issuer, `iat` is now,
    /// `nbf` is now unless given, `exp` is the longest lifetime from now unless given and sooner,
    /// `jti` is the one handed in unless given.
    ///
    /// # Errors
    /// [`BadToken`] says which claim is at fault, and why.
    pub fn claims(&self, json: &[u8], jti: &str, now: Timestamp) -> Result<Payload, BadToken> {
        if json.len() > self.max_payload {
            return Err(BadToken::TooLarge(json.len(), self.max_payload));
        }
        let parsed = crate::json::parse(json).map_err(|e| BadToken::Json(e.to_string()))?;
        let Value::Object(mut claims) = parsed else {
            return Err(BadToken::Json("it is no object".to_owned()));
        };
        self.check_issuer(&claims)?;
        named(&claims, "aud", &self.audiences)?;
        named(&claims, "sub", &self.subjects)?;
        self.bound_times(&mut claims, now)?;
        claims.insert("iss".to_owned(), self.issuer.as_str().into());
        match claims.get("jti") {
            None => _ = claims.insert("jti".to_owned(), jti.into()),
            Some(Value::String(text)) if (1..=256).contains(&text.len()) => {}
            Some(_) => return Err(BadToken::Claim("jti", "must be a short string")),
        }
        // What was added is counted too.
        self.whole(Value::Object(claims).to_string().into_bytes())
    }

    /// Accepts a payload as it is, signed at `now`. If it is a claims set, it must not outlive the
    /// longest lifetime: the key would be gone before it.
    ///
    /// # Errors
    /// [`BadToken::TooLarge`], [`BadToken::Lifetime`], or what makes its `exp` unreadable.
    pub fn payload(&self, payload: Vec<u8>, now: Timestamp) -> Result<Payload, BadToken> {
        let payload = self.whole(payload)?;
        let Ok(Value::Object(_)) = serde_json::from_slice(&payload.0) else { return Ok(payload) };
        // With a member that is there twice, a consumer could read another exp than is read here.
        let claims = crate::json::parse(&payload.0).map_err(|e| BadToken::Json(e.to_string()))?;
        if let Some(exp) = claims.get("exp") {
            let exp = exp.as_f64().ok_or(BadToken::Claim("exp", "must be a number"))?;
            #[expect(clippy::cast_precision_loss, reason = "seconds since 1970 fit a double")]
            let latest = self.latest(now) as f64;
            if exp > latest {
                return Err(BadToken::Lifetime(words(self.longest)));
            }
        }
        Ok(payload)
    }

    /// Accepts a payload for a JWS that is no JWT, signed at `now`. What might be read as claims must be
    /// claims that could be signed as a token anyway, all of them given: whoever does not look at `typ`
    /// would take it for one (RFC 8725 §3.11, §3.12).
    ///
    /// # Errors
    /// As for [`payload`](Self::payload), and [`BadToken`] as for [`claims`](Self::claims).
    pub fn opaque(&self, payload: Vec<u8>, now: Timestamp) -> Result<Payload, BadToken> {
        let payload = self.payload(payload, now)?;
        if !begins_an_object(&payload.0) {
            return Ok(payload);
        }
        let parsed = crate::json::parse(&payload.0).map_err(|e| BadToken::Json(e.to_string()))?;
        let Value::Object(mut claims) = parsed else {
            return Err(BadToken::Json("it is no object".to_owned()));
        };
        for name in ["iss", "exp", "iat"] {
            if !claims.contains_key(name) {
                return Err(BadToken::Claim(
                    name,
                    "is missing: a JSON object could pass as claims",
                ));
            }
        }
        self.check_issuer(&claims)?;
        named(&claims, "aud", &self.audiences)?;
        named(&claims, "sub", &self.subjects)?;
        if time(&claims, "iat")? > Some(now.as_second()) {
            return Err(BadToken::Claim("iat", "is in the future"));
        }
        self.bound_times(&mut claims, now)?;
        Ok(payload)
    }

    fn whole(&self, payload: Vec<u8>) -> Result<Payload, BadToken> {
        if payload.len() > self.max_payload {
            return Err(BadToken::TooLarge(payload.len(), self.max_payload));
        }
        Ok(Payload(payload))
    }

    fn check_issuer(&self, claims: &Map<String, Value>) -> Result<(), BadToken> {
        match claims.get("iss") {
            Some(iss) if iss.as_str() != Some(&self.issuer) => {
                Err(BadToken::Claim("iss", "is another issuer's: leave it out"))
            }
            _ => Ok(()),
        }
    }

    fn bound_times(&self, claims: &mut Map<String, Value>, now: Timestamp) -> Result<(), BadToken> {
        let (iat, latest) = (now.as_second(), self.latest(now));
        let nbf = time(claims, "nbf")?.unwrap_or(iat);
        let exp = time(claims, "exp")?.unwrap_or(latest);
        if exp > latest {
            return Err(BadToken::Lifetime(words(self.longest)));
        }
        if exp <= iat {
            return Err(BadToken::Claim("exp", "is in the past"));
        }
        if nbf >= exp {
            return Err(BadToken::Claim("nbf", "is not before exp"));
        }
        for (name, value) in [("iat", iat), ("nbf", nbf), ("exp", exp)] {
            claims.insert(name.to_owned(), value.into());
        }
        Ok(())
    }

    /// The latest `exp`, in seconds since 1970.
    fn latest(&self, now: Timestamp) -> i64 {
        plus(now, self.longest).as_second()
    }
}

/// Whether a `typ` is that of a JWT, of an access token or of any other kind of JWT (RFC 7519 §5.1, RFC
/// 9068 §2.1, RFC 8725 §3.11): a payload of such a type would be taken for one.
#[must_use]
pub fn is_jwt_type(typ: &str) -> bool {
    let lower = typ.to_ascii_lowercase();
    let short = lower.strip_prefix("application/").unwrap_or(&lower);
    let short = short.split(';').next().unwrap_or(short);
    short == "jwt" || short.ends_with("+jwt")
}

/// Whether some reader of JSON, however lenient, could take it for an object.
fn begins_an_object(payload: &[u8]) -> bool {
    // White space, other controls, and the octets of byte order marks.
    let skipped =
        |octet: &&u8| **octet <= b' ' || matches!(octet, 0xef | 0xbb | 0xbf | 0xfe | 0xff);
    let mut seen = payload.iter().skip_while(skipped);
    // Some readers skip comments.
    matches!((seen.next(), seen.next()), (Some(b'{'), _) | (Some(b'/'), Some(b'/' | b'*')))
}

/// A payload within its bounds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payload(Vec<u8>);

impl Payload {
    /// Its octets.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Text that is allowed: exactly, or with a trailing `*`, whatever begins with what is before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(String);

impl Pattern {
    /// Whether `text` is allowed.
    #[must_use]
    pub fn allows(&self, text: &str) -> bool {
        match self.0.strip_suffix('*') {
            Some(beginning) => text.starts_with(beginning),
            None => text == self.0,
        }
    }
}

impl FromStr for Pattern {
    type Err = BadPattern;

    fn from_str(text: &str) -> Result<Self, BadPattern> {
        let inner = text.strip_suffix('*').unwrap_or(text);
        if text.is_empty() || text.len() > 1024 || inner.contains('*') {
            return Err(BadPattern(text.chars().take(64).collect()));
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Text that is no pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no pattern: write the exact text, or its beginning and one * at the end")]
pub struct BadPattern(String);

/// A key that is ready to sign, with what does not change from token to token.
#[derive(Debug)]
pub struct Signer {
    key: PrivateKey,
    kid: Kid,
    /// The encoded header of a JWT, and its dot.
    header: String,
}

impl Signer {
    /// Signs under this kid.
    #[must_use]
    pub fn new(key: PrivateKey, kid: Kid) -> Self {
        let header = header(&key, &kid, Some("JWT"));
        Self { key, kid, header }
    }

    /// The key's name.
    #[must_use]
    pub fn kid(&self) -> &Kid {
        &self.kid
    }

    /// The key.
    #[must_use]
    pub fn key(&self) -> &PrivateKey {
        &self.key
    }

    /// A JWT: a JWS in compact serialization (RFC 7515 §7.1) of `typ` JWT.
    ///
    /// # Errors
    /// [`BadToken::Key`] when the library fails.
    pub fn jwt(&self, payload: &Payload) -> Result<String, BadToken> {
        self.sign(&self.header, payload)
    }

    /// A JWS of another `typ` (RFC 7515 §4.1.9), such as `at+jwt`, or of none.
    ///
    /// # Errors
    /// [`BadToken::Type`] when it is no media type's name; [`BadToken::Key`] when the library fails.
    pub fn jws(&self, typ: Option<&str>, payload: &Payload) -> Result<String, BadToken> {
        if typ.is_some_and(|typ| !is_media_type(typ)) {
            return Err(BadToken::Type);
        }
        self.sign(&header(&self.key, &self.kid, typ), payload)
    }

    fn sign(&self, header: &str, payload: &Payload) -> Result<String, BadToken> {
        // Room for the payload and for all signatures but those of ML-DSA.
        let mut token = String::with_capacity(header.len() + payload.0.len() * 4 / 3 + 768);
        token.push_str(header);
        BASE64URL_NOPAD.encode_append(&payload.0, &mut token);
        let signature = self.key.sign(token.as_bytes())?;
        token.push('.');
        BASE64URL_NOPAD.encode_append(&signature, &mut token);
        Ok(token)
    }
}

/// Whether it can be a `typ`.
#[must_use]
pub fn is_media_type(typ: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "!#$&-^_+./".contains(c);
    (1..=127).contains(&typ.len()) && typ.chars().all(allowed)
}

fn header(key: &PrivateKey, kid: &Kid, typ: Option<&str>) -> String {
    #[derive(serde::Serialize)]
    struct Header<'a> {
        alg: &'a str,
        kid: &'a Kid,
        #[serde(skip_serializing_if = "Option::is_none")]
        typ: Option<&'a str>,
    }
    let header = Header { alg: key.algorithm().name(), kid, typ };
    // A struct of strings cannot fail to be written.
    let json = serde_json::to_vec(&header).unwrap_or_default();
    BASE64URL_NOPAD.encode(&json) + "."
}

/// A claim that is text, or for `aud` also an array of texts (RFC 7519 §4.1.3): all allowed.
fn named(
    claims: &Map<String, Value>,
    name: &'static str,
    patterns: &[Pattern],
) -> Result<(), BadToken> {
    let texts: Vec<&str> = match claims.get(name) {
        None if patterns.iter().any(|pattern| pattern.0 == "*") => return Ok(()),
        None => return Err(BadToken::Claim(name, "is missing")),
        Some(Value::String(text)) => vec![text],
        Some(Value::Array(values)) if name == "aud" && (1..=16).contains(&values.len()) => {
            let texts: Option<Vec<&str>> = values.iter().map(Value::as_str).collect();
            texts.ok_or(BadToken::Claim(name, "must be text, or an array of texts"))?
        }
        Some(_) => return Err(BadToken::Claim(name, "must be text")),
    };
    let refused = texts.iter().find(|text| !patterns.iter().any(|pattern| pattern.allows(text)));
    match refused {
        Some(text) => Err(BadToken::NotAllowed(name, text.chars().take(128).collect())),
        None => Ok(()),
    }
}

/// A NumericDate (RFC 7519 §2) in whole seconds.
fn time(claims: &Map<String, Value>, name: &'static str) -> Result<Option<i64>, BadToken> {
    let whole = |value: &Value| value.as_i64().filter(|second| *second >= 0);
    match claims.get(name) {
        None => Ok(None),
        Some(value) => {
            whole(value).map(Some).ok_or(BadToken::Claim(name, "must be whole seconds since 1970"))
        }
    }
}

/// A token that is not signed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadToken {
    /// The caller: so many octets, of so many.
    #[error("the payload has {0} octets: at most {1} are signed")]
    TooLarge(usize, usize),
    /// The caller: not a JSON object.
    #[error("the claims are not acceptable JSON: {0}")]
    Json(String),
    /// The caller: a claim that cannot be.
    #[error("the claim {0:?} {1}")]
    Claim(&'static str, &'static str),
    /// The caller: a claim that its policy does not allow.
    #[error("the claim {0:?} may not be {1:?}: the policy does not allow it")]
    NotAllowed(&'static str, String),
    /// The caller: too long a life.
    #[error("the token would live longer than {0}: ask for an earlier exp, or leave it out")]
    Lifetime(String),
    /// The caller: no media type.
    #[error("typ is no media type")]
    Type,
    /// We.
    #[error(transparent)]
    Key(#[from] KeyError),
}
