//! Steps under way: each row is worked on by one step at a time, and not too many at once. What a
//! step does is not known here.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, OwnedMutexGuard, Semaphore};
use tokio::task::JoinHandle;
use tracing::warn;

/// What a step works on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Subject {
    Authorization(i64),
    Order(i64),
    /// A managed certificate whose need is looked at.
    Managed(i64),
    Rotation(i64),
    /// A managed certificate on one of its targets.
    Placement(i64),
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
pub(crate) struct Steps {
    under_way: Arc<Mutex<HashSet<Subject>>>,
    crls_wanted: Mutex<BTreeSet<i64>>,
    /// One lock for each name that something was ever done to alone; names are declared, so few.
    alone: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
    idle: Arc<Notify>,
    /// Room for validations, which strangers can make last, apart from room for the rest.
    validations: Arc<Semaphore>,
    room: Arc<Semaphore>,
}

impl Steps {
    /// Nothing under way.
    pub(crate) fn new() -> Self {
        Self {
            under_way: Arc::default(),
            crls_wanted: Mutex::default(),
            alone: Mutex::default(),
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

    /// Waits for the turn to do something to `name` that is not to be done twice at once.
    pub(crate) async fn alone(&self, name: &str) -> OwnedMutexGuard<()> {
        let mine = Arc::clone(lock(&self.alone).entry(name.to_owned()).or_default());
        mine.lock_owned().await
    }

    /// Asks for a new CRL of an authority with the next tick; asking often costs nothing.
    pub(crate) fn want_crl(&self, authority: i64) {
        lock(&self.crls_wanted).insert(authority);
    }

    pub(crate) fn take_wanted_crls(&self) -> BTreeSet<i64> {
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

/// Steps at once; validations mostly wait for the network.
pub(crate) const MAX_STEPS: usize = 512;
