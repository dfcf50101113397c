//! What targets serve between rotations. A certificate that somebody else put there is noticed, and
//! replaced where the declaration says so.

use std::sync::Arc;

use jiff::SignedDuration;
use push::probe::{self, Expected, Found, Probe, Proof};
use serde_json::json;
use tracing::{error, warn};

use super::known::{Known, ManagedError};
use crate::catalog::Target;
use crate::node::Node;
use crate::store::{Commit, Event, Managed, PlacementRow, VersionRow};

/// Looks at what a target serves.
pub(crate) async fn look(node: Arc<Node>, id: i64) {
    if let Err(error) = look_at(&node, id).await {
        error!(placement = id, %error, "a target cannot be watched; it will be retried");
    }
}

async fn look_at(node: &Node, id: i64) -> Result<(), ManagedError> {
    let (catalog, now) = (node.catalog.load(), node.world.now());
    let Some(placement) = node.store.placement(id)? else { return Ok(()) };
    let Some(managed) = node.store.managed(placement.managed)? else { return Ok(()) };
    let target = catalog.targets.get(&placement.target);
    let declared = (catalog.certificates.get(&managed.name))
        .is_some_and(|certificate| certificate.spec.targets.contains(&placement.target));
    let known = Known::of(node, managed)?;
    let (Some(target), Some(version), true) = (target, known.version(placement.serves), declared)
    else {
        return Ok(node.store.schedule(&placement, None, now).await?);
    };
    if known.row.rotation.is_some() {
        // The rotation proves it by itself.
        return Ok(node.store.schedule(&placement, Some(now + SOON), now).await?);
    }
    let proof = sight(target, version).await;
    let (held, unread) = match target.way.observe().await {
        Ok(held) => (held.complaint(version.fingerprint).map(str::to_owned), None),
        Err(error) => (None, Some(error.to_string())),
    };
    let seen = Seen { proof, held, unread };
    record(node, &known, placement, target, seen).await
}

/// What was seen of a target.
struct Seen {
    /// What its addresses show; none, if it has none.
    proof: Option<Proof>,
    /// What is wrong with what it holds. Its server may not have read it yet.
    held: Option<String>,
    /// Why what it holds cannot be told, where it should be: that is no drift.
    unread: Option<String>,
}

impl Seen {
    fn complaint(&self) -> Option<String> {
        let shown = self.proof.as_ref().filter(|proof| !proof.proven).map(ToString::to_string);
        shown.or_else(|| self.held.clone()).or_else(|| self.unread.clone())
    }

    /// Whether something else is served or held, and not merely nothing seen.
    fn is_drift(&self) -> bool {
        self.held.is_some() || self.proof.as_ref().is_some_and(is_drift)
    }
}

/// What the target's addresses show, one handshake each.
async fn sight(target: &Target, version: &VersionRow) -> Option<Proof> {
    if target.spec.push.probe.is_empty() {
        return None;
    }
    let certificates = ca::Certificate::from_pem(&version.chain).ok()?;
    let (leaf, above) = certificates.split_first()?;
    let served: Vec<_> = above.iter().filter(|ca| !ca.is_self_issued()).cloned().collect();
    let probe = Probe { matches: 1, ..Probe::new(&target.spec.push, leaf.identifiers()) };
    Some(probe::prove(&probe, &Expected::new(leaf, &served, &[])).await)
}

/// Whether something else is served, and not merely nothing.
fn is_drift(proof: &Proof) -> bool {
    let drift = |found: &Found| {
        matches!(found, Found::Other { .. } | Found::Default | Found::Old | Found::Chain { .. })
    };
    proof.sightings.iter().any(|sighting| drift(&sighting.found))
}

async fn record(
    node: &Node,
    known: &Known,
    placement: PlacementRow,
    target: &Target,
    seen: Seen,
) -> Result<(), ManagedError> {
    let now = node.world.now();
    let (complaint, drifted) = (seen.complaint(), seen.is_drift());
    let due_at = target.next_look(now);
    // Even if it was seen before: that it is mended may have been declared since.
    let mend = target.spec.care.mend && drifted;
    if complaint == placement.error && !mend {
        return Ok(node.store.schedule(&placement, due_at, now).await?);
    }
    let action = match (&complaint, drifted) {
        (None, _) => "placement.restored",
        (Some(_), true) => "placement.drift",
        (Some(_), false) => "placement.unreachable",
    };
    let name = &known.row.name;
    if let Some(why) = &complaint {
        warn!(certificate = name, target = placement.target, why, mend, "{action}");
    }
    let event = Event::new("worker", action, format!("managed/{name}"))
        .with(json!({ "target": placement.target, "seen": complaint, "mend": mend }));
    let row = PlacementRow {
        serves: placement.serves.filter(|_| !mend),
        error: complaint,
        proof: seen.proof,
        changed_at: now,
        due_at,
        ..placement
    };
    let mut commit = Commit::new(event).put(row);
    if mend {
        commit = commit.put(Managed { due_at: Some(now), ..known.row.clone() });
    }
    Ok(node.store.commit(commit, now).await?)
}

/// While a rotation is under way.
const SOON: SignedDuration = SignedDuration::from_mins(1);
