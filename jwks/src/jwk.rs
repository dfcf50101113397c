//! Public keys as JSON Web Keys (RFC 7517, RFC 7518 §6, RFC 8037, RFC 9964): ours as they are
//! published, members in a fixed order, and others' as they are read. A [`Jwk`] has no place for a
//! private member.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::{BASE64, BASE64URL_NOPAD};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use crate::algorithm::Algorithm;
pub use crate::public_key::{BadKey, PublicKey};
use crate::public_key::{Form, curve_name};

/// The name of a key in its set (RFC 7517 §4.5): 1 to 256 octets without control characters.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Kid(Box<str>);

impl Kid {
    /// The usual one: the key's RFC 7638 thumbprint.
    #[must_use]
    pub fn of(key: &PublicKey) -> Self {
        Self(key.thumbprint().into())
    }

    /// Its text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Kid {
    type Err = BadKey;

    fn from_str(text: &str) -> Result<Self, BadKey> {
        let fits = (1..=256).contains(&text.len()) && !text.chars().any(char::is_control);
        if fits { Ok(Self(text.into())) } else { Err(BadKey::Kid) }
    }
}

impl fmt::Display for Kid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Kid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

impl Serialize for Kid {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Kid {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A public key as it is published or was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Jwk {
    /// The key.
    pub key: PublicKey,
    /// Its name; ours always have one.
    pub kid: Option<Kid>,
    /// The algorithm it is used with; ours always say it.
    pub alg: Option<Algorithm>,
    /// The certificate chain (RFC 7517 §4.7), DER, the key's own certificate first; usually empty.
    pub x5c: Vec<Vec<u8>>,
}

impl Jwk {
    /// A key for publication with `algorithm`. Its kid is the thumbprint unless one is given.
    ///
    /// # Errors
    /// [`BadKey::Member`] when the key is of another type than the algorithm's.
    pub fn new(key: PublicKey, algorithm: Algorithm, kid: Option<Kid>) -> Result<Self, BadKey> {
        if !key.suits(algorithm) {
            return Err(BadKey::Member("alg"));
        }
        let kid = kid.unwrap_or_else(|| Kid::of(&key));
        Ok(Self { key, kid: Some(kid), alg: Some(algorithm), x5c: Vec::new() })
    }

    /// Reads one JWK from JSON text, such as [`Jwk`]'s `Display` writes for storage.
    ///
    /// # Errors
    /// [`BadKey`] says what is wrong; [`BadKey::Member`] with `kty` for a type not known here.
    pub fn parse(text: &str) -> Result<Self, BadKey> {
        if text.len() > MAX_JWK {
            return Err(BadKey::Member("kty"));
        }
        match crate::json::parse(text.as_bytes()) {
            Ok(Value::Object(members)) => Self::from_members(&members),
            _ => Err(BadKey::Member("kty")),
        }
    }

    /// Reads a JWK's members. Those not known here are ignored (RFC 7517 §4).
    pub(crate) fn from_members(members: &Map<String, Value>) -> Result<Self, BadKey> {
        if let Some(name) = PRIVATE.into_iter().find(|name| members.contains_key(*name)) {
            return Err(BadKey::Private(name));
        }
        let alg = text(members, "alg").ok().and_then(|name| name.parse::<Algorithm>().ok());
        let key = match text(members, "kty")? {
            "RSA" => PublicKey::rsa(octets(members, "n")?, octets(members, "e")?)?,
            "EC" => {
                let curve = match text(members, "crv")? {
                    "P-256" => Algorithm::Es256,
                    "P-384" => Algorithm::Es384,
                    _ => return Err(BadKey::Member("crv")),
                };
                let (x, y) = (octets(members, "x")?, octets(members, "y")?);
                if x.len() != y.len() {
                    return Err(BadKey::Point);
                }
                PublicKey::ec_point(curve, &[&[4], x.as_slice(), &y].concat())?
            }
            "OKP" if text(members, "crv")? == "Ed25519" => {
                PublicKey::ed25519(&octets(members, "x")?)?
            }
            "OKP" => return Err(BadKey::Member("crv")),
            "AKP" => {
                let algorithm = alg.ok_or(BadKey::Member("alg"))?;
                PublicKey::ml_dsa(algorithm, &octets(members, "pub")?)?
            }
            _ => return Err(BadKey::Member("kty")),
        };
        let kid = members.get("kid").map(|kid| kid.as_str().ok_or(BadKey::Kid)?.parse());
        Ok(Self { key, kid: kid.transpose()?, alg, x5c: chain(members)? })
    }

