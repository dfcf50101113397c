//! Retention: orders and authorizations that ended long ago are forgotten, a few at a time.
//! Certificates and audit events stay: they are the inventory and its history.

use std::sync::Arc;

use jiff::SignedDuration;
use serde_json::json;
use tracing::error;

use crate::node::Node;
use crate::store::{Commit, Event, Row};

/// Forgets what ended longer than [`KEPT`] ago.
pub(crate) async fn forget_ended(node: Arc<Node>) {
    let now = node.world.now();
    let before = now - KEPT;
    match node.store.any_ended(before) {
        Ok(true) => {}
        Ok(false) => return,
        Err(error) => return error!(%error, "cannot look for what has ended"),
    }
    let event = Event::new("worker", "retention.forget", "orders")
        .with(json!({ "expired_before": before.to_string() }));
    let commit = Commit::new(event).put(Row::ForgetEnded { before, at_most: AT_MOST });
    if let Err(error) = node.store.commit(commit, now).await {
        error!(%error, "what has ended cannot be forgotten; it will be retried");
    }
}

/// How long orders and authorizations are kept after they expire.
const KEPT: SignedDuration = SignedDuration::from_hours(30 * 24);
const AT_MOST: u32 = 500;
