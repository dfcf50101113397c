//! The rows of notifications: one message to one receiver; and of notices, of which messages to people
//! are made.

use jiff::Timestamp;
use notices::{Notice, Severity, State};
use rusqlite::types::Value;

use super::{Columns, Stored, at, json, maybe_at, text};

/// A message to a receiver.
#[derive(Clone, Debug)]
pub(crate) struct NotificationRow {
    pub(crate) id: i64,
    pub(crate) version: i64,
    /// The name of who is told: a webhook, or people by mail or chat.
    pub(crate) receiver: String,
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
        "receiver",
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
            text(&self.receiver),
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
            receiver: c.next()?,
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

/// What a receiver is to be told of one trouble, or was.
#[derive(Clone, Debug)]
pub(crate) struct NoticeRow {
    pub(crate) id: i64,
    pub(crate) version: i64,
    /// The name of who is told.
    pub(crate) receiver: String,
    pub(crate) notice: Notice,
}

impl Stored for NoticeRow {
    const TABLE: &'static str = "notice";
    const COLUMNS: &'static [&'static str] = &[
        "receiver", "subject", "topic", "type", "rotation", "severity", "seen", "state", "since",
        "seen_at", "times", "told", "told_at", "due_at",
    ];

    fn values(&self) -> Vec<Value> {
        let notice = &self.notice;
        vec![
            text(&self.receiver),
            text(&notice.subject),
            text(&notice.topic),
            text(&notice.event),
            notice.rotation.into(),
            text(notice.severity.name()),
            text(&notice.text),
            text(notice.state.name()),
            at(notice.since),
            at(notice.seen_at),
            i64::from(notice.count).into(),
            json(&notice.told),
            maybe_at(notice.told_at),
            at(notice.due_at),
        ]
    }

    fn from_columns((id, version): (i64, i64), c: &mut Columns<'_, '_>) -> rusqlite::Result<Self> {
        let receiver = c.next()?;
        let notice = Notice {
            subject: c.next()?,
            topic: c.next()?,
            event: c.next()?,
            rotation: c.next()?,
            severity: c.named(Severity::named)?,
            text: c.next()?,
            state: c.named(State::named)?,
            since: c.time()?,
            seen_at: c.time()?,
            count: c.next()?,
            told: c.json()?,
            told_at: c.maybe_time()?,
            due_at: c.time()?,
        };
        Ok(Self { id, version, receiver, notice })
    }
}
