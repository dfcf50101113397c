//! TLS for the HTTPS listener: versions 1.2 and 1.3, the node's certificate as it stands.

use std::sync::Arc;

use acme::challenge::ACME_TLS_ALPN;
use rustls::ServerConfig;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::node::Node;

/// The configuration of the HTTPS listener.
///
/// # Errors
/// When the crypto library refuses it.
pub(crate) fn config(node: &Arc<Node>) -> Result<Arc<ServerConfig>, rustls::Error> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(Presented(Arc::clone(node))));
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec(), ACME_TLS_ALPN.to_vec()];
    Ok(Arc::new(config))
}

/// What the node presents.
pub(crate) struct Presented(pub(crate) Arc<Node>);

impl std::fmt::Debug for Presented {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Presented")
    }
}

impl ResolvesServerCert for Presented {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        // RFC 8737 §3: a CA that validates offers this protocol and no other.
        if hello.alpn().is_some_and(|protocols| protocols.eq([ACME_TLS_ALPN])) {
            return self.0.answers.certificate(hello.server_name()?);
        }
        self.0.presented.load().as_ref().clone()
    }
}
