//! The worker: takes rows that are due and has their steps performed. It decides nothing; after a
//! crash it does nothing special, for the rows are still due.

use std::sync::Arc;
use std::time::Duration;

use tracing::error;

use crate::http::server::{Drain, begun};
use crate::node::Node;
use crate::perform;
use crate::steps::Subject;

/// Ticks until `drain`.
pub(crate) async fn run(node: Arc<Node>, mut drain: Drain) {
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut ticks = 0_u64;
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            () = begun(&mut drain) => break,
        }
        start_due(&node);
        if ticks.is_multiple_of(HOUSEKEEPING) {
            start_housekeeping(&node);
        }
        ticks += 1;
    }
    node.steps.rest(REST).await;
}

/// Starts the step of everything that is due now.
pub(crate) fn start_due(node: &Arc<Node>) {
    let due = match node.store.due(node.world.now(), MAX_DUE) {
        Ok(due) => due,
        Err(error) => {
            error!(%error, "cannot read what is due");
            return;
        }
    };
    let steps = &node.steps;
    for id in due.authorizations {
        steps.start(Subject::Authorization(id), perform::validation::resume(Arc::clone(node), id));
    }
    for id in due.orders {
        steps.start(Subject::Order(id), perform::issuance::resume(Arc::clone(node), id));
    }
    for id in due.managed {
        steps.start(Subject::Managed(id), perform::managed::look(Arc::clone(node), id));
    }
    for id in due.rotations {
        perform::managed::begin(node, id);
    }
    for id in due.placements {
        steps.start(Subject::Placement(id), perform::watch::look(Arc::clone(node), id));
    }
    for id in due.authorities.into_iter().chain(steps.take_wanted_crls()) {
        let step = perform::revocation::refresh_crl(Arc::clone(node), id);
        if steps.start(Subject::Crl(id), step).is_none() {
            // One is being made; it may have begun too early to list what this was wanted for.
            steps.want_crl(id);
        }
    }
}

fn start_housekeeping(node: &Arc<Node>) {
    let steps = &node.steps;
    steps.start(Subject::OwnCertificate, perform::own::renew(Arc::clone(node)));
    match node.store.unlisted_revocations() {
        Ok(authorities) => authorities.into_iter().for_each(|id| steps.want_crl(id)),
        Err(error) => error!(%error, "cannot look for revocations that no CRL lists"),
    }
    steps.start(Subject::Ended, perform::retention::forget_ended(Arc::clone(node)));
    steps.start(Subject::Inventory, perform::inventory::count(Arc::clone(node)));
}

/// Rows become due by the second.
const TICK: Duration = Duration::from_secs(1);
/// Ticks between two looks at what changes slowly.
const HOUSEKEEPING: u64 = 60;
const MAX_DUE: u32 = 256;
const REST: Duration = Duration::from_secs(15);

#[cfg(test)]
mod tests;
