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
    let (authority, names) =
        own_authority(&catalog, own_names(node), node.world.now()).ok_or(OwnError::NoAuthority)?;
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

/// The authority that certifies this node, and the names it may certify: the directory
/// `default`'s, else another directory's, else any, a root last. One that permits all of the names
/// goes before one that permits a part.
fn own_authority(
    catalog: &Catalog,
    names: BTreeSet<Identifier>,
    now: Timestamp,
) -> Option<(&Arc<Authority>, BTreeSet<Identifier>)> {
    let of_default = catalog.directories.get("default").into_iter();
    let of_directories = of_default.chain(catalog.directories.values()).map(|d| &d.authority);
    let (roots, others): (Vec<_>, Vec<_>) =
        catalog.authorities.values().partition(|authority| authority.issuer.is_none());
    let valid = |authority: &&Arc<Authority>| now < authority.ca.certificate().not_after();
    let candidates: Vec<_> = of_directories.chain(others).chain(roots).filter(valid).collect();
    let permitted = |authority: &Arc<Authority>| -> BTreeSet<_> {
        names.iter().filter(|name| authority.ca.permits(name)).cloned().collect()
    };
    let offers = candidates.iter().map(|authority| (*authority, permitted(authority)));
    let offers: Vec<_> = offers.filter(|(_, some)| !some.is_empty()).collect();
    let whole = offers.iter().position(|(_, some)| some.len() == names.len()).unwrap_or(0);
    offers.into_iter().nth(whole)
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

impl OwnError {
    /// Whether another declaration of authorities would mend it.
    pub(crate) fn is_about_authorities(&self) -> bool {
        matches!(self, Self::NoAuthority | Self::Issuance(IssuanceError::Refused(_)))
    }
}

const LIFETIME: SignedDuration = SignedDuration::from_hours(30 * 24);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::parse;
    use crate::node::tests::node;
    use crate::perform::establish;

    #[tokio::test]
    async fn an_authority_for_other_names_does_not_keep_the_node_from_serving() {
        let (node, _) = node().await;
        let elsewhere = "[[authority]]\nname = 'edge'\nissuer = 'root'\n\
            common_name = 'E'\nlifetime = '30d'\nname_constraints.permitted = ['example.com']\n\
            [[directory]]\nname = 'default'\nauthority = 'edge'\nprofiles = ['default']";
        let wanted = parse([("a.toml", elsewhere)]).expect("parses");
        let standing = establish::declared(&node).await.expect("defaults");
        let catalog = establish::apply(&node, "admin", &standing, &wanted).await.expect("stands");
        node.catalog.replace(catalog);
        ensure(&node).await.expect("another authority certifies it");
        assert!(node.presented.load().is_some());
    }

    #[test]
    fn the_host_of_a_url_has_no_port_and_no_brackets() {
        assert_eq!(host_of("https://ca.example:8443"), "ca.example");
        assert_eq!(host_of("https://ca.example"), "ca.example");
        assert_eq!(host_of("https://[::1]:8443"), "::1");
    }
}
