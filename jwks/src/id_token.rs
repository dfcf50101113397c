//! ID tokens of identity providers (OpenID Connect Core §3.1.3.7): who signed in there, if all of it fits. A
//! token that says anything but what was asked for is refused whole.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use data_encoding::BASE64URL_NOPAD;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value};

use crate::algorithm::Algorithm;
use crate::export::is_signed_by;
use crate::jwk::Jwk;

/// What an ID token has to say.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// Who made it, letter for letter.
    pub issuer: &'a str,
    /// For whom: our client id there.
    pub client: &'a str,
    /// What was sent along with the question.
    pub nonce: &'a str,
    /// The present.
    pub now: Timestamp,
}

/// Checks an ID token and gives its claims. `sub` is among them, a text of 1 to 255 characters.
///
/// # Errors
/// [`BadIdToken`] says what does not fit.
pub fn verify(
    token: &str,
    keys: &[Jwk],
    expected: &Expected<'_>,
) -> Result<Map<String, Value>, BadIdToken> {
    if token.len() > MAX_LENGTH {
        return Err(BadIdToken::Malformed);
    }
    let mut parts = token.split('.').map(object);
    let (Some(Some(header)), Some(Some(claims))) = (parts.next(), parts.next()) else {
        return Err(BadIdToken::Malformed);
    };
    signed(token, &header, keys)?;
    addressed(&claims, expected)?;
    timely(&claims, expected.now)?;
    let nonce = text(&claims, "nonce").unwrap_or_default();
    verify_slices_are_equal(nonce.as_bytes(), expected.nonce.as_bytes())
        .map_err(|_| BadIdToken::Nonce)?;
    let subject = text(&claims, "sub").map_or(0, str::len);
    if subject == 0 || subject > MAX_SUBJECT { Err(BadIdToken::Subject) } else { Ok(claims) }
}

/// By a key of the provider that the header names, for what that key is used with.
fn signed(token: &str, header: &Map<String, Value>, keys: &[Jwk]) -> Result<(), BadIdToken> {
    let kid = text(header, "kid").ok_or(BadIdToken::Key)?;
    let algorithm: Algorithm =
        text(header, "alg").and_then(|name| name.parse().ok()).ok_or(BadIdToken::Algorithm)?;
    let named = |key: &&Jwk| key.kid.as_ref().is_some_and(|known| known.to_string() == kid);
    let mut named = keys.iter().filter(named);
    let (Some(key), None) = (named.next(), named.next()) else { return Err(BadIdToken::Key) };
    // A set need not say what a key is used with (RFC 7517 §4.4): then what it can be used with.
    if key.alg.is_none() && !key.key.suits(algorithm) {
        return Err(BadIdToken::Algorithm);
    }
    let key = Jwk { alg: key.alg.or(Some(algorithm)), ..key.clone() };
    is_signed_by(token, &key).map_err(|_| BadIdToken::Signature)
}

/// From whom it must be, and for us: where it is for others too, for us first (steps 2 to 5).
fn addressed(claims: &Map<String, Value>, expected: &Expected<'_>) -> Result<(), BadIdToken> {
    if text(claims, "iss") != Some(expected.issuer) {
        return Err(BadIdToken::Issuer);
    }
    let (ours, several) = match claims.get("aud") {
        Some(Value::String(one)) => (one == expected.client, false),
        Some(Value::Array(all)) => {
            (all.iter().any(|one| one.as_str() == Some(expected.client)), all.len() > 1)
        }
        _ => (false, false),
    };
    let party = claims.get("azp");
    let other = party.is_some_and(|party| party.as_str() != Some(expected.client));
    if !ours || other || (several && party.is_none()) { Err(BadIdToken::Audience) } else { Ok(()) }
}

