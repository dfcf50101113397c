//! What an operator may set about validation, and the ranges it must stay in. Only values: nothing
//! here resolves or connects.

use std::net::SocketAddr;
use std::time::Duration;

use ipnet::IpNet;
use jiff::SignedDuration;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// How challenges are validated: the `[validation]` table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Settings {
    /// The port http-01 connects to, and where redirects to `http:` without a port lead. 80.
    pub http_port: u16,
    /// The port tls-alpn-01 connects to, and where redirects to `https:` without a port lead. 443.
    pub tls_port: u16,
    /// Recursive resolvers, asked over UDP and, when an answer is truncated, TCP. If empty, those
    /// of the system and its hosts file.
    pub resolvers: Vec<SocketAddr>,
    /// Networks that may be connected to although the built-in rules refuse them.
    pub allow: Vec<IpNet>,
    /// Networks that are never connected to, whatever else is set.
    pub deny: Vec<IpNet>,
    /// Whether loopback addresses may be connected to without being in `allow`. No.
    pub loopback: bool,
    /// The most redirects http-01 follows, 0 to 10. 10.
    pub redirects: usize,
    /// The most one validation or lookup may take in all, such as `"10s"`; 1 s to 60 s.
    #[serde(deserialize_with = "duration", serialize_with = "milliseconds")]
    pub timeout: Duration,
    /// The most one connection attempt may take before the next address is tried; 100 ms to 60 s.
    #[serde(deserialize_with = "duration", serialize_with = "milliseconds")]
    pub connect_timeout: Duration,
    /// Whether queries over UDP carry names in random case, so that forged answers are harder
    /// (draft-vixie-dnsext-dns0x20). If absent: when a resolver is outside private networks.
    pub case_randomization: Option<bool>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            http_port: 80,
            tls_port: 443,
            resolvers: Vec::new(),
            allow: Vec::new(),
            deny: Vec::new(),
            loopback: false,
            redirects: MAX_REDIRECTS,
            timeout: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(3),
            case_randomization: None,
        }
    }
}

impl Settings {
    /// Whether every value is in its range.
    ///
    /// # Errors
    /// [`InvalidSettings`] names the first that is not.
    pub(crate) fn check(&self) -> Result<(), InvalidSettings> {
        if self.http_port == 0 {
            return Err(InvalidSettings::Port("http_port"));
        }
        if self.tls_port == 0 {
            return Err(InvalidSettings::Port("tls_port"));
        }
        if self.resolvers.iter().any(|resolver| resolver.port() == 0) {
            return Err(InvalidSettings::Port("resolvers"));
        }
        if self.resolvers.len() > MAX_RESOLVERS {
            return Err(InvalidSettings::TooManyResolvers);
        }
        if self.redirects > MAX_REDIRECTS {
            return Err(InvalidSettings::TooManyRedirects);
        }
        if !(MIN_TIMEOUT..=MAX_TIMEOUT).contains(&self.timeout) {
            return Err(InvalidSettings::Duration("timeout", self.timeout));
        }
        if !(MIN_CONNECT..=MAX_TIMEOUT).contains(&self.connect_timeout) {
            return Err(InvalidSettings::Duration("connect_timeout", self.connect_timeout));
        }
        Ok(())
    }
}

/// Settings that cannot be followed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InvalidSettings {
    /// A port is 0.
    #[error("validation.{0}: port 0 cannot be connected to")]
    Port(&'static str),
    /// A duration is out of range.
    #[error(
        "validation.{0}: {1:?} is out of range (timeout 1s to 60s, connect_timeout from 100ms)"
    )]
    Duration(&'static str, Duration),
    /// More resolvers than make sense.
    #[error("validation.resolvers: at most {MAX_RESOLVERS} can be asked")]
    TooManyResolvers,
    /// More redirects than an ACME server should follow.
    #[error("validation.redirects: at most {MAX_REDIRECTS} can be followed")]
    TooManyRedirects,
    /// The resolver library refuses its configuration.
    #[error("validation: the resolver cannot be set up: {0}")]
    Resolver(String),
    /// The TLS library refuses its configuration.
    #[error("validation: TLS cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
}

fn duration<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(from)?;
    let invalid = || serde::de::Error::custom(format!("{text:?} is no duration such as \"10s\""));
    let duration: SignedDuration = text.parse().map_err(|_| invalid())?;
    Duration::try_from(duration).map_err(|_| invalid())
}

fn milliseconds<S: Serializer>(duration: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(&format_args!("{}ms", duration.as_millis()))
}

const MIN_TIMEOUT: Duration = Duration::from_secs(1);
const MAX_TIMEOUT: Duration = Duration::from_secs(60);
const MIN_CONNECT: Duration = Duration::from_millis(100);
const MAX_RESOLVERS: usize = 8;
const MAX_REDIRECTS: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<Settings, serde_json::Error> {
        serde_json::from_str(json)
    }

    #[test]
    fn what_is_absent_has_its_default_and_what_is_unknown_is_refused() {
        assert_eq!(read("{}").expect("defaults"), Settings::default());
        assert!(read(r#"{"htpp_port": 80}"#).is_err());
    }

    #[test]
    fn everything_can_be_set() {
        let settings = read(
            r#"{"http_port": 5002, "tls_port": 5001, "resolvers": ["127.0.0.1:8053", "[::1]:53"],
                "allow": ["127.0.0.0/8"], "deny": ["10.0.0.0/8"], "loopback": true, "redirects": 0,
                "timeout": "5s", "connect_timeout": "500ms", "case_randomization": false}"#,
        )
        .expect("valid");
        assert_eq!(settings.timeout, Duration::from_secs(5));
        assert_eq!(settings.connect_timeout, Duration::from_millis(500));
        assert_eq!(settings.resolvers.len(), 2);
        settings.check().expect("in range");
    }

    #[test]
    fn what_is_out_of_range_is_named() {
        for (json, named) in [
            (r#"{"http_port": 0}"#, "http_port"),
            (r#"{"tls_port": 0}"#, "tls_port"),
            (r#"{"redirects": 11}"#, "redirects"),
            (r#"{"timeout": "0s"}"#, "timeout"),
            (r#"{"timeout": "2h"}"#, "timeout"),
            (r#"{"connect_timeout": "1ms"}"#, "connect_timeout"),
            (r#"{"resolvers": ["127.0.0.1:0"]}"#, "resolvers"),
        ] {
            let refusal = read(json).expect("shape").check().expect_err(json).to_string();
            assert!(refusal.contains(named), "{refusal}");
        }
        assert!(read(r#"{"timeout": "-5s"}"#).is_err());
        assert!(read(r#"{"timeout": "soon"}"#).is_err());
    }
}
