//! What is declared of an ACME CA outside: where it is, who we are there, how names are proven.
//! Nothing secret is in here, only the files it is in.

use std::net::SocketAddr;
use std::path::PathBuf;

use ::acme::limit::Bucket;
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::perform::outgoing::is_loopback;

/// An ACME CA outside.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AcmeSpec {
    /// What everything else calls it.
    pub(crate) name: String,
    /// The URL of its directory (RFC 8555 §7.1.1).
    pub(crate) directory: String,
    /// Whom the CA may write to, as URLs: `mailto:pki@example.com`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) contact: Vec<String>,
    /// Whether we agree to its terms of service.
    #[serde(default)]
    pub(crate) terms_agreed: bool,
    /// PEM certificates to trust for the directory, in place of the system's roots.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) roots: Option<PathBuf>,
    /// The account outside of ACME that ours belongs to (RFC 8555 §7.3.4).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) external_account: Option<ExternalAccount>,
    /// Which of the CA's profiles certificates are ordered under.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) profile: Option<String>,
    /// The common name of the issuer that the chain should end at, where the CA offers several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) preferred_chain: Option<String>,
    /// How many orders it takes from us.
    #[serde(default = "default_limits", skip_serializing_if = "Option::is_none")]
    pub(crate) limits: Option<Bucket>,
    /// How long one order may take, from its opening to its certificate.
    #[serde(with = "ca::duration", default = "default_order_timeout")]
    pub(crate) order_timeout: SignedDuration,
    /// How names are proven.
    #[serde(default)]
    pub(crate) challenge: ChallengeSpec,
}

/// A key that the CA handed out by other means.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExternalAccount {
    /// Its identifier.
    pub(crate) kid: String,
    /// The file with the key in base64url, readable by its owner only.
    pub(crate) hmac_file: PathBuf,
}

/// How names are proven.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", deny_unknown_fields)]
pub(crate) enum ChallengeSpec {
    /// On our own HTTP listener (RFC 8555 §8.3), reached on port 80 or through what forwards
    /// `/.well-known/acme-challenge/`.
    #[serde(rename = "http-01")]
    Http01 {},
    /// On our own HTTPS listener (RFC 8737), reached on port 443.
    #[serde(rename = "tls-alpn-01")]
    TlsAlpn01 {},
    /// By a TXT record for each order (RFC 8555 §8.4).
    #[serde(rename = "dns-01")]
    Dns01(DnsSpec),
    /// By a TXT record that stays (draft-ietf-acme-dns-persist).
    #[serde(rename = "dns-persist-01")]
    DnsPersist01(PersistSpec),
}

impl Default for ChallengeSpec {
    fn default() -> Self {
        Self::Http01 {}
    }
}

/// How TXT records come into DNS, and how it is known that they have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DnsSpec {
    /// Who writes them.
    pub(crate) provider: ProviderSpec,
    /// How long all of the zone's servers may take to answer them; `0s` asks none of them.
    #[serde(with = "ca::duration", default = "default_propagation")]
    pub(crate) propagation: SignedDuration,
    /// How DNS is asked.
    #[serde(default)]
    pub(crate) lookup: LookupSpec,
}

/// How DNS is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LookupSpec {
    /// Recursive resolvers that find the zone and its servers; none: the system's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) resolvers: Vec<SocketAddr>,
    /// The servers to ask in place of those in the zone's NS records, where these cannot be
    /// reached from here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) servers: Vec<SocketAddr>,
    /// The port of the zone's servers.
    #[serde(default = "default_port")]
    pub(crate) nameserver_port: u16,
}

/// What a CA is to find in a record that stays.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PersistSpec {
    /// How DNS is asked.
    #[serde(default)]
    pub(crate) lookup: LookupSpec,
}

