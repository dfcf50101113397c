//! The cryptography in use: which algorithms and sizes, how often, and what of it a quantum computer, or
//! anybody, could break.

use std::collections::BTreeMap;
use std::sync::Arc;

use acme::Problem;
use axum::extract::State;
use serde_json::Value;

use super::Answer;
use super::inventory::all;
use super::shape::{self, value};
use crate::http::error::unreadable;
use crate::node::Node;
use crate::store::Use;

/// What is used for what.
pub(super) async fn list(State(node): State<Arc<Node>>) -> Answer {
    Answer(uses(&node).await)
}

async fn uses(node: &Node) -> Result<Value, Problem> {
    let (keys, signatures) = node.store.algorithms().await.map_err(unreadable)?;
    let mut shown = Vec::new();
    for (role, uses) in [("certificate-key", keys), ("certificate-signature", signatures)] {
        shown.extend(uses.iter().map(|of| line(role, of)));
    }
    for (role, counts) in [("authority-key", authorities(node)), ("token-key", keysets(node))] {
        shown.extend(
            counts
                .into_iter()
                .map(|(algorithm, count)| line(role, &Use { algorithm, count, in_use: count })),
        );
    }
    Ok(all(shown.into_iter()))
}

fn line(role: &'static str, of: &Use) -> Value {
    value(&shape::Use {
        role,
        algorithm: of.algorithm.clone(),
        count: of.count,
        in_use: of.in_use,
        strength: ca::survey::strength(&of.algorithm),
    })
}

fn authorities(node: &Node) -> BTreeMap<String, i64> {
    let mut counts = BTreeMap::new();
    for authority in node.catalog.load().authorities.values() {
        *counts.entry(authority.spec.key.to_string()).or_default() += 1;
    }
    counts
}

fn keysets(node: &Node) -> BTreeMap<String, i64> {
    let mut counts = BTreeMap::new();
    for keyset in node.catalog.load().keysets.values() {
        for algorithm in &keyset.policy.settings().algorithms {
            *counts.entry(algorithm.to_string()).or_default() += 1;
        }
    }
    counts
}
