//! What is asked of the store about requests that somebody must agree to.

use jiff::Timestamp;
use rusqlite::params;

use super::error::ReadError;
use super::reads::{Page, all, one};
use super::rows::ApprovalRow;
use super::sqlite::Store;

impl Store {
    /// The request of this id.
    pub(crate) fn approval(&self, id: i64) -> Result<Option<ApprovalRow>, ReadError> {
        self.read(|c| one(c, "WHERE id = ?1", [id]))
    }

    /// All requests, by id.
    pub(crate) fn approvals(&self, page: Page) -> Result<Vec<ApprovalRow>, ReadError> {
        self.read(|c| all(c, "WHERE id > ?1 ORDER BY id LIMIT ?2", params![page.after, page.limit]))
    }

    /// The requests of `who` that can be agreed to or done at `now`, up to `limit` of them.
    pub(crate) fn waiting_approvals(
        &self,
        who: &str,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<ApprovalRow>, ReadError> {
        let sql = "WHERE expires_at > ?1 AND asked_by = ?2 AND state IN ('open', 'approved')
                   ORDER BY id LIMIT ?3";
        self.read(|c| all(c, sql, params![now.as_second(), who, limit]))
    }
}
