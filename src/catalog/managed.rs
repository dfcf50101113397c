//! What is declared of managed certificates: the certificates, the issuers outside they come from,
//! and the targets that serve them.

use std::collections::BTreeSet;

use aws_lc_rs::digest;
use ca::{Identifier, KeyAlgorithm};
use jiff::SignedDuration;
use renew::{Calendar, Share};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

/// A managed certificate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CertificateSpec {
    /// What everything else calls it.
    pub(crate) name: String,
    /// The DNS names and addresses it certifies.
    #[serde(with = "identifiers")]
    pub(crate) names: Vec<Identifier>,
    /// Where it may come from, tried in this order: issuers outside, or authorities here.
    #[serde(default = "default_issuers")]
    pub(crate) issuers: Vec<String>,
    /// The profile under which an authority here issues it.
    #[serde(default = "default_profile")]
    pub(crate) profile: String,
    /// The kind of key.
    #[serde(default = "default_key")]
    pub(crate) key: KeyAlgorithm,
    /// Whether renewals keep the key; emergencies never do.
    #[serde(default, skip_serializing_if = "is_false")]
    pub(crate) reuse_key: bool,
    /// A request in PEM, for a key that is made and kept elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) csr: Option<String>,
    /// The targets that serve it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) targets: Vec<String>,
    /// The targets that get a new version before the others; none: the first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) canary: Vec<String>,
    /// How many targets get it at once after that; 0: a quarter of them.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) wave: usize,
    /// How long before its end it is renewed; none: when two thirds of its life are spent.
    #[serde(default, with = "maybe_duration", skip_serializing_if = "Option::is_none")]
    pub(crate) renew_before: Option<SignedDuration>,
    /// How long the version before is kept ready after the new one is proven.
    #[serde(default = "default_grace", with = "ca::duration")]
    pub(crate) grace: SignedDuration,
    /// Whether the version before is revoked then.
    #[serde(default, skip_serializing_if = "is_false")]
    pub(crate) revoke_replaced: bool,
    /// How many versions are kept, the newest.
    #[serde(default = "default_keep")]
    pub(crate) keep: u32,
    /// Who answers for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) owner: Option<String>,
}

impl CertificateSpec {
    /// A certificate about which nothing but its names is said.
    pub(crate) fn new(name: &str, names: Vec<Identifier>) -> Self {
        Self {
            name: name.to_owned(),
            names,
            issuers: default_issuers(),
            profile: default_profile(),
            key: default_key(),
            reuse_key: false,
            csr: None,
            targets: Vec::new(),
            canary: Vec::new(),
            wave: 0,
            renew_before: None,
            grace: default_grace(),
            revoke_replaced: false,
            keep: default_keep(),
            owner: None,
        }
    }

    /// The names as a set.
    pub(crate) fn identifiers(&self) -> BTreeSet<Identifier> {
        self.names.iter().cloned().collect()
    }

    /// Whether it makes sense by itself.
    ///
    /// # Errors
    /// A sentence that says what does not, and what to write.
    pub(crate) fn check(&self) -> Result<(), String> {
        if self.names.is_empty() || self.names.len() > MAX_NAMES {
            return Err(format!("names must be 1 to {MAX_NAMES}"));
        }
        if self.issuers.is_empty() {
            return Err("issuers is empty; name where it may come from".into());
        }
        let twice = |list: &[String]| {
            let mut seen = BTreeSet::new();
            list.iter().find(|name| !seen.insert(*name)).cloned()
        };
        for (what, list) in [("issuers", &self.issuers), ("targets", &self.targets)] {
            if let Some(name) = twice(list) {
                return Err(format!("{what} names {name:?} twice; remove one"));
            }
        }
        if let Some(stray) = self.canary.iter().find(|name| !self.targets.contains(name)) {
            return Err(format!("canary {stray:?} is none of its targets; correct the name"));
        }
        if self.keep < 2 {
            return Err("keep must be at least 2: the version served, and one to go back to".into());
        }
        Ok(())
    }

    /// When versions are renewed.
    pub(crate) fn share(&self) -> Share {
        self.renew_before.map_or(Share::Usual, |before| Share::Before(before.as_secs()))
    }

    /// Digest of what is asked of an issuer: versions with another one are not what is declared.
    pub(crate) fn request(&self) -> [u8; 32] {
        digest_of(&(
            self.identifiers().iter().map(ToString::to_string).collect::<Vec<_>>(),
            self.key,
            &self.profile,
            &self.csr,
        ))
    }
}

