//! The rows of what is watched and scanned.

use jiff::Timestamp;
use rusqlite::types::Value;

use super::{Columns, Stored, at, maybe_at, text};

/// A declared address that is watched.
#[derive(Clone, Debug)]
pub(crate) struct EndpointRow {
    pub(crate) id: i64,
    pub(crate) version: i64,
    pub(crate) name: String,
    /// What is wrong with it, in words; none: nothing.
    pub(crate) error: Option<String>,
    pub(crate) looked_at: Option<Timestamp>,
    pub(crate) changed_at: Timestamp,
    pub(crate) due_at: Option<Timestamp>,
}

impl Stored for EndpointRow {
    const TABLE: &'static str = "endpoint";
    const COLUMNS: &'static [&'static str] =
        &["name", "error", "looked_at", "changed_at", "due_at"];

    fn values(&self) -> Vec<Value> {
        vec![
            text(&self.name),
            self.error.clone().into(),
            maybe_at(self.looked_at),
            at(self.changed_at),
            maybe_at(self.due_at),
        ]
    }

    fn from_columns((id, version): (i64, i64), c: &mut Columns<'_, '_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id,
            version,
            name: c.next()?,
            error: c.next()?,
            looked_at: c.maybe_time()?,
            changed_at: c.time()?,
            due_at: c.maybe_time()?,
        })
    }
}

/// A scan: what is looked at, and how far it has come.
#[derive(Clone, Debug)]
pub(crate) struct ScanRow {
    pub(crate) id: i64,
    pub(crate) version: i64,
    /// What is scanned and how, as it was asked for: JSON, which whoever scans understands.
    pub(crate) request: String,
    pub(crate) total: i64,
    /// Of the places to look at, in their order, how many are done with all before them.
    pub(crate) done: i64,
    /// Places where a certificate was seen, and where something else was.
    pub(crate) seen: i64,
    pub(crate) failed: i64,
    pub(crate) started_at: Timestamp,
    pub(crate) changed_at: Timestamp,
    pub(crate) ended_at: Option<Timestamp>,
}

impl Stored for ScanRow {
    const TABLE: &'static str = "scan";
    const COLUMNS: &'static [&'static str] =
        &["request", "total", "done", "seen", "failed", "started_at", "changed_at", "ended_at"];

    fn values(&self) -> Vec<Value> {
        vec![
            text(&self.request),
            self.total.into(),
            self.done.into(),
            self.seen.into(),
            self.failed.into(),
            at(self.started_at),
            at(self.changed_at),
            maybe_at(self.ended_at),
        ]
    }

    fn from_columns((id, version): (i64, i64), c: &mut Columns<'_, '_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id,
            version,
            request: c.next()?,
            total: c.next()?,
            done: c.next()?,
            seen: c.next()?,
            failed: c.next()?,
            started_at: c.time()?,
            changed_at: c.time()?,
            ended_at: c.maybe_time()?,
        })
    }
}
