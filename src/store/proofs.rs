//! What is asked of the audit log as a tree: its root, proofs, checkpoints, lines to export, and the check
//! of all of it. It is read as it is stored; nothing is repaired.

use std::path::Path;

use audit::{
    Checkpoint, Hash, Leaf, Node, Report, Signed, StoredEvent, Verifier, consistency, inclusion,
};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::error::ReadError;
use super::log::{self, COLUMNS, STEP, signed};
use super::sqlite::{Store, open_reader};

/// A checkpoint as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CheckpointRow {
    /// How many events it covers.
    pub(crate) size: u64,
    /// When it was made, in Unix seconds.
    pub(crate) made_at: i64,
    /// The signed note.
    pub(crate) note: String,
}

/// How much of the log is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LogCounts {
    /// Leaves of the tree: all events ever.
    pub(crate) size: u64,
    /// Events that are kept.
    pub(crate) events: i64,
}

impl Store {
    /// How much of the log is there.
    pub(crate) fn log_counts(&self) -> Result<LogCounts, ReadError> {
        // Numbers have no gaps, so that nothing is counted.
        let events =
            "SELECT coalesce((SELECT max(id) FROM event) - (SELECT min(id) FROM event) + 1, 0)";
        self.read(|c| {
            let events = c.prepare_cached(events)?.query_row([], |row| row.get(0))?;
            Ok(LogCounts { size: log::size(c)?, events })
        })
    }

    /// The root of the tree of the first `size` events; none if hashes of it are gone.
    pub(crate) fn log_root(&self, size: u64) -> Result<Option<Hash>, ReadError> {
        self.read(|c| audit::root(size, &mut |node: Node| log::hash(c, node)).optional())
    }

    /// The place of an event, its line, and the proof that it is in the tree of the first `size` events; none
    /// if it is not there.
    pub(crate) fn log_inclusion(
        &self,
        event: i64,
        size: u64,
    ) -> Result<Option<(u64, String, Vec<Hash>)>, ReadError> {
        self.read(|c| {
            let sql = format!("SELECT {COLUMNS} FROM event WHERE id = ?1");
            let line = c.prepare_cached(&sql)?.query_row([event], log::line).optional()?.flatten();
            let (Some(line), Some(position)) = (line, position(c, event)?) else { return Ok(None) };
            if position >= size {
                return Ok(None);
            }
            let proof =
                inclusion(position, size, &mut |node: Node| log::hash(c, node)).optional()?;
            Ok(proof.map(|proof| (position, line, proof)))
        })
    }

    /// The proof that the first `old` events are the beginning of the first `new`; none if they are not there.
    pub(crate) fn log_consistency(
        &self,
        old: u64,
        new: u64,
    ) -> Result<Option<Vec<Hash>>, ReadError> {
        self.read(|c| {
            if old > new || new > log::size(c)? {
                return Ok(None);
            }
            consistency(old, new, &mut |node: Node| log::hash(c, node)).optional()
        })
    }

    /// The newest checkpoint.
    pub(crate) fn newest_checkpoint(&self) -> Result<Option<CheckpointRow>, ReadError> {
        let sql = "SELECT size, made_at, note FROM audit_checkpoint ORDER BY size DESC LIMIT 1";
        self.read(|c| c.prepare_cached(sql)?.query_row([], checkpoint).optional())
    }

    /// The lines of events after `after` that happened since one time and before another, in Unix seconds,
    /// oldest first: a page of at most `limit`, and after which event the next one begins, if there is one.
    pub(crate) async fn log_lines(
        &self,
        after: i64,
        (since, until): (i64, i64),
        limit: u32,
    ) -> Result<(Vec<String>, Option<i64>), ReadError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM event WHERE id > ?1 AND at >= ?2 AND at < ?3 ORDER BY id LIMIT ?4"
        );
        self.scan(move |c| {
            let mut statement = c.prepare_cached(&sql)?;
            let mut rows = statement.query(params![after, since, until, limit])?;
            let (mut lines, mut octets, mut seen) = (Vec::new(), 0, 0);
            while let Some(row) = rows.next()? {
                seen += 1;
                // What cannot have been an event is for a check to find.
                if let Some(line) = log::line(row)? {
                    octets += line.len();
                    lines.push(line);
                }
                if seen == limit || octets > MAX_PAGE {
                    return Ok((lines, row.get(0)?));
                }
            }
            Ok((lines, None))
        })
        .await
    }

    /// Checks the whole log, and checkpoints that `verifier` is to have signed.
    pub(crate) async fn check_log(&self, verifier: Verifier) -> Result<Report, ReadError> {
        self.scan(move |c| check(c, &verifier, None)).await
    }
}

