//! Which secret is behind a name, for a client: the version of a managed certificate that is meant for a
//! target of kind `sds` which names the client, or the root of an authority, for anybody. Deciding
//! which version that is belongs to the rotation.

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use prost::Message as _;
use tonic::Status;
use tracing::error;
use zeroize::Zeroizing;

use super::client::Client;
use super::messages::{self, DataSource, Kind, TlsCertificate, ValidationContext};
use super::opened::Message;
use crate::node::Node;
use crate::perform::offer::{Offer, offer};
use crate::perform::own::NODE;

/// What there is under a name.
pub(super) struct Found {
    /// Whose news tell of another one; none: nobody's.
    pub(super) managed: Option<i64>,
    /// None, as long as there is no version to give.
    pub(super) secret: Option<Secret>,
}

/// A secret, its content not opened.
pub(super) struct Secret {
    pub(super) name: String,
    /// The same for the same content.
    pub(super) identity: Vec<u8>,
    pub(super) content: Content,
}

pub(super) enum Content {
    Certificate {
        target: String,
        offer: Box<Offer>,
    },
    /// PEM.
    Trust(String),
}

/// Looks a name up. None: there is no such secret for this client, whether there is one for others or
/// not.
///
/// # Errors
/// When the store cannot be read.
pub(super) fn find(node: &Node, client: &Client, name: &str) -> Result<Option<Found>, Status> {
    let catalog = node.catalog.load();
    if let Some(authority) = name.strip_prefix(TRUST) {
        let Some(authority) = catalog.authorities.get(authority) else { return Ok(None) };
        let pem = authority.ca.root().pem();
        let identity = digest(&SHA256, pem.as_bytes()).as_ref().to_vec();
        let secret = Secret { name: name.to_owned(), identity, content: Content::Trust(pem) };
        return Ok(Some(Found { managed: None, secret: Some(secret) }));
    }
    // The node's own key has no business anywhere else.
    let certificate = catalog.certificates.get(name).filter(|_| name != NODE);
    let Some(certificate) = certificate else { return Ok(None) };
    let is_for = |target: &&String| {
        let declared = catalog.targets.get(*target).map(|target| &target.spec.push.kind);
        matches!(declared, Some(push::Kind::Sds(sds)) if sds.allows(client.names()))
    };
    let Some(target) = certificate.spec.targets.iter().find(is_for) else { return Ok(None) };
    let Some(managed) = node.store.managed_by_name(name).map_err(unread)? else { return Ok(None) };
    let offered = offer(node, &managed, Some(target)).map_err(unread)?;
    let secret = offered.map(|offer| Secret {
        name: name.to_owned(),
        identity: offer.version.fingerprint.to_vec(),
        content: Content::Certificate { target: target.clone(), offer: Box::new(offer) },
    });
    Ok(Some(Found { managed: Some(managed.id), secret }))
}

impl Secret {
    /// Key and chain, or trusted certificates, as they are sent.
    ///
    /// # Errors
    /// When they cannot be had; what for is in the log.
    pub(super) fn open(&self, node: &Node) -> Result<Arc<Message>, Status> {
        let what = [self.name.as_bytes(), &[0], &self.identity].concat();
        node.streams.opened.get(&what, || self.message(node))
    }

    fn message(&self, node: &Node) -> Result<Message, Status> {
        let inline = |text: &str| Some(DataSource { inline_bytes: text.as_bytes().to_vec() });
        let kind = match &self.content {
            Content::Trust(pem) => Kind::Trust(ValidationContext { trusted_ca: inline(pem) }),
            Content::Certificate { offer, .. } => {
                let bundle = offer.bundle(node).map_err(|error| {
                    error!(certificate = offer.name, version = offer.version.number, %error, "cannot be given");
                    Status::unavailable("the version cannot be read; see the server's log")
                })?;
                let key = bundle.key_pem().ok_or_else(|| {
                    Status::failed_precondition(
                        "the key was made elsewhere (csr), so it cannot be given; have Envoy read it there",
                    )
                })?;
                Kind::Certificate(TlsCertificate {
                    certificate_chain: inline(&bundle.fullchain_pem()),
                    private_key: inline(&key),
                })
            }
        };
        let secret = messages::Secret { name: self.name.clone(), kind: Some(kind) };
        Ok(Message(Zeroizing::new(secret.encode_to_vec())))
    }
}

fn unread(error: crate::store::ReadError) -> Status {
    error!(%error, "a secret cannot be looked up");
    Status::unavailable("the store cannot be read; see the server's log")
}

/// What the names of trusted certificates begin with; no certificate can be called so.
const TRUST: &str = "trust/";
