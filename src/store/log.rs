//! The growth of the audit log: each event is stored with the hash of its leaf, in one transaction, by
//! the one thread that writes. What is stored is only ever added to here; proofs are made elsewhere.

use audit::{Entry, Frontier, Hash, Node};
use jiff::Timestamp;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, Row, params};
use tracing::error;

use super::audit::Event;

/// Where the log stands; it goes with a transaction, and back with it.
#[derive(Clone, Debug)]
pub(super) struct Log {
    tree: Frontier,
    /// The number of the newest event.
    newest: i64,
}

impl Log {
    /// The log of a store.
    pub(super) fn resume(connection: &Connection) -> rusqlite::Result<Self> {
        let newest = "SELECT event FROM audit_leaf ORDER BY position DESC LIMIT 1";
        let newest = connection.query_row(newest, [], |row| row.get(0)).optional()?;
        let tree =
            Frontier::resume(size(connection)?, &mut |node: Node| match hash(connection, node) {
                Err(rusqlite::Error::QueryReturnedNoRows) => {
                    // What is gone stays gone and is found by a check. That nothing could be recorded any
                    // more would be worse.
                    error!(?node, "the audit log lacks hashes: run perennial audit verify");
                    Ok(Hash([0; 32]))
                }
                outcome => outcome,
            })?;
        Ok(Self { tree, newest: newest.unwrap_or(0) })
    }

    /// Takes notice of what another process has added.
    pub(super) fn catch_up(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        if size(connection)? > self.tree.size() {
            *self = Self::resume(connection)?;
        }
        Ok(())
    }

    /// Stores an event and its hash, inside a transaction that the caller ends.
    pub(super) fn append(
        &mut self,
        connection: &Connection,
        at: Timestamp,
        event: &Event,
    ) -> rusqlite::Result<()> {
        let detail = if event.detail.is_null() { None } else { Some(event.detail.to_string()) };
        let at = at.as_second();
        // A number is not given again, even if the events that had it are gone.
        let insert = "INSERT INTO event (id, at, actor, action, subject, request, rotation, detail)
             VALUES (max(coalesce((SELECT max(id) FROM event), 0), ?8) + 1, ?1, ?2, ?3, ?4, ?5, ?6, ?7)";
        connection.prepare_cached(insert)?.execute(params![
            at,
            event.actor,
            event.action,
            event.subject,
            event.request,
            event.rotation,
            detail,
            self.newest,
        ])?;
        let id = connection.last_insert_rowid();
        let line = Entry {
            id,
            at,
            actor: &event.actor,
            action: event.action,
            subject: &event.subject,
            request: event.request.as_deref(),
            rotation: event.rotation,
            detail: detail.as_deref(),
        }
        .line();
        self.hashed(connection, id, audit::leaf(line.as_bytes()))
    }

    /// Stores the hash of an event, and those of the subtrees that it makes whole.
    fn hashed(&mut self, connection: &Connection, event: i64, leaf: Hash) -> rusqlite::Result<()> {
        let insert = "INSERT INTO audit_leaf (position, event, hash) VALUES (?1, ?2, ?3)";
        connection.prepare_cached(insert)?.execute(params![
            signed(self.tree.size()),
            event,
            leaf.0
        ])?;
        let mut whole = Vec::new();
        self.tree.append(leaf, |node, hash| {
            if node.height.is_multiple_of(STEP) {
                whole.push((node, hash));
            }
        });
        self.newest = event;
        for (node, hash) in whole {
            // There is one already only where hashes had been removed below it.
            let insert = "INSERT INTO audit_subtree (height, number, hash) VALUES (?1, ?2, ?3)
                 ON CONFLICT DO NOTHING";
            let row = params![node.height, signed(node.index), hash.0];
            connection.prepare_cached(insert)?.execute(row)?;
        }
        Ok(())
    }
}

/// Hashes the events of a store that was made before there were hashes, inside a transaction that the
/// caller ends.
pub(super) fn begin(connection: &Connection) -> rusqlite::Result<()> {
    let mut log = Log::resume(connection)?;
    let mut statement = connection.prepare(&format!("SELECT {COLUMNS} FROM event ORDER BY id"))?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        // What is no event even then is hashed as nothing, and found by every check.
        let line = line(row)?.unwrap_or_default();
        log.hashed(connection, row.get(0)?, audit::leaf(line.as_bytes()))?;
    }
    Ok(())
}

/// How many leaves the tree has.
pub(super) fn size(connection: &Connection) -> rusqlite::Result<u64> {
    let last = "SELECT coalesce(max(position), -1) + 1 FROM audit_leaf";
    let size: i64 = connection.prepare_cached(last)?.query_row([], |row| row.get(0))?;
    Ok(u64::try_from(size).unwrap_or(0))
}

/// The hash of a whole subtree, from the nearest hashes that are stored; [`QueryReturnedNoRows`] where
/// they are not.
///
/// [`QueryReturnedNoRows`]: rusqlite::Error::QueryReturnedNoRows
pub(super) fn hash(connection: &Connection, node: Node) -> rusqlite::Result<Hash> {
    let above = node.height % STEP;
    let (height, count) = (node.height - above, 1_u64 << above);
    let first = node.index << above;
    let sql = match height {
        0 => {
            "SELECT hash FROM audit_leaf WHERE ?1 = 0 AND position BETWEEN ?2 AND ?3 ORDER BY position"
        }
        _ => {
            "SELECT hash FROM audit_subtree WHERE height = ?1 AND number BETWEEN ?2 AND ?3
             ORDER BY number"
        }
    };
    let mut statement = connection.prepare_cached(sql)?;
    let range = params![height, signed(first), signed(first + count - 1)];
    let rows = statement.query_map(range, |row| row.get(0).map(Hash))?;
    let hashes = rows.collect::<rusqlite::Result<Vec<_>>>()?;
    let whole = hashes.len() as u64 == count;
    over(&hashes).filter(|_| whole).ok_or(rusqlite::Error::QueryReturnedNoRows)
}

/// The line of an event's row, of [`COLUMNS`]; none if it cannot have been written as an event.
pub(super) fn line(row: &Row<'_>) -> rusqlite::Result<Option<String>> {
    let text = |at| row.get_ref(at).map(|value| value.as_str().ok());
    let optional = |at| {
        row.get_ref(at).map(|value| match value {
            ValueRef::Null => Some(None),
            value => value.as_str().ok().map(Some),
        })
    };
    let (Some(actor), Some(action), Some(subject)) = (text(2)?, text(3)?, text(4)?) else {
        return Ok(None);
    };
    let (Some(request), Some(detail)) = (optional(5)?, optional(7)?) else { return Ok(None) };
    let (Ok(at), Ok(rotation)) = (row.get(1), row.get(6)) else { return Ok(None) };
    let id = row.get(0)?;
    Ok(Some(Entry { id, at, actor, action, subject, request, rotation, detail }.line()))
}

/// As SQLite has numbers.
pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The hash over hashes that stand next to each other, a power of two of them.
fn over(hashes: &[Hash]) -> Option<Hash> {
    match hashes {
        [] => None,
        [hash] => Some(*hash),
        hashes => {
            let (left, right) = hashes.split_at(hashes.len() / 2);
            Some(audit::node(over(left)?, over(right)?))
        }
    }
}

/// The columns of an event that are hashed, in this order.
pub(super) const COLUMNS: &str = "id, at, actor, action, subject, request, rotation, detail";
/// Hashes are stored of leaves and of every so many heights above them.
pub(super) const STEP: u8 = 8;

#[cfg(test)]
mod tests;
