//! The node's own HTTPS certificate: issued by its own authority, renewed when two thirds of its
//! life are spent, put in place without a restart.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use ca::issue::Request;
use ca::{Identifier, KeyAlgorithm, MemorySigner, Profile, Signer};
use jiff::{SignedDuration, Timestamp};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::CertifiedKey;
use tracing::{error, info};

use super::issuance::{Commission, IssuanceError, issue};
use crate::catalog::{Authority, Catalog};
use crate::node::Node;
use crate::seal::Unsealable;
use crate::store::{CertificateRow, Commit, CommitError, Event, OWN_CERTIFICATE, ReadError, Row};

/// Puts a certificate in place that is good now: the stored one, or a new one.
///
/// # Errors
/// When none can be had.
pub(crate) async fn ensure(node: &Node) -> Result<(), OwnError> {
    let catalog = node.catalog.load();
    let authority = own_authority(&catalog).ok_or(OwnError::NoAuthority)?;
    let names = own_names(node);
    if let Some(row) = node.store.own_certificate()?
        && row.authority == authority.id
        && row.revoked.is_none()
        && node.world.now() < renewal_point(&row)
        && let Some(der) = &row.der
        && let Ok(certificate) = ca::Certificate::from_der(der)
        && certificate.identifiers().iter().cloned().collect::<BTreeSet<_>>() == names
        && let Some(sealed) = &row.sealed_key
    {
        if node.presented.load().is_none() {
            let key = node.key.open(OWN_CERTIFICATE, sealed)?;
            present(node, authority, der, &key)?;
        }
        return Ok(());
    }
    obtain(node, authority, names).await
}

/// Renews the certificate if it is time.
pub(crate) async fn renew(node: Arc<Node>) {
    if let Err(error) = ensure(&node).await {
        error!(%error, "the node's own certificate cannot be renewed; it will be retried");
    }
}

async fn obtain(
    node: &Node,
    authority: &Arc<Authority>,
    names: BTreeSet<Identifier>,
) -> Result<(), OwnError> {
    let signer = MemorySigner::generate(KeyAlgorithm::EcdsaP256)?;
    let key = signer.pkcs8()?;
    let sealed = node.key.seal(&node.world, OWN_CERTIFICATE, &key);
    let profile = Profile { name: "node".into(), lifetime: LIFETIME, ..Profile::tls_server() };
    let commission = Commission { authority, profile: &profile, account: None };
    let identifiers: Vec<_> = names.into_iter().collect();
    let request = Request {
        public_key: signer.public_key(),
        identifiers: &identifiers,
        not_before: None,
        not_after: None,
        must_staple: false,
        blocked: &node.blocked,
    };
    let (certificate, row) = issue(node, "serve", &commission, &request, Some(sealed)).await?;
    let event = Event::new("serve", "node.present", format!("certificate/{}", row.serial));
    let fact = Row::Meta { name: OWN_CERTIFICATE, value: row.id.to_string().into_bytes() };
    node.store.commit(Commit::new(event).put(fact), node.world.now()).await?;
    present(node, authority, certificate.der(), &key)?;
    info!(serial = %row.serial, not_after = %row.not_after, "the node presents a new certificate");
    Ok(())
}

fn present(node: &Node, authority: &Authority, leaf: &[u8], key: &[u8]) -> Result<(), OwnError> {
    let mut chain = vec![CertificateDer::from(leaf.to_vec())];
    // The root is what clients have already.
    let above = authority.ca.path().filter(|ca| !ca.is_self_issued());
    chain.extend(above.map(|ca| CertificateDer::from(ca.der().to_vec())));
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.to_vec()));
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let certified = CertifiedKey::from_der(chain, key, &provider)?;
    node.presented.replace(Some(Arc::new(certified)));
    Ok(())
}

/// The authority of the directory `default`, else of the first directory, else any that is not a
/// root.
fn own_authority(catalog: &Catalog) -> Option<&Arc<Authority>> {
    let directory =
        catalog.directories.get("default").or_else(|| catalog.directories.values().next());
    directory
        .map(|directory| &directory.authority)
        .or_else(|| catalog.authorities.values().find(|a| a.issuer.is_some()))
}

/// What clients may call this node: where it listens, what it is told to be called, this machine.
fn own_names(node: &Node) -> BTreeSet<Identifier> {
    let mut names = BTreeSet::new();
    let mut add = |text: &str| names.extend(Identifier::parse(text).ok());
    for name in ["localhost", "127.0.0.1", "::1"] {
        add(name);
    }
    for url in [Some(&node.https_url), node.config.listen.public_url.as_ref()].into_iter().flatten()
    {
        add(host_of(url));
    }
    let listening: IpAddr = node.config.listen.https.ip();
    if !listening.is_unspecified() {
        add(&listening.to_string());
    }
    if let Ok(name) = rustix::system::uname().nodename().to_str() {
        add(name);
    }
    names
}

/// The host of a base URL, without brackets and port.
fn host_of(url: &str) -> &str {
    let authority = url.split_once("://").map_or(url, |(_, rest)| rest);
    match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address,
        None => authority.split(':').next().unwrap_or(authority),
    }
}

/// Two thirds into the certificate's life.
fn renewal_point(row: &CertificateRow) -> Timestamp {
    row.not_before + row.not_after.duration_since(row.not_before) / 3 * 2
}

/// The node cannot present a certificate.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OwnError {
    #[error("there is no authority that could issue the node's own certificate; declare one")]
    NoAuthority,
    #[error(transparent)]
    Issuance(#[from] IssuanceError),
    #[error(transparent)]
    Key(#[from] ca::SignError),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Commit(#[from] CommitError),
    #[error(transparent)]
    Seal(#[from] Unsealable),
    #[error("TLS does not accept it: {0}")]
    Tls(#[from] rustls::Error),
}

const LIFETIME: SignedDuration = SignedDuration::from_hours(30 * 24);

#[cfg(test)]
mod tests {
    use super::host_of;

    #[test]
    fn the_host_of_a_url_has_no_port_and_no_brackets() {
        assert_eq!(host_of("https://ca.example:8443"), "ca.example");
        assert_eq!(host_of("https://ca.example"), "ca.example");
        assert_eq!(host_of("https://[::1]:8443"), "::1");
    }
}
