//! What a node stores when it stops, after the last request and the last step. Whatever is not stored here,
//! since it was killed, is no more than slow or unknown after the next start.

use std::sync::Arc;

use crate::node::Node;
use crate::perform::{checkpoint, keyset};
use crate::store::{Commit, Event, Row};

/// Stores what is worth it.
pub(super) async fn keep(node: &Arc<Node>) {
    keep_limits(node).await;
    keyset::keep_fetches(node).await;
    // What keeps it from being made is logged.
    let _ = checkpoint::keep(node).await;
    if node.store.writable().is_ok()
        && let Err(error) = node.store.settle().await
    {
        tracing::warn!(%error, "the store's log of writes stays until the next start");
    }
}

/// Rate limits survive a restart.
async fn keep_limits(node: &Node) {
    let now = node.world.now();
    let standing = node.limiter.standing(now);
    if standing.is_empty() {
        return;
    }
    let event = Event::new("serve", "limits.keep", "node");
    let commit = standing.into_iter().fold(Commit::new(event), |commit, (bucket, arrival)| {
        commit.put(Row::RateLimit { bucket, arrival })
    });
    if let Err(error) = node.store.commit(commit, now).await {
        tracing::error!(%error, "rate limits are not kept");
    }
}
