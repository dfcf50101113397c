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

use acme::Jwk;
use acme::challenge::KeyAuthorization;

use super::{Settings, Validator};

/// What the client must show: the token of RFC 8555 §8.1 for the key of RFC 8037.
const AUTHORIZATION: &str =
    "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA.kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k";
const TOKEN: &str = "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA";

fn expected() -> KeyAuthorization {
    let key = r#"{"crv":"Ed25519","kty":"OKP","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
    KeyAuthorization::new(TOKEN, &Jwk::parse(key).expect("test key"))
}

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
