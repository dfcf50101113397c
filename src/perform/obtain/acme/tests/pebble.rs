//! Pebble, the small ACME server that Let's Encrypt made for testing clients, on free ports of
//! loopback, with the DNS server that comes with it. Both end with the test that started them.

use std::fs;
use std::path::{Path, PathBuf};

use rcgen::{CertificateParams, KeyPair};

use super::program::{Daemon, free_port};

/// How Pebble behaves.
#[derive(Clone, Debug)]
pub(super) struct Manner {
    /// Percentage of good nonces that are refused.
    pub(super) bad_nonces: u8,
    /// Percentage of valid authorizations that are used again.
    pub(super) reuse: u8,
    /// Seconds that a validation takes at most.
    pub(super) slowness: u8,
    /// Roots besides the one it issues under.
    pub(super) other_roots: u8,
    /// The external account that it wants to see, and its key.
    pub(super) external: Option<(&'static str, &'static str)>,
    /// The port of the DNS server it asks, in place of its own.
    pub(super) dns: Option<u16>,
    /// A name it certifies for nobody.
    pub(super) blocked: &'static str,
}

impl Default for Manner {
    fn default() -> Self {
        Self {
            bad_nonces: 10,
            reuse: 0,
            slowness: 0,
            other_roots: 0,
            external: None,
            dns: None,
            blocked: "blocked.example",
        }
    }
}

/// A running Pebble.
#[derive(Debug)]
pub(super) struct Pebble {
    /// Its directory.
    pub(super) directory: String,
    /// What to trust for it.
    pub(super) roots: PathBuf,
    /// Where it is managed.
    pub(super) management: String,
    /// Its log.
    pub(super) log: PathBuf,
    daemons: Vec<Daemon>,
}

impl Pebble {
    /// Starts it with its files in `home`; it connects to `http` and `tls` to validate.
    pub(super) fn start(home: &Path, manner: &Manner, http: u16, tls: u16) -> Self {
        let (port, management) = (free_port(), free_port());
        let mut daemons = Vec::new();
        let dns = manner.dns.unwrap_or_else(|| {
            let (daemon, port) = challenge_server(home);
            daemons.push(daemon);
            port
        });
        let roots = certificate(home);
        let keys = manner.external.map(|(kid, key)| serde_json::json!({ kid: key }));
        let settings = serde_json::json!({ "pebble": {
            "listenAddress": format!("127.0.0.1:{port}"),
            "managementListenAddress": format!("127.0.0.1:{management}"),
            "certificate": roots, "privateKey": home.join("key.pem"),
            "httpPort": http, "tlsPort": tls, "ocspResponderURL": "",
            "externalAccountBindingRequired": keys.is_some(), "externalAccountMACKeys": keys,
            "domainBlocklist": [manner.blocked],
        }});
        let file = home.join("pebble.json");
        fs::write(&file, settings.to_string()).expect("Pebble's settings");
        let sleep = match manner.slowness {
            0 => ["PEBBLE_VA_NOSLEEP=1".into(), "PEBBLE_VA_SLEEPTIME=0".into()],
            most => ["PEBBLE_VA_NOSLEEP=0".into(), format!("PEBBLE_VA_SLEEPTIME={most}")],
        };
        let mut arguments = sleep.to_vec();
        arguments.extend([
            format!("PEBBLE_WFE_NONCEREJECT={}", manner.bad_nonces),
            format!("PEBBLE_AUTHZREUSE={}", manner.reuse),
            format!("PEBBLE_ALTERNATE_ROOTS={}", manner.other_roots),
            super::scene::installed("pebble"),
            "-config".into(),
            file.display().to_string(),
            "-dnsserver".into(),
            format!("127.0.0.1:{dns}"),
        ]);
        let mut daemon = Daemon::start("env", arguments, home);
        daemon.wait_for_port(port);
        daemon.wait_for_port(management);
        let log = daemon.log.clone();
        daemons.push(daemon);
        let directory = format!("https://localhost:{port}/dir");
        let management = format!("https://localhost:{management}");
        Self { directory, roots, management, log, daemons }
    }

    /// Ends it.
    pub(super) fn stop(&mut self) {
        self.daemons.clear();
    }

    /// What it has logged so far.
    pub(super) fn wrote(&self) -> String {
        fs::read_to_string(&self.log).expect("its log")
    }
}

/// The DNS server that comes with Pebble: every name has the address 127.0.0.1.
fn challenge_server(home: &Path) -> (Daemon, u16) {
    let (dns, management) = (free_port(), free_port());
    let (dns_at, management_at) = (format!("127.0.0.1:{dns}"), format!("127.0.0.1:{management}"));
    let arguments = ["-dns01", &dns_at, "-management", &management_at, "-defaultIPv6", ""];
    let none = ["-http01", "", "-https01", "", "-tlsalpn01", ""];
    let program = super::scene::installed("pebble-challtestsrv");
    let mut daemon = Daemon::start(&program, arguments.into_iter().chain(none), home);
    daemon.wait_for_port(management);
    (daemon, dns)
}

/// Pebble's own certificate, which is its own root.
fn certificate(home: &Path) -> PathBuf {
    let params = CertificateParams::new(["localhost".into(), "127.0.0.1".into()]).expect("names");
    let key = KeyPair::generate().expect("a key");
    let certificate = params.self_signed(&key).expect("a certificate");
    fs::write(home.join("key.pem"), key.serialize_pem()).expect("its key");
    let file = home.join("pebble.pem");
    fs::write(&file, certificate.pem()).expect("the certificate");
    file
}
