//! Issuance policy as plain data: what a certificate made under a profile may look like.
//! Configuration fills it; `issue` obeys it. It decides nothing by itself beyond its own limits.

use der::asn1::ObjectIdentifier;
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use crate::algorithm::KeyAlgorithm;
use crate::name::NamePolicy;

/// What may be issued, and how it looks. Everything but the name has the defaults of
/// [`Profile::tls_server`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// What ACME clients and the configuration call it.
    pub name: String,
    /// From the first to the last second of validity, both included, back-dating too.
    #[serde(with = "crate::duration", default = "default_lifetime")]
    pub lifetime: SignedDuration,
    /// How far before now the validity begins, for clients whose clocks are behind.
    #[serde(with = "crate::duration", default = "default_backdate")]
    pub backdate: SignedDuration,
    /// What the certificate is for; never empty.
    #[serde(default = "default_usages")]
    pub extended_key_usages: Vec<ExtendedKeyUsage>,
    /// Which keys are certified.
    #[serde(default)]
    pub keys: KeyPolicy,
    /// Which names are certified.
    #[serde(default)]
    pub names: NamePolicy,
    /// At most this many names in one certificate.
    #[serde(default = "default_max_names")]
    pub max_names: usize,
    /// Whether the first DNS name of at most 64 octets is also the subject's common name.
    #[serde(default)]
    pub common_name: bool,
    /// Whether a requested TLS feature "must staple" (RFC 7633) is granted.
    #[serde(default)]
    pub must_staple: bool,
}

impl Profile {
    /// For TLS servers: 90 days, back-dated by an hour, P-256, P-384, Ed25519 or RSA 2048–4096, up to
    /// 100 names, no common name.
    #[must_use]
    pub fn tls_server() -> Self {
        Self {
            name: "tls-server".to_owned(),
            lifetime: default_lifetime(),
            backdate: default_backdate(),
            extended_key_usages: default_usages(),
            keys: KeyPolicy::default(),
            names: NamePolicy::default(),
            max_names: default_max_names(),
            common_name: false,
            must_staple: false,
        }
    }

    /// As [`tls_server`](Self::tls_server), for TLS clients.
    #[must_use]
    pub fn tls_client() -> Self {
        Self {
            name: "tls-client".to_owned(),
            extended_key_usages: vec![ExtendedKeyUsage::ClientAuth],
            ..Self::tls_server()
        }
    }

    /// As [`tls_server`](Self::tls_server), for both ends of mutual TLS.
    #[must_use]
    pub fn tls_peer() -> Self {
        Self {
            name: "tls-peer".to_owned(),
            extended_key_usages: vec![ExtendedKeyUsage::ServerAuth, ExtendedKeyUsage::ClientAuth],
            ..Self::tls_server()
        }
    }

    /// Whether the profile makes sense in itself; to be asked when configuration is read.
    ///
    /// # Errors
    /// [`BadProfile`] names what does not.
    pub fn validate(&self) -> Result<(), BadProfile> {
        if self.name.is_empty() || self.name.len() > 64 {
            return Err(BadProfile::Name);
        }
        if self.backdate.is_negative() || self.lifetime.as_secs() <= self.backdate.as_secs() {
            return Err(BadProfile::Lifetime);
        }
        if self.extended_key_usages.is_empty() {
            return Err(BadProfile::NoUsage);
        }
        if self.keys.algorithms.is_empty() || self.keys.rsa_min > self.keys.rsa_max {
            return Err(BadProfile::NoKeys);
        }
        if !(1..=MAX_NAMES).contains(&self.max_names) {
            return Err(BadProfile::Names);
        }
        Ok(())
    }
}

/// Purposes of a certificate (RFC 5280 §4.2.1.12).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ExtendedKeyUsage {
    /// TLS servers.
    ServerAuth,
    /// TLS clients.
    ClientAuth,
    /// Signatures of JWTs (RFC 9509 §3).
    Jwt,
}

impl ExtendedKeyUsage {
    pub(crate) fn oid(self) -> ObjectIdentifier {
        match self {
            Self::ServerAuth => SERVER_AUTH,
            Self::ClientAuth => CLIENT_AUTH,
            Self::Jwt => JWT,
        }
    }
}

/// Which keys are certified.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct KeyPolicy {
    /// The kinds that are accepted.
    pub algorithms: Vec<KeyFamily>,
    /// Smallest RSA modulus in bits.
    pub rsa_min: u16,
    /// Largest RSA modulus in bits.
    pub rsa_max: u16,
}

impl KeyPolicy {
    /// Whether a key of this algorithm and size is accepted.
    #[must_use]
    pub fn allows(&self, algorithm: KeyAlgorithm) -> bool {
        let (family, fits) = match algorithm {
            KeyAlgorithm::EcdsaP256 => (KeyFamily::P256, true),
            KeyAlgorithm::EcdsaP384 => (KeyFamily::P384, true),
            KeyAlgorithm::Ed25519 => (KeyFamily::Ed25519, true),
            KeyAlgorithm::Rsa { bits } => {
                (KeyFamily::Rsa, (self.rsa_min..=self.rsa_max).contains(&bits))
            }
        };
        fits && self.algorithms.contains(&family)
    }
}

impl Default for KeyPolicy {
    /// Every kind; RSA from 2048 to 4096 bits.
    fn default() -> Self {
        Self {
            algorithms: vec![KeyFamily::P256, KeyFamily::P384, KeyFamily::Ed25519, KeyFamily::Rsa],
            rsa_min: 2048,
            rsa_max: 4096,
        }
    }
}

/// A kind of keys, whatever their size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyFamily {
    /// ECDSA on P-256.
    P256,
    /// ECDSA on P-384.
    P384,
    /// Ed25519.
    Ed25519,
    /// RSA.
    Rsa,
}

/// A profile that could never issue, by fault of whoever wrote it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadProfile {
    /// Empty, or over 64 octets.
    #[error("a profile's name has 1 to 64 octets")]
    Name,
    /// Not longer than the back-dating, or that is negative.
    #[error("a profile's lifetime must be longer than its backdate")]
    Lifetime,
    /// No purpose.
    #[error("a profile needs an extended key usage: server-auth, client-auth or jwt")]
    NoUsage,
    /// No key would be accepted.
    #[error("a profile must accept some keys: check keys.algorithms, rsa_min and rsa_max")]
    NoKeys,
    /// Not 1 to 1000.
    #[error("a profile's max_names is 1 to 1000")]
    Names,
}

fn default_lifetime() -> SignedDuration {
    SignedDuration::from_hours(90 * 24)
}

fn default_backdate() -> SignedDuration {
    SignedDuration::from_hours(1)
}

fn default_usages() -> Vec<ExtendedKeyUsage> {
    vec![ExtendedKeyUsage::ServerAuth]
}

fn default_max_names() -> usize {
    100
}

const MAX_NAMES: usize = 1000;
const SERVER_AUTH: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.1");
const CLIENT_AUTH: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.2");
const JWT: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.37");