    /// As it is published; `usage` is `sig`, or `jwt-svid` in a SPIFFE bundle.
    pub(crate) fn published<'a>(&'a self, usage: &'a str) -> impl Serialize + 'a {
        let encode = |octets: &[u8]| BASE64URL_NOPAD.encode(octets);
        let mut members = Members {
            usage,
            alg: self.alg,
            kid: self.kid.as_ref(),
            x5c: self.x5c.iter().map(|der| BASE64.encode(der)).collect(),
            thumbprint: self.x5c.first().map(|der| encode(digest(&SHA256, der).as_ref())),
            ..Members::default()
        };
        match &self.key.0 {
            Form::Rsa { n, e } => {
                members.kty = "RSA";
                (members.n, members.e) = (Some(encode(n)), Some(encode(e)));
            }
            Form::Ec { curve, x, y } => {
                (members.kty, members.crv) = ("EC", Some(curve_name(*curve)));
                (members.x, members.y) = (Some(encode(x)), Some(encode(y)));
            }
            Form::Ed25519 { x } => {
                (members.kty, members.crv, members.x) = ("OKP", Some("Ed25519"), Some(encode(x)));
            }
            Form::Akp { public, .. } => {
                (members.kty, members.public) = ("AKP", Some(encode(public)));
            }
        }
        members
    }
}

impl fmt::Display for Jwk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(&self.published("sig")).map_err(|_| fmt::Error)?)
    }
}

/// The members in the order in which they are written. There is none that is private.
#[derive(Default, Serialize)]
struct Members<'a> {
    kty: &'static str,
    #[serde(rename = "use")]
    usage: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    alg: Option<Algorithm>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kid: Option<&'a Kid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    crv: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    x: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    y: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    n: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    e: Option<String>,
    #[serde(rename = "pub", skip_serializing_if = "Option::is_none")]
    public: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    x5c: Vec<String>,
    #[serde(rename = "x5t#S256", skip_serializing_if = "Option::is_none")]
    thumbprint: Option<String>,
}

fn text<'a>(members: &'a Map<String, Value>, name: &'static str) -> Result<&'a str, BadKey> {
    members.get(name).and_then(Value::as_str).ok_or(BadKey::Member(name))
}

fn octets(members: &Map<String, Value>, name: &'static str) -> Result<Vec<u8>, BadKey> {
    let text = text(members, name)?;
    BASE64URL_NOPAD.decode(text.as_bytes()).map_err(|_| BadKey::Member(name))
}

fn chain(members: &Map<String, Value>) -> Result<Vec<Vec<u8>>, BadKey> {
    let bad = || BadKey::Member("x5c");
    let Some(chain) = members.get("x5c") else { return Ok(Vec::new()) };
    let certificate = |value: &Value| {
        let text = value.as_str().ok_or_else(bad)?;
        BASE64.decode(text.as_bytes()).map_err(|_| bad())
    };
    chain.as_array().ok_or_else(bad)?.iter().map(certificate).collect()
}

/// Members that only a private or symmetric key has (RFC 7518 §6, RFC 8037 §2, RFC 9964 §3).
const PRIVATE: [&str; 9] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"];
/// An ML-DSA-87 key takes 4 KiB, a chain some more.
const MAX_JWK: usize = 65_536;
