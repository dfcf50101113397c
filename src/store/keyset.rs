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

    /// The names of keysets that changed since then, and the versions of their rows; the latest first.
    /// Asked every second: no whole row is read.
    pub(crate) fn keysets_changed_since(
        &self,
        since: Timestamp,
        limit: u32,
    ) -> Result<Vec<(String, i64)>, ReadError> {
        let sql = "SELECT name, version FROM keyset WHERE changed_at >= ?1
                   ORDER BY changed_at DESC, id DESC LIMIT ?2";
        self.read(|c| {
            let mut statement = c.prepare_cached(sql)?;
            let pair = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
            statement.query_map(params![since.as_second(), limit], pair)?.collect()
        })
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
