//! The node at a glance. Nothing is changed here.

use std::sync::Arc;

use axum::extract::State;

use super::shape::{self, value};
use super::{Answer, found, keyset, keyset_status, managed, receiver};
use crate::node::Node;

/// The node at a glance, and what asks for attention.
pub(super) async fn status(State(node): State<Arc<Node>>) -> Answer {
    let catalog = node.catalog.load();
    let inventory = node.inventory.load();
    let within = inventory.counts.iter().map(|(within, count)| ((*within).to_owned(), *count));
    let mut attention = attention(&node);
    attention.extend(node.checkpoints.load().fault.clone());
    attention.extend(node.sockets.attention());
    attention.extend(node.streams.attention());
    attention.extend(node.discoveries.attention());
    attention.extend(node.bundles.attention());
    attention.extend(keyset_status::attention(&node));
    for of in [managed::attention, keyset::attention, receiver::attention, found::attention] {
        match of(&node) {
            Ok(lines) => attention.extend(lines),
            Err(problem) => return Answer(Err(problem)),
        }
    }
    Answer(Ok(value(&shape::Status {
        https: node.https_url.clone(),
        http: node.http_url.clone(),
        authorities: catalog.authorities.keys().cloned().collect(),
        directories: catalog.directories.keys().cloned().collect(),
        certificates_expiring_within: within.collect(),
        counted_at: inventory.at,
        version: env!("CARGO_PKG_VERSION"),
        attention,
    })))
}

/// What an operator should look at, each with what to do.
fn attention(node: &Node) -> Vec<String> {
    let now = node.world.now();
    let mut attention = Vec::new();
    for (name, authority) in &node.catalog.load().authorities {
        let certificate = authority.ca.certificate();
        let end = certificate.not_after();
        let life = end.duration_since(certificate.not_before());
        if end.duration_since(now) < life / 5 {
            attention.push(format!("authority {name} expires at {end}; declare its successor"));
        }
        if let Some(crl) = node.crls.load().get(&authority.id)
            && crl.next_update <= now
        {
            attention.push(format!("the CRL of authority {name} has lapsed; see the log for why"));
        }
    }
    attention
}