/// A target, and how it may be treated.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TargetSpec {
    /// What it is and how it is reached.
    pub(crate) push: push::Spec,
    pub(crate) care: Care,
}

/// How a target may be treated.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Care {
    /// When it may be touched: `maintenance` windows and `freezes`.
    #[serde(flatten)]
    pub(crate) calendar: Calendar,
    /// How often what it serves is looked at.
    #[serde(default = "default_watch", with = "ca::duration")]
    pub(crate) watch: SignedDuration,
    /// Whether a certificate that somebody else put there is replaced by the right one.
    #[serde(default, skip_serializing_if = "is_false")]
    pub(crate) mend: bool,
}

impl TargetSpec {
    /// What everything else calls it.
    pub(crate) fn name(&self) -> &str {
        &self.push.name
    }
}

impl Serialize for TargetSpec {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut table = fields(&self.push).map_err(serde::ser::Error::custom)?;
        table.extend(fields(&self.care).map_err(serde::ser::Error::custom)?);
        table.serialize(to)
    }
}

impl<'de> Deserialize<'de> for TargetSpec {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        // One table for the user, two rooms for us: each refuses what it does not know.
        let mut push = Map::deserialize(from)?;
        let mut care = Map::new();
        for key in CARE {
            if let Some(value) = push.remove(key) {
                care.insert(key.to_owned(), value);
            }
        }
        let name = push.get("name").and_then(Value::as_str).unwrap_or("?").to_owned();
        let wrong =
            |e: serde_json::Error| serde::de::Error::custom(format!("target {name:?}: {e}"));
        Ok(Self {
            care: serde_json::from_value(Value::Object(care)).map_err(wrong)?,
            // It says by itself which target it is about.
            push: serde_json::from_value(Value::Object(push)).map_err(serde::de::Error::custom)?,
        })
    }
}

fn fields<T: Serialize>(part: &T) -> Result<Map<String, Value>, String> {
    match serde_json::to_value(part) {
        Ok(Value::Object(fields)) => Ok(fields),
        Ok(_) => Err("it is no table".into()),
        Err(error) => Err(error.to_string()),
    }
}

/// SHA-256 of the JSON of `value`.
pub(crate) fn digest_of<T: Serialize>(value: &T) -> [u8; 32] {
    let json = serde_json::to_vec(value).unwrap_or_default();
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest::digest(&digest::SHA256, &json).as_ref());
    bytes
}

mod identifiers {
    use super::{Deserialize, Deserializer, Identifier, Serializer};

    pub(super) fn serialize<S: Serializer>(names: &[Identifier], to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(names.iter().map(ToString::to_string))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Vec<Identifier>, D::Error> {
        let texts = Vec::<String>::deserialize(from)?;
        let parse = |text: &String| Identifier::parse(text).map_err(serde::de::Error::custom);
        texts.iter().map(parse).collect()
    }
}

pub(super) mod maybe_duration {
    use super::{Deserialize, Deserializer, Serializer, SignedDuration};

    #[expect(clippy::ref_option, reason = "serde's signature")]
    pub(crate) fn serialize<S: Serializer>(
        duration: &Option<SignedDuration>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        match duration {
            Some(duration) => ca::duration::serialize(duration, to),
            None => to.serialize_none(),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<SignedDuration>, D::Error> {
        let text = String::deserialize(from)?;
        ca::duration::parse(&text).map(Some).map_err(serde::de::Error::custom)
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_false(value: &bool) -> bool {
    !value
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(value: &usize) -> bool {
    *value == 0
}

fn default_issuers() -> Vec<String> {
    vec!["internal".into()]
}

fn default_profile() -> String {
    "default".into()
}

fn default_key() -> KeyAlgorithm {
    KeyAlgorithm::EcdsaP256
}

fn default_grace() -> SignedDuration {
    SignedDuration::from_hours(1)
}

fn default_keep() -> u32 {
    5
}

pub(super) fn default_watch() -> SignedDuration {
    SignedDuration::from_hours(1)
}

/// As many as public CAs certify at once.
const MAX_NAMES: usize = 100;
/// The keys of a target's table that are about its treatment.
const CARE: [&str; 4] = ["maintenance", "freezes", "watch", "mend"];
