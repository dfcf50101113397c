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
    Keyset(i64),
    Notification(i64),
    /// An address that is watched.
    Endpoint(i64),
    /// What people are to be told.
    Notices,
    /// The CRL of an authority.
    Crl(i64),
    /// What is no longer needed.
    Ended,
    /// Who fetched keysets.
    Fetches,
    /// The counts of the inventory.
    Inventory,
    /// Ends that somebody is told of.
    Expiry,
    /// The checkpoint of the audit log.
    Checkpoint,
}

/// Which steps are under way, and what is wanted besides due rows.
pub(crate) struct Steps {
    shared: Arc<Shared>,
    crls_wanted: Mutex<BTreeSet<i64>>,
    /// One lock for each name that something was ever done to alone; names are declared, so few.
    alone: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
    /// Where the worker's round over due authorizations goes on.
    turn: Mutex<Turn>,
}

struct Shared {
    under_way: Mutex<UnderWay>,
    idle: Notify,
    /// A validation ended, and another had been turned away.
    vacancy: Notify,
    /// Something is due now that was not before.
    hurry: Notify,
    /// Room for what is no validation: strangers cannot make it last.
    room: Semaphore,
}

#[derive(Default)]
struct UnderWay {
    subjects: HashSet<Subject>,
    /// How many are validations, and of which accounts.
    validations: usize,
    by_account: HashMap<i64, usize>,
    turned_away: bool,
}

/// Who wants a validation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asker {
    /// A client that answers a challenge now. Some room is left for those that came before.
    Client,
    /// The worker, for a row that is due.
    Worker,
}

/// Why a validation does not begin now; its row stays due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Busy {
    /// The authorization is being validated.
    UnderWay,
    /// The account has its share of the room.
    Share,
    /// There is no room for anybody.
    Full,
}

/// Where a round over due authorizations stands: after the row due at the first number, in Unix
/// seconds, with the second as its id.
pub(crate) type Turn = (i64, i64);

impl Steps {
    /// Nothing under way.
    pub(crate) fn new() -> Self {
        let shared = Shared {
            under_way: Mutex::default(),
            idle: Notify::new(),
            vacancy: Notify::new(),
            hurry: Notify::new(),
            room: Semaphore::new(MAX_STEPS),
        };
        Self {
            shared: Arc::new(shared),
            crls_wanted: Mutex::default(),
            alone: Mutex::default(),
            turn: Mutex::default(),
        }
    }

    /// Claims what is no authorization, unless a step on it is under way.
    pub(crate) fn claim(&self, subject: Subject) -> Option<Claim> {
        let claimed = lock(&self.shared.under_way).subjects.insert(subject);
        claimed.then(|| Claim { subject, account: None, of: Arc::clone(&self.shared) })
    }

    /// Claims an authorization for a validation on behalf of its account. An account may take half
    /// of the room that is free, so that there is always some for one that has none: the more
    /// accounts want, the smaller is the share of each.
    ///
    /// # Errors
    /// [`Busy`] says why not now.
    pub(crate) fn claim_validation(
        &self,
        authorization: i64,
        account: i64,
        asker: Asker,
    ) -> Result<Claim, Busy> {
        let mut under_way = lock(&self.shared.under_way);
        let subject = Subject::Authorization(authorization);
        if under_way.subjects.contains(&subject) {
            return Err(Busy::UnderWay);
        }
        let room = match asker {
            Asker::Client => MAX_STEPS - KEPT_FREE,
            Asker::Worker => MAX_STEPS,
        };
        let free = room.saturating_sub(under_way.validations);
        let own = under_way.by_account.get(&account).copied().unwrap_or(0);
        if own >= free.div_ceil(2) {
            under_way.turned_away = true;
            return Err(if free == 0 { Busy::Full } else { Busy::Share });
        }
        under_way.subjects.insert(subject);
        under_way.validations += 1;
        under_way.by_account.insert(account, own + 1);
        Ok(Claim { subject, account: Some(account), of: Arc::clone(&self.shared) })
    }

    /// Whether so much is under way that more would only wait.
    pub(crate) fn is_full(&self) -> bool {
        lock(&self.shared.under_way).subjects.len() >= MAX_UNDER_WAY
    }

