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
        let events_up_to = match node.store.events_ended(kept.events, AT_MOST) {
            Ok(up_to) => up_to,
            Err(error) => return error!(%error, "cannot look for events that are old enough"),
        };
        let event = Event::new("worker", "retention.forget", "node").with(json!({
            "orders_expired_before": kept.orders.to_string(),
            "certificates_expired_before": kept.certificates.to_string(),
            "events_before": kept.events.to_string(),
            // By this a check of the log tells what was forgotten from what was removed.
            "events_up_to": events_up_to,
            "signing_keys_gone_before": kept.events.to_string(),
        }));
        let commit = Commit::new(event).put(Row::Forget { kept, events_up_to, at_most: AT_MOST });
        if let Err(error) = node.store.commit(commit, now).await {
            return error!(%error, "what has ended cannot be forgotten; it will be retried");
        }
        // The commits of those who wait go in between.
        tokio::time::sleep(PAUSE).await;
    }
}

/// How long orders and authorizations are kept after they expire.
const ORDERS: SignedDuration = SignedDuration::from_hours(30 * 24);
/// How long certificates are kept after they expire, signing keys after they are gone, and audit
/// events after they happened.
const HISTORY: SignedDuration = SignedDuration::from_hours(2 * 366 * 24);
const AT_MOST: u32 = 500;
/// Commits of one round; with one round a minute, eight hundred rows a second.
const BATCHES: usize = 100;
const PAUSE: std::time::Duration = std::time::Duration::from_millis(20);

#[cfg(test)]
mod tests {
    use acme::authorization::Phase;
    use ca::Identifier;

    use super::*;
    use crate::node::tests::{account, node};
    use crate::store::Authorization;

    #[tokio::test]
    async fn more_than_one_commit_holds_is_forgotten_in_one_round() {
        let (node, _) = node().await;
        let (account, now) = (account(&node).await, node.world.now());
        let ended = |expires_at| Authorization {
            id: node.store.id(),
            version: 0,
            account: account.id,
            identifier: Identifier::parse("a.example").expect("a name"),
            token: [0; 32],
            phase: Phase::Pending,
            expires_at,
            due_at: None,
        };
        let long_ago = now - ORDERS - SignedDuration::from_secs(1);
        let kept = ended(now - ORDERS);
        let event = Event::new("test", "authorization.create", "authorization/1");
        let commit = (0..2 * AT_MOST + 1)
            .fold(Commit::new(event), |commit, _| commit.put(ended(long_ago)))
            .put(kept.clone());
        node.store.commit(commit, now).await.expect("stored");
        let keep =
            Kept { orders: now - ORDERS, certificates: now - HISTORY, events: now - HISTORY };
        assert!(node.store.any_ended(&keep).expect("read"));
        forget_ended(Arc::clone(&node)).await;
        assert!(!node.store.any_ended(&keep).expect("read"));
        assert!(node.store.authorization(kept.id).expect("read").is_some());
    }
}
