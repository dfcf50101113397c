//! Who asks for secrets: a certificate of an authority here, for clients, that has not been revoked. TLS
//! proves that it is theirs; whether it is good still is asked again while they stay.

use std::collections::BTreeSet;
use std::sync::Arc;

use ca::{Certificate, Identifier};
use rustls::pki_types::CertificateDer;
use rustls::server::{ResolvesServerCert, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};
use tracing::error;

use crate::node::Node;

/// A client, by its certificate.
pub(super) struct Client {
    certificate: Certificate,
    name: String,
}

impl Client {
    /// Who has this certificate; none, if it has no name or is not good (any more).
    pub(super) fn of(node: &Node, chain: Option<&[CertificateDer<'_>]>) -> Option<Self> {
        let certificate = Certificate::from_der(chain?.first()?).ok()?;
        let named = certificate.identifiers().iter().find(|n| matches!(n, Identifier::Dns(_)));
        let name = named?.to_string();
        let client = Self { certificate, name };
        client.is_good(node).then_some(client)
    }

    /// What it is called: the first DNS name of its certificate.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn names(&self) -> &BTreeSet<Identifier> {
        self.certificate.identifiers()
    }

    /// Something to count it by, that is no token's.
    pub(super) fn number(&self) -> i64 {
        let [a, b, c, d, e, f, g, h, ..] = self.certificate.fingerprint();
        -(i64::from_be_bytes([a, b, c, d, e, f, g, h]) & i64::MAX) - 1
    }

    /// Whether its certificate was issued here, has not expired and has not been revoked.
    pub(super) fn is_good(&self, node: &Node) -> bool {
        let row = node.store.certificate_by_serial(&self.certificate.serial());
        let row = row.unwrap_or_else(|error| {
            error!(client = self.name, %error, "a client cannot be looked up");
            None
        });
        row.is_some_and(|row| {
            let same = row.der.as_deref() == Some(self.certificate.der());
            same && row.revoked.is_none() && node.world.now() <= row.not_after
        })
    }
}

/// TLS for the clients of the authorities that stand now, with the node's own certificate.
///
/// # Errors
/// When there is no authority, or the crypto library refuses.
pub(super) fn tls(
    node: &Arc<Node>,
    presented: Arc<dyn ResolvesServerCert>,
) -> Result<Arc<ServerConfig>, String> {
    let mut roots = RootCertStore::empty();
    for authority in node.catalog.load().authorities.values() {
        let root = CertificateDer::from(authority.ca.root().der().to_vec());
        roots.add(root).map_err(|error| error.to_string())?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build();
    let builder = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(|error| error.to_string())?;
    let mut config = builder
        .with_client_cert_verifier(verifier.map_err(|error| error.to_string())?)
        .with_cert_resolver(presented);
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(Arc::new(config))
}
