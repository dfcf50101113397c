//! Retention: what ended long ago is forgotten, a few rows at a time. Revoked certificates stay:
//! they are few, and their history is what auditors ask for.

use std::sync::Arc;

use jiff::SignedDuration;
use serde_json::json;
use tracing::error;

use crate::node::Node;
use crate::store::{Commit, Event, Kept, Row};

/// Forgets what is older than it is kept.
pub(crate) async fn forget_ended(node: Arc<Node>) {
    let now = node.world.now();
    let kept = Kept { orders: now - ORDERS, certificates: now - HISTORY, events: now - HISTORY };
    for _ in 0..BATCHES {
        match node.store.any_ended(&kept) {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => return error!(%error, "cannot look for what has ended"),
        }
        let event = Event::new("worker", "retention.forget", "node").with(json!({
            "orders_expired_before": kept.orders.to_string(),
            "certificates_expired_before": kept.certificates.to_string(),
            "events_before": kept.events.to_string(),
        }));
        let commit = Commit::new(event).put(Row::Forget { kept, at_most: AT_MOST });
        if let Err(error) = node.store.commit(commit, now).await {
            return error!(%error, "what has ended cannot be forgotten; it will be retried");
        }
        // The commits of those who wait go in between.
        tokio::time::sleep(PAUSE).await;
    }
}

/// How long orders and authorizations are kept after they expire.
const ORDERS: SignedDuration = SignedDuration::from_hours(30 * 24);
/// How long certificates are kept after they expire, and audit events after they happened.
const HISTORY: SignedDuration = SignedDuration::from_hours(2 * 366 * 24);
const AT_MOST: u32 = 500;
/// Commits of one round; with one round a minute, more is forgotten than can come to be.
const BATCHES: usize = 400;
const PAUSE: std::time::Duration = std::time::Duration::from_millis(20);
