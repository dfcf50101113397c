//! The embedded store: SQLite in write-ahead mode with `synchronous=FULL`. One thread owns the writing connection
//! and gathers commits that wait together into one transaction, so that they share a sync; where one of them
//! is refused, each is tried again alone, so that none fails for another.

mod changes;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use tokio::sync::{oneshot, watch};

use super::batch::{gather, wanted};
use super::commit::{self, Commit, CommitError};
#[cfg(test)]
use super::crash;
use super::damage::{self, Damaged};
use super::error::{OpenError, ReadError};
use super::log::{self, Log};
use super::rows::Stored;
use super::tally::{Audited, Pending, Tally, Watch};
use crate::world::World;

/// A handle on the store; clones share it.
#[derive(Clone)]
pub(crate) struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    path: PathBuf,
    queue: Sender<Job>,
    readers: Mutex<Vec<Connection>>,
    next_id: AtomicI64,
    writers: Arc<AtomicUsize>,
    damaged: Arc<Damaged>,
    tally: Arc<Tally>,
    changed: watch::Sender<()>,
    #[cfg(test)]
    crash: crash::Crash,
    /// What applies commits; only a panic ends it.
    thread: JoinHandle<()>,
}

struct Job {
    commit: Commit,
    at: Timestamp,
    done: oneshot::Sender<Result<(), CommitError>>,
}

