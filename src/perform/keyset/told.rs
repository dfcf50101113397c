//! What is told of a keyset: to webhooks, what a change means for them; to operators, what is wrong.

use std::collections::BTreeSet;

use jwks::{Key, Phase};
use serde_json::{Value, json};

use super::{Change, Known, live};
use crate::node::Node;

/// What consumers and others need to know of a change.
pub(super) fn news(node: &Node, known: &Known, change: &Change) -> Value {
    let before = |key: &Key| {
        let row = known.keys.iter().find(|row| row.key.kid == key.kid);
        row.map(|row| row.key.phase)
    };
    let entered = |phase: Phase| -> Vec<&str> {
        let keys = change.changed.iter().filter(|key| key.phase == phase);
        keys.filter(|key| before(key) != Some(phase)).map(|key| key.kid.as_str()).collect()
    };
    let new = change.changed.iter().filter(|key| before(key).is_none());
    let announced = new.filter(|key| matches!(key.phase, Phase::Announced | Phase::Proven));
    json!({
        "keyset": known.row.name,
        "issuer": known.keyset.spec.issuer,
        "jwks_uri": live::jwks_uri(node, &known.row.name),
        "announced": announced.map(|key| key.kid.as_str()).collect::<Vec<_>>(),
        "removed": entered(Phase::Gone),
        "signing": entered(Phase::Signing),
        "retiring": entered(Phase::Retiring),
        "exposure": change.detail["exposure"],
    })
}

/// What is wrong with a keyset: what a step found, and what its signer targets did the last time.
pub(super) fn complaint(found: Option<String>, set: &jwks::Keyset) -> Option<String> {
    let held = set.keys.iter().filter(|key| key.phase.is_private_kept());
    let of_targets = held.flat_map(|key| key.held.in_use()).filter_map(|holding| {
        Some(format!("signer {}: {}", holding.target, holding.complaint.as_ref()?))
    });
    // Two keys of a target have the same complaint.
    let all: BTreeSet<String> = found.into_iter().chain(of_targets).collect();
    (!all.is_empty()).then(|| all.into_iter().collect::<Vec<_>>().join("; "))
}
