//! The worker: takes rows that are due and has their steps performed. It decides nothing; after a
//! crash it does nothing special, for the rows are still due.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::error;

use crate::http::server::{Drain, begun};
use crate::node::Node;
use crate::perform;
use crate::steps::{Asker, Busy, Subject, Turn};
use crate::store::{
    EndpointRow, KeysetRow, Managed, NotificationRow, Order, PlacementRow, RotationRow, Stored,
};

/// Ticks until `drain`.
pub(crate) async fn run(node: Arc<Node>, mut drain: Drain) {
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut ticks = 0_u64;
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            () = node.steps.vacancy() => {
                // More may end meanwhile: one look at what is due for all of them.
                tokio::time::sleep(GATHER).await;
                start_validations(&node);
                continue;
            }
            () = node.steps.hurried() => {
                start_due(&node);
                continue;
            }
            () = begun(&mut drain) => break,
        }
        let began = Instant::now();
        start_due(&node);
        node.metrics.ticked(began.elapsed());
        if ticks.is_multiple_of(HOUSEKEEPING) {
            start_housekeeping(&node);
        }
        ticks += 1;
    }
    node.steps.rest(REST).await;
}

/// Starts the step of everything that is due now.
pub(crate) fn start_due(node: &Arc<Node>) {
    start_validations(node);
    let steps = &node.steps;
    start_rows::<Order>(node, |node, id| {
        steps.start(Subject::Order(id), perform::issuance::resume(Arc::clone(node), id));
    });
    start_rows::<RotationRow>(node, perform::managed::begin);
    start_rows::<Managed>(node, |node, id| {
        steps.start(Subject::Managed(id), perform::managed::look(Arc::clone(node), id));
    });
    if let Err(error) = perform::keyset::catch_up(node) {
        error!(%error, "what other nodes changed of keysets cannot be published");
    }
    start_rows::<KeysetRow>(node, perform::keyset::begin);
    node.steps.start(Subject::Notices, perform::notices::tell(Arc::clone(node)));
    start_rows::<NotificationRow>(node, perform::notify::begin);
    start_rows::<EndpointRow>(node, |node, id| {
        steps.start(Subject::Endpoint(id), perform::endpoint::look(Arc::clone(node), id));
    });
    start_rows::<PlacementRow>(node, |node, id| {
        steps.start(Subject::Placement(id), perform::watch::look(Arc::clone(node), id));
    });
    let due = node.store.due_crls(node.world.now()).unwrap_or_else(|error| {
        error!(%error, "cannot read which CRLs are due");
        Vec::new()
    });
    for id in due.into_iter().chain(steps.take_wanted_crls()) {
        let step = perform::revocation::refresh_crl(Arc::clone(node), id);
        if steps.start(Subject::Crl(id), step).is_none() {
            // One is being made; it may have begun too early to list what this was wanted for.
            steps.want_crl(id);
        }
    }
}

/// Begins the step of each row of a table that is due, as far as there is room. A row under way is
/// due still: so one page is not enough, or those under way would stand in the way of the others.
fn start_rows<T: Stored>(node: &Arc<Node>, begin: impl Fn(&Arc<Node>, i64)) {
    let mut last = (0, 0);
    while !node.steps.is_full() {
        let due = match node.store.due::<T>(node.world.now(), last, MAX_DUE) {
            Ok(due) => due,
            Err(error) => return error!(table = T::TABLE, %error, "cannot read what is due"),
        };
        for (_, id) in &due {
            begin(node, *id);
        }
        match due.last() {
            Some(row) if due.len() == MAX_DUE as usize => last = *row,
            _ => return,
        }
    }
}

/// Starts the validation of authorizations that are due, as far as there is room. Each round goes on
/// where the last one ended, so that those of an account that has its share already do not stand
/// in the way of others for long, however many they are.
fn start_validations(node: &Arc<Node>) {
    let steps = &node.steps;
    let mut turn = steps.turn();
    'round: for _ in 0..PAGES {
        let due = match node.store.due_authorizations(node.world.now(), turn, MAX_DUE) {
            Ok(due) => due,
            Err(error) => return error!(%error, "cannot read which authorizations are due"),
        };
        let last = due.len() < MAX_DUE as usize;
        for row in due {
            match steps.claim_validation(row.id, row.account, Asker::Worker) {
                Ok(claim) => {
                    claim.run(perform::validation::resume(Arc::clone(node), row.id));
                }
                Err(Busy::UnderWay | Busy::Share) => {}
                Err(Busy::Full) => break 'round,
            }
            turn = row.turn;
        }
        if last {
            turn = Turn::default();
            break;
        }
    }
    steps.go_on_after(turn);
}

fn start_housekeeping(node: &Arc<Node>) {
    let steps = &node.steps;
    match node.store.outdated_crls(node.world.now()) {
        Ok(authorities) => authorities.into_iter().for_each(|id| steps.want_crl(id)),
        Err(error) => error!(%error, "cannot look for revocations that no CRL lists"),
    }
    steps.start(Subject::Ended, perform::retention::forget_ended(Arc::clone(node)));
    steps.start(Subject::Fetches, perform::keyset::note_fetches(Arc::clone(node)));
    steps.start(Subject::Expiry, perform::expiry::look(Arc::clone(node)));
    steps.start(Subject::Checkpoint, perform::checkpoint::look(Arc::clone(node)));
    steps.start(Subject::Inventory, perform::inventory::count(Arc::clone(node)));
}

/// Rows become due by the second.
const TICK: Duration = Duration::from_secs(1);
/// Ticks between two looks at what changes slowly.
const HOUSEKEEPING: u64 = 60;
const MAX_DUE: u32 = 256;
/// Pages of due authorizations looked at in one round.
const PAGES: usize = 16;
/// How long more validations may take to end before what waits for their room is looked at.
const GATHER: Duration = Duration::from_millis(20);
const REST: Duration = Duration::from_secs(15);

#[cfg(test)]
mod tests;
