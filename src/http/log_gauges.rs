//! How the audit log stands, for who watches: looked up when it is asked for.

use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tracing::error;

use crate::node::Node;
use crate::store::ReadError;

/// Adds how the audit log stands now.
pub(super) fn register(node: &Node, registry: &mut Registry) {
    match standing(node) {
        Ok(gauges) => {
            for (name, help, value) in gauges {
                let gauge = Gauge::<i64>::default();
                gauge.set(value);
                registry.register(name, help, gauge);
            }
        }
        Err(error) => error!(%error, "the audit log cannot be counted"),
    }
}

fn standing(node: &Node) -> Result<Vec<(&'static str, &'static str, i64)>, ReadError> {
    let counts = node.store.log_counts()?;
    let number = |size: u64| i64::try_from(size).unwrap_or(i64::MAX);
    let fault = i64::from(node.checkpoints.load().fault.is_some());
    let mut gauges = vec![
        ("audit_events", "Events of the audit log that are kept", counts.events),
        ("audit_tree_size", "Events that the audit log ever had", number(counts.size)),
        ("audit_checkpoint_failing", "Whether the audit log cannot be signed: 1 if so", fault),
    ];
    if let Some(row) = node.store.newest_checkpoint()? {
        gauges.push((
            "audit_checkpoint_timestamp_seconds",
            "When the newest checkpoint of the audit log was made",
            row.made_at,
        ));
        gauges.push((
            "audit_checkpoint_size",
            "Events that the newest checkpoint of the audit log covers",
            number(row.size),
        ));
    }
    Ok(gauges)
}
