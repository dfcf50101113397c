//! Node settings: `perennial.toml`, overridden by `PERENNIAL_*` variables, overridden by flags.
//! What the node manages is not here but declared and stored (see `catalog`).

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::{env, fs, io};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use serde::Deserialize;

use crate::perform::validate;

/// What `serve` may be told on the command line or by the environment.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct Overrides {
    /// Node settings, a TOML file [default: none; every setting has a default]
    #[arg(long, value_name = "FILE", env = "PERENNIAL_CONFIG")]
    pub(crate) config: Option<PathBuf>,
    /// Address of the HTTPS listener: ACME, CA certificates, CRLs [default: 127.0.0.1:8443]
    #[arg(long, value_name = "ADDR", env = "PERENNIAL_HTTPS")]
    pub(crate) https: Option<SocketAddr>,
    /// Address of the HTTP listener: CA certificates and CRLs [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR", env = "PERENNIAL_HTTP")]
    pub(crate) http: Option<SocketAddr>,
    /// Address of the admin listener: metrics and health [default: 127.0.0.1:9464]
    #[arg(long, value_name = "ADDR", env = "PERENNIAL_ADMIN")]
    pub(crate) admin: Option<SocketAddr>,
    /// What clients call the HTTPS listener, such as https://ca.example.com:8443 [default: the host
    /// that each client asks for]
    #[arg(long, value_name = "URL", env = "PERENNIAL_PUBLIC_URL")]
    pub(crate) public_url: Option<String>,
    /// The HTTP URL under which certificates name CRLs and issuers; fixed in CA certificates when
    /// they are made [default: the address of the HTTP listener]
    #[arg(long, value_name = "URL", env = "PERENNIAL_PUBLIC_HTTP_URL")]
    pub(crate) public_http_url: Option<String>,
}

/// The settings of this node, complete.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) data_dir: PathBuf,
    pub(crate) listen: Listen,
    pub(crate) key_file: PathBuf,
    pub(crate) validation: validate::Settings,
    pub(crate) log: Log,
    pub(crate) blocked_keys: Option<PathBuf>,
}

/// Where the node listens, and what it calls itself.
#[derive(Clone, Debug)]
pub(crate) struct Listen {
    pub(crate) https: SocketAddr,
    pub(crate) http: SocketAddr,
    pub(crate) admin: SocketAddr,
    /// `https://host[:port]`, without a trailing slash.
    pub(crate) public_url: Option<String>,
    /// `http://host[:port]`: what certificates name for CRLs and issuers.
    pub(crate) public_http_url: Option<String>,
    /// Connections at once from one address, over all listeners.
    pub(crate) connections_per_address: u32,
    /// Networks whose connections are not counted: load balancers, and this machine.
    pub(crate) uncounted: Vec<IpNet>,
    /// Whether the HTTP listener serves keysets too, to a proxy that ends TLS.
    pub(crate) keysets_over_http: bool,
}

/// How the node logs.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Log {
    pub(crate) format: LogFormat,
    /// As `tracing` filters are written: `info`, `perennial=debug`.
    pub(crate) level: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    #[default]
    Text,
    Json,
}

impl Config {
    /// Settles the settings of `serve`.
    ///
    /// # Errors
    /// When the file cannot be read or says something that is no setting.
    pub(crate) fn load(
        overrides: &Overrides,
        data_dir: Option<&Path>,
    ) -> Result<Self, ConfigError> {
        let file = match &overrides.config {
            Some(path) => File::read(path)?,
            None => File::default(),
        };
        let data_dir = match data_dir.map(Path::to_owned).or(file.data_dir) {
            Some(dir) => dir,
            None => default_data_dir(),
        };
        let address = |flag: Option<SocketAddr>, own: Option<SocketAddr>, port| {
            flag.or(own).unwrap_or(SocketAddr::from(([127, 0, 0, 1], port)))
        };
        let public_url = overrides.public_url.clone().or(file.listen.public_url);
        let listen = Listen {
            https: address(overrides.https, file.listen.https, 8443),
            http: address(overrides.http, file.listen.http, 8080),
            admin: address(overrides.admin, file.listen.admin, 9464),
            public_url: public_url.map(|url| base_url(&url, "https://")).transpose()?,
            public_http_url: (overrides.public_http_url.clone().or(file.listen.public_http_url))
                .map(|url| base_url(&url, "http://"))
                .transpose()?,
            connections_per_address: match file.listen.connections_per_address {
                Some(0) => return Err(ConfigError::NoConnections),
                most => most.unwrap_or(CONNECTIONS_PER_ADDRESS),
            },
            uncounted: [&file.listen.proxies[..], &LOOPBACK].concat(),
            keysets_over_http: file.listen.keysets_over_http,
        };
        if let (Err(why), Some(path)) = (file.validation.check(), &overrides.config) {
            return Err(ConfigError::Validation { path: path.clone(), why });
        }
        if let Some(url) = file.store.url.filter(|url| url != "sqlite:") {
            return Err(ConfigError::Store(url));
        }
        Ok(Self {
            key_file: file.keys.file.unwrap_or_else(|| data_dir.join("key-encryption-key")),
            data_dir: std::path::absolute(&data_dir).unwrap_or(data_dir),
            listen,
            validation: file.validation,
            log: file.log,
            blocked_keys: file.keys.blocked,
        })
    }
}

