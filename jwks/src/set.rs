//! The published set: the body of `jwks.json` and of a SPIFFE bundle, linted before anybody sees it,
//! and the sets that others serve, read within limits. The same keys give the same bytes.

use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::BASE64URL_NOPAD;
use serde::Serialize;
use serde_json::Value;

use crate::algorithm::Algorithm;
use crate::jwk::{BadKey, Jwk, Kid};

/// A body that passed the lint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// The JSON text.
    pub body: Vec<u8>,
    /// A strong entity tag, with its quotation marks (RFC 9110 §8.8.3): from the SHA-256 of the body.
    pub etag: String,
}

/// For whom a set is published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// Consumers that may break at a key of type AKP.
    Classical,
    /// Consumers that know ML-DSA.
    PostQuantum,
}

impl Published {
    /// The body of `jwks.json` (RFC 7517 §5): these keys in this order.
    ///
    /// # Errors
    /// [`BadSet`] says what the lint found; nothing may be published then.
    pub fn new(keys: &[Jwk], profile: Profile) -> Result<Self, BadSet> {
        let body = Body { keys: written(keys, "sig"), sequence: None, refresh_hint: None };
        Self::linted(&body, keys, profile)
    }

    fn linted(body: &impl Serialize, keys: &[Jwk], profile: Profile) -> Result<Self, BadSet> {
        let body = serde_json::to_vec(body).map_err(|e| BadSet::Json(e.to_string()))?;
        lint(&body, keys, profile)?;
        let tag = BASE64URL_NOPAD.encode(digest(&SHA256, &body).as_ref());
        Ok(Self { etag: format!("\"{tag}\""), body })
    }
}

/// A SPIFFE bundle's own members (SPIFFE Trust Domain and Bundle §4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bundle {
    /// Grows with every change of the set.
    pub sequence: u64,
    /// How often it should be fetched, in seconds.
    pub refresh_hint: u32,
}

impl Bundle {
    /// The bundle of these keys, for JWT-SVIDs; keys without a kid cannot be in one.
    ///
    /// # Errors
    /// [`BadSet`] says what the lint found; nothing may be published then.
    pub fn publish(self, keys: &[Jwk], profile: Profile) -> Result<Published, BadSet> {
        // There, certificates are for X.509-SVIDs.
        let keys: Vec<Jwk> =
            keys.iter().map(|key| Jwk { x5c: Vec::new(), ..key.clone() }).collect();
        let keys = keys.as_slice();
        let body = Body {
            keys: written(keys, "jwt-svid"),
            sequence: Some(self.sequence),
            refresh_hint: Some(self.refresh_hint),
        };
        Published::linted(&body, keys, profile)
    }
}

/// A set as an edge serves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Served {
    /// The keys that are known here.
    pub keys: Vec<Jwk>,
    /// How many were left out: of an unknown type (RFC 7517 §5), or malformed.
    pub ignored: usize,
    /// The kid of a key that came with its private half: it is not secret any more.
    pub leaked: Option<String>,
}

impl Served {
    /// Reads at most 256 KiB with at most 100 keys. One that is not understood harms no other.
    ///
    /// # Errors
    /// [`BadSet`] when it is no JWK set, or is too large.
    pub fn parse(body: &[u8]) -> Result<Self, BadSet> {
        if body.len() > MAX_BODY {
            return Err(BadSet::TooLarge(body.len()));
        }
        let set = crate::json::parse(body).map_err(|e| BadSet::Json(e.to_string()))?;
        let keys = set.get("keys").and_then(Value::as_array).ok_or(BadSet::NoKeys)?;
        if keys.len() > MAX_KEYS {
            return Err(BadSet::TooMany(keys.len()));
        }
        let mut served = Self { keys: Vec::new(), ignored: 0, leaked: None };
        for key in keys {
            let read = key.as_object().map(Jwk::from_members);
            match read {
                Some(Ok(jwk)) => served.keys.push(jwk),
                Some(Err(BadKey::Private(_))) => {
                    let kid = key.get("kid").and_then(Value::as_str).unwrap_or("without a kid");
                    served.leaked.get_or_insert(kid.chars().take(256).collect());
                    served.ignored += 1;
                }
                Some(Err(_)) | None => served.ignored += 1,
            }
        }
        Ok(served)
    }

