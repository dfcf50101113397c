//! Endpoints: addresses that are watched, whoever looks after their certificates. What stands there is
//! compared with nothing; whether clients take it is what counts.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ca::survey::{Anchors, Flaw};
use jiff::Timestamp;
use push::probe::{addresses_of, sight};
use serde_json::json;
use tokio::task::JoinSet;
use tracing::{error, warn};

use super::again::{Conflicts, again};
use crate::catalog::EndpointSpec;
use crate::found::{Assessed, Finding, assess, system_roots, tls_place, trusted};
use crate::node::Node;
use crate::store::{
    Actor, Commit, CommitError, EndpointRow, Event, ReadError, Row, Sighted, Sighting,
};

/// Gives every declared endpoint a row that is due now, and forgets those that are declared no more.
/// Run at the start and after each `apply`; running it again changes nothing.
///
/// # Errors
/// When the store fails.
pub(crate) async fn enlist(node: &Node, actor: impl Into<Actor>) -> Result<(), EndpointError> {
    let actor = actor.into();
    again(|| enlist_once(node, &actor)).await
}

async fn enlist_once(node: &Node, actor: &Actor) -> Result<(), EndpointError> {
    let (catalog, now) = (node.catalog.load(), node.world.now());
    let rows = node.store.endpoints()?;
    let known: BTreeSet<_> = rows.iter().map(|row| row.name.as_str()).collect();
    let new: Vec<_> =
        catalog.endpoints.keys().filter(|name| !known.contains(name.as_str())).collect();
    let gone = rows.iter().filter(|row| !catalog.endpoints.contains_key(&row.name));
    let gone: Vec<_> = gone.collect();
    if new.is_empty() && gone.is_empty() {
        return Ok(());
    }
    let forgotten: Vec<_> = gone.iter().map(|row| &row.name).collect();
    let event = Event::new(actor.clone(), "endpoint.enlist", "node")
        .with(json!({ "endpoints": new, "forgotten": forgotten }));
    let mut commit = Commit::new(event);
    for name in new {
        commit = commit.put(EndpointRow {
            id: node.store.id(),
            version: 0,
            name: name.clone(),
            error: None,
            looked_at: None,
            changed_at: now,
            due_at: Some(now),
        });
    }
    for row in gone {
        for sighting in node.store.sightings_at(&row.name)? {
            let endpoint = row.name.clone();
            commit = commit.put(Row::Unsighted { endpoint, place: sighting.place });
        }
        commit = commit.remove(row);
    }
    node.store.commit(commit, now).await?;
    node.steps.hurry();
    Ok(())
}

/// Looks at an endpoint.
pub(crate) async fn look(node: Arc<Node>, id: i64) {
    if let Err(error) = look_at(&node, id).await {
        error!(endpoint = id, %error, "an endpoint cannot be watched; it will be retried");
    }
}

async fn look_at(node: &Node, id: i64) -> Result<(), EndpointError> {
    let Some(row) = node.store.endpoint(id)? else { return Ok(()) };
    let Some(spec) = node.catalog.load().endpoints.get(&row.name).cloned() else { return Ok(()) };
    let now = node.world.now();
    let seen = see(node, &spec, now).await;
    let before = node.store.sightings_at(&row.name)?;
    record(node, &spec, row, seen, before, now).await
}

/// What stands at each address; or why there is none.
async fn see(
    node: &Node,
    spec: &Arc<EndpointSpec>,
    now: Timestamp,
) -> Result<Vec<(SocketAddr, Assessed)>, String> {
    let anchors = anchors(node, spec)?;
    let addresses = addresses_of(&spec.address, LIMIT).await?;
    let mut looks = JoinSet::new();
    for address in addresses.into_iter().take(MAX_ADDRESSES) {
        let spec = Arc::clone(spec);
        looks.spawn(async move { (address, look_once(address, &spec).await) });
    }
    let mut seen = Vec::new();
    for (address, finding) in looks.join_all().await {
        // Nothing larger than what a finding may hold comes out of a handshake.
        let assessed = assess(&finding, &anchors, now).map_err(|error| error.to_string())?;
        seen.push((address, assessed));
    }
    seen.sort_by_key(|(address, _)| *address);
    Ok(seen)
}

/// Whom its clients trust.
fn anchors(node: &Node, spec: &EndpointSpec) -> Result<Anchors, String> {
    let Some(path) = &spec.roots else {
        return Ok(trusted(&system_roots(), &node.catalog.load()));
    };
    let pem = std::fs::read_to_string(path).map_err(|error| error.to_string());
    let roots =
        pem.and_then(|pem| ca::Certificate::from_pem(&pem).map_err(|error| error.to_string()));
    roots.map(Anchors::new).map_err(|why| format!("roots {}: {why}", path.display()))
}

async fn look_once(address: SocketAddr, spec: &EndpointSpec) -> Finding {
    let asked = spec.asked();
    let place = tls_place(address, asked);
    let found = match sight(address, asked, spec.starttls, LIMIT).await {
        Ok(seen) => Finding::seen(place, seen.chain.iter().map(AsRef::as_ref)),
        Err(error) => Finding::nothing(place, error.to_string()),
    };
    found.asked(asked)
}