/// Made just now, and good now; clocks may be a minute apart.
fn timely(claims: &Map<String, Value>, now: Timestamp) -> Result<(), BadIdToken> {
    let at = |name: &str| {
        claims.get(name).map(|value| value.as_i64().and_then(|at| Timestamp::from_second(at).ok()))
    };
    let (Some(Some(expires)), Some(Some(issued))) = (at("exp"), at("iat")) else {
        return Err(BadIdToken::Time);
    };
    let begins = match at("nbf") {
        None => issued,
        Some(begins) => begins.ok_or(BadIdToken::Time)?,
    };
    let age = now.duration_since(issued);
    let good = now.duration_since(expires) < SKEW
        && age < OLDEST
        && age > -SKEW
        && now.duration_since(begins) > -SKEW;
    if good { Ok(()) } else { Err(BadIdToken::Time) }
}

fn object(part: &str) -> Option<Map<String, Value>> {
    let octets = BASE64URL_NOPAD.decode(part.as_bytes()).ok()?;
    match crate::json::parse(&octets).ok()? {
        Value::Object(members) => Some(members),
        _ => None,
    }
}

fn text<'a>(members: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    members.get(name).and_then(Value::as_str)
}

/// An ID token that is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadIdToken {
    /// It is no signed token, or too long.
    #[error("the ID token cannot be read")]
    Malformed,
    /// It is signed with an algorithm that is not accepted.
    #[error("the ID token is signed with an algorithm that is not accepted")]
    Algorithm,
    /// It names no key of the provider, or the provider has several of that name.
    #[error("the ID token is signed with a key that the provider does not publish")]
    Key,
    /// The signature is wrong.
    #[error("the signature of the ID token is wrong")]
    Signature,
    /// It is of another provider.
    #[error("the ID token is of another issuer")]
    Issuer,
    /// It is for somebody else.
    #[error("the ID token is for another client")]
    Audience,
    /// It is too old, or not good yet.
    #[error("the ID token is not good at this time; compare the clocks")]
    Time,
    /// It answers another question.
    #[error("the ID token answers another question than ours")]
    Nonce,
    /// It does not say who it is about.
    #[error("the ID token does not say who it is about")]
    Subject,
}

