//! What is asked of the store about notifications.

use rusqlite::params;

use super::error::ReadError;
use super::reads::{all, one};
use super::rows::NotificationRow;
use super::sqlite::Store;

impl Store {
    /// The notification `id`.
    pub(crate) fn notification(&self, id: i64) -> Result<Option<NotificationRow>, ReadError> {
        self.read(|c| one(c, "WHERE id = ?1", [id]))
    }

    /// The latest messages to a webhook, the newest first.
    pub(crate) fn notifications(
        &self,
        webhook: &str,
        limit: u32,
    ) -> Result<Vec<NotificationRow>, ReadError> {
        let tail = "WHERE webhook = ?1 ORDER BY id DESC LIMIT ?2";
        self.read(|c| all(c, tail, params![webhook, limit]))
    }

    /// Messages that could not be delivered yet, or were given up and none to the same webhook was
    /// delivered since; the oldest first.
    pub(crate) fn failing_notifications(
        &self,
        limit: u32,
    ) -> Result<Vec<NotificationRow>, ReadError> {
        let tail = "WHERE error IS NOT NULL AND (due_at IS NOT NULL OR NOT EXISTS (
                      SELECT 1 FROM notification later WHERE later.webhook = notification.webhook
                      AND later.id > notification.id AND later.delivered_at IS NOT NULL))
                    ORDER BY id LIMIT ?1";
        self.read(|c| all(c, tail, [limit]))
    }
}