/// Checks the log in a store's file, beside a server or without one, and what was signed of it by a
/// checkpoint that was kept elsewhere: its size and root. Without `verifier`, the store's own word is taken
/// for whose signatures count; none if it has not said.
///
/// # Errors
/// When the file cannot be read as a store.
pub(crate) fn check_file(
    path: &Path,
    verifier: Option<Verifier>,
    elsewhere: Option<(u64, Hash)>,
) -> Result<Option<(Report, Verifier)>, ReadError> {
    let connection = open_reader(path)?;
    let own = "SELECT value FROM meta WHERE name = ?1";
    let own: Option<Vec<u8>> =
        connection.query_row(own, [VERIFIER], |row| row.get(0)).optional()?;
    let own = own.and_then(|own| Verifier::parse(&String::from_utf8(own).ok()?).ok());
    let Some(verifier) = verifier.or(own) else { return Ok(None) };
    Ok(Some((check(&connection, &verifier, elsewhere)?, verifier)))
}

fn check(
    connection: &Connection,
    verifier: &Verifier,
    elsewhere: Option<(u64, Hash)>,
) -> rusqlite::Result<Report> {
    // All of it as it was at one moment, whatever is added meanwhile.
    let transaction = connection.unchecked_transaction()?;
    let sql = "SELECT size, made_at, note FROM audit_checkpoint ORDER BY size";
    let mut checkpoints = transaction.prepare(sql)?;
    let checkpoints = checkpoints.query_map([], |row| Ok(opened(row, verifier)))?;
    let mut checkpoints = checkpoints.collect::<rusqlite::Result<Vec<_>>>()?;
    checkpoints.extend(elsewhere.map(|(size, root)| Signed {
        size,
        root: Some(root),
        elsewhere: true,
    }));
    checkpoints.sort_by_key(|signed| signed.size);
    let mut leaves =
        transaction.prepare("SELECT position, event, hash FROM audit_leaf ORDER BY position")?;
    let leaves = leaves.query_and_then([], leaf)?;
    let mut events = transaction.prepare(&format!("SELECT {COLUMNS} FROM event ORDER BY id"))?;
    let events = events.query_and_then([], event)?;
    audit::check(leaves, events, &checkpoints, |node: Node| {
        if !node.height.is_multiple_of(STEP) {
            return Ok(None);
        }
        let sql = "SELECT hash FROM audit_subtree WHERE height = ?1 AND number = ?2";
        let key = params![node.height, signed(node.index)];
        let stored = transaction.prepare_cached(sql)?.query_row(key, |row| row.get(0)).optional();
        // What is gone, or no hash, is as wrong as another hash.
        Ok(Some(Hash(stored.ok().flatten().unwrap_or_default())))
    })
}

/// The place of an event in the tree: both numbers only ever grow.
fn position(connection: &Connection, event: i64) -> rusqlite::Result<Option<u64>> {
    let sql = "SELECT event FROM audit_leaf WHERE position = ?1";
    let mut statement = connection.prepare_cached(sql)?;
    let (mut low, mut high) = (0, log::size(connection)?);
    while low < high {
        let middle = low + (high - low) / 2;
        let at: Option<i64> = statement.query_row([signed(middle)], |row| row.get(0)).optional()?;
        match at {
            Some(at) if at == event => return Ok(Some(middle)),
            Some(at) if at < event => low = middle + 1,
            _ => high = middle,
        }
    }
    Ok(None)
}

fn checkpoint(row: &Row<'_>) -> rusqlite::Result<CheckpointRow> {
    let size: i64 = row.get(0)?;
    let size = u64::try_from(size).unwrap_or(0);
    Ok(CheckpointRow { size, made_at: row.get(1)?, note: row.get(2)? })
}

/// A checkpoint, and whether it is signed over its own size.
fn opened(row: &Row<'_>, verifier: &Verifier) -> Signed {
    let size = u64::try_from(row.get(0).unwrap_or(0_i64)).unwrap_or(0);
    let signed = checkpoint(row).ok().and_then(|row| Checkpoint::open(&row.note, verifier).ok());
    let root = signed.filter(|signed| signed.size == size).map(|signed| signed.root);
    Signed { size, root, elsewhere: false }
}

fn leaf(row: &Row<'_>) -> rusqlite::Result<Leaf> {
    let position: i64 = row.get(0)?;
    // A hash that is none was put there by somebody: it is that of no event.
    let hash = Hash(row.get(2).unwrap_or_default());
    let event = row.get(1).unwrap_or_default();
    Ok(Leaf { position: u64::try_from(position).unwrap_or(u64::MAX - 1), event, hash })
}

fn event(row: &Row<'_>) -> rusqlite::Result<StoredEvent> {
    let line = log::line(row)?;
    let forgets = match row.get_ref(3)?.as_str() {
        Ok("retention.forget") => row.get_ref(7)?.as_str().ok().and_then(forgets),
        _ => None,
    };
    Ok(StoredEvent { id: row.get(0)?, line, forgets })
}

fn forgets(detail: &str) -> Option<i64> {
    serde_json::from_str::<serde_json::Value>(detail).ok()?["events_up_to"].as_i64()
}

/// The fact that says whose signatures count, as a verifier key.
pub(crate) const VERIFIER: &str = "audit-verifier";
/// So many octets of lines are a page, and one line more.
const MAX_PAGE: usize = 8 * 1024 * 1024;