/// Who writes TXT records.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", deny_unknown_fields)]
pub(crate) enum ProviderSpec {
    /// Dynamic updates (RFC 2136) signed with TSIG (RFC 8945).
    #[serde(rename = "rfc2136")]
    Rfc2136 {
        /// The primary server, asked over TCP.
        server: SocketAddr,
        /// The name of the TSIG key.
        key_name: String,
        /// Its algorithm.
        #[serde(default)]
        algorithm: TsigAlgorithm,
        /// The file with the key in base64, readable by its owner only.
        secret_file: PathBuf,
        /// The zone to update; none: the one found by its SOA record.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        zone: Option<String>,
    },
    /// An acme-dns server, to which `_acme-challenge` names are delegated by CNAME.
    #[serde(rename = "acme-dns")]
    AcmeDns {
        /// Its base URL.
        url: String,
        /// The file with its accounts as lego and acme-dns-client keep them: JSON, by domain,
        /// with `fulldomain`, `subdomain`, `username` and `password`.
        credentials_file: PathBuf,
    },
    /// A program.
    #[serde(rename = "exec")]
    Exec {
        /// The program, or the file with acme.sh's `dns_NAME_add` and `dns_NAME_rm`.
        command: PathBuf,
        /// How it is called.
        #[serde(default)]
        convention: Convention,
        /// How long one call may take.
        #[serde(with = "ca::duration", default = "default_exec_timeout")]
        timeout: SignedDuration,
    },
    /// A DNS service, through the library dns-update.
    #[serde(rename = "library")]
    Library {
        /// Which service, such as `cloudflare`.
        name: String,
        /// The file with its credentials, TOML strings by the names the service has for them,
        /// readable by its owner only.
        credentials_file: PathBuf,
        /// The zone to update; none: the one found by its SOA record.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        zone: Option<String>,
    },
}

/// The algorithms of RFC 8945 §6 that are not broken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum TsigAlgorithm {
    /// HMAC with SHA-256.
    #[default]
    HmacSha256,
    /// HMAC with SHA-384.
    HmacSha384,
    /// HMAC with SHA-512.
    HmacSha512,
}

/// Whose calling convention a program follows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Convention {
    /// `COMMAND present|cleanup FQDN VALUE`.
    #[default]
    #[serde(rename = "lego")]
    Lego,
    /// Shell functions `NAME_add NAME VALUE` and `NAME_rm NAME VALUE`, `NAME` being the file's.
    #[serde(rename = "acme.sh")]
    AcmeSh,
}

impl AcmeSpec {
    /// Whether it can be used as it stands.
    ///
    /// # Errors
    /// A sentence that says what is wrong and what to do.
    pub(crate) fn check(&self) -> Result<(), String> {
        check_url("directory", &self.directory)?;
        for contact in &self.contact {
            let fits = Url::parse(contact).is_ok_and(|url| url.scheme() == "mailto");
            if !fits {
                return Err(format!(
                    "contact {contact:?} is no mailto URL; write \"mailto:pki@example.com\""
                ));
            }
        }
        let least = SignedDuration::from_secs(10);
        if self.order_timeout < least || self.order_timeout > SignedDuration::from_hours(24) {
            return Err("order_timeout must be between 10s and 24h".into());
        }
        match &self.challenge {
            ChallengeSpec::Dns01(dns) => dns.check(),
            _ => Ok(()),
        }
    }
}

impl DnsSpec {
    fn check(&self) -> Result<(), String> {
        if self.propagation.is_negative() || self.propagation > SignedDuration::from_hours(6) {
            return Err("propagation must be at most 6h; \"0s\" asks no servers".into());
        }
        match &self.provider {
            ProviderSpec::AcmeDns { url, .. } => check_url("acme-dns url", url),
            ProviderSpec::Exec { command, timeout, .. } => {
                if !command.is_absolute() {
                    return Err(format!(
                        "exec command {} must be an absolute path: it is not looked for",
                        command.display()
                    ));
                }
                if !timeout.is_positive() || *timeout > SignedDuration::from_hours(1) {
                    return Err("exec timeout must be between 1s and 1h".into());
                }
                Ok(())
            }
            ProviderSpec::Rfc2136 { .. } | ProviderSpec::Library { .. } => Ok(()),
        }
    }
}

impl Default for LookupSpec {
    fn default() -> Self {
        Self { resolvers: Vec::new(), servers: Vec::new(), nameserver_port: default_port() }
    }
}

/// HTTPS, or on this machine HTTP.
fn check_url(what: &str, text: &str) -> Result<(), String> {
    let url = Url::parse(text).map_err(|e| format!("{what} {text:?} is no URL ({e})"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(format!("{what} must not have a user or password in it; take them out"));
    }
    match url.scheme() {
        "https" => Ok(()),
        "http" if is_loopback(&url) => Ok(()),
        _ => Err(format!("{what} {text:?} must begin with https://, except on loopback")),
    }
}

/// What Let's Encrypt grants an account.
fn default_limits() -> Option<Bucket> {
    Bucket::new(300, SignedDuration::from_hours(3))
}

fn default_order_timeout() -> SignedDuration {
    SignedDuration::from_mins(10)
}

fn default_propagation() -> SignedDuration {
    SignedDuration::from_mins(5)
}

fn default_exec_timeout() -> SignedDuration {
    SignedDuration::from_mins(2)
}

fn default_port() -> u16 {
    53
}