/// Where data lives if nobody says: where systemd says, else `/var/lib/perennial` for root, else
/// the user's own data directory (XDG Base Directory Specification).
pub(crate) fn default_data_dir() -> PathBuf {
    if let Some(dir) = env::var_os("STATE_DIRECTORY") {
        return dir.into();
    }
    if rustix::process::geteuid().is_root() {
        return "/var/lib/perennial".into();
    }
    let base = env::var_os("XDG_DATA_HOME").map(PathBuf::from).or_else(|| {
        env::var_os("HOME").map(|home| PathBuf::from(home).join(".local").join("share"))
    });
    base.unwrap_or_else(|| ".".into()).join("perennial")
}

/// The settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    #[error("{}: {error}; name the settings with --config, or leave it out", path.display())]
    Unreadable { path: PathBuf, error: io::Error },
    #[error("{}:{line}: {why}; correct or remove it", path.display())]
    Malformed { path: PathBuf, line: usize, why: String },
    #[error("{url:?} is no base URL: write {scheme}host or {scheme}host:port, without a path")]
    BaseUrl { url: String, scheme: &'static str },
    #[error("{}: {why}; correct or remove it", path.display())]
    Validation { path: PathBuf, why: validate::InvalidSettings },
    #[error("[listen] connections_per_address = 0 lets nobody in; leave it out, or give a number")]
    NoConnections,
    #[error(
        "store {0:?} is not supported: the embedded SQLite store is the only one yet; remove [store] url"
    )]
    Store(String),
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct File {
    data_dir: Option<PathBuf>,
    listen: FileListen,
    store: FileStore,
    keys: FileKeys,
    validation: validate::Settings,
    log: Log,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct FileListen {
    https: Option<SocketAddr>,
    http: Option<SocketAddr>,
    admin: Option<SocketAddr>,
    public_url: Option<String>,
    public_http_url: Option<String>,
    connections_per_address: Option<u32>,
    proxies: Vec<IpNet>,
    keysets_over_http: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct FileStore {
    url: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct FileKeys {
    file: Option<PathBuf>,
    blocked: Option<PathBuf>,
}

impl File {
    fn read(path: &Path) -> Result<Self, ConfigError> {
        let unreadable = |error| ConfigError::Unreadable { path: path.to_owned(), error };
        let text = fs::read_to_string(path).map_err(unreadable)?;
        toml::from_str(&text).map_err(|error| {
            let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            ConfigError::Malformed {
                path: path.to_owned(),
                line: before.matches('\n').count() + 1,
                why: error.message().replace('\n', ", "),
            }
        })
    }
}

fn base_url(url: &str, scheme: &'static str) -> Result<String, ConfigError> {
    let trimmed = url.strip_suffix('/').unwrap_or(url);
    let host = trimmed.strip_prefix(scheme).unwrap_or_default();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-.:[]".contains(c);
    if host.is_empty() || !host.chars().all(plain) {
        return Err(ConfigError::BaseUrl { url: url.to_owned(), scheme });
    }
    Ok(trimmed.to_ascii_lowercase())
}

/// Many clients may come from behind one address; all that are not exempt have eight thousand.
const CONNECTIONS_PER_ADDRESS: u32 = 256;
const LOOPBACK: [IpNet; 2] = [
    IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(127, 0, 0, 0), 8)),
    IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::LOCALHOST, 128)),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_setting_is_a_mistake_and_not_ignored() {
        assert!(toml::from_str::<File>("[listen]\nhtps = '127.0.0.1:1'").is_err());
        assert!(toml::from_str::<File>("data_dir = '/x'\n[log]\nformat = 'json'").is_ok());
    }

    #[test]
    fn connections_from_this_machine_and_from_proxies_are_not_counted() {
        let path = env::temp_dir().join(format!("perennial-listen-{}", std::process::id()));
        let load = |text: &str| {
            fs::write(&path, text).expect("settings");
            let overrides = Overrides { config: Some(path.clone()), ..Overrides::default() };
            Config::load(&overrides, None)
        };
        let listen = load("[listen]\nproxies = ['10.0.0.0/8']").expect("settings").listen;
        for address in ["10.1.2.3", "127.0.0.1", "::1"] {
            let address: std::net::IpAddr = address.parse().expect("an address");
            assert!(listen.uncounted.iter().any(|net| net.contains(&address)), "{address}");
        }
        assert_eq!(listen.connections_per_address, CONNECTIONS_PER_ADDRESS);
        assert!(load("[listen]\nconnections_per_address = 0").is_err());
        fs::remove_file(&path).expect("clean up");
    }

    #[test]
    fn a_base_url_has_no_path() {
        assert_eq!(base_url("https://CA.example/", "https://").expect("ok"), "https://ca.example");
        assert!(base_url("https://ca.example/acme", "https://").is_err());
        assert!(base_url("http://ca.example", "https://").is_err());
        assert!(base_url("https://", "https://").is_err());
    }
}