async fn record(
    node: &Node,
    spec: &EndpointSpec,
    row: EndpointRow,
    seen: Result<Vec<(SocketAddr, Assessed)>, String>,
    before: Vec<Sighting>,
    now: Timestamp,
) -> Result<(), EndpointError> {
    let (seen, error) = match seen {
        Ok(seen) => {
            let error = complaint(&seen);
            (seen, error)
        }
        Err(why) => (Vec::new(), Some(why)),
    };
    let changes = changes(node, &seen, &before)?;
    let action = match (&error, &row.error) {
        // Names with many addresses show some of them now and others then.
        (Some(new), old) if old.as_deref().map(reasons) != Some(reasons(new)) => {
            Some("endpoint.failing")
        }
        (None, Some(_)) => Some("endpoint.restored"),
        _ if !changes.is_empty() => Some("endpoint.changed"),
        _ => None,
    };
    let event = action.map(|action| {
        Event::new("worker", action, format!("endpoint/{}", spec.name)).with(json!({
            "address": spec.address,
            "owner": spec.owner,
            "why": error.clone().or_else(|| told(&changes)),
            "changes": changes,
        }))
    });
    if let Some(why) = error.as_ref().filter(|_| action == Some("endpoint.failing")) {
        warn!(endpoint = spec.name, why, "endpoint.failing");
    }
    let mut rows = sightings(spec, seen, &before);
    let changed_at = if action.is_some() { now } else { row.changed_at };
    let due_at = Some(now + spec.every);
    rows.push(EndpointRow { error, looked_at: Some(now), changed_at, due_at, ..row }.into());
    let commit = match event {
        Some(event) => rows.into_iter().fold(Commit::new(event), Commit::put),
        None => Commit::note_sightings(rows),
    };
    Ok(node.store.commit(commit, now).await?)
}

/// What is known of its addresses from now on.
fn sightings(
    spec: &EndpointSpec,
    seen: Vec<(SocketAddr, Assessed)>,
    before: &[Sighting],
) -> Vec<Row> {
    let endpoint = || spec.name.clone();
    let places: BTreeSet<_> = seen.iter().map(|(_, seen)| seen.place.as_str()).collect();
    // Where its name cannot be resolved, what was seen last still stands, as far as is known.
    let gone = before.iter().filter(|old| !seen.is_empty() && !places.contains(old.place.as_str()));
    let gone = gone.map(|old| Row::Unsighted { endpoint: endpoint(), place: old.place.clone() });
    let mut rows: Vec<Row> = gone.collect();
    rows.extend(seen.into_iter().map(|(_, seen)| {
        let (owner, endpoint) = (spec.owner.clone(), Some(endpoint()));
        Row::Sighted(Box::new(Sighted { seen, owner, endpoint, scan: None }))
    }));
    rows
}

/// What is wrong, address by address.
fn complaint(seen: &[(SocketAddr, Assessed)]) -> Option<String> {
    let wrong = seen.iter().filter_map(|(address, seen)| {
        let flaws = seen.flaws.iter().filter(|flaw| flaw.breaks_clients());
        let flaws: Vec<_> = flaws.map(Flaw::to_string).collect();
        let why = seen.error.clone().or((!flaws.is_empty()).then(|| flaws.join(", ")))?;
        Some(format!("{address}: {why}"))
    });
    let wrong: Vec<_> = wrong.collect();
    (!wrong.is_empty()).then(|| wrong.join("; "))
}

/// What is wrong, wherever it is.
fn reasons(complaint: &str) -> BTreeSet<&str> {
    let reason = |part| match str::split_once(part, ": ") {
        Some((address, reason)) if address.parse::<SocketAddr>().is_ok() => reason,
        _ => part,
    };
    complaint.split("; ").map(reason).collect()
}

/// The first changes, in words.
fn told(changes: &[serde_json::Value]) -> Option<String> {
    let told = changes.iter().take(3).map(|change| {
        let word = |of: &serde_json::Value| of[1].as_str().unwrap_or_default().to_owned();
        let address = change["address"].as_str().unwrap_or_default();
        let (issuer, until) = (word(&change["issuer"]), word(&change["not_after"]));
        format!("{address} shows another certificate, of {issuer}, until {until}")
    });
    let told: Vec<_> = told.collect();
    (!told.is_empty()).then(|| told.join("; "))
}

/// Which addresses show another certificate than before.
fn changes(
    node: &Node,
    seen: &[(SocketAddr, Assessed)],
    before: &[Sighting],
) -> Result<Vec<serde_json::Value>, ReadError> {
    let mut changes = Vec::new();
    for (address, seen) in seen {
        let Some(leaf) = seen.leaf() else { continue };
        let old = before.iter().find(|old| old.place == seen.place).and_then(|old| old.found);
        let Some(old) = old.map(|id| node.store.found_one(id)).transpose()?.flatten() else {
            continue;
        };
        let old = old.0.survey;
        if old.fingerprint != leaf.fingerprint {
            changes.push(json!({
                "address": address,
                "serial": [old.serial, leaf.serial],
                "issuer": [old.issuer, leaf.issuer],
                "not_after": [old.not_after.to_string(), leaf.not_after.to_string()],
            }));
        }
    }
    Ok(changes)
}

/// Endpoints cannot be watched.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EndpointError {
    /// The store cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The store cannot be written.
    #[error(transparent)]
    Commit(#[from] CommitError),
}

impl Conflicts for EndpointError {
    fn is_conflict(&self) -> bool {
        matches!(self, Self::Commit(error) if error.is_conflict())
    }
}

const LIMIT: Duration = Duration::from_secs(10);
/// Of one name; more are not looked at.
const MAX_ADDRESSES: usize = 64;
