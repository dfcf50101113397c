//! What a test stands on: a node whose HTTP and HTTPS listeners serve, a CA that validates there,
//! and the shortest way to an order.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use ca::{Certificate, Identifier, KeyAlgorithm, MemorySigner};
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::super::client::{Client, account};
use super::super::csr::csr;
use super::super::error::ObtainError;
use super::super::order::Wanted;
use super::super::spec::{AcmeSpec, ChallengeSpec};
use super::pebble::{Manner, Pebble};
use super::program::free_port;
use crate::http::peers::Peers;
use crate::http::{http_router, server, tls};
use crate::node::Node;

/// A node and a CA.
pub(super) struct Scene {
    pub(super) node: Arc<Node>,
    pub(super) pebble: Pebble,
    pub(super) home: PathBuf,
    _drain: watch::Sender<bool>,
}

impl Scene {
    /// Pebble with good manners.
    pub(super) async fn set() -> Self {
        Self::with(Manner::default()).await
    }

    /// Pebble with any manners.
    pub(super) async fn with(manner: Manner) -> Self {
        let (http, tls) = (free_port(), free_port());
        Self::at(manner, http, http, tls).await
    }

    /// A node that listens on `http` and `tls`, and a CA that validates at `seen` instead of
    /// `http`.
    pub(super) async fn at(manner: Manner, http: u16, seen: u16, tls_port: u16) -> Self {
        let (node, _) = crate::node::tests::node().await;
        let (drain, draining) = watch::channel(false);
        let bind = async |port| TcpListener::bind(("127.0.0.1", port)).await.expect("a port");
        let router = http_router(&node);
        let (plain, secure) = (bind(http).await, bind(tls_port).await);
        let tls = tls::config(&node).expect("TLS");
        let peers = Peers::new(1000, Vec::new());
        let (shared, drains) = (peers.clone(), draining.clone());
        tokio::spawn(server::serve_tcp(plain, None, router.clone(), shared, drains));
        tokio::spawn(server::serve_tcp(secure, Some(tls), router, peers, draining));
        let home = home();
        let pebble = Pebble::start(&home, &manner, seen, tls_port);
        Self { node, pebble, home, _drain: drain }
    }

    /// The CA, declared, with http-01.
    pub(super) fn spec(&self) -> AcmeSpec {
        let text = format!(
            "name = 'pebble'\ndirectory = '{}'\nroots = '{}'\nterms_agreed = true\n\
             contact = ['mailto:pki@example.com']\norder_timeout = '1m'",
            self.pebble.directory,
            self.pebble.roots.display()
        );
        let spec: AcmeSpec = toml::from_str(&text).expect("a declaration");
        spec.check().expect("it is good");
        spec
    }

    /// The CA, declared, with another challenge.
    pub(super) fn spec_with(&self, challenge: &str) -> AcmeSpec {
        let challenge: ChallengeSpec = toml::from_str(challenge).expect("a declaration");
        let spec = AcmeSpec { challenge, ..self.spec() };
        spec.check().expect("it is good");
        spec
    }

    /// A new account.
    pub(super) async fn client(&self, spec: &AcmeSpec) -> Client {
        account(spec, None).await.expect("an account").0
    }

    /// Orders a certificate for `names` and looks at it closely.
    pub(super) async fn order(
        &self,
        client: &Client,
        names: &[&str],
    ) -> Result<Vec<Certificate>, ObtainError> {
        let wanted = wanted(names);
        let chain = client.order(&wanted, &self.node.answers, async |_| {}).await?;
        assert_good(&chain, names);
        Ok(chain)
    }
}

/// A chain whose leaf names just `names`.
pub(super) fn assert_good(chain: &[Certificate], names: &[&str]) {
    assert!(chain.len() > 1, "{chain:?}");
    assert_eq!(*chain[0].identifiers(), identifiers(names).into_iter().collect());
    for pair in chain.windows(2) {
        pair[0].verify_issued_by(&pair[1]).expect("a chain");
    }
}

/// An order for `names` by a key that nobody keeps.
pub(super) fn wanted(names: &[&str]) -> Wanted {
    let identifiers = identifiers(names);
    let key = MemorySigner::generate(KeyAlgorithm::EcdsaP256).expect("a key");
    let csr = csr(&key, &identifiers).expect("a request");
    Wanted { identifiers, csr, replaces: None }
}

fn identifiers(names: &[&str]) -> Vec<Identifier> {
    names.iter().map(|name| Identifier::parse(name).expect("a name")).collect()
}

/// A directory of a test's own.
pub(super) fn home() -> PathBuf {
    static MADE: AtomicU32 = AtomicU32::new(0);
    let number = MADE.fetch_add(1, Ordering::Relaxed);
    let home = std::env::temp_dir().join(format!("perennial-acme-{}-{number}", std::process::id()));
    fs::create_dir_all(&home).expect("a directory");
    home
}

/// Where a program is.
///
/// # Panics
/// When it is not installed; the message says how to install it.
pub(super) fn installed(name: &str) -> String {
    let package = match name {
        "pebble-challtestsrv" => "pebble",
        "knotd" => "knot",
        "dig" | "nsupdate" => "bind9-dnsutils",
        other => other,
    };
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = std::env::split_paths(&path).chain([Path::new("/usr/sbin").into()]);
    let found = places.map(|place| place.join(name)).find(|file| file.is_file());
    let advice = || format!("{name} is not installed: run `sudo apt-get install {package}`");
    found.unwrap_or_else(|| panic!("{}", advice())).display().to_string()
}
