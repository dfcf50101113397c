//! What is asked of the store about managed certificates.

use jiff::Timestamp;
use rusqlite::params;

use super::error::ReadError;
use super::reads::{Page, all, one};
use super::rows::{ClientAccountRow, Managed, PlacementRow, RotationRow, VersionRow};
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
                    OR id IN (SELECT managed FROM rotation
                      WHERE error IS NOT NULL AND ended_at IS NULL)
                    OR id IN (SELECT managed FROM placement WHERE error IS NOT NULL)
                    ORDER BY id LIMIT ?1";
        self.read(|c| all(c, tail, [limit]))
    }

    /// The versions of a managed certificate, newest first; as many as are ever kept.
    pub(crate) fn versions(&self, managed: i64) -> Result<Vec<VersionRow>, ReadError> {
        let tail = "WHERE managed = ?1 ORDER BY number DESC LIMIT 1000";
        self.read(|c| all(c, tail, [managed]))
    }

    /// The version of a managed certificate with this number.
    pub(crate) fn version(
        &self,
        managed: i64,
        number: u32,
    ) -> Result<Option<VersionRow>, ReadError> {
        self.read(|c| one(c, "WHERE managed = ?1 AND number = ?2", params![managed, number]))
    }

    /// Where a managed certificate stands on the target of this name.
    pub(crate) fn placement_on(
        &self,
        managed: i64,
        target: &str,
    ) -> Result<Option<PlacementRow>, ReadError> {
        self.read(|c| one(c, "WHERE managed = ?1 AND target = ?2", params![managed, target]))
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

    /// How many managed certificates there are, by what is the matter with them, and when the first
    /// of the versions served ends.
    pub(crate) async fn managed_counts(&self, now: Timestamp) -> Result<ManagedCounts, ReadError> {
        // Each from an index of its own: it is asked every minute, however many there are.
        let sql = "SELECT (SELECT count(*) FROM managed_certificate),
                   (SELECT count(*) FROM managed_certificate WHERE current IS NULL),
                   (SELECT count(*) FROM managed_certificate WHERE rotation IS NOT NULL),
                   (SELECT count(*) FROM managed_certificate WHERE failures > 0),
                   (SELECT count(DISTINCT managed) FROM placement WHERE error IS NOT NULL),
                   (SELECT min(not_after) FROM certificate_version
                    WHERE proven_at IS NOT NULL AND retired_at IS NULL),
                   count(*), coalesce(sum(v.renew_at + 9 * v.not_after < 10 * ?1), 0)
                   FROM certificate_version v
                   JOIN managed_certificate m ON m.id = v.managed AND m.current = v.number
                   WHERE v.renew_at + v.not_after < 2 * ?1
                   AND v.proven_at IS NOT NULL AND v.retired_at IS NULL";
        self.scan(move |c| {
            c.prepare_cached(sql)?.query_row([now.as_second()], |row| {
                Ok(ManagedCounts {
                    all: row.get(0)?,
                    pending: row.get(1)?,
                    rotating: row.get(2)?,
                    failing: row.get(3)?,
                    drifted: row.get(4)?,
                    next_end: row.get(5)?,
                    overdue: row.get(6)?,
                    ending: row.get(7)?,
                })
            })
        })
        .await
    }

    /// Our account at an issuer outside.
    pub(crate) fn client_account(
        &self,
        issuer: &str,
    ) -> Result<Option<ClientAccountRow>, ReadError> {
        self.read(|c| one(c, "WHERE issuer = ?1", [issuer]))
    }
}

/// How many managed certificates there are.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ManagedCounts {
    pub(crate) all: i64,
    /// Without a version that is served.
    pub(crate) pending: i64,
    pub(crate) rotating: i64,
    /// Whose last rotation failed.
    pub(crate) failing: i64,
    /// With a target that serves something else, or nothing.
    pub(crate) drifted: i64,
    /// For which more than half of the time between renewal and expiry is over.
    pub(crate) overdue: i64,
    /// For which more than nine tenths of it are over.
    pub(crate) ending: i64,
    /// When the first of the versions served ends, in Unix seconds.
    pub(crate) next_end: Option<i64>,
}
