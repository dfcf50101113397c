//! Ends that come near: what stands somewhere and ends soon, and of which ends somebody was told.

use jiff::Timestamp;
use renew::alarm::Level;
use rusqlite::{Connection, Row as Columns, params};

use super::error::ReadError;
use super::found::list;
use super::sqlite::Store;
use crate::world::second;

/// A certificate that stands somewhere, with its end.
#[derive(Clone, Debug)]
pub(crate) struct Placed {
    /// As the audit log calls it.
    pub(crate) subject: String,
    /// What people call it.
    pub(crate) called: String,
    pub(crate) owner: Option<String>,
    pub(crate) not_before: Timestamp,
    /// When it, or the first authority above it, ends.
    pub(crate) ends_at: Timestamp,
    /// Where it stands, or one place of several.
    pub(crate) place: Option<String>,
}

/// That somebody was told of an end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Alarm {
    pub(crate) level: Level,
    pub(crate) ends_at: Timestamp,
    pub(crate) since: Timestamp,
}

impl Alarm {
    /// Stores how near an end is, or that it is far.
    pub(super) fn write(
        alarm: Option<&Self>,
        subject: &str,
        connection: &Connection,
    ) -> rusqlite::Result<()> {
        let Some(alarm) = alarm else {
            connection
                .prepare_cached("DELETE FROM alarm WHERE subject = ?1")?
                .execute(params![subject])?;
            return Ok(());
        };
        let sql = "INSERT INTO alarm (subject, level, ends_at, since) VALUES (?1, ?2, ?3, ?4)
                   ON CONFLICT (subject) DO UPDATE SET level = excluded.level,
                     ends_at = excluded.ends_at, since = excluded.since";
        let (ends_at, since) = (alarm.ends_at.as_second(), alarm.since.as_second());
        connection.prepare_cached(sql)?.execute(params![
            subject,
            alarm.level.name(),
            ends_at,
            since
        ])?;
        Ok(())
    }
}

impl Store {
    /// Certificates that stand somewhere and end before `end`, or whose chain does: found ones and
    /// managed ones are told apart by their subjects. What scans found counts if it was seen since then;
    /// authorities in files are what somebody trusts, and stand for nobody. At most `limit`.
    pub(crate) async fn ending(
        &self,
        end: Timestamp,
        seen_since: Timestamp,
        limit: u32,
    ) -> Result<Vec<Placed>, ReadError> {
        let sql = "SELECT 'found/' || f.id, f.names, f.subject, f.owner, f.not_before,
                     min(s.ends_at), min(s.place)
                   FROM sighting s JOIN found_certificate f ON f.id = s.found
                   WHERE s.ends_at < ?1 AND (s.endpoint IS NOT NULL OR s.last_at >= ?3)
                     AND NOT (f.is_ca AND s.place LIKE 'file:%') GROUP BY f.id
                   UNION ALL
                   SELECT 'managed/' || m.name, '[]', m.name, NULL, v.not_before, v.not_after, NULL
                   FROM managed_certificate m JOIN certificate_version v
                     ON v.managed = m.id AND v.number = m.current
                   WHERE v.not_after < ?1
                   ORDER BY 6 LIMIT ?2";
        let (end, seen_since) = (end.as_second(), seen_since.as_second());
        self.scan(move |c| {
            let read = |row: &Columns<'_>| {
                let names: Vec<String> = list(row, 1)?;
                Ok(Placed {
                    subject: row.get(0)?,
                    called: names.into_iter().next().map_or_else(|| row.get(2), Ok)?,
                    owner: row.get(3)?,
                    not_before: second(row.get(4)?),
                    ends_at: second(row.get(5)?),
                    place: row.get(6)?,
                })
            };
            c.prepare_cached(sql)?.query_map(params![end, limit, seen_since], read)?.collect()
        })
        .await
    }

    /// Of what somebody was told, by subject.
    pub(crate) async fn alarms(&self) -> Result<Vec<(String, Alarm)>, ReadError> {
        let sql = "SELECT subject, level, ends_at, since FROM alarm";
        self.scan(move |c| {
            let read = |row: &Columns<'_>| {
                let level = Level::named(&row.get::<_, String>(1)?).unwrap_or_default();
                let (ends_at, since) = (second(row.get(2)?), second(row.get(3)?));
                Ok((row.get(0)?, Alarm { level, ends_at, since }))
            };
            c.prepare_cached(sql)?.query_map([], read)?.collect()
        })
        .await
    }

    /// How many ends somebody was told of, by level.
    pub(crate) fn alarm_counts(&self) -> Result<Vec<(Level, i64)>, ReadError> {
        let sql = "SELECT level, count(*) FROM alarm GROUP BY level";
        self.read(|c| {
            let read = |row: &Columns<'_>| {
                let level = Level::named(&row.get::<_, String>(0)?).unwrap_or_default();
                Ok((level, row.get(1)?))
            };
            c.prepare_cached(sql)?.query_map([], read)?.collect()
        })
    }
}
