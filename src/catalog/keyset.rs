//! What is declared of a keyset: who issues tokens with it, for how long, and who verifies them.

use ipnet::IpNet;
use jiff::SignedDuration;
use jwks::token::{Bounds, Pattern};
use jwks::{Algorithm, Consumer, Naming, Policy, Settings};
use serde::{Deserialize, Serialize};
use url::Url;

use super::managed::maybe_duration;
use super::recognition::{Recognition, network};

/// The JWT signing keys of one issuer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct KeysetSpec {
    /// What everything else calls it.
    pub(crate) name: String,
    /// The issuer, exactly as it stands in `iss`: an https URL without query and fragment.
    pub(crate) issuer: String,
    /// With what tokens are signed.
    pub(crate) algorithm: Algorithm,
    /// With what else, each with a key of its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) more_algorithms: Vec<Algorithm>,
    /// How long a key signs.
    #[serde(default = "default_rotation", with = "ca::duration")]
    pub(crate) rotate_every: SignedDuration,
    /// The longest lifetime of a token.
    #[serde(default = "default_token_lifetime", with = "ca::duration")]
    pub(crate) token_lifetime: SignedDuration,
    /// Who verifies, by their names in the table, or with what they cache.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) consumers: Vec<ConsumerSpec>,
    /// URLs that must serve a key before it signs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) edges: Vec<String>,
    /// The longest `max-age` that is served.
    #[serde(default, with = "maybe_duration", skip_serializing_if = "Option::is_none")]
    pub(crate) max_age: Option<SignedDuration>,
    /// How old what a CDN serves may be beyond `max_age`.
    #[serde(default, with = "maybe_duration", skip_serializing_if = "Option::is_none")]
    pub(crate) copy_age: Option<SignedDuration>,
    /// By whose certificates edges are known: an authority here, or a file of PEM roots; none: the
    /// system's roots.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) edge_roots: Option<String>,
    /// How long the private half of a key that was replaced is kept, to go back to it.
    #[serde(default, with = "maybe_duration", skip_serializing_if = "Option::is_none")]
    pub(crate) grace: Option<SignedDuration>,
    /// How keys are named.
    #[serde(default, skip_serializing_if = "is_usual")]
    pub(crate) kid: Naming,
    /// The authority that certifies each key, for `x5c`; none: none does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) x5c: Option<String>,
    /// Which `aud` tokens that are signed for others may have: exact, or a beginning and `*`.
    #[serde(default, with = "patterns", skip_serializing_if = "Vec::is_empty")]
    pub(crate) audiences: Vec<Pattern>,
    /// Which `sub`.
    #[serde(default, with = "patterns", skip_serializing_if = "Vec::is_empty")]
    pub(crate) subjects: Vec<Pattern>,
    /// Who answers for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) owner: Option<String>,
}

/// A consumer: its name alone, or with what is particular about it here.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(
    untagged,
    expecting = "a consumer is a name, or { name, cache, agent, address, required } of which all but \
                 the name may be left out"
)]
pub(crate) enum ConsumerSpec {
    Named(String),
    Described(Described),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Described {
    pub(crate) name: String,
    /// How long it caches; as the table says, if it is in there.
    #[serde(default, with = "maybe_duration", skip_serializing_if = "Option::is_none")]
    pub(crate) cache: Option<SignedDuration>,
    /// How its `User-Agent` begins, by which it is recognised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) agent: Option<String>,
    /// Where it comes from, by which it is recognised.
    #[serde(default, with = "network", skip_serializing_if = "Option::is_none")]
    pub(crate) address: Option<IpNet>,
    /// Whether no key signs that it was not seen to fetch.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) required: bool,
}

impl KeysetSpec {
    /// What follows from it.
    ///
    /// # Errors
    /// A sentence that says what cannot be kept, and what to change.
    pub(crate) fn policy(&self) -> Result<Policy, String> {
        let consumers = self.consumers.iter().map(|spec| match spec {
            ConsumerSpec::Named(name) => Consumer::named(name, None),
            ConsumerSpec::Described(Described { name, cache, required, .. }) => {
                let consumer = Consumer::named(name, *cache);
                consumer.map(|consumer| Consumer { required: *required, ..consumer })
            }
        });
        let consumers = consumers.collect::<Result<Vec<_>, _>>().map_err(|e| e.to_string())?;
        let usual = Settings::new(self.algorithm, self.rotate_every, self.token_lifetime);
        let algorithms = std::iter::once(self.algorithm).chain(self.more_algorithms.clone());
        let settings = Settings {
            algorithms: algorithms.collect(),
            consumers,
            edges: self.edges.clone(),
            max_age: self.max_age.unwrap_or(usual.max_age),
            copy_age: self.copy_age.unwrap_or(usual.copy_age),
            grace: self.grace.unwrap_or(usual.grace),
            ..usual
        };
        Policy::new(settings).map_err(|e| e.to_string())
    }

