//! Whether the audit log is whole, as SQLite itself sees it and not as the code says: how many commits
//! changed what must be recorded, in how many of them an event was written too, and how often somebody
//! else wrote the store. It counts; it refuses nothing, and it is no proof of what the events say.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rusqlite::Connection;
use rusqlite::hooks::Action;

/// What was counted since the store was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Audited {
    /// Commits that changed what must be recorded.
    pub(crate) changes: u64,
    /// Those of them that wrote an event.
    pub(crate) recorded: u64,
    /// Times that the store was found changed by somebody else.
    pub(crate) foreign: u64,
}

/// Counts for the thread that writes; others read.
#[derive(Debug, Default)]
pub(super) struct Tally {
    changes: AtomicU64,
    recorded: AtomicU64,
    foreign: AtomicU64,
    /// Of the commit under way: rows changed that must be recorded, and events written.
    rows: AtomicU64,
    events: AtomicU64,
}

/// What the commits of one transaction come to, until it is known whether it stands.
#[derive(Debug, Default)]
pub(super) struct Pending {
    changes: u64,
    recorded: u64,
}

/// Notices that somebody else wrote the store.
#[derive(Debug)]
pub(super) struct Watch {
    tally: Arc<Tally>,
    /// SQLite's `data_version`: another number after each commit of another connection.
    seen: i64,
}

impl Tally {
    /// Has SQLite report every row that `connection` changes.
    pub(super) fn watch(connection: &mut Connection) -> rusqlite::Result<Watch> {
        let tally = Arc::<Self>::default();
        let counted = Arc::clone(&tally);
        connection.update_hook(Some(
            move |action: Action, _: &str, table: &str, _: i64| match (action, table) {
                (Action::SQLITE_INSERT, EVENTS) => add(&counted.events, 1),
                (_, table) if UNRECORDED.contains(&table) => {}
                _ => add(&counted.rows, 1),
            },
        ))?;
        let seen = data_version(connection)?;
        Ok(Watch { tally, seen })
    }

    /// What was counted so far.
    pub(super) fn audited(&self) -> Audited {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Audited {
            changes: read(&self.changes),
            recorded: read(&self.recorded),
            foreign: read(&self.foreign),
        }
    }

    /// A commit begins.
    pub(super) fn begin(&self) {
        self.rows.store(0, Ordering::Relaxed);
        self.events.store(0, Ordering::Relaxed);
    }

    /// The commit is written, of whose rows `looks` say only when something is looked at again, or was
    /// used.
    pub(super) fn written(&self, looks: u64, pending: &mut Pending) {
        if self.rows.load(Ordering::Relaxed) > looks {
            pending.changes += 1;
            pending.recorded += u64::from(self.events.load(Ordering::Relaxed) > 0);
        }
    }

    /// The transaction stands.
    pub(super) fn stands(&self, pending: &Pending) {
        add(&self.changes, pending.changes);
        add(&self.recorded, pending.recorded);
    }
}

impl Watch {
    /// What is counted.
    pub(super) fn tally(&self) -> &Arc<Tally> {
        &self.tally
    }

    /// Looks whether somebody else wrote since the last look.
    pub(super) fn look(&mut self, connection: &Connection) {
        // A store that cannot be read says so to whoever commits.
        let Ok(now) = data_version(connection) else { return };
        if now != self.seen {
            self.seen = now;
            add(&self.tally.foreign, 1);
            tracing::error!(
                "the store was written by somebody else: what they did is on no record"
            );
        }
    }
}

fn data_version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.prepare_cached("PRAGMA data_version")?.query_row([], |row| row.get(0))
}

fn add(count: &AtomicU64, more: u64) {
    count.fetch_add(more, Ordering::Relaxed);
}

const EVENTS: &str = "event";
/// Tables in which nothing of the node's own changes: what was seen, what is told of events that are on
/// record, and what proves the record. SQLite does not report tables without a row id; none of those is written alone, but for
/// what was seen and who fetched.
const UNRECORDED: [&str; 8] = [
    "audit_checkpoint",
    "audit_leaf",
    "audit_subtree",
    "endpoint",
    "found_certificate",
    "meta",
    "notice",
    "notification",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> (Connection, Watch) {
        let mut connection = Connection::open_in_memory().expect("opens");
        let tables = "CREATE TABLE event (id INTEGER PRIMARY KEY, at INTEGER);
                      CREATE TABLE authority (id INTEGER PRIMARY KEY, due_at INTEGER);
                      CREATE TABLE notice (id INTEGER PRIMARY KEY)";
        connection.execute_batch(tables).expect("made");
        let watch = Tally::watch(&mut connection).expect("watched");
        (connection, watch)
    }

    fn commit(store: &(Connection, Watch), looks: u64, sql: &str) -> (u64, u64) {
        let (connection, watch) = store;
        let (tally, mut pending) = (watch.tally(), Pending::default());
        tally.begin();
        connection.execute_batch(sql).expect("written");
        tally.written(looks, &mut pending);
        tally.stands(&pending);
        let audited = tally.audited();
        (audited.changes, audited.recorded)
    }

    #[test]
    fn a_change_without_an_event_is_missing_from_what_is_recorded() {
        let store = store();
        let event = "INSERT INTO event (at) VALUES (1);";
        assert_eq!(commit(&store, 0, event), (0, 0), "nothing changed");
        let change = "INSERT INTO authority (due_at) VALUES (1);";
        assert_eq!(commit(&store, 0, &format!("{change}{event}")), (1, 1));
        assert_eq!(commit(&store, 0, change), (2, 1), "nobody recorded it");
        let events_go = "DELETE FROM event WHERE id = 1";
        assert_eq!(commit(&store, 0, events_go), (3, 1), "nor this");
    }

    #[test]
    fn what_was_only_looked_at_or_told_needs_no_event() {
        let store = store();
        commit(&store, 0, "INSERT INTO authority VALUES (1, 1); INSERT INTO event VALUES (1, 1)");
        assert_eq!(commit(&store, 1, "UPDATE authority SET due_at = 2"), (1, 1));
        assert_eq!(commit(&store, 0, "INSERT INTO notice VALUES (1)"), (1, 1));
        let two = "UPDATE authority SET due_at = 3; INSERT INTO authority VALUES (2, 1)";
        assert_eq!(commit(&store, 1, two), (2, 1), "more changed than the commit says");
    }

    #[test]
    fn who_else_writes_is_seen() {
        let path = std::env::temp_dir().join(format!("perennial-foreign-{}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let mut ours = Connection::open(&path).expect("opens");
        ours.execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE event (id INTEGER)")
            .expect("made");
        let mut watch = Tally::watch(&mut ours).expect("watched");
        ours.execute_batch("INSERT INTO event VALUES (1)").expect("written");
        watch.look(&ours);
        assert_eq!(watch.tally().audited().foreign, 0, "that was ourselves");
        let theirs = Connection::open(&path).expect("opens");
        theirs.query_row("SELECT count(*) FROM event", [], |_| Ok(())).expect("read");
        watch.look(&ours);
        assert_eq!(watch.tally().audited().foreign, 0, "they only read");
        theirs.execute_batch("DELETE FROM event").expect("written");
        watch.look(&ours);
        watch.look(&ours);
        assert_eq!(watch.tally().audited().foreign, 1);
        std::fs::remove_file(&path).expect("clean up");
    }
}
