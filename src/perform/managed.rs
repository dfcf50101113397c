//! Managed certificates: each has a row that says when to look at it; a look finds out what it
//! needs and begins the rotation that gives it that. What a rotation does is in `rotation`.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use renew::need::Need;
use renew::{Cause, Phase, Suggestion, jitter};
use serde_json::json;
use tracing::{debug, error, info};

use super::again::again;
use super::issuers::{self, IssuerError};
use super::known::{Known, ManagedError, issued_here, leaf};
use super::{revoked, rotation};
use crate::catalog::{Catalog, Certificate, digest_of};
use crate::node::Node;
use crate::steps::Subject;
use crate::store::{Actor, Commit, Event, Managed, ReadError, RotationRow, VersionRow};

/// Gives every declared certificate a row, and has those looked at whose declaration is not what it
/// was. Run at the start and after each `apply`; running it again changes nothing.
///
/// # Errors
/// When the store fails.
pub(crate) async fn enlist(node: &Node, actor: impl Into<Actor>) -> Result<(), ManagedError> {
    let catalog = node.catalog.load();
    enlist_these(node, actor, &catalog, &catalog.certificates.values().collect::<Vec<_>>()).await
}

/// The same, for some of `catalog`.
///
/// # Errors
/// When the store fails.
pub(crate) async fn enlist_these(
    node: &Node,
    actor: impl Into<Actor>,
    catalog: &Catalog,
    certificates: &[&Arc<Certificate>],
) -> Result<(), ManagedError> {
    let actor = actor.into();
    // Ten thousand of them are some commits, and not ten thousand.
    for some in certificates.chunks(AT_ONCE) {
        // The worker is at work on some of them, and done with it in a moment.
        again(|| enlist_some(node, &actor, catalog, some)).await?;
        node.steps.hurry();
    }
    Ok(())
}

async fn enlist_some(
    node: &Node,
    actor: &Actor,
    catalog: &Catalog,
    some: &[&Arc<Certificate>],
) -> Result<(), ManagedError> {
    let now = node.world.now();
    let mut names = Vec::new();
    let mut rows = Vec::new();
    let mut rotations = Vec::new();
    for certificate in some {
        let declared = declaration(catalog, certificate);
        let name = &certificate.spec.name;
        let row = match node.store.managed_by_name(name)? {
            Some(row) if row.declared == declared => continue,
            Some(row) => {
                rotations.extend(woken(node, &row, now)?);
                let due_at = row.rotation.is_none().then_some(now);
                // Whatever failed before, this may mend it.
                Managed { declared, due_at, retry_at: None, ..row }
            }
            None => fresh(node.store.id(), name, declared, now),
        };
        names.push(name.as_str());
        rows.push(row);
    }
    if rows.is_empty() {
        return Ok(());
    }
    let event = Event::new(actor.clone(), "certificate.enlist", "node");
    let commit = Commit::new(event.with(json!({ "certificates": names })));
    let commit = rotations.into_iter().fold(commit, Commit::put);
    node.store.commit(rows.into_iter().fold(commit, Commit::put), now).await?;
    Ok(())
}

/// Looks at a managed certificate that was not due, and takes the rotation it needs as far as it
/// goes now.
///
/// # Errors
/// When the store fails.
pub(crate) async fn look_now(node: &Arc<Node>, id: i64) -> Result<(), ManagedError> {
    let under_way = node.store.managed(id)?.and_then(|row| row.rotation);
    let rotation = match under_way {
        Some(rotation) => Some(rotation),
        None => look_at(node, id).await?,
    };
    if let Some(rotation) = rotation {
        rotation::advance(Arc::clone(node), rotation).await;
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

async fn look_at(node: &Node, id: i64) -> Result<Option<i64>, ManagedError> {
    let (catalog, now) = (node.catalog.load(), node.world.now());
    let Some(row) = node.store.managed(id)? else { return Ok(None) };
    if row.rotation.is_some() {
        return Ok(None);
    }
    let Some(certificate) = catalog.certificates.get(&row.name) else {
        // Should it be declared again, even as it was, it is new.
        let event = Event::new("worker", "certificate.withdraw", format!("managed/{}", row.name));
        let versions = node.store.versions(row.id)?.into_iter().filter(|v| v.retired_at.is_none());
        let retired = versions.map(|version| VersionRow { retired_at: Some(now), ..version });
        let commit = retired.fold(Commit::new(event), Commit::put);
        let row = Managed { declared: [0; 32], due_at: None, ..row };
        node.store.commit(commit.put(row), now).await?;
        return Ok(None);
    };
    let mut known = Known::of(node, row)?;
    let asked = now + ask(node, &mut known, now).await?;
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
/// Gives when to ask again.
async fn ask(
    node: &Node,
    known: &mut Known,
    now: Timestamp,
) -> Result<SignedDuration, ManagedError> {
    let current = known.row.current;
    let Some(version) = known.versions.iter_mut().find(|v| Some(v.number) == current) else {
        return Ok(ASK);
    };
    let seed = version.id.unsigned_abs();
    let mut next = ASK - jitter::part(ASK / 4, seed, 0);
    let (revoked_at, suggestion) = match issued_here(node, version)? {
        Some(issued) => {
            let suggestion = issued.must_go_at.map(|at| Suggestion::within(at, at, None, seed));
            (issued.revoked.map(|(when, _)| when), suggestion)
        }
        None => {
            let told = suggested(node, version, seed, &mut next).await;
            let revoked_at = match version.revoked_at {
                // Nothing that is published makes it good again.
                Some(at) => Some(at),
                None => revoked::since(node, version, now).await,
            };
            (revoked_at, told.unwrap_or_else(|| version.suggestion.clone()))
        }
    };
    if (revoked_at, &suggestion) != (version.revoked_at, &version.suggestion) {
        let learned = VersionRow { revoked_at, suggestion, ..version.clone() };
        let news = revoked_at.is_some() && version.revoked_at.is_none();
        let action = if news { "version.revoked" } else { "version.learn" };
        let event = Event::new("worker", action, format!("managed/{}", known.row.name))
            .with(json!({ "version": learned.number, "revoked": revoked_at.is_some() }));
        node.store.commit(Commit::new(event).put(learned.clone()), now).await?;
        *version = VersionRow { version: learned.version + 1, ..learned };
    }
    Ok(next)
}

/// What the CA outside that issued a version suggests, if it can be asked: some window, or none. A
/// window that stands keeps the moment that was chosen in it.
async fn suggested(
    node: &Node,
    version: &VersionRow,
    seed: u64,
    next: &mut SignedDuration,
) -> Option<Option<Suggestion>> {
    let issuer = node.catalog.load().issuers.get(&version.issuer).map(Arc::clone)?;
    let leaf = leaf(version)?;
    let told = match issuers::client(node, &issuer).await {
        Ok(client) => client.renewal_info(&leaf).await.map_err(IssuerError::from),
        Err(error) => Err(error),
    };
    match told {
        Ok(Some(info)) => {
            *next = info.poll_again_after;
            Some(Some(Suggestion::within(info.start, info.end, info.explanation_url, seed)))
        }
        Ok(None) => Some(None),
        Err(error) => {
            // The stored moment stands, and it is asked again in time (RFC 9773 §4.3.3).
            debug!(issuer = issuer.name, %error, "renewal information cannot be had");
            None
        }
    }
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

/// Rows of one commit.
const AT_ONCE: usize = 200;
/// How often an issuer is asked what has become of a certificate (RFC 9773 §4.3.2 has clients poll
/// about that often), less up to a quarter, so that not all are asked at once.
const ASK: SignedDuration = SignedDuration::from_hours(12);
