//! Validation against small real servers on loopback, one file per method, and the servers.

mod caa;
mod dns;
mod http;
mod nameserver;
mod redirect;
mod tls_alpn;
mod web;

use std::net::SocketAddr;
use std::time::Duration;

use super::{Settings, Validator};

/// Settings under which everything runs on loopback.
fn settings(resolver: Option<SocketAddr>) -> Settings {
    Settings {
        resolvers: resolver.into_iter().collect(),
        loopback: true,
        timeout: Duration::from_secs(5),
        ..Settings::default()
    }
}

fn validator(settings: Settings) -> Validator {
    Validator::new(settings).expect("valid settings")
}

fn id(text: &str) -> ca::Identifier {
    ca::Identifier::parse(text).expect("test identifier")
}