    /// Whether it has this key under its kid, to be used with its algorithm if it says one.
    #[must_use]
    pub fn serves(&self, jwk: &Jwk) -> bool {
        self.keys.iter().any(|key| {
            key.key == jwk.key && key.kid == jwk.kid && (key.alg.is_none() || key.alg == jwk.alg)
        })
    }
}

/// A set that must not be published, or cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadSet {
    /// So many octets.
    #[error("the key set has {0} octets: at most {MAX_BODY} are read")]
    TooLarge(usize),
    /// So many keys.
    #[error("the key set has {0} keys: at most {MAX_KEYS} are read")]
    TooMany(usize),
    /// Not JSON, or not acceptable.
    #[error("the key set is not acceptable JSON: {0}")]
    Json(String),
    /// RFC 7517 §5.1.
    #[error("the key set has no array \"keys\"")]
    NoKeys,
    /// Two keys, one name.
    #[error("two keys of the set have the kid {0}")]
    SameKid(Kid),
    /// A key without a name or an algorithm.
    #[error("a key of the set has no kid, or no alg")]
    Unnamed,
    /// A key of another type than its algorithm's.
    #[error("key {0} cannot be used with {1}, as it says")]
    Algorithm(Kid, Algorithm),
    /// A key whose first certificate is another one's (RFC 7517 §4.7).
    #[error("the certificate of key {0} is for another key")]
    Certificate(Kid),
    /// A key that consumers of this profile may not know.
    #[error("key {0} does not belong in this publication profile: publish it in a set of its own")]
    Profile(Kid),
    /// What was written is not what is read.
    #[error("key {0} is not read back from the set as it was written")]
    Unreadable(Kid),
    /// What was written would give a secret away.
    #[error("the set has a private member")]
    Private,
}

#[derive(Serialize)]
struct Body<K: Serialize> {
    #[serde(rename = "spiffe_sequence", skip_serializing_if = "Option::is_none")]
    sequence: Option<u64>,
    #[serde(rename = "spiffe_refresh_hint", skip_serializing_if = "Option::is_none")]
    refresh_hint: Option<u32>,
    keys: Vec<K>,
}

fn written<'a>(keys: &'a [Jwk], usage: &'a str) -> Vec<impl Serialize + 'a> {
    keys.iter().map(|key| key.published(usage)).collect()
}

/// Looks at the bytes as a consumer would, against what was meant.
fn lint(body: &[u8], keys: &[Jwk], profile: Profile) -> Result<(), BadSet> {
    for (place, jwk) in keys.iter().enumerate() {
        let (Some(kid), Some(algorithm)) = (&jwk.kid, jwk.alg) else { return Err(BadSet::Unnamed) };
        if keys[..place].iter().any(|other| other.kid.as_ref() == Some(kid)) {
            return Err(BadSet::SameKid(kid.clone()));
        }
        if !jwk.key.suits(algorithm) {
            return Err(BadSet::Algorithm(kid.clone(), algorithm));
        }
        if jwk.x5c.first().is_some_and(|der| !holds(der, &jwk.key.spki())) {
            return Err(BadSet::Certificate(kid.clone()));
        }
        if algorithm.is_classical() != (profile == Profile::Classical) {
            return Err(BadSet::Profile(kid.clone()));
        }
    }
    let served = Served::parse(body)?;
    if served.leaked.is_some() {
        return Err(BadSet::Private);
    }
    let unread = keys.iter().enumerate().find(|(place, jwk)| served.keys.get(*place) != Some(jwk));
    match unread {
        Some((_, jwk)) => Err(jwk.kid.clone().map_or(BadSet::Unnamed, BadSet::Unreadable)),
        None => Ok(()),
    }
}

/// Whether these octets are in those.
fn holds(all: &[u8], some: &[u8]) -> bool {
    all.windows(some.len()).any(|window| window == some)
}

const MAX_BODY: usize = 256 * 1024;
const MAX_KEYS: usize = 100;
