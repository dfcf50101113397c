//! What is asked of the store about notifications, and about the notices that become some.

use jiff::Timestamp;
use rusqlite::{OptionalExtension, params};

use super::error::ReadError;
use super::reads::{all, one};
use super::rows::{NoticeRow, NotificationRow};
use super::sqlite::Store;
use crate::world::second;

impl Store {
    /// The notification `id`.
    pub(crate) fn notification(&self, id: i64) -> Result<Option<NotificationRow>, ReadError> {
        self.read(|c| one(c, "WHERE id = ?1", [id]))
    }

    /// The latest messages to a receiver, the newest first.
    pub(crate) fn notifications(
        &self,
        receiver: &str,
        limit: u32,
    ) -> Result<Vec<NotificationRow>, ReadError> {
        let tail = "WHERE receiver = ?1 ORDER BY id DESC LIMIT ?2";
        self.read(|c| all(c, tail, params![receiver, limit]))
    }

    /// Messages that could not be delivered yet, or were given up and none to the same receiver was
    /// delivered since; the oldest first.
    pub(crate) fn failing_notifications(
        &self,
        limit: u32,
    ) -> Result<Vec<NotificationRow>, ReadError> {
        let tail = "WHERE error IS NOT NULL AND (due_at IS NOT NULL OR NOT EXISTS (
                      SELECT 1 FROM notification later WHERE later.receiver = notification.receiver
                      AND later.id > notification.id AND later.delivered_at IS NOT NULL))
                    ORDER BY id LIMIT ?1";
        self.read(|c| all(c, tail, [limit]))
    }

    /// When the latest message to a receiver was delivered.
    pub(crate) fn last_delivery(&self, receiver: &str) -> Result<Option<Timestamp>, ReadError> {
        let sql = "SELECT delivered_at FROM notification WHERE receiver = ?1
                   AND delivered_at IS NOT NULL ORDER BY id DESC LIMIT 1";
        let at: Option<i64> = self
            .read(|c| c.prepare_cached(sql)?.query_row([receiver], |row| row.get(0)).optional())?;
        Ok(at.map(second))
    }

    /// What a receiver was told of a subject, or is to be told.
    pub(crate) fn notices_on(
        &self,
        receiver: &str,
        subject: &str,
    ) -> Result<Vec<NoticeRow>, ReadError> {
        self.read(|c| all(c, "WHERE receiver = ?1 AND subject = ?2", params![receiver, subject]))
    }

    /// The receivers that are to be told something, and whether it is urgent.
    pub(crate) fn receivers_due(&self, now: Timestamp) -> Result<Vec<(String, bool)>, ReadError> {
        // From one receiver to the next by the index, however many notices each has.
        let sql = "WITH RECURSIVE known (name) AS (
                     SELECT min(receiver) FROM notice
                     UNION ALL SELECT (SELECT min(receiver) FROM notice WHERE receiver > name)
                     FROM known WHERE name IS NOT NULL)
                   SELECT name, EXISTS (SELECT 1 FROM notice WHERE receiver = name
                     AND due_at <= ?1 AND severity = 'emergency')
                   FROM known WHERE name IS NOT NULL AND EXISTS (
                     SELECT 1 FROM notice WHERE receiver = name AND due_at <= ?1)";
        self.read(|c| {
            let mut statement = c.prepare_cached(sql)?;
            let rows = statement.query_map([now.as_second()], |r| Ok((r.get(0)?, r.get(1)?)))?;
            rows.collect()
        })
    }

    /// What a receiver is to be told until `until`, or only what is urgent of that; the first due first.
    pub(crate) async fn notices_due(
        &self,
        receiver: String,
        until: Timestamp,
        urgent: bool,
        limit: u32,
    ) -> Result<Vec<NoticeRow>, ReadError> {
        let tail = "WHERE receiver = ?1 AND due_at <= ?2
                    AND (NOT ?3 OR severity = 'emergency') ORDER BY due_at, id LIMIT ?4";
        self.scan(move |c| all(c, tail, params![receiver, until.as_second(), urgent, limit])).await
    }

    /// How many troubles of a receiver last, and how many notices are still to be told.
    pub(crate) fn notice_counts(&self, receiver: &str) -> Result<(i64, i64), ReadError> {
        let sql = "SELECT count(*) FILTER (WHERE state = 'open'),
                     count(*) FILTER (WHERE told_at IS NULL OR state = 'over')
                   FROM notice WHERE receiver = ?1";
        self.read(|c| c.prepare_cached(sql)?.query_row([receiver], |r| Ok((r.get(0)?, r.get(1)?))))
    }

    /// Up to which event everybody was told.
    pub(crate) fn told_up_to(&self) -> Result<i64, ReadError> {
        let sql = "SELECT CAST(CAST(value AS TEXT) AS INTEGER) FROM meta WHERE name = ?1";
        let told = self.read(|c| {
            c.prepare_cached(sql)?.query_row([TOLD_UP_TO], |row| row.get(0)).optional()
        })?;
        Ok(told.unwrap_or_default())
    }
}

/// The fact that says up to which event everybody was told.
pub(super) const TOLD_UP_TO: &str = "told-up-to";
