//! What is declared of a keyset: who issues tokens with it, for how long, and who verifies them.

use ipnet::IpNet;
use jiff::SignedDuration;
use jwks::consumer::{BadConsumer, UnknownKid};
use jwks::token::{Bounds, Pattern};
use jwks::{Algorithm, Consumer, Naming, Policy, Settings};
use serde::{Deserialize, Serialize};
use url::Url;

use super::kubernetes::KubernetesSpec;
use super::managed::maybe_duration;
use super::payloads::Payloads;
use super::recognition::{Recognition, network};
use super::signer::SignerSpec;

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
    /// Places that are given the private keys and sign with them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) signers: Vec<SignerSpec>,
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
    /// Safety on what is cached, in percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) safety: Option<u16>,
    /// How long until every node serves what one has decided, with reserve.
    #[serde(default, with = "maybe_duration", skip_serializing_if = "Option::is_none")]
    pub(crate) lag: Option<SignedDuration>,
    /// How far past its expiry any consumer accepts a token.
    #[serde(default, with = "maybe_duration", skip_serializing_if = "Option::is_none")]
    pub(crate) skew: Option<SignedDuration>,
    /// How far nodes' clocks are from the true time.
    #[serde(default, with = "maybe_duration", skip_serializing_if = "Option::is_none")]
    pub(crate) signer_lag: Option<SignedDuration>,
    /// Which `aud` tokens that are signed for others may have: exact, or a beginning and `*`.
    #[serde(default, with = "patterns", skip_serializing_if = "Vec::is_empty")]
    pub(crate) audiences: Vec<Pattern>,
    /// Which `sub`.
    #[serde(default, with = "patterns", skip_serializing_if = "Vec::is_empty")]
    pub(crate) subjects: Vec<Pattern>,
    /// Of which types payloads that are no claims are signed.
    #[serde(default, skip_serializing_if = "Payloads::is_none")]
    pub(crate) payloads: Payloads,
    /// The socket where kube-apiserver has service account tokens signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) kubernetes: Option<KubernetesSpec>,
    /// Who answers for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) owner: Option<String>,
}

/// A consumer: its name alone, or with what is particular about it here.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(
    untagged,
    expecting = "a consumer is a name, or { name, cache, cooldown, skew, agent, address, required } \
                 of which all but the name may be left out"
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
    /// How long it waits from one fetch to the next, if a token names a key it does not know.
    #[serde(default, with = "maybe_duration", skip_serializing_if = "Option::is_none")]
    pub(crate) cooldown: Option<SignedDuration>,
    /// How far past its expiry it accepts a token.
    #[serde(default, with = "maybe_duration", skip_serializing_if = "Option::is_none")]
    pub(crate) skew: Option<SignedDuration>,
}

impl ConsumerSpec {
    fn consumer(&self) -> Result<Consumer, BadConsumer> {
        let it = match self {
            Self::Named(name) => return Consumer::named(name, None),
            Self::Described(it) => it,
        };
        let mut consumer = Consumer::named(&it.name, it.cache)?;
        consumer.skew = it.skew.unwrap_or(consumer.skew);
        consumer.unknown_kid = it.cooldown.map_or(consumer.unknown_kid, UnknownKid::Cooldown);
        consumer.required = it.required;
        Ok(consumer)
    }
}

impl KeysetSpec {
    /// What follows from it.
    ///
    /// # Errors
    /// A sentence that says what cannot be kept, and what to change.
    pub(crate) fn policy(&self) -> Result<Policy, String> {
        let consumers = self.consumers.iter().map(ConsumerSpec::consumer);
        let consumers = consumers.collect::<Result<Vec<_>, _>>().map_err(|e| e.to_string())?;
        let usual = Settings::new(self.algorithm, self.rotate_every, self.token_lifetime);
        let algorithms = std::iter::once(self.algorithm).chain(self.more_algorithms.clone());
        let mut settings = Settings {
            algorithms: algorithms.collect(),
            consumers,
            edges: self.edges.clone(),
            signers: self.signers.iter().map(|signer| signer.target(self.algorithm)).collect(),
            rotate_every: self.rotate_every,
            token_lifetime: self.token_lifetime,
            max_age: self.max_age.unwrap_or(usual.max_age),
            copy_age: self.copy_age.unwrap_or(usual.copy_age),
            grace: self.grace.unwrap_or(usual.grace),
            safety: self.safety.unwrap_or(usual.safety),
            lag: self.lag.unwrap_or(usual.lag),
            skew: self.skew.unwrap_or(usual.skew),
            signer_lag: self.signer_lag.unwrap_or(usual.signer_lag),
        };
        if self.kubernetes.is_some() {
            jwks::kubernetes::count_in(&mut settings);
        }
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
        self.signers.iter().try_for_each(SignerSpec::check)?;
        self.payloads.check()?;
        let consumers = self.recognitions();
        consumers.iter().try_for_each(Recognition::check)?;
        let twice = |place: &usize| {
            consumers[..*place].iter().any(|other| other.name == consumers[*place].name)
        };
        if let Some(place) = (0..consumers.len()).find(twice) {
            return Err(format!("consumer {:?} is declared twice", consumers[place].name));
        }
        if let Some(kubernetes) = &self.kubernetes {
            kubernetes.check(self)?;
        }
        self.policy().map(drop)
    }
}

pub(super) mod patterns {
    use jwks::token::Pattern;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(in crate::catalog) fn serialize<S: Serializer>(
        patterns: &[Pattern],
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.collect_seq(patterns.iter().map(ToString::to_string))
    }

    pub(in crate::catalog) fn deserialize<'de, D: Deserializer<'de>>(
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
