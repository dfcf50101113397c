//! Challenges (RFC 8555 §8, RFC 8737, RFC 8738 and the two DNS drafts): which are offered for what,
//! what a client must show for each, and whether what was fetched is that. Fetching is the
//! caller's; nothing here resolves or connects.

mod http01;
mod persist;
mod tls_alpn01;
mod txt;

use std::fmt;
use std::str::FromStr;

use data_encoding::BASE64URL_NOPAD;
use serde::{Deserialize, Serialize};

use crate::jwk::{Jwk, sha256};

pub use http01::{http01_limit, http01_path, judge_http01};
pub use persist::{
    Persist, account_uris_by_thumbprint, hashed_account_uris, judge_dns_persist01, persist_name,
};
pub use tls_alpn01::{ACME_TLS_ALPN, Shown, judge_tls_alpn01, server_name};
pub use txt::{dns_account01_name, dns_value, dns01_name, judge_txt};

/// A way to prove control of an identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ChallengeType {
    /// A file served over HTTP (RFC 8555 §8.3).
    #[serde(rename = "http-01")]
    Http01,
    /// A TXT record (RFC 8555 §8.4).
    #[serde(rename = "dns-01")]
    Dns01,
    /// A certificate shown under its own ALPN protocol (RFC 8737).
    #[serde(rename = "tls-alpn-01")]
    TlsAlpn01,
    /// A TXT record under a label of the account's own (draft-ietf-acme-dns-account-label-03).
    #[serde(rename = "dns-account-01")]
    DnsAccount01,
    /// A TXT record that stays (draft-ietf-acme-dns-persist-02).
    #[serde(rename = "dns-persist-01")]
    DnsPersist01,
}

impl ChallengeType {
    /// Every type, in the order in which they are offered.
    pub const ALL: &'static [Self] =
        &[Self::Http01, Self::Dns01, Self::TlsAlpn01, Self::DnsAccount01, Self::DnsPersist01];

    /// The registered name (RFC 8555 §9.7.8).
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Http01 => "http-01",
            Self::Dns01 => "dns-01",
            Self::TlsAlpn01 => "tls-alpn-01",
            Self::DnsAccount01 => "dns-account-01",
            Self::DnsPersist01 => "dns-persist-01",
        }
    }

    /// Whether it can prove control of `identifier`: only DNS proves a wildcard (RFC 8555 §7.1.3),
    /// and DNS never proves an address (RFC 8738 §7).
    #[must_use]
    pub fn suits(self, identifier: &ca::Identifier) -> bool {
        match self {
            Self::Http01 | Self::TlsAlpn01 => !identifier.is_wildcard(),
            Self::Dns01 | Self::DnsAccount01 | Self::DnsPersist01 => {
                matches!(identifier, ca::Identifier::Dns(_))
            }
        }
    }

    /// Those of `enabled` to offer for `identifier`. Empty means that nobody can prove it here.
    #[must_use]
    pub fn offered(identifier: &ca::Identifier, enabled: &[Self]) -> Vec<Self> {
        Self::ALL.iter().copied().filter(|o| enabled.contains(o) && o.suits(identifier)).collect()
    }

    /// Whether its challenge object has a token.
    #[must_use]
    pub fn has_token(self) -> bool {
        self != Self::DnsPersist01
    }
}

impl fmt::Display for ChallengeType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for ChallengeType {
    type Err = UnknownChallenge;

    fn from_str(text: &str) -> Result<Self, UnknownChallenge> {
        Self::ALL
            .iter()
            .copied()
            .find(|one| one.name() == text)
            .ok_or_else(|| UnknownChallenge(text.chars().take(32).collect()))
    }
}

/// Text that names no challenge type known here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a challenge type: http-01, dns-01, tls-alpn-01, dns-account-01 and \
     dns-persist-01 are"
)]
pub struct UnknownChallenge(String);

/// A token out of 256 random bits, which must be fresh (RFC 8555 §8.1 asks for 128 at least).
#[must_use]
pub fn token(random: &[u8; 32]) -> String {
    BASE64URL_NOPAD.encode(random)
}

/// What a client derives from a token and its account key (RFC 8555 §8.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyAuthorization(String);

impl KeyAuthorization {
    /// `token . thumbprint`.
    #[must_use]
    pub fn new(token: &str, account_key: &Jwk) -> Self {
        Self(format!("{token}.{}", account_key.thumbprint_text()))
    }

    /// The text itself: what http-01 serves.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The token it is for.
    #[must_use]
    pub fn token(&self) -> &str {
        self.0.split_once('.').map_or("", |(token, _)| token)
    }

    /// Its SHA-256: what the other challenges show.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        sha256(self.0.as_bytes())
    }
}

/// What a peer sent, as far as it may stand in an error: short, on one line, no control
/// characters.
fn shown(octets: &[u8]) -> String {
    let text: String = String::from_utf8_lossy(&octets[..octets.len().min(4 * SHOWN)])
        .chars()
        .take(SHOWN)
        .flat_map(char::escape_debug)
        .collect();
    let more = if octets.len() > SHOWN { "..." } else { "" };
    format!("\"{text}{more}\"")
}

const SHOWN: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    fn offered(name: &str) -> Vec<&'static str> {
        let identifier = ca::Identifier::parse(name).expect("test name");
        let all = ChallengeType::offered(&identifier, ChallengeType::ALL);
        all.into_iter().map(ChallengeType::name).collect()
    }

    #[test]
    fn wildcards_are_proven_by_dns_and_addresses_never() {
        assert_eq!(offered("example.com").len(), 5);
        assert_eq!(offered("*.example.com"), ["dns-01", "dns-account-01", "dns-persist-01"]);
        assert_eq!(offered("192.0.2.1"), ["http-01", "tls-alpn-01"]);
        assert_eq!(offered("2001:db8::1"), ["http-01", "tls-alpn-01"]);
        let identifier = ca::Identifier::parse("*.example.com").expect("test name");
        assert!(ChallengeType::offered(&identifier, &[ChallengeType::Http01]).is_empty());
    }

    #[test]
    fn names_are_read_as_they_are_written() {
        for one in ChallengeType::ALL {
            assert_eq!(one.name().parse::<ChallengeType>().as_ref(), Ok(one));
            let json = serde_json::to_string(one).expect("json");
            assert_eq!(json, format!("\"{one}\""));
        }
        assert!("http-02".parse::<ChallengeType>().is_err());
    }

    #[test]
    fn what_a_peer_sent_is_shown_short_and_harmless() {
        assert_eq!(shown(b"a\r\nb\x1b[31m\xff"), "\"a\\r\\nb\\u{1b}[31m\u{fffd}\"");
        assert!(shown(&[b'x'; 10_000]).len() < 110);
    }
}
