//! What is asked of the store for pages that show much at a glance: ends by day, how rotations ended, where
//! certificates are placed, and what the newest events are about. Each is bounded.

use jiff::Timestamp;
use rusqlite::params;

use super::error::ReadError;
use super::reads::{Page, all};
use super::rows::PlacementRow;
use super::sqlite::Store;

/// How a rotation went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    /// Whether every target was proven.
    pub(crate) succeeded: bool,
    pub(crate) emergency: bool,
    /// From its beginning until every target was proven.
    pub(crate) seconds: Option<i64>,
}

/// Which placements to list.
#[derive(Clone, Debug, Default)]
pub(crate) struct PlacementFilter {
    pub(crate) target: Option<String>,
    /// Only those with which something is wrong; of every target then.
    pub(crate) wrong: bool,
}

impl Store {
    /// How many certificates end on each of `days` days from `from` on: those issued here, and the versions
    /// that are served.
    pub(crate) async fn ends_by_day(
        &self,
        from: Timestamp,
        days: usize,
    ) -> Result<Vec<[i64; 2]>, ReadError> {
        let statements = [
            "SELECT (not_after - ?1) / 86400, count(*) FROM certificate
             WHERE not_after >= ?1 AND not_after < ?2 AND phase = 'issued' AND revoked_at IS NULL
             GROUP BY 1",
            "SELECT (not_after - ?1) / 86400, count(*) FROM certificate_version
             WHERE not_after >= ?1 AND not_after < ?2 AND proven_at IS NOT NULL
               AND retired_at IS NULL GROUP BY 1",
        ];
        let from = from.as_second();
        self.scan(move |c| {
            let until = from + 86_400 * i64::try_from(days).unwrap_or_default();
            let mut ends = vec![[0; 2]; days];
            for (column, sql) in statements.iter().enumerate() {
                let mut statement = c.prepare_cached(sql)?;
                let mut rows = statement.query([from, until])?;
                while let Some(row) = rows.next()? {
                    let day = usize::try_from(row.get::<_, i64>(0)?).unwrap_or(days);
                    if let Some(ends) = ends.get_mut(day) {
                        ends[column] = row.get(1)?;
                    }
                }
            }
            Ok(ends)
        })
        .await
    }

    /// The rotations that ended since `since`, the newest, and those that are proven and not ended.
    pub(crate) async fn rotations_since(&self, since: Timestamp) -> Result<Vec<Ended>, ReadError> {
        let sql = "SELECT proven_at IS NOT NULL AND phase <> 'failed', cause LIKE '%\"emergency\"%',
                     proven_at - started_at
                   FROM (SELECT * FROM rotation WHERE ended_at >= ?1 ORDER BY ended_at DESC LIMIT ?2)
                   UNION ALL
                   SELECT 1, cause LIKE '%\"emergency\"%', proven_at - started_at FROM rotation
                   WHERE id IN (SELECT rotation FROM managed_certificate
                       WHERE rotation IS NOT NULL LIMIT ?2)
                     AND ended_at IS NULL AND proven_at >= ?1";
        self.scan(move |c| {
            let mut statement = c.prepare_cached(sql)?;
            let ended = statement.query_map(params![since.as_second(), MAX_ROTATIONS], |row| {
                Ok(Ended { succeeded: row.get(0)?, emergency: row.get(1)?, seconds: row.get(2)? })
            })?;
            ended.collect()
        })
        .await
    }

    /// Where certificates are placed.
    pub(crate) fn placements_of(
        &self,
        filter: &PlacementFilter,
        page: Page,
    ) -> Result<Vec<PlacementRow>, ReadError> {
        let Page { after, limit } = page;
        self.read(|c| match (&filter.target, filter.wrong) {
            (Some(target), false) => {
                let tail = "WHERE target = ?1 AND id > ?2 ORDER BY id LIMIT ?3";
                all(c, tail, params![target, after, limit])
            }
            (Some(target), true) => {
                let tail =
                    "WHERE target = ?1 AND id > ?2 AND error IS NOT NULL ORDER BY id LIMIT ?3";
                all(c, tail, params![target, after, limit])
            }
            (None, true) => {
                let tail = "WHERE error IS NOT NULL AND id > ?1 ORDER BY id LIMIT ?2";
                all(c, tail, params![after, limit])
            }
            (None, false) => all(c, "WHERE id > ?1 ORDER BY id LIMIT ?2", params![after, limit]),
        })
    }

    /// The number of the newest event.
    pub(crate) fn newest_event(&self) -> Result<i64, ReadError> {
        let sql = "SELECT coalesce(max(id), 0) FROM event";
        self.read(|c| c.prepare_cached(sql)?.query_row([], |row| row.get(0)))
    }

    /// The events after `after`, by number, with what each is about.
    pub(crate) async fn subjects_since(
        &self,
        after: i64,
        limit: u32,
    ) -> Result<Vec<(i64, String)>, ReadError> {
        let sql = "SELECT id, subject FROM event WHERE id > ?1 ORDER BY id LIMIT ?2";
        self.scan(move |c| {
            let mut statement = c.prepare_cached(sql)?;
            let rows =
                statement.query_map(params![after, limit], |r| Ok((r.get(0)?, r.get(1)?)))?;
            rows.collect()
        })
        .await
    }
}

/// More would say no more about a median.
const MAX_ROTATIONS: u32 = 20_000;
