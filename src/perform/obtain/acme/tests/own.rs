//! Our own server as the CA outside: for renewal information, profiles, rate limits and the drafts,
//! which Debian's Pebble does not have. The same node is the client, and answers its own challenges.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use jiff::Timestamp;
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::super::client::{Client, account};
use super::super::spec::AcmeSpec;
use super::scene::home;
use crate::catalog::parse;
use crate::http::peers::Peers;
use crate::http::{http_router, https_router, server, tls};
use crate::node::Node;
use crate::perform::{establish, managed};
use crate::worker;

/// A node that is both.
pub(super) struct Own {
    pub(super) node: Arc<Node>,
    /// Its clock, in seconds of the Unix epoch.
    pub(super) clock: Arc<AtomicI64>,
    pub(super) port: u16,
    roots: PathBuf,
    _drain: watch::Sender<bool>,
}

impl Own {
    /// Serves a directory with `settings`, lines of its declaration, whose validation asks
    /// `resolver`, or the system where that is 0.
    pub(super) async fn serving(settings: &str, resolver: u16) -> Self {
        let (node, clock) = crate::node::tests::node_at(Timestamp::now().as_second()).await;
        let bind = async || TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let (https, http) = (bind().await, bind().await);
        let ports = [&https, &http].map(|one| one.local_addr().expect("an address").port());
        let resolvers = match resolver {
            0 => String::new(),
            port => format!("'127.0.0.1:{port}'"),
        };
        let declared = format!(
            "[[directory]]\nname = 'outside'\nauthority = 'internal'\n{settings}\n\
             [directory.validation]\nhttp_port = {}\nloopback = true\nresolvers = [{resolvers}]",
            ports[1]
        );
        let wanted = parse([("test.toml", declared.as_str())]).expect("a declaration");
        let standing = establish::declared(&node).await.expect("defaults");
        let catalog = establish::apply(&node, "test", &standing, &wanted).await.expect("applied");
        node.catalog.replace(catalog);
        crate::node::tests::present(&node).await;
        let roots = home().join("root.pem");
        let root = node.catalog.load().directories["outside"].authority.ca.root().pem();
        fs::write(&roots, root).expect("the root");
        let (drain, draining) = watch::channel(false);
        let tls = tls::config(&node).expect("TLS");
        let peers = Peers::new(1000, Vec::new());
        let (secure, plain) = (https_router(&node), http_router(&node));
        let (shared, drains) = (Arc::clone(&peers), draining.clone());
        tokio::spawn(server::serve_tcp(https, Some(tls), secure, shared, drains));
        tokio::spawn(server::serve_tcp(http, None, plain, peers, draining.clone()));
        tokio::spawn(worker::run(Arc::clone(&node), draining));
        Self { node, clock, port: ports[0], roots, _drain: drain }
    }

    /// The CA, declared, with `settings` added.
    pub(super) fn spec(&self, settings: &str) -> AcmeSpec {
        let spec: AcmeSpec = toml::from_str(&self.text(self.port, settings)).expect("its text");
        spec.check().expect("it is good");
        spec
    }

    /// Its declaration, reached through `port`.
    pub(super) fn text(&self, port: u16, settings: &str) -> String {
        format!(
            "name = 'own'\ndirectory = 'https://localhost:{port}/acme/outside/directory'\n\
             roots = '{}'\norder_timeout = '1m'\n{settings}",
            self.roots.display()
        )
    }

    /// A new account.
    pub(super) async fn client(&self, settings: &str) -> Client {
        account(&self.spec(settings), None).await.expect("an account").0
    }
}

/// Declares something, as `apply` does.
pub(super) async fn declare(node: &Node, text: &str) {
    let wanted = parse([("more.toml", text)]).expect("a declaration");
    let standing = establish::declared(node).await.expect("what is declared");
    let catalog = establish::apply(node, "test", &standing, &wanted).await;
    node.catalog.replace(catalog.expect("applied"));
    managed::enlist(node, "test").await.expect("enlisted");
}