impl Store {
    /// Opens the store at `path`, making or migrating it as needed.
    ///
    /// # Errors
    /// When the file cannot be opened, written or understood; each says what to do.
    pub(crate) fn open(path: &Path, world: &World) -> Result<Self, OpenError> {
        let fault = |error| OpenError::from_sqlite(path, error);
        let mut writer = Connection::open(path).map_err(fault)?;
        configure(&writer).map_err(fault)?;
        damage::check(path, &writer)?;
        migrate(path, &mut writer, world)?;
        let mut log = Log::resume(&writer).map_err(fault)?;
        let next_id = commit::highest_id(&writer).map_err(fault)? + 1;
        let watch = Tally::watch(&mut writer).map_err(fault)?;
        let tally = Arc::clone(watch.tally());
        let (queue, jobs) = channel();
        let writers = Arc::new(AtomicUsize::new(0));
        let damaged = Arc::<Damaged>::default();
        let thread = std::thread::Builder::new()
            .name("commit".into())
            .spawn({
                let (writers, damaged) = (Arc::clone(&writers), Arc::clone(&damaged));
                move || commit_loop(&writer, (watch, &mut log), &jobs, &writers, &damaged)
            })
            .map_err(|e| OpenError::Thread(e.to_string()))?;
        let inner = Inner {
            path: path.to_owned(),
            queue,
            readers: Mutex::new(Vec::new()),
            next_id: AtomicI64::new(next_id),
            writers,
            damaged,
            tally,
            changed: watch::Sender::new(()),
            #[cfg(test)]
            crash: crash::Crash::default(),
            thread,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// A fresh row id, never given before.
    pub(crate) fn id(&self) -> i64 {
        self.inner.next_id.fetch_add(1, Ordering::Relaxed)
    }

    /// Says that somebody is at work who may commit soon: while several are, commits wait a little.
    pub(crate) fn writer(&self) -> Writer {
        self.inner.writers.fetch_add(1, Ordering::Relaxed);
        Writer(Arc::clone(&self.inner.writers))
    }

    /// Makes `commit` durable, all of it or nothing.
    ///
    /// # Errors
    /// [`CommitError::Conflict`] when a row was changed since it was read; the rest are faults of
    /// the store.
    pub(crate) async fn commit(&self, commit: Commit, at: Timestamp) -> Result<(), CommitError> {
        #[cfg(test)]
        if self.inner.crash.strikes(true) {
            return Err(CommitError::Ended);
        }
        let (done, outcome) = oneshot::channel();
        let job = Job { commit, at, done };
        self.inner.queue.send(job).map_err(|_| CommitError::Ended)?;
        let outcome = outcome.await.map_err(|_| CommitError::Unknown)?;
        self.inner.changed.send_replace(());
        #[cfg(test)]
        if self.inner.crash.strikes(false) {
            return Err(CommitError::Ended);
        }
        outcome
    }

    /// Lets the commit after `commits` more fail, and all that follow until [`Store::recover`], as
    /// if the process had died there: `lost` before it was stored, or just after.
    #[cfg(test)]
    pub(crate) fn crash_after(&self, commits: u32, lost: bool) {
        self.inner.crash.set(Some((commits, lost)));
    }

    /// The process starts again. Gives whether it had died.
    #[cfg(test)]
    pub(crate) fn recover(&self) -> bool {
        self.inner.crash.set(None)
    }

    /// Stores when a row that was looked at is due again; nothing else of it changes.
    ///
    /// # Errors
    /// As for [`Store::commit`].
    pub(crate) async fn schedule<T: Stored>(
        &self,
        row: &T,
        due_at: Option<Timestamp>,
        at: Timestamp,
    ) -> Result<(), CommitError> {
        self.commit(Commit::schedule(row, due_at), at).await
    }

    /// Moves what was written from the log of writes into the store's own file, which is then the
    /// whole store. It is for the end: a server that was killed does so the next time.
    ///
    /// # Errors
    /// When the store fails; nothing is lost then.
    pub(crate) async fn settle(&self) -> Result<(), ReadError> {
        let path = self.inner.path.clone();
        let settled = tokio::task::spawn_blocking(move || {
            let connection = Connection::open(path)?;
            connection.busy_timeout(Duration::from_secs(5))?;
            connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
        });
        Ok(settled.await.map_err(|_| ReadError::Interrupted)??)
    }

    /// Whether what was written since the store was opened is on record.
    pub(crate) fn audited(&self) -> Audited {
        self.inner.tally.audited()
    }

    /// Whether commits can still be made.
    ///
    /// # Errors
    /// [`CommitError::Damaged`] when damage was met since the store was opened,
    /// [`CommitError::Ended`] when the thread that writes is gone.
    pub(crate) fn writable(&self) -> Result<(), CommitError> {
        if self.inner.damaged.is_set() {
            return Err(CommitError::Damaged);
        }
        if self.inner.thread.is_finished() { Err(CommitError::Ended) } else { Ok(()) }
    }

    /// Runs a short read, answered from indices, on the calling thread.
    ///
    /// # Errors
    /// When the store fails.
    pub(crate) fn read<T>(
        &self,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, ReadError> {
        let pooled = lock(&self.inner.readers).pop();
        let connection = match pooled {
            Some(connection) => connection,
            None => open_reader(&self.inner.path)?,
        };
        let answer = read(&connection);
        if let Err(error) = &answer {
            self.inner.damaged.note(error);
        }
        let mut readers = lock(&self.inner.readers);
        if readers.len() < MAX_READERS {
            readers.push(connection);
        }
        Ok(answer?)
    }

    /// Runs a read that may take long, away from the threads that serve requests.
    ///
    /// # Errors
    /// When the store fails.
    pub(crate) async fn scan<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, ReadError> {
        let store = self.clone();
        let task = tokio::task::spawn_blocking(move || store.read(read));
        task.await.map_err(|_| ReadError::Interrupted)?
    }
}

/// Somebody who may commit soon, until dropped.
pub(crate) struct Writer(Arc<AtomicUsize>);

impl Drop for Writer {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn configure(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(Duration::from_secs(5))?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
    connection.pragma_update(None, "cache_size", -WRITER_CACHE_KIB)?;
    prepare_once(connection)
}

/// What every connection is told. Statements are kept, and SQLite is not to plan them anew: it would
/// for every small number bound to a `= ?` or a `LIMIT ?` that is another one than before, which is
/// what versions and pages are. The plans are the same with any values.
fn prepare_once(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(())
}

pub(super) fn open_reader(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    connection.pragma_update(None, "cache_size", -READER_CACHE_KIB)?;
    prepare_once(&connection)?;
    Ok(connection)
}

fn migrate(path: &Path, connection: &mut Connection, world: &World) -> Result<(), OpenError> {
    let fault = |error| OpenError::from_sqlite(path, error);
    let list = "CREATE TABLE IF NOT EXISTS migration (version INTEGER PRIMARY KEY, applied_at INTEGER NOT NULL)";
    let newest = "SELECT coalesce(max(version), 0) FROM migration";
    connection.execute(list, []).map_err(fault)?;
    let found: i64 = connection.query_row(newest, [], |row| row.get(0)).map_err(fault)?;
    if found > SCHEMA_VERSION {
        return Err(OpenError::Newer { path: path.to_owned(), found, known: SCHEMA_VERSION });
    }
    for (version, statements) in (1..).zip(MIGRATIONS) {
        if version <= found {
            continue;
        }
        let transaction = connection.transaction().map_err(fault)?;
        transaction.execute_batch(statements).map_err(fault)?;
        if statements == AUDIT {
            log::begin(&transaction).map_err(fault)?;
        }
        let applied = (version, world.now().as_second());
        let record = "INSERT INTO migration (version, applied_at) VALUES (?1, ?2)";
        transaction.execute(record, applied).map_err(fault)?;
        transaction.commit().map_err(fault)?;
    }
    Ok(())
}

/// Applies commits until every handle on the store is gone.
fn commit_loop(
    connection: &Connection,
    (mut watch, log): (Watch, &mut Log),
    jobs: &Receiver<Job>,
    writers: &AtomicUsize,
    damaged: &Damaged,
) {
    while let Ok(first) = jobs.recv() {
        let mut batch = vec![first];
        gather(&mut batch, jobs, wanted(writers.load(Ordering::Relaxed)));
        let outcomes = if damaged.is_set() {
            batch.iter().map(|_| Err(CommitError::Damaged)).collect()
        } else {
            watch.look(connection);
            apply(connection, watch.tally(), log, &batch)
        };
        if outcomes.iter().any(|outcome| matches!(outcome, Err(CommitError::Damaged))) {
            damaged.set();
        }
        for (job, outcome) in batch.into_iter().zip(outcomes) {
            // Whoever asked may have gone away; the commit stands all the same.
            let _ = job.done.send(outcome);
        }
    }
}

fn apply(
    connection: &Connection,
    tally: &Tally,
    log: &mut Log,
    batch: &[Job],
) -> Vec<Result<(), CommitError>> {
    match together(connection, tally, log, batch) {
        Ok(()) => batch.iter().map(|_| Ok(())).collect(),
        // Nothing of it happened. One of them is refused, or there is no room for all: each finds out.
        Err(_) if batch.len() > 1 => {
            batch.chunks(1).map(|one| together(connection, tally, log, one)).collect()
        }
        Err(error) => vec![Err(error)],
    }
}

/// One transaction for all of them: every commit is durable, or none is.
fn together(
    connection: &Connection,
    tally: &Tally,
    log: &mut Log,
    batch: &[Job],
) -> Result<(), CommitError> {
    run(connection, "BEGIN IMMEDIATE")?;
    let (mut grown, mut pending) = (log.clone(), Pending::default());
    let written = grown.catch_up(connection).map_err(CommitError::from).and_then(|()| {
        batch.iter().try_for_each(|job| {
            tally.begin();
            job.commit.write(connection, &mut grown, job.at)?;
            tally.written(job.commit.looks(), &mut pending);
            Ok(())
        })
    });
    let committed = written.and_then(|()| Ok(run(connection, "COMMIT")?));
    if committed.is_err() && !connection.is_autocommit() {
        // Out of space or of luck, SQLite has taken everything back already; else it is done here.
        run(connection, "ROLLBACK")?;
    }
    committed.map(|()| {
        *log = grown;
        tally.stands(&pending);
    })
}

fn run(connection: &Connection, statement: &str) -> rusqlite::Result<()> {
    connection.prepare_cached(statement)?.execute([]).map(|_| ())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic while holding a list of connections leaves the list as good as it was.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Merged migrations never change; a new one is appended.
const MIGRATIONS: [&str; 18] = [
    include_str!("schema.sql"),
    include_str!("managed.sql"),
    include_str!("keysets.sql"),
    include_str!("fetches.sql"),
    include_str!("signers.sql"),
    include_str!("publication.sql"),
    include_str!("inventory.sql"),
    include_str!("notices.sql"),
    include_str!("asked.sql"),
    include_str!("people.sql"),
    AUDIT,
    include_str!("approval.sql"),
    include_str!("repeat.sql"),
    include_str!("listing.sql"),
    include_str!("passkeys.sql"),
    include_str!("watching.sql"),
    include_str!("placements.sql"),
    include_str!("identities.sql"),
];
/// Events that are there already are hashed with it.
const AUDIT: &str = include_str!("audit.sql");
const SCHEMA_VERSION: i64 = 18;
/// Large enough that a checkpoint's own syncs are rare, small enough to replay in no time (16 MiB).
const CHECKPOINT_PAGES: i64 = 4096;
const WRITER_CACHE_KIB: i64 = 16 * 1024;
const READER_CACHE_KIB: i64 = 2 * 1024;
const MAX_READERS: usize = 4;

#[cfg(test)]
pub(crate) mod tests;
