//! The rows of notifications: one message to one webhook.

use jiff::Timestamp;
use rusqlite::types::Value;

use super::{Columns, Stored, at, maybe_at, text};

/// A message to a webhook.
#[derive(Clone, Debug)]
pub(crate) struct NotificationRow {
    pub(crate) id: i64,
    pub(crate) version: i64,
    /// The webhook's name.
    pub(crate) webhook: String,
    /// What receivers know the message by: the same at each attempt, and for all who are told.
    pub(crate) message: String,
    /// What happened, as the audit log calls it, and to what.
    pub(crate) kind: String,
    pub(crate) subject: String,
    /// What is sent, to the letter.
    pub(crate) body: String,
    pub(crate) attempts: u32,
    /// Why the last attempt failed.
    pub(crate) error: Option<String>,
    pub(crate) created_at: Timestamp,
    pub(crate) delivered_at: Option<Timestamp>,
    /// None: it was delivered, or given up.
    pub(crate) due_at: Option<Timestamp>,
}

impl Stored for NotificationRow {
    const TABLE: &'static str = "notification";
    const COLUMNS: &'static [&'static str] = &[
        "webhook",
        "message",
        "type",
        "subject",
        "body",
        "attempts",
        "error",
        "created_at",
        "delivered_at",
        "due_at",
    ];

    fn values(&self) -> Vec<Value> {
        vec![
            text(&self.webhook),
            text(&self.message),
            text(&self.kind),
            text(&self.subject),
            text(&self.body),
            i64::from(self.attempts).into(),
            self.error.clone().into(),
            at(self.created_at),
            maybe_at(self.delivered_at),
            maybe_at(self.due_at),
        ]
    }

    fn from_columns((id, version): (i64, i64), c: &mut Columns<'_, '_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id,
            version,
            webhook: c.next()?,
            message: c.next()?,
            kind: c.next()?,
            subject: c.next()?,
            body: c.next()?,
            attempts: c.next()?,
            error: c.next()?,
            created_at: c.time()?,
            delivered_at: c.maybe_time()?,
            due_at: c.maybe_time()?,
        })
    }
}