    /// Starts `step` on `subject`, unless one is under way; then the caller's is dropped unrun.
    pub(crate) fn start(
        &self,
        subject: Subject,
        step: impl Future<Output = ()> + Send + 'static,
    ) -> Option<JoinHandle<()>> {
        self.claim(subject).map(|claim| claim.run(step))
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

    /// Where the worker's round stands.
    pub(crate) fn turn(&self) -> Turn {
        *lock(&self.turn)
    }

    /// Where the worker's round goes on.
    pub(crate) fn go_on_after(&self, turn: Turn) {
        *lock(&self.turn) = turn;
    }

    /// Waits until a validation ended after another had been turned away.
    pub(crate) async fn vacancy(&self) {
        self.shared.vacancy.notified().await;
    }

    /// Says that something is due now that was not before, so that nobody waits for the next tick.
    pub(crate) fn hurry(&self) {
        self.shared.hurry.notify_one();
    }

    /// Waits until that was said, since it was last waited for.
    pub(crate) async fn hurried(&self) {
        self.shared.hurry.notified().await;
    }

    /// Waits until no step is under way, at most for `limit`.
    pub(crate) async fn rest(&self, limit: Duration) {
        let resting = async {
            loop {
                let changed = self.shared.idle.notified();
                if lock(&self.shared.under_way).subjects.is_empty() {
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

/// The right to work on a subject, until its step ends, however it ends.
pub(crate) struct Claim {
    subject: Subject,
    /// Whose validation it is.
    account: Option<i64>,
    of: Arc<Shared>,
}

impl Claim {
    /// Runs `step` on what was claimed, as soon as there is room.
    pub(crate) fn run<T: Send + 'static>(
        self,
        step: impl Future<Output = T> + Send + 'static,
    ) -> JoinHandle<T> {
        tokio::spawn(async move {
            let claim = self;
            // A validation has its room with the claim.
            let _permit = match claim.account {
                Some(_) => None,
                None => claim.of.room.acquire().await.ok(),
            };
            step.await
        })
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut under_way = lock(&self.of.under_way);
        under_way.subjects.remove(&self.subject);
        if let Some(account) = self.account {
            under_way.validations -= 1;
            let left = under_way.by_account.remove(&account).unwrap_or(1) - 1;
            if left > 0 {
                under_way.by_account.insert(account, left);
            }
            if std::mem::take(&mut under_way.turned_away) {
                self.of.vacancy.notify_one();
            }
        }
        drop(under_way);
        self.of.idle.notify_waiters();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Sets of ids and counts are as good after a panic as before it.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Steps under way or waiting for room, above which none is begun.
const MAX_UNDER_WAY: usize = 4 * MAX_STEPS;
/// Steps at once; validations, which mostly wait for the network, are counted apart.
pub(crate) const MAX_STEPS: usize = 512;
/// Of the room for validations, what is left to the worker.
const KEPT_FREE: usize = MAX_STEPS / 4;

#[cfg(test)]
mod tests {
    use super::*;

    /// As many validations as the account may begin, of `wanted`.
    fn begin(steps: &Steps, account: i64, wanted: i64, asker: Asker) -> Vec<Claim> {
        let ids = account * 10_000..account * 10_000 + wanted;
        ids.filter_map(|id| steps.claim_validation(id, account, asker).ok()).collect()
    }

    #[test]
    fn an_account_that_wants_everything_leaves_room_for_others() {
        let steps = Steps::new();
        let greedy = begin(&steps, 1, 5000, Asker::Client);
        assert!((100..=MAX_STEPS / 2).contains(&greedy.len()), "{}", greedy.len());
        let modest = begin(&steps, 2, 10, Asker::Client);
        assert_eq!(modest.len(), 10);
        let waiting = begin(&steps, 3, 10, Asker::Worker);
        assert_eq!(waiting.len(), 10);
    }

    #[test]
    fn what_greedy_accounts_give_back_goes_to_who_has_less() {
        let steps = Steps::new();
        let mut greedy: Vec<_> = (1..=40).map(|a| begin(&steps, a, 500, Asker::Client)).collect();
        assert!(begin(&steps, 50, 1, Asker::Client).is_empty(), "they took it all");
        assert_eq!(begin(&steps, 51, 1, Asker::Worker).len(), 1, "room is kept for what is due");
        greedy[0].pop();
        assert!(begin(&steps, 1, 500, Asker::Client).is_empty(), "it still has the most");
        assert_eq!(begin(&steps, 50, 1, Asker::Client).len(), 1);
    }

    #[tokio::test]
    async fn what_ends_makes_room_and_says_so_to_who_was_turned_away() {
        let steps = Steps::new();
        let mut claims = begin(&steps, 1, 5000, Asker::Worker);
        assert_eq!(steps.claim_validation(1, 1, Asker::Worker).err(), Some(Busy::Share));
        let known = steps.claim_validation(10_000, 1, Asker::Worker).err();
        assert_eq!(known, Some(Busy::UnderWay));
        drop(claims.pop());
        tokio::time::timeout(Duration::from_secs(5), steps.vacancy()).await.expect("told");
        assert!(steps.claim_validation(1, 1, Asker::Worker).is_ok());
    }

    #[test]
    fn nobody_begins_when_there_is_no_room_at_all() {
        let steps = Steps::new();
        let accounts = i64::try_from(MAX_STEPS).expect("few");
        let all: Vec<_> = (1..=accounts).map(|a| begin(&steps, a, 1, Asker::Worker)).collect();
        assert_eq!(all.iter().map(Vec::len).sum::<usize>(), MAX_STEPS);
        assert_eq!(steps.claim_validation(1, 0, Asker::Worker).err(), Some(Busy::Full));
    }
}
