//! tls-alpn-01 (RFC 8737, for addresses RFC 8738 §6): a handshake that offers `acme-tls/1` alone.
//! What it must be answered with is judged by `acme`. No application data is sent or read.

use std::net::SocketAddr;
use std::sync::Arc;

use acme::ProblemType;
use acme::challenge::{KeyAuthorization, Shown, judge_tls_alpn01, server_name};
use ca::Identifier;
use rustls::ClientConfig;
use rustls::pki_types::{DnsName as TlsName, ServerName};
use tokio_rustls::TlsConnector;

use super::connect::Dialer;
use super::danger::is_self_signed;
use super::outcome::{Deadline, Failure, Proof};
use crate::perform::outgoing::causes;

/// What a validation needs.
pub(super) struct Probe<'a> {
    pub(super) dialer: &'a Dialer,
    pub(super) tls: &'a Arc<ClientConfig>,
    pub(super) deadline: Deadline,
}

impl Probe<'_> {
    /// Connects to `port` of `identifier` and has what it shows judged.
    ///
    /// # Errors
    /// `dns`, `connection`, `tls` if the handshake fails or picks another protocol,
    /// `incorrectResponse` if the certificate is not the one asked for.
    pub(super) async fn validate(
        &self,
        identifier: &Identifier,
        port: u16,
        expected: &KeyAuthorization,
    ) -> Result<Proof, Failure> {
        let (stream, address) = self
            .dialer
            .connect(identifier, port, self.deadline)
            .await
            .map_err(|failure| failure.during(&format!("tls-alpn-01: {identifier}")))?;
        let what = format!("tls-alpn-01: TLS handshake with {identifier} at {address}");
        let connector = TlsConnector::from(Arc::clone(self.tls));
        let name = TlsName::try_from(server_name(identifier)).map(ServerName::DnsName);
        let name = name
            .map_err(|why| Failure::new(ProblemType::ServerInternal, format!("{what}: {why}")))?;
        let stream = self
            .deadline
            .run(connector.connect(name, stream), ProblemType::Connection, &what)
            .await?
            .map_err(|error| {
                Failure::new(ProblemType::Tls, format!("{what}: {}", causes(&error)))
            })?;
        let (_, session) = stream.get_ref();
        let leaf = session.peer_certificates().and_then(|chain| chain.first()).map(AsRef::as_ref);
        let shown = Shown {
            protocol: session.alpn_protocol(),
            certificate: leaf,
            is_self_signed: leaf.is_some_and(is_self_signed),
        };
        judge_tls_alpn01(expected, identifier, &shown)
            .map_err(|problem| Failure::from(problem).during(&what))?;
        Ok(proof(identifier, address))
    }
}

fn proof(identifier: &Identifier, address: SocketAddr) -> Proof {
    let seen = format!("tls-alpn-01: validation certificate of {identifier} at {address}");
    Proof { address: Some(address), seen }
}
