//! The commit thread: batches, refusals, a full disk, its own end.

use std::task::{Context, Wake};

use rusqlite::StatementStatus;
use serde_json::json;

use super::super::audit::Event;
use super::super::rows::Declaration;
use super::*;

fn job(subject: &str, octets: usize) -> Job {
    let (done, _) = oneshot::channel();
    let event = Event::new("test", "test.fill", subject);
    let commit = Commit::new(event.with(json!("x".repeat(octets))));
    Job { commit, at: Timestamp::UNIX_EPOCH, done }
}

/// Makes a store as the version before the audit log had hashes.
pub(crate) fn made_before_the_log(path: &Path) {
    let connection = Connection::open(path).expect("opens");
    configure(&connection).expect("configured");
    let list = "CREATE TABLE migration (version INTEGER PRIMARY KEY, applied_at INTEGER NOT NULL)";
    connection.execute(list, []).expect("made");
    for (version, statements) in (1..).zip(MIGRATIONS).take_while(|(_, s)| *s != AUDIT) {
        connection.execute_batch(statements).expect("applied");
        let applied = "INSERT INTO migration VALUES (?1, 0)";
        connection.execute(applied, [version]).expect("noted");
    }
}

/// Whoever waits for a commit, and panics when it is done: on the thread that says so.
struct Bomb;

impl Wake for Bomb {
    fn wake(self: Arc<Self>) {
        // What is dropped in a panic wakes others, and a second panic would end the process.
        assert!(std::thread::panicking(), "as the test wants it");
    }
}

/// Has the commit thread of `store` panic, as a defect in it would.
pub(crate) fn break_thread(store: &Store) {
    let waker = Arc::new(Bomb).into();
    // A commit that was done before anybody waited for it wakes nobody.
    while !store.inner.thread.is_finished() {
        let commit = Commit::new(Event::new("test", "test.break", "store"));
        let mut waiting = Box::pin(store.commit(commit, Timestamp::UNIX_EPOCH));
        if waiting.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() {
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

#[tokio::test]
async fn a_commit_thread_that_died_is_seen_and_every_commit_after_it_fails() {
    let path = std::env::temp_dir().join(format!("perennial-dead-{}", std::process::id()));
    let _ = std::fs::remove_file(&path);
    let store = Store::open(&path, &World::system()).expect("opens");
    assert!(store.writable().is_ok());
    break_thread(&store);
    assert!(matches!(store.writable(), Err(CommitError::Ended)));
    let commit = Commit::new(Event::new("test", "test.late", "store"));
    let error = store.commit(commit, Timestamp::UNIX_EPOCH).await.expect_err("nobody is there");
    assert!(matches!(error, CommitError::Ended), "{error}");
    assert!(store.declarations().is_ok(), "what is there can still be read");
    std::fs::remove_file(&path).expect("clean up");
}

#[test]
fn a_statement_is_prepared_once_whatever_values_it_is_given() {
    let path = std::env::temp_dir().join(format!("perennial-prepared-{}", std::process::id()));
    let _ = std::fs::remove_file(&path);
    let mut writer = Connection::open(&path).expect("opens");
    configure(&writer).expect("configured");
    migrate(&path, &mut writer, &World::system()).expect("migrated");
    let reader = open_reader(&path).expect("opens");
    for sql in [
        "SELECT id FROM rotation WHERE managed = ?1 AND version = ?2 ORDER BY id LIMIT ?3",
        "SELECT due_at, id FROM placement WHERE due_at <= ?1 AND (due_at, id) > (?1, ?2)
         ORDER BY due_at, id LIMIT ?3",
    ] {
        for connection in [&writer, &reader] {
            let mut statement = connection.prepare(sql).expect("prepared");
            for value in 0..5 {
                assert!(!statement.exists([value, value, value]).expect("run"));
            }
            assert_eq!(statement.get_status(StatementStatus::RePrepare), 0, "{sql}");
        }
    }
    std::fs::remove_file(&path).expect("clean up");
}

#[test]
fn a_refused_commit_takes_no_other_with_it() {
    let path = std::env::temp_dir().join(format!("perennial-batch-{}", std::process::id()));
    let _ = std::fs::remove_file(&path);
    let mut connection = Connection::open(&path).expect("opens");
    configure(&connection).expect("configured");
    migrate(&path, &mut connection, &World::system()).expect("migrated");
    let mut log = Log::resume(&connection).expect("a log");
    let named = |subject: &str| {
        let (id, kind, name) = (1, "profile".to_owned(), "p".to_owned());
        let row = Declaration { id, version: 0, kind, name, spec: "{}".into() };
        let mut job = job(subject, 1);
        job.commit = job.commit.put(row);
        job
    };
    let outcomes = apply(
        &connection,
        &Tally::default(),
        &mut log,
        &[job("a", 1), named("b"), named("c"), job("d", 1)],
    );
    let refused: Vec<_> = outcomes.iter().map(Result::is_err).collect();
    assert_eq!(refused, [false, false, true, false], "the third wants an id that is taken");
    let events = "SELECT group_concat(subject, '') FROM (SELECT subject FROM event ORDER BY id)";
    let stored: String = connection.query_row(events, [], |row| row.get(0)).expect("read");
    assert_eq!(stored, "abd", "each once, in order");
    std::fs::remove_file(&path).expect("clean up");
}

#[test]
fn what_is_acknowledged_is_stored_and_nothing_else_when_space_runs_out() {
    let path = std::env::temp_dir().join(format!("perennial-full-{}", std::process::id()));
    let _ = std::fs::remove_file(&path);
    let mut connection = Connection::open(&path).expect("opens");
    configure(&connection).expect("configured");
    migrate(&path, &mut connection, &World::system()).expect("migrated");
    let mut log = Log::resume(&connection).expect("a log");
    let pages: i64 =
        connection.query_row("PRAGMA page_count", [], |row| row.get(0)).expect("a number");
    connection.pragma_update(None, "max_page_count", pages + 20).expect("limited");
    let batch = [job("a", 10), job("b", 1_000_000), job("c", 10), job("d", 10)];
    let outcomes = apply(&connection, &Tally::default(), &mut log, &batch);
    let stored = |subject: &str| -> bool {
        let sql = "SELECT count(*) FROM event WHERE subject = ?1";
        connection.query_row(sql, [subject], |row| row.get::<_, i64>(0)).expect("read") == 1
    };
    for (subject, outcome) in ["a", "b", "c", "d"].into_iter().zip(&outcomes) {
        assert_eq!(stored(subject), outcome.is_ok(), "{subject}: {outcome:?}");
    }
    assert!(outcomes[1].is_err(), "there was no room for it");
    assert!(
        apply(&connection, &Tally::default(), &mut log, &[job("e", 10)])[0].is_ok(),
        "and it goes on"
    );
    std::fs::remove_file(&path).expect("clean up");
}
