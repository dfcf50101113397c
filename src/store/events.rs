//! What is asked of the store about the audit log.

use jiff::Timestamp;
use rusqlite::Row;

use super::audit::Recorded;
use super::error::ReadError;
use super::sqlite::Store;

impl Store {
    /// The audit events of a rotation, oldest first.
    pub(crate) async fn events_of_rotation(&self, id: i64) -> Result<Vec<Recorded>, ReadError> {
        let sql = format!("{SELECT} WHERE rotation = ?1 ORDER BY id LIMIT 1000");
        self.scan(move |c| c.prepare_cached(&sql)?.query_map([id], recorded)?.collect()).await
    }

    /// Audit events, newest first.
    pub(crate) async fn events(
        &self,
        subject: Option<String>,
        before: i64,
        limit: u32,
    ) -> Result<Vec<Recorded>, ReadError> {
        self.scan(move |c| {
            let (tail, params): (&str, &[&dyn rusqlite::ToSql]) = match &subject {
                Some(subject) => (
                    "WHERE subject = ?1 AND id < ?2 ORDER BY id DESC LIMIT ?3",
                    &[subject, &before, &limit],
                ),
                None => ("WHERE id < ?1 ORDER BY id DESC LIMIT ?2", &[&before, &limit]),
            };
            let mut statement = c.prepare_cached(&format!("{SELECT} {tail}"))?;
            let rows = statement.query_map(params, recorded)?;
            rows.collect()
        })
        .await
    }

    /// Up to which event, of the oldest `limit`, all happened before `kept`; none if none did.
    pub(crate) fn events_ended(
        &self,
        kept: Timestamp,
        limit: u32,
    ) -> Result<Option<i64>, ReadError> {
        let sql = "WITH oldest AS (SELECT id, at FROM event ORDER BY id LIMIT ?2)
                   SELECT max(id) FROM oldest WHERE id < coalesce(
                     (SELECT min(id) FROM oldest WHERE at >= ?1), 9223372036854775807)";
        let params = rusqlite::params![kept.as_second(), limit];
        self.read(|c| c.prepare_cached(sql)?.query_row(params, |row| row.get(0)))
    }

    /// Of the events after `after`, those that somebody may be told of, oldest first, `limit` at the most;
    /// and up to which event that is all of them.
    pub(crate) async fn events_told(
        &self,
        after: i64,
        limit: u32,
    ) -> Result<(Vec<Recorded>, i64), ReadError> {
        let newest = "SELECT coalesce(max(id), 0) FROM event";
        let newest: i64 = self.read(|c| c.prepare_cached(newest)?.query_row([], |r| r.get(0)))?;
        let until = newest.min(after.saturating_add(STRIDE));
        if until <= after {
            return Ok((Vec::new(), after));
        }
        let events: Vec<_> =
            notices::KINDS.iter().map(|kind| format!("'{}'", kind.event)).collect();
        let events = events.join(", ");
        let sql = format!(
            "{SELECT} WHERE id > ?1 AND id <= ?2 AND action IN ({events}) ORDER BY id LIMIT ?3"
        );
        let found: Vec<_> = self
            .scan(move |c| {
                let mut statement = c.prepare_cached(&sql)?;
                statement.query_map(rusqlite::params![after, until, limit], recorded)?.collect()
            })
            .await?;
        let until =
            if found.len() < limit as usize { until } else { found.last().map_or(until, |e| e.id) };
        Ok((found, until))
    }
}

fn recorded(row: &Row<'_>) -> rusqlite::Result<Recorded> {
    let detail: Option<String> = row.get(7)?;
    Ok(Recorded {
        id: row.get(0)?,
        at: row.get(1)?,
        actor: row.get(2)?,
        action: row.get(3)?,
        subject: row.get(4)?,
        request: row.get(5)?,
        rotation: row.get(6)?,
        detail: detail.and_then(|text| serde_json::from_str(&text).ok()),
    })
}

const SELECT: &str = "SELECT id, at, actor, action, subject, request, rotation, detail FROM event";
/// So many events are looked at in one read.
const STRIDE: i64 = 10_000;
