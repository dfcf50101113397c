//! What is asked of the store about keysets.

use jiff::Timestamp;
use rusqlite::params;

use super::error::ReadError;
use super::reads::{Page, all, one};
use super::rows::{KeysetRow, SigningKeyRow};
use super::sqlite::Store;

impl Store {
    /// The keyset `id`.
    pub(crate) fn keyset(&self, id: i64) -> Result<Option<KeysetRow>, ReadError> {
        self.read(|c| one(c, "WHERE id = ?1", [id]))
    }

    /// The keyset of this name.
    pub(crate) fn keyset_by_name(&self, name: &str) -> Result<Option<KeysetRow>, ReadError> {
        self.read(|c| one(c, "WHERE name = ?1", [name]))
    }

    /// Keysets, by id.
    pub(crate) fn keysets(&self, page: Page) -> Result<Vec<KeysetRow>, ReadError> {
        self.read(|c| all(c, "WHERE id > ?1 ORDER BY id LIMIT ?2", params![page.after, page.limit]))
    }

    /// Keysets that changed since then, by when.
    pub(crate) fn keysets_changed_since(
        &self,
        since: Timestamp,
        limit: u32,
    ) -> Result<Vec<KeysetRow>, ReadError> {
        let tail = "WHERE changed_at >= ?1 ORDER BY changed_at, id LIMIT ?2";
        self.read(|c| all(c, tail, params![since.as_second(), limit]))
    }

    /// Keysets of which the last step failed.
    pub(crate) fn failing_keysets(&self, limit: u32) -> Result<Vec<KeysetRow>, ReadError> {
        self.read(|c| all(c, "WHERE error IS NOT NULL ORDER BY id LIMIT ?1", [limit]))
    }

    /// The keys of a keyset: all that are published, and the newest of those that are gone.
    pub(crate) fn signing_keys(&self, keyset: i64) -> Result<Vec<SigningKeyRow>, ReadError> {
        let tail =
            "WHERE keyset = ?1 ORDER BY phase = 'gone', announced_at DESC, id DESC LIMIT 100";
        self.read(|c| all(c, tail, [keyset]))
    }
}
