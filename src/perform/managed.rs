//! Managed certificates: each has a row that says when to look at it; a look finds out what it
//! needs and begins the rotation that gives it that. What a rotation does is in `rotation`.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use renew::need::{Facts, Need, need};
use renew::{Cause, Phase, Suggestion, jitter};
use serde_json::json;
use tracing::{error, info};

use super::rotation;
use crate::catalog::{Catalog, Certificate, digest_of};
use crate::node::Node;
use crate::steps::Subject;
use crate::store::{
    Commit, CommitError, Event, Managed, PlacementRow, ReadError, RotationRow, VersionRow,
};

/// Gives every declared certificate a row, and has those looked at whose declaration is not what it
/// was. Run at the start and after each `apply`; running it again changes nothing.
///
/// # Errors
/// When the store fails.
pub(crate) async fn enlist(node: &Node, actor: &str) -> Result<(), ManagedError> {
    let (catalog, now) = (node.catalog.load(), node.world.now());
    for certificate in catalog.certificates.values() {
        let declared = declaration(&catalog, certificate);
        let name = &certificate.spec.name;
        let event = Event::new(actor, "certificate.enlist", format!("managed/{name}"));
        let mut commit = Commit::new(event);
        let row = match node.store.managed_by_name(name)? {
            Some(row) if row.declared == declared => continue,
            Some(row) => {
                commit = woken(node, &row, now)?.into_iter().fold(commit, Commit::put);
                Managed { declared, due_at: due_unless_busy(&row, now), ..row }
            }
            None => fresh(node.store.id(), name, declared, now),
        };
        node.store.commit(commit.put(row), now).await?;
    }
    Ok(())
}

/// Looks at a managed certificate, and begins the rotation it needs.
pub(crate) async fn look(node: Arc<Node>, id: i64) {
    match look_at(&node, id).await {
        Ok(Some(rotation)) => begin(&node, rotation),
        Ok(None) => {}
        Err(error) => error!(managed = id, %error, "a managed certificate cannot be looked at"),
    }
}

/// Starts the steps of a rotation; one that is under way already is left alone.
pub(crate) fn begin(node: &Arc<Node>, rotation: i64) {
    node.steps.start(Subject::Rotation(rotation), rotation::advance(Arc::clone(node), rotation));
}

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

async fn look_at(node: &Node, id: i64) -> Result<Option<i64>, ManagedError> {
    let (catalog, now) = (node.catalog.load(), node.world.now());
    let Some(row) = node.store.managed(id)? else { return Ok(None) };
    if row.rotation.is_some() {
        return Ok(None);
    }
    let Some(certificate) = catalog.certificates.get(&row.name) else {
        node.store.schedule(&row, None, now).await?;
        return Ok(None);
    };
    let mut known = Known::of(node, row)?;
    ask(node, &mut known, now).await?;
    let asked = now + ASK - jitter::part(ASK / 4, id.unsigned_abs(), 0);
    let next = match known.need(&catalog, certificate, now) {
        Need::Rotate { cause, to } => return Ok(Some(open(node, known, cause, to, now).await?)),
        Need::Later { at, .. } => at,
        Need::Nothing { until } => until.unwrap_or(asked),
    };
    node.store.schedule(&known.row, Some(next.min(asked)), now).await?;
    Ok(None)
}

