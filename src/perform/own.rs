//! The node's own HTTPS certificate: a managed certificate like any other, which nobody has to
//! declare. Its target is this process, where it is put in place without a restart.

use std::collections::BTreeSet;
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;

use ca::{Identifier, Profile};
use jiff::{SignedDuration, Timestamp};
use push::{Bundle, Delivery, Observed, PushError, Receipt};
use renew::need::Need;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::CertifiedKey;
use tracing::{error, info};

use super::known::{Known, ManagedError, bundle};
use super::managed::look_now;
use crate::catalog::{Authority, Catalog, Certificate, CertificateSpec, Target};
use crate::node::{Current, Node};
use crate::store::{Managed, ReadError};

/// What the node calls its certificate, its profile and its target.
pub(crate) const NODE: &str = "node";

/// Puts the node's own certificate, its profile and its target into a catalog. A certificate that is
/// declared under its name takes its place; the target is added to it.
pub(crate) fn declare(node: &Node, catalog: &mut Catalog) {
    let profile = Profile { name: NODE.into(), lifetime: LIFETIME, ..Profile::tls_server() };
    catalog.profiles.entry(NODE.into()).or_insert_with(|| Arc::new(profile));
    let declared = catalog.certificates.get(NODE).map(|certificate| certificate.spec.clone());
    let Some(mut spec) = declared.or_else(|| own_certificate(node, catalog)) else {
        return error!(
            "there is no authority that could issue the node's own certificate; declare one"
        );
    };
    if !spec.targets.iter().any(|target| target == NODE) {
        spec.targets.insert(0, NODE.into());
    }
    catalog.certificates.insert(NODE.into(), Arc::new(Certificate::new(spec)));
    let way = Presentation(Arc::clone(&node.presented));
    let target = Target::own(NODE, node.https_address.map(reachable), Box::new(way));
    catalog.targets.insert(NODE.into(), Arc::new(target));
}

/// Presents the stored certificate, if there is one that can be served.
///
/// # Errors
/// When the store cannot be read, or what it holds is not usable.
pub(crate) fn present_stored(node: &Node) -> Result<(), OwnError> {
    let Some(row) = node.store.managed_by_name(NODE)? else { return Ok(()) };
    let known = Known::of(node, row)?;
    let Some(version) = known.version(known.row.current) else { return Ok(()) };
    if !version.facts().is_usable(node.world.now()) {
        return Ok(());
    }
    let bundle = bundle(node, NODE, version).map_err(|error| OwnError(error.to_string()))?;
    present(&node.presented, &bundle).map_err(|error| OwnError(error.to_string()))
}

/// Sees to it that the node presents a certificate that is right for it now, and waits until it is
/// proven to; the HTTPS listener must answer. A node for which none can be had goes on without, for
/// the remedy is a declaration.
///
/// # Errors
/// When the store fails.
pub(crate) async fn settle(node: &Arc<Node>) -> Result<(), OwnError> {
    for _ in 0..ATTEMPTS {
        let Some(row) = node.store.managed_by_name(NODE)? else { return Ok(()) };
        if row.rotation.is_none() && !is_needed(node, row.clone())? {
            return Ok(());
        }
        look_now(node, row.id).await?;
        if node.presented.load().is_some() {
            return Ok(());
        }
    }
    error!("the node's own certificate is not in place yet; it will be retried");
    Ok(())
}

fn is_needed(node: &Node, row: Managed) -> Result<bool, OwnError> {
    let catalog = node.catalog.load();
    let Some(certificate) = catalog.certificates.get(NODE) else { return Ok(false) };
    let known = Known::of(node, row)?;
    Ok(matches!(known.need(&catalog, certificate, node.world.now()), Need::Rotate { .. }))
}

/// This process, as a target.
struct Presentation(Arc<Current<Option<Arc<CertifiedKey>>>>);

impl push::Target for Presentation {
    fn push<'a>(
        &'a self,
        delivery: &'a Delivery<'a>,
    ) -> Pin<Box<dyn Future<Output = Result<Receipt, PushError>> + Send + 'a>> {
        let presented = present(&self.0, delivery.bundle);
        if presented.is_ok() {
            info!(version = delivery.version, "the node presents a new certificate");
        }
        Box::pin(std::future::ready(presented.map(|()| Receipt::default())))
    }

    fn observe<'a>(
        &'a self,
    ) -> Pin<Box<dyn Future<Output = Result<Observed, PushError>> + Send + 'a>> {
        let presented = self.0.load();
        let leaf = presented.as_ref().as_ref().and_then(|key| key.cert.first().cloned());
        let leaf = leaf.and_then(|der| ca::Certificate::from_der(&der).ok());
        let held = leaf.map_or(Observed::Nothing, |leaf| Observed::Leaf(leaf.fingerprint()));
        Box::pin(std::future::ready(Ok(held)))
    }
}

fn present(to: &Current<Option<Arc<CertifiedKey>>>, bundle: &Bundle) -> Result<(), PushError> {
    let unusable = |why: String| PushError::Format(why);
    let key = bundle.key_pkcs8().ok_or_else(|| unusable("it comes without its key".into()))?;
    let chain = std::iter::once(bundle.leaf()).chain(bundle.chain());
    let chain = chain.map(|one| CertificateDer::from(one.der().to_vec())).collect();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.to_vec()));
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let certified = CertifiedKey::from_der(chain, key, &provider);
    let certified =
        certified.map_err(|error| unusable(format!("TLS does not accept it: {error}")))?;
    to.replace(Some(Arc::new(certified)));
    Ok(())
}

/// The certificate of a node about which nothing is declared.
fn own_certificate(node: &Node, catalog: &Catalog) -> Option<CertificateSpec> {
    let (authority, names) = own_authority(catalog, own_names(node), node.world.now())?;
    Some(CertificateSpec {
        issuers: vec![authority.name.clone()],
        profile: NODE.into(),
        targets: vec![NODE.into()],
        keep: 2,
        ..CertificateSpec::new(NODE, names.into_iter().collect())
    })
}

/// Where this process reaches its own listener.
fn reachable(mut listening: SocketAddr) -> SocketAddr {
    match listening.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => listening.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => listening.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    listening
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

/// The node's own certificate cannot be put in place.
#[derive(Debug, thiserror::Error)]
#[error("the node's own certificate: {0}")]
pub(crate) struct OwnError(String);

impl From<ReadError> for OwnError {
    fn from(error: ReadError) -> Self {
        Self(error.to_string())
    }
}

impl From<ManagedError> for OwnError {
    fn from(error: ManagedError) -> Self {
        Self(error.to_string())
    }
}

const LIFETIME: SignedDuration = SignedDuration::from_hours(30 * 24);
/// A rotation that was interrupted is taken up, and another may follow.
const ATTEMPTS: u32 = 3;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::parse;
    use crate::node::tests::{node, present};
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
        present(&node).await;
    }

    #[test]
    fn the_host_of_a_url_has_no_port_and_no_brackets() {
        assert_eq!(host_of("https://ca.example:8443"), "ca.example");
        assert_eq!(host_of("https://ca.example"), "ca.example");
        assert_eq!(host_of("https://[::1]:8443"), "::1");
    }
}