const MAX_LENGTH: usize = 32 * 1024;
const MAX_SUBJECT: usize = 255;
const SKEW: SignedDuration = SignedDuration::from_mins(1);
/// It is taken moments after it was made.
const OLDEST: SignedDuration = SignedDuration::from_mins(10);

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::key::PrivateKey;

    struct Provider {
        key: PrivateKey,
        public: Jwk,
    }

    impl Provider {
        fn new() -> Self {
            let key = PrivateKey::generate(Algorithm::Es256, 2048).expect("a key");
            let kid = Some("one".parse().expect("a kid"));
            let public = Jwk::new(key.public_key().clone(), Algorithm::Es256, kid).expect("a JWK");
            Self { key, public }
        }

        fn token(&self, header: &Value, claims: &Value) -> String {
            let encode = |part: &Value| BASE64URL_NOPAD.encode(part.to_string().as_bytes());
            let signed = format!("{}.{}", encode(header), encode(claims));
            let signature = self.key.sign(signed.as_bytes()).expect("signed");
            format!("{signed}.{}", BASE64URL_NOPAD.encode(&signature))
        }
    }

    const NOW: i64 = 2_000_000_000;

    fn header() -> Value {
        json!({ "alg": "ES256", "kid": "one" })
    }

    fn claims() -> Value {
        json!({
            "iss": "https://id.example", "sub": "248289761001", "aud": "perennial",
            "exp": NOW + 300, "iat": NOW - 5, "nonce": "n-0S6_WzA2Mj", "groups": ["staff"],
        })
    }

    fn judge(token: &str, keys: &[Jwk]) -> Result<Map<String, Value>, BadIdToken> {
        let now = Timestamp::from_second(NOW).expect("a time");
        let expected = Expected {
            issuer: "https://id.example",
            client: "perennial",
            nonce: "n-0S6_WzA2Mj",
            now,
        };
        verify(token, keys, &expected)
    }

    #[test]
    fn a_token_that_fits_gives_its_claims_whether_or_not_the_key_says_its_algorithm() {
        let provider = Provider::new();
        let token = provider.token(&header(), &claims());
        let keys = [provider.public.clone()];
        assert_eq!(judge(&token, &keys).expect("claims")["groups"], json!(["staff"]));
        let silent = [Jwk { alg: None, ..provider.public }];
        assert!(judge(&token, &silent).is_ok());
    }

    #[test]
    fn a_claim_that_does_not_fit_is_named() {
        use BadIdToken::{Audience, Issuer, Nonce, Subject, Time};
        let provider = Provider::new();
        let keys = [provider.public.clone()];
        for (name, value, outcome) in [
            ("iss", json!("https://id.example/"), Err(Issuer)),
            ("iss", json!(null), Err(Issuer)),
            ("aud", json!("other"), Err(Audience)),
            ("aud", json!(["other"]), Err(Audience)),
            ("aud", json!(["perennial"]), Ok(())),
            ("aud", json!(["perennial", "other"]), Err(Audience)),
            ("aud", json!(7), Err(Audience)),
            ("azp", json!("other"), Err(Audience)),
            ("azp", json!("perennial"), Ok(())),
            ("exp", json!(NOW - 60), Err(Time)),
            ("exp", json!(NOW - 59), Ok(())),
            ("exp", json!("2033"), Err(Time)),
            ("exp", json!(null), Err(Time)),
            ("iat", json!(NOW + 61), Err(Time)),
            ("iat", json!(NOW - 601), Err(Time)),
            ("iat", json!(null), Err(Time)),
            ("nbf", json!(NOW + 61), Err(Time)),
            ("nbf", json!("soon"), Err(Time)),
            ("nonce", json!("other"), Err(Nonce)),
            ("nonce", json!(null), Err(Nonce)),
            ("sub", json!(""), Err(Subject)),
            ("sub", json!(7), Err(Subject)),
            ("sub", json!("x".repeat(256)), Err(Subject)),
        ] {
            let mut claims = claims();
            claims[name] = value.clone();
            let seen = judge(&provider.token(&header(), &claims), &keys).map(|_| ());
            assert_eq!(seen, outcome, "{name} {value}");
        }
    }

    #[test]
    fn a_token_of_another_key_algorithm_or_form_is_refused() {
        use BadIdToken::{Algorithm as Alg, Key, Malformed, Signature};
        let (provider, other) = (Provider::new(), Provider::new());
        let keys = [provider.public.clone()];
        let good = provider.token(&header(), &claims());
        let with = |name: &str, value: Value| {
            let mut header = header();
            header[name] = value;
            provider.token(&header, &claims())
        };
        let (head, rest) = good.split_once('.').expect("parts");
        let none = BASE64URL_NOPAD.encode(br#"{"alg":"none","kid":"one"}"#);
        for (token, outcome) in [
            (with("alg", json!("none")), Alg),
            (with("alg", json!("HS256")), Alg),
            (with("alg", json!("RS256")), Signature),
            (with("kid", json!("two")), Key),
            (with("kid", json!(null)), Key),
            (with("crit", json!(["x"])), Signature),
            (other.token(&header(), &claims()), Signature),
            (format!("{none}.{rest}"), Alg),
            (format!("{head}.{rest}."), Signature),
            (good[..good.len() - 2].to_owned(), Signature),
            (head.to_owned(), Malformed),
            (String::new(), Malformed),
            ("a".repeat(40_000), Malformed),
        ] {
            assert_eq!(judge(&token, &keys), Err(outcome), "{token}");
        }
        let twice = [provider.public.clone(), Jwk { ..other.public }];
        assert_eq!(judge(&good, &twice), Err(Key), "two keys of one name");
        assert_eq!(judge(&good, &[]), Err(Key));
    }
}
