//! The worker: takes rows that are due and has their steps performed, each row by one step at a
//! time. It decides nothing; after a crash it does nothing special, for the rows are still due.

use std::collections::BTreeSet;
use std::collections::HashSet;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinHandle;
use tracing::{error, warn};

use crate::http::server::{Drain, begun};
use crate::node::Node;
use crate::perform;

/// What a step works on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Subject {
    Authorization(i64),
    Order(i64),
    /// The CRL of an authority.
    Crl(i64),
    /// The node's own certificate.
    OwnCertificate,
    /// What is no longer needed.
    Ended,
    /// The counts of the inventory.
    Inventory,
}

/// Which steps are under way, and what is wanted besides due rows.
pub(crate) struct Worker {
    under_way: Arc<Mutex<HashSet<Subject>>>,
    crls_wanted: Mutex<BTreeSet<i64>>,
    idle: Arc<Notify>,
    /// Room for validations, which strangers can make last, apart from room for the rest.
    validations: Arc<Semaphore>,
    room: Arc<Semaphore>,
}

impl Worker {
    /// A worker with nothing to do.
    pub(crate) fn new() -> Self {
        Self {
            under_way: Arc::default(),
            crls_wanted: Mutex::default(),
            idle: Arc::default(),
            validations: Arc::new(Semaphore::new(MAX_STEPS)),
            room: Arc::new(Semaphore::new(MAX_STEPS)),
        }
    }

    /// Starts `step` on `subject`, unless one is under way; then the caller's is dropped unrun.
    pub(crate) fn start(
        &self,
        subject: Subject,
        step: impl Future<Output = ()> + Send + 'static,
    ) -> Option<JoinHandle<()>> {
        if !lock(&self.under_way).insert(subject) {
            return None;
        }
        let ended =
            Ended { subject, of: Arc::clone(&self.under_way), idle: Arc::clone(&self.idle) };
        let room = match subject {
            Subject::Authorization(_) => Arc::clone(&self.validations),
            _ => Arc::clone(&self.room),
        };
        Some(tokio::spawn(async move {
            let _ended = ended;
            let _permit = room.acquire().await;
            step.await;
        }))
    }

    /// Asks for a new CRL of an authority with the next tick; asking often costs nothing.
    pub(crate) fn want_crl(&self, authority: i64) {
        lock(&self.crls_wanted).insert(authority);
    }

    fn take_wanted_crls(&self) -> BTreeSet<i64> {
        std::mem::take(&mut lock(&self.crls_wanted))
    }

    /// Waits until no step is under way, at most for `limit`.
    pub(crate) async fn rest(&self, limit: Duration) {
        let resting = async {
            loop {
                let changed = self.idle.notified();
                if lock(&self.under_way).is_empty() {
                    return;
                }
                changed.await;
            }
        };
        if tokio::time::timeout(limit, resting).await.is_err() {
            warn!("some steps are still under way; they are taken up again at the next start");
        }
    }
}

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
    node.worker.rest(REST).await;
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
    let worker = &node.worker;
    for id in due.authorizations {
        worker.start(Subject::Authorization(id), perform::validation::resume(Arc::clone(node), id));
    }
    for id in due.orders {
        worker.start(Subject::Order(id), perform::issuance::resume(Arc::clone(node), id));
    }
    for id in due.authorities.into_iter().chain(worker.take_wanted_crls()) {
        let step = perform::revocation::refresh_crl(Arc::clone(node), id);
        if worker.start(Subject::Crl(id), step).is_none() {
            // One is being made; it may have begun too early to list what this was wanted for.
            worker.want_crl(id);
        }
    }
}

fn start_housekeeping(node: &Arc<Node>) {
    let worker = &node.worker;
    worker.start(Subject::OwnCertificate, perform::own::renew(Arc::clone(node)));
    match node.store.unlisted_revocations() {
        Ok(authorities) => authorities.into_iter().for_each(|id| worker.want_crl(id)),
        Err(error) => error!(%error, "cannot look for revocations that no CRL lists"),
    }
    worker.start(Subject::Ended, perform::retention::forget_ended(Arc::clone(node)));
    worker.start(Subject::Inventory, perform::inventory::count(Arc::clone(node)));
}

/// Takes a subject off the list when its step ends, however it ends.
struct Ended {
    subject: Subject,
    of: Arc<Mutex<HashSet<Subject>>>,
    idle: Arc<Notify>,
}

impl Drop for Ended {
    fn drop(&mut self) {
        lock(&self.of).remove(&self.subject);
        self.idle.notify_waiters();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Sets of ids are as good after a panic as before it.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Rows become due by the second.
const TICK: Duration = Duration::from_secs(1);
/// Ticks between two looks at what changes slowly.
const HOUSEKEEPING: u64 = 60;
const MAX_DUE: u32 = 256;
/// Steps at once; validations mostly wait for the network.
const MAX_STEPS: usize = 512;
const REST: Duration = Duration::from_secs(15);

#[cfg(test)]
mod tests;
