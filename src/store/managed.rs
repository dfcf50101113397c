//! What is asked of the store about managed certificates.

use rusqlite::params;

use super::error::ReadError;
use super::reads::{Page, all, one};
use super::rows::{Managed, PlacementRow, RotationRow, VersionRow};
use super::sqlite::Store;

impl Store {
    /// The managed certificate `id`.
    pub(crate) fn managed(&self, id: i64) -> Result<Option<Managed>, ReadError> {
        self.read(|c| one(c, "WHERE id = ?1", [id]))
    }

    /// The managed certificate of this name.
    pub(crate) fn managed_by_name(&self, name: &str) -> Result<Option<Managed>, ReadError> {
        self.read(|c| one(c, "WHERE name = ?1", [name]))
    }

    /// The managed certificates a leaf with this SHA-256 is a version of.
    pub(crate) fn managed_of_leaf(&self, fingerprint: &[u8; 32]) -> Result<Vec<i64>, ReadError> {
        let sql = "SELECT DISTINCT managed FROM certificate_version WHERE fingerprint = ?1";
        self.read(|c| c.prepare_cached(sql)?.query_map([fingerprint], |row| row.get(0))?.collect())
    }

    /// Managed certificates, by id.
    pub(crate) fn all_managed(&self, page: Page) -> Result<Vec<Managed>, ReadError> {
        self.read(|c| all(c, "WHERE id > ?1 ORDER BY id LIMIT ?2", params![page.after, page.limit]))
    }

    /// Managed certificates of which something failed last: a rotation, one of its steps, or a look
    /// at a target.
    pub(crate) fn unwell(&self, limit: u32) -> Result<Vec<Managed>, ReadError> {
        let tail = "WHERE failures > 0
                    OR rotation IN (SELECT id FROM rotation WHERE error IS NOT NULL)
                    OR id IN (SELECT managed FROM placement WHERE error IS NOT NULL)
                    ORDER BY id LIMIT ?1";
        self.read(|c| all(c, tail, [limit]))
    }

    /// The versions of a managed certificate, newest first; as many as are ever kept.
    pub(crate) fn versions(&self, managed: i64) -> Result<Vec<VersionRow>, ReadError> {
        let tail = "WHERE managed = ?1 ORDER BY number DESC LIMIT 1000";
        self.read(|c| all(c, tail, [managed]))
    }

    /// Where a managed certificate is placed.
    pub(crate) fn placements(&self, managed: i64) -> Result<Vec<PlacementRow>, ReadError> {
        self.read(|c| all(c, "WHERE managed = ?1 ORDER BY target", [managed]))
    }

    /// The placement `id`.
    pub(crate) fn placement(&self, id: i64) -> Result<Option<PlacementRow>, ReadError> {
        self.read(|c| one(c, "WHERE id = ?1", [id]))
    }

    /// The rotation `id`.
    pub(crate) fn rotation(&self, id: i64) -> Result<Option<RotationRow>, ReadError> {
        self.read(|c| one(c, "WHERE id = ?1", [id]))
    }

    /// The rotations of a managed certificate, newest first.
    pub(crate) fn rotations(
        &self,
        managed: i64,
        limit: u32,
    ) -> Result<Vec<RotationRow>, ReadError> {
        let tail = "WHERE managed = ?1 ORDER BY id DESC LIMIT ?2";
        self.read(|c| all(c, tail, params![managed, limit]))
    }
}