/// Stores a rotation, and that it is under way.
async fn open(
    node: &Node,
    known: Known,
    cause: Cause,
    to: Option<u32>,
    now: Timestamp,
) -> Result<i64, ManagedError> {
    let row = known.row;
    let id = node.store.id();
    let event = Event::new("worker", "rotation.begin", format!("managed/{}", row.name))
        .of_rotation(id)
        .with(json!({ "why": cause.to_string(), "from": row.current, "to": to }));
    info!(rotation = id, certificate = row.name, why = %cause, "rotation begins");
    let rotation = RotationRow {
        id,
        version: 0,
        managed: row.id,
        cause,
        phase: if to.is_some() { Phase::Deploying } else { Phase::Obtaining },
        from: row.current,
        to,
        pending: None,
        pending_key: None,
        attempts: 0,
        error: None,
        started_at: now,
        proven_at: None,
        ended_at: None,
        due_at: Some(now),
    };
    // The wish is granted by this rotation; should it fail, the version it obtained is still there.
    let row = Managed { rotation: Some(id), wish: None, due_at: None, ..row };
    node.store.commit(Commit::new(event).put(row).put(rotation), now).await?;
    Ok(id)
}

/// Learns what has become of the current version where it was issued: revoked, or to be replaced.
async fn ask(node: &Node, known: &mut Known, now: Timestamp) -> Result<(), ManagedError> {
    let current = known.row.current;
    let Some(version) = known.versions.iter_mut().find(|v| Some(v.number) == current) else {
        return Ok(());
    };
    let Some(issued) = issued_here(node, version)? else { return Ok(()) };
    let revoked_at = issued.revoked.map(|(when, _)| when);
    let seed = version.id.unsigned_abs();
    let suggestion = issued.must_go_at.map(|at| Suggestion::within(at, at, None, seed));
    if (revoked_at, &suggestion) != (version.revoked_at, &version.suggestion) {
        let learned = VersionRow { revoked_at, suggestion, ..version.clone() };
        let event = Event::new("worker", "version.learn", format!("managed/{}", known.row.name))
            .with(json!({ "version": learned.number, "revoked": revoked_at.is_some() }));
        node.store.commit(Commit::new(event).put(learned.clone()), now).await?;
        *version = VersionRow { version: learned.version + 1, ..learned };
    }
    Ok(())
}

/// The certificate a version is, if an authority here issued it.
pub(crate) fn issued_here(
    node: &Node,
    version: &VersionRow,
) -> Result<Option<crate::store::CertificateRow>, ReadError> {
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

/// The rotation under way, if what it waits for may have been declared away: a window that was
/// closed, a target that did not work. When a version is retired stays as it was promised.
fn woken(node: &Node, row: &Managed, now: Timestamp) -> Result<Option<RotationRow>, ReadError> {
    let Some(id) = row.rotation else { return Ok(None) };
    let waits = |rotation: &RotationRow| {
        matches!(rotation.phase, Phase::Obtaining | Phase::Deploying | Phase::Reverting)
    };
    let rotation = node.store.rotation(id)?.filter(waits);
    Ok(rotation.map(|rotation| RotationRow { due_at: Some(now), ..rotation }))
}

/// A certificate that has a rotation is looked at when that is over.
fn due_unless_busy(row: &Managed, now: Timestamp) -> Option<Timestamp> {
    row.rotation.is_none().then_some(now)
}

fn fresh(id: i64, name: &str, declared: [u8; 32], now: Timestamp) -> Managed {
    Managed {
        id,
        version: 0,
        name: name.to_owned(),
        declared,
        current: None,
        newest: 0,
        rotation: None,
        wish: None,
        held: None,
        failures: 0,
        retry_at: None,
        error: None,
        due_at: Some(now),
    }
}

/// Digest of everything that is declared about a certificate.
fn declaration(catalog: &Catalog, certificate: &Certificate) -> [u8; 32] {
    let targets: Vec<_> = (certificate.spec.targets.iter())
        .map(|name| catalog.targets.get(name).map(|target| &target.spec))
        .collect();
    digest_of(&(&certificate.spec, targets))
}

/// A managed certificate could not be looked at.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ManagedError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Commit(#[from] CommitError),
}

/// How often an issuer is asked what has become of a certificate (RFC 9773 §4.3.2 has clients poll
/// about that often), less up to a quarter, so that not all are asked at once.
const ASK: SignedDuration = SignedDuration::from_hours(12);
