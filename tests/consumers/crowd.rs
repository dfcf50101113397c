//! Everybody who verifies, under one roof: which algorithms each knows, and what each says of a token.

use super::keysets::{Issuer, Keyset, Token};
use super::libraries::Library;
use super::proxies::Proxy;
use super::rust::Service;

/// A consumer of key sets.
pub(super) struct Consumer {
    pub(super) name: &'static str,
    kind: Kind,
}

enum Kind {
    Library(Library),
    Proxy(Proxy),
    Rust(Service),
}

impl Consumer {
    /// Starts all of them before a server.
    pub(super) fn all(issuer: &Issuer) -> Vec<Self> {
        let root = &issuer.scene.server.trust;
        let libraries =
            Library::NAMES.map(|name| (name, Kind::Library(Library::start(name, root))));
        let others = [
            ("jsonwebtoken", Kind::Rust(Service::new(root))),
            ("envoy", Kind::Proxy(Proxy::envoy(issuer))),
            ("mod_auth_openidc", Kind::Proxy(Proxy::apache(issuer))),
        ];
        libraries.into_iter().chain(others).map(|(name, kind)| Self { name, kind }).collect()
    }

    /// Whether it can verify with this algorithm at all.
    pub(super) fn knows(&self, algorithm: &str) -> bool {
        match algorithm {
            "RS256" | "PS256" | "ES256" | "ES384" => true,
            "EdDSA" => !matches!(self.name, "jwks-rsa" | "mod_auth_openidc"),
            "Ed25519" => matches!(self.name, "jose" | "joserfc"),
            _ => self.name == "jose",
        }
    }

    /// Whether it accepts a token; if not, what it says.
    pub(super) async fn verify(&self, keyset: &Keyset, token: &Token) -> Result<(), String> {
        match &self.kind {
            Kind::Library(library) => library.verify(keyset, token).await,
            Kind::Proxy(proxy) => proxy.verify(keyset, token).await,
            Kind::Rust(service) => service.verify(keyset, token).await,
        }
    }
}