    /// How its consumers are recognised.
    pub(crate) fn recognitions(&self) -> Vec<Recognition> {
        let one = |consumer: &ConsumerSpec| match consumer.clone() {
            ConsumerSpec::Named(name) => {
                Recognition { name, agent: None, address: None, required: false }
            }
            ConsumerSpec::Described(Described { name, agent, address, required, .. }) => {
                Recognition { name, agent, address, required }
            }
        };
        self.consumers.iter().map(one).collect()
    }

    /// What may be signed with it for others.
    pub(crate) fn bounds(&self) -> Bounds {
        Bounds {
            issuer: self.issuer.clone(),
            longest: self.token_lifetime,
            audiences: self.audiences.clone(),
            subjects: self.subjects.clone(),
            max_payload: Bounds::MAX_PAYLOAD,
        }
    }

    /// Whether it makes sense by itself.
    ///
    /// # Errors
    /// As for [`KeysetSpec::policy`].
    pub(crate) fn check(&self) -> Result<(), String> {
        let issuer = Url::parse(&self.issuer).map_err(|e| format!("issuer: {e}"))?;
        let plain = issuer.query().is_none() && issuer.fragment().is_none();
        if issuer.scheme() != "https" || !plain || self.issuer.ends_with('/') {
            return Err(
                "issuer must be an https URL without query, fragment and slash at the end".into()
            );
        }
        if self.edges.len() > MAX_EDGES {
            return Err(format!("edges must be {MAX_EDGES} at most"));
        }
        let all = std::iter::once(&self.algorithm).chain(&self.more_algorithms);
        if let Some(other) = all.into_iter().find(|a| self.x5c.is_some() && !a.is_classical()) {
            return Err(format!("keys for {other} are not certified here: leave x5c out"));
        }
        for edge in &self.edges {
            let edge = Url::parse(edge).map_err(|e| format!("edge {edge:?}: {e}"))?;
            if !matches!(edge.scheme(), "https" | "http") {
                return Err(format!("edge {:?} must be an https or http URL", edge.as_str()));
            }
        }
        self.recognitions().iter().try_for_each(Recognition::check)?;
        self.policy().map(drop)
    }
}

mod patterns {
    use jwks::token::Pattern;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(patterns: &[Pattern], to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(patterns.iter().map(ToString::to_string))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Vec<Pattern>, D::Error> {
        let texts = Vec::<String>::deserialize(from)?;
        let read = |text: String| text.parse().map_err(serde::de::Error::custom);
        texts.into_iter().map(read).collect()
    }
}

fn is_usual(naming: &Naming) -> bool {
    *naming == Naming::default()
}

fn default_rotation() -> SignedDuration {
    SignedDuration::from_hours(30 * 24)
}

fn default_token_lifetime() -> SignedDuration {
    SignedDuration::from_hours(1)
}

/// All are asked at once.
const MAX_EDGES: usize = 32;
