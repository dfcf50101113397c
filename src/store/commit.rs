//! A commit is data: the rows it writes, each with the version it was read at, and the audit event
//! of the change. Applying one never reads anything it was not given.

use jiff::Timestamp;
use rusqlite::ffi::{SQLITE_CONSTRAINT_PRIMARYKEY, SQLITE_CONSTRAINT_UNIQUE};
use rusqlite::types::Value;
use rusqlite::{Connection, ErrorCode, params, params_from_iter};

use super::alarm::Alarm;
use super::audit::Event;
use super::fetch::{FetchRow, KnownBy};
use super::forget::Kept;
use super::found::Sighted;
use super::log::{Log, signed};
use super::notification::TOLD_UP_TO;
use super::repeat::Claim;
use super::rows::{Stored, TABLES};

/// Rows to write together, and the event that says why.
#[derive(Clone)]
pub(crate) struct Commit {
    /// None only where nothing changes but when a row is looked at again, was used or fetched.
    event: Option<Event>,
    rows: Vec<Row>,
}

/// One row to write: a new one if its version is 0, else in place of the version it was read at.
#[derive(Clone)]
pub(crate) enum Row {
    /// A row with an id and a version, as [`Stored`] has it: what writes it, and with what.
    Whole { statement: &'static str, parameters: Vec<Value> },
    /// When a row that still has this version is due again.
    Due { table: &'static str, id: i64, version: i64, due_at: Option<i64> },
    /// That an order needs an authorization.
    OrderAuthorization { order: i64, authorization: i64 },
    /// That a certificate has a name.
    CertificateName { certificate: i64, name: String },
    /// That no certificate is issued for a key any more.
    BlockedKey { key_hash: [u8; 32], reason: String },
    /// Notices that are stored no more.
    NoNotices(Vec<i64>),
    /// That the audit log was signed at a size.
    Checkpoint { size: u64, note: String },
    /// A small fact of the node's own.
    Meta { name: &'static str, value: Vec<u8> },
    /// That a token or a session was used now.
    Used { table: &'static str, id: i64 },
    /// A request that may be repeated.
    Claim { caller: String, key: String, claim: Claim },
    /// What is known of somebody who fetches a keyset.
    Fetch(FetchRow),
    /// Somebody who fetched a keyset and is forgotten.
    NoFetch { keyset: i64, known_by: KnownBy, name: String },
    /// What was seen at a place.
    Sighted(Box<Sighted>),
    /// A place that an endpoint led to, and does not any more.
    Unsighted { endpoint: String, place: String },
    /// How near an end is; none where it is far.
    Alarm { subject: String, alarm: Option<Alarm> },
    /// Where a rate limit stands.
    RateLimit { bucket: String, arrival: i64 },
    /// A row that goes, unless it has another version than the one it was read at.
    Removed { table: &'static str, id: i64, version: i64 },
    /// What is older than it is kept is forgotten, some at a time.
    Forget {
        /// Since when things are kept.
        kept: Kept,
        /// Up to which event the log is forgotten.
        events_up_to: Option<i64>,
        /// How many rows of each table at the most.
        at_most: u32,
    },
}

impl Commit {
    /// A commit that writes nothing but `event` yet.
    pub(crate) fn new(event: Event) -> Self {
        Self { event: Some(event), rows: Vec::new() }
    }

    /// A commit that says when `row` is due again. It has no event: nothing happened but a look.
    pub(super) fn schedule<T: Stored>(row: &T, due_at: Option<Timestamp>) -> Self {
        let (id, version) = row.key();
        let due_at = due_at.map(Timestamp::as_second);
        Self { event: None, rows: vec![Row::Due { table: T::TABLE, id, version, due_at }] }
    }

    /// A commit that says that a token or a session was used now. It has no event: what it was used for
    /// has its own, if it is worth one.
    pub(super) fn note_use(table: &'static str, id: i64) -> Self {
        Self { event: None, rows: vec![Row::Used { table, id }] }
    }

    /// A commit of a request that may be repeated. It has no event: what it does has its own.
    pub(super) fn note_claim(row: Row) -> Self {
        Self { event: None, rows: vec![row] }
    }

    /// A commit of fetches. It has no event: nothing changes by them but what is known of who came.
    pub(super) fn note_fetches(rows: Vec<Row>) -> Self {
        Self { event: None, rows }
    }

    /// A commit of what was seen where. It has no event: nothing changes by it but when that was.
    pub(crate) fn note_sightings(rows: impl IntoIterator<Item = Row>) -> Self {
        Self { event: None, rows: rows.into_iter().collect() }
    }

    /// A commit of what is to be told up to event `id`, and of how that becomes messages. It has no event:
    /// nothing changes by it but who is told, and what is told was recorded when it happened.
    pub(crate) fn note_notices(id: Option<i64>, rows: Vec<Row>) -> Self {
        let told = id.map(|id| Row::Meta { name: TOLD_UP_TO, value: id.to_string().into_bytes() });
        Self { event: None, rows: rows.into_iter().chain(told).collect() }
    }

    /// A commit of a checkpoint of the audit log. It has no event: it vouches for those that are there, and
    /// one of its own would ask for the next.
    pub(crate) fn note_checkpoint(size: u64, note: String) -> Self {
        Self { event: None, rows: vec![Row::Checkpoint { size, note }] }
    }

    /// The same commit, whose event is part of rotation `id`.
    pub(crate) fn of_rotation(self, id: i64) -> Self {
        Self { event: self.event.map(|event| event.of_rotation(id)), ..self }
    }

    /// The same commit, which also writes `row`.
    pub(crate) fn put(mut self, row: impl Into<Row>) -> Self {
        self.rows.push(row.into());
        self
    }

    /// The same commit, which also removes `row`.
    pub(crate) fn remove<T: Stored>(mut self, row: &T) -> Self {
        let (id, version) = row.key();
        self.rows.push(Row::Removed { table: T::TABLE, id, version });
        self
    }

    /// How many of its rows change nothing but when something is looked at again, or was used.
    pub(super) fn looks(&self) -> u64 {
        let is_look = |row: &&Row| matches!(row, Row::Due { .. } | Row::Used { .. });
        u64::try_from(self.rows.iter().filter(is_look).count()).unwrap_or(u64::MAX)
    }

    /// Writes everything, inside a transaction that the caller ends.
    pub(super) fn write(
        &self,
        connection: &Connection,
        log: &mut Log,
        at: Timestamp,
    ) -> Result<(), CommitError> {
        for row in &self.rows {
            row.write(connection, at)?;
        }
        match &self.event {
            Some(event) => Ok(log.append(connection, at, event)?),
            None => Ok(()),
        }
    }
}

/// A commit did not happen, and nothing of it is stored, unless it is [`CommitError::Unknown`].
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum CommitError {
    /// A row was changed, or made, by somebody else in between.
    #[error("it was changed by somebody else at the same time")]
    Conflict,
    /// The disk is full.
    #[error("no space is left for the store")]
    Full,
    /// Damage was met in the store, now or before.
    #[error("the store is damaged; stop the server and restore a backup")]
    Damaged,
    /// The store failed.
    #[error("the store cannot be written: {0}")]
    Store(String),
    /// The thread that writes has ended before.
    #[error("the thread that writes the store has ended; restart the server")]
    Ended,
    /// The thread that writes ended in the midst of it.
    #[error(
        "the thread that writes the store ended, and whether this was stored is not known; restart the server"
    )]
    Unknown,
}

impl CommitError {
    pub(super) fn from_sqlite(error: &rusqlite::Error) -> Self {
        let extended = error.sqlite_error().map(|e| e.extended_code);
        match (error.sqlite_error_code(), extended) {
            (_, Some(SQLITE_CONSTRAINT_UNIQUE | SQLITE_CONSTRAINT_PRIMARYKEY)) => Self::Conflict,
            (Some(ErrorCode::DiskFull), _) => Self::Full,
            (Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase), _) => Self::Damaged,
            _ => Self::Store(error.to_string()),
        }
    }
}

impl From<rusqlite::Error> for CommitError {
    fn from(error: rusqlite::Error) -> Self {
        Self::from_sqlite(&error)
    }
}

impl Row {
    fn write(&self, connection: &Connection, at: Timestamp) -> Result<(), CommitError> {
        match self {
            Self::Whole { statement, parameters } => put(connection, statement, parameters),
            Self::Due { table, id, version, due_at } => {
                let sql = format!("UPDATE {table} SET due_at = ?1 WHERE id = ?2 AND version = ?3");
                let written =
                    connection.prepare_cached(&sql)?.execute(params![due_at, id, version])?;
                if written == 1 { Ok(()) } else { Err(CommitError::Conflict) }
            }
            Self::OrderAuthorization { order, authorization } => run(
                connection,
                "INSERT INTO order_authorization (acme_order, authorization) VALUES (?1, ?2)",
                params![order, authorization],
            ),
            Self::CertificateName { certificate, name } => run(
                connection,
                "INSERT INTO certificate_name (certificate, name) VALUES (?1, ?2)
                 ON CONFLICT DO NOTHING",
                params![certificate, name],
            ),
            Self::BlockedKey { key_hash, reason } => run(
                connection,
                "INSERT INTO blocked_key (key_hash, blocked_at, reason) VALUES (?1, ?2, ?3)
                 ON CONFLICT DO NOTHING",
                params![key_hash, at.as_second(), reason],
            ),
            Self::NoNotices(ids) => {
                keep_ids(connection)?;
                let delete = "DELETE FROM notice WHERE id = ?1";
                ids.iter().try_for_each(|id| run(connection, delete, params![id]))
            }
            Self::Meta { name, value } => run(
                connection,
                "INSERT INTO meta (name, value) VALUES (?1, ?2)
                 ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                params![name, value],
            ),
            Self::Checkpoint { size, note } => run(
                connection,
                "INSERT INTO audit_checkpoint (size, made_at, note) VALUES (?1, ?2, ?3)
                 ON CONFLICT DO NOTHING",
                params![signed(*size), at.as_second(), note],
            ),
            Self::Used { table, id } => run(
                connection,
                &format!("UPDATE {table} SET used_at = ?1 WHERE id = ?2"),
                params![at.as_second(), id],
            ),
            Self::Claim { caller, key, claim } => Ok(claim.write(connection, (caller, key), at)?),
            Self::Fetch(row) => Ok(row.write(connection)?),
            Self::NoFetch { keyset, known_by, name } => run(
                connection,
                "DELETE FROM fetch WHERE keyset = ?1 AND known_by = ?2 AND name = ?3",
                params![keyset, known_by.name(), name],
            ),
            Self::Sighted(sighted) => Ok(sighted.write(connection, at)?),
            Self::Unsighted { endpoint, place } => run(
                connection,
                "DELETE FROM sighting WHERE endpoint = ?1 AND place = ?2",
                params![endpoint, place],
            ),
            Self::Alarm { subject, alarm } => {
                Ok(Alarm::write(alarm.as_ref(), subject, connection)?)
            }
            Self::RateLimit { bucket, arrival } => run(
                connection,
                "INSERT INTO rate_limit (bucket, arrival) VALUES (?1, ?2)
                 ON CONFLICT (bucket) DO UPDATE SET arrival = excluded.arrival",
                params![bucket, arrival],
            ),
            Self::Removed { table, id, version } => {
                keep_ids(connection)?;
                let delete = format!("DELETE FROM {table} WHERE id = ?1 AND version = ?2");
                put(connection, &delete, &[(*id).into(), (*version).into()])
            }
            Self::Forget { kept, events_up_to, at_most } => {
                keep_ids(connection)?;
                Ok(kept.forget(connection, *events_up_to, *at_most)?)
            }
        }
    }
}

impl<T: Stored> From<T> for Row {
    fn from(row: T) -> Self {
        let (id, version) = row.key();
        let mut parameters = vec![Value::Integer(id)];
        parameters.extend(row.values());
        parameters.push(Value::Integer(version));
        let statements = T::statements();
        let statement = if version == 0 { &statements.insert } else { &statements.update };
        Self::Whole { statement, parameters }
    }
}

/// The highest id ever used: every table that takes its ids from the store counts, and what was
/// forgotten. An id that stood for something in the audit log never stands for anything else.
pub(super) fn highest_id(connection: &Connection) -> rusqlite::Result<i64> {
    let forgotten = "SELECT coalesce(max(CAST(value AS INTEGER)), 0) FROM meta WHERE name = ?1";
    let mut highest: i64 = connection.query_row(forgotten, [FORGOTTEN], |row| row.get(0))?;
    for table in TABLES {
        let newest = format!("SELECT coalesce(max(id), 0) FROM {table}");
        highest = highest.max(connection.query_row(&newest, [], |row| row.get(0))?);
    }
    Ok(highest)
}

fn put(connection: &Connection, statement: &str, values: &[Value]) -> Result<(), CommitError> {
    let written = connection.prepare_cached(statement)?.execute(params_from_iter(values))?;
    if written == 1 { Ok(()) } else { Err(CommitError::Conflict) }
}

fn run(
    connection: &Connection,
    sql: &str,
    params: impl rusqlite::Params,
) -> Result<(), CommitError> {
    connection.prepare_cached(sql)?.execute(params)?;
    Ok(())
}

/// Notes which ids were in use, before rows go that have some of them.
fn keep_ids(connection: &Connection) -> Result<(), CommitError> {
    // Text, as every fact that is a number; `meta` has no other kind of it.
    run(
        connection,
        "INSERT INTO meta (name, value) VALUES (?1, CAST(?2 AS BLOB))
         ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        params![FORGOTTEN, highest_id(connection)?.to_string()],
    )
}

/// The fact that says which ids were in use when something was forgotten.
const FORGOTTEN: &str = "highest-id-forgotten";
