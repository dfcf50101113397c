//! What is stored of a managed certificate, and what that says: the rooms that decide, act and show
//! all begin here.

use jiff::Timestamp;
use renew::need::{Facts, Need, need};

use super::again::Conflicts;
use crate::catalog::{Catalog, Certificate};
use crate::node::Node;
use crate::seal::Unsealable;
use crate::store::{CertificateRow, CommitError, Managed, PlacementRow, ReadError, VersionRow};

/// What is stored of a managed certificate.
pub(crate) struct Known {
    pub(crate) row: Managed,
    /// Newest first.
    pub(crate) versions: Vec<VersionRow>,
    pub(crate) placements: Vec<PlacementRow>,
}

impl Known {
    /// What is stored of the certificate whose row is `row`.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub(crate) fn of(node: &Node, row: Managed) -> Result<Self, ReadError> {
        let versions = node.store.versions(row.id)?;
        let placements = node.store.placements(row.id)?;
        Ok(Self { row, versions, placements })
    }

    /// The version of this number.
    pub(crate) fn version(&self, number: Option<u32>) -> Option<&VersionRow> {
        let number = number?;
        self.versions.iter().find(|version| version.number == number)
    }

    /// What the certificate needs.
    pub(crate) fn need(
        &self,
        catalog: &Catalog,
        certificate: &Certificate,
        now: Timestamp,
    ) -> Need {
        let current = self.version(self.row.current).map(VersionRow::facts);
        let newer = self
            .versions
            .first()
            .filter(|newest| newest.proven_at.is_none() && Some(newest.number) > self.row.current);
        let candidate = newer.map(VersionRow::facts);
        let facts = Facts {
            current: current.as_ref(),
            candidate: candidate.as_ref(),
            request: certificate.request,
            held: self.row.held,
            issuers: &certificate.spec.issuers,
            unserved: self.is_unserved(catalog, certificate),
            wish: self.row.wish.as_ref(),
            retry_at: self.row.retry_at,
        };
        need(&facts, now)
    }

    /// Whether a target does not serve the current version, or is not what it was when it was
    /// last proven to.
    fn is_unserved(&self, catalog: &Catalog, certificate: &Certificate) -> bool {
        certificate.spec.targets.iter().any(|name| {
            let placement = self.placements.iter().find(|placement| placement.target == *name);
            let target = catalog.targets.get(name);
            placement.is_none_or(|placement| {
                placement.serves != self.row.current
                    || target.is_some_and(|target| placement.spec != Some(target.digest))
            })
        })
    }
}

/// The certificate a version is, if an authority here issued it.
pub(crate) fn issued_here(
    node: &Node,
    version: &VersionRow,
) -> Result<Option<CertificateRow>, ReadError> {
    let Some(leaf) = leaf(version) else { return Ok(None) };
    let row = node.store.certificate_by_serial(&leaf.serial())?;
    Ok(row.filter(|row| row.der.as_deref() == Some(leaf.der())))
}

/// The leaf of a version.
pub(crate) fn leaf(version: &VersionRow) -> Option<ca::Certificate> {
    ca::Certificate::from_pem(&version.chain).ok()?.into_iter().next()
}

/// Has the managed certificates looked at that a leaf is a version of: something happened to it.
///
/// # Errors
/// When the store fails.
pub(crate) async fn leaf_changed(node: &Node, leaf: &[u8; 32]) -> Result<(), ManagedError> {
    let now = node.world.now();
    for id in node.store.managed_of_leaf(leaf)? {
        if let Some(row) = node.store.managed(id)?.filter(|row| row.rotation.is_none()) {
            node.store.schedule(&row, Some(now), now).await?;
        }
    }
    Ok(())
}

/// Key and chain of a version of the certificate `name`, found to belong together.
///
/// # Errors
/// When they do not, or the key cannot be opened.
pub(crate) fn bundle(
    node: &Node,
    name: &str,
    version: &VersionRow,
) -> Result<push::Bundle, BadVersion> {
    let certificates = ca::Certificate::from_pem(&version.chain)?;
    let key = match &version.sealed_key {
        Some(sealed) => Some(node.key.open(&identity(name, version.number), sealed)?),
        None => None,
    };
    // What an older version certifies is what was declared then.
    let names = certificates.first().map(|leaf| leaf.identifiers().clone()).unwrap_or_default();
    Ok(push::Bundle::new(certificates, key, &names, node.world.now())?)
}

/// The identity under which the key of a version is sealed.
pub(crate) fn identity(name: &str, number: u32) -> String {
    format!("managed/{name}/{number}")
}

/// A managed certificate could not be looked at.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ManagedError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Commit(#[from] CommitError),
}

impl Conflicts for ManagedError {
    fn is_conflict(&self) -> bool {
        matches!(self, Self::Commit(error) if error.is_conflict())
    }
}

/// A stored version cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BadVersion {
    #[error(transparent)]
    Seal(#[from] Unsealable),
    #[error("a version's certificate cannot be read: {0}")]
    Certificate(#[from] ca::certificate::BadCertificate),
    #[error("a version does not hold together: {0}")]
    Bundle(#[from] push::BundleError),
}
