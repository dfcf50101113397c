//! The inventory at a glance: how many certificates expire within which time. Counted now and then
//! and not when asked, so that a page or a scrape costs the same however many are stored.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use tracing::error;

use crate::node::{Figures, Inventory, Node};
use crate::store::ReadError;

/// Counts anew.
pub(crate) async fn count(node: Arc<Node>) {
    let now = node.world.now();
    let ends = HORIZONS.map(|(_, days)| now + SignedDuration::from_hours(24 * days));
    match node.store.expiry_counts(now, ends.to_vec()).await {
        Ok(counts) => {
            let labels = HORIZONS.iter().map(|(label, _)| *label);
            let counts: Vec<_> = labels.zip(counts).collect();
            node.metrics.expiring(&counts);
            let figures = figures(&node, now).await.unwrap_or_else(|error| {
                error!(%error, "figures cannot be counted");
                Figures::default()
            });
            node.inventory.replace(Inventory { at: now, counts, figures });
        }
        Err(error) => error!(%error, "certificates cannot be counted"),
    }
    match node.store.managed_counts(now).await {
        Ok(counts) => node.metrics.levels.managed(&counts),
        Err(error) => error!(%error, "managed certificates cannot be counted"),
    }
    match node.store.endpoint_counts() {
        Ok((all, failing)) => node.metrics.levels.endpoints(all, failing),
        Err(error) => error!(%error, "endpoints cannot be counted"),
    }
}

async fn figures(node: &Node, now: Timestamp) -> Result<Figures, ReadError> {
    let midnight = now.as_second() - now.as_second().rem_euclid(86_400);
    let from = Timestamp::from_second(midnight).unwrap_or(now);
    let since = now - SignedDuration::from_hours(24 * 30);
    Ok(Figures {
        from,
        ends: node.store.ends_by_day(from, DAYS).await?,
        rotations: node.store.rotations_since(since).await?,
        managed: node.store.managed_counts(now).await?,
    })
}

/// How many days ahead ends are counted day by day.
const DAYS: usize = 91;
/// Labels and days; the last stands for every certificate that has not expired.
pub(crate) const HORIZONS: [(&str, i64); 5] =
    [("1d", 1), ("7d", 7), ("30d", 30), ("90d", 90), ("ever", 365 * 200)];
