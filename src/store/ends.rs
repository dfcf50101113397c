//! When what is managed, and what was found, ends: for who watches all of it at a glance.

use jiff::Timestamp;
use rusqlite::{Connection, Row as Columns};

use super::error::ReadError;
use super::sqlite::Store;
use crate::world::second;

/// The version of a managed certificate that is served.
#[derive(Clone, Debug)]
pub(crate) struct ManagedEnd {
    pub(crate) name: String,
    pub(crate) issuer: String,
    pub(crate) not_before: Timestamp,
    pub(crate) not_after: Timestamp,
    pub(crate) renew_at: Timestamp,
    /// Whether nothing failed since it was proven.
    pub(crate) is_served: bool,
}

/// What stands at a place.
#[derive(Clone, Debug)]
pub(crate) struct PlaceEnd {
    pub(crate) place: String,
    pub(crate) endpoint: Option<String>,
    pub(crate) owner: Option<String>,
    /// When the first of what is sent ends.
    pub(crate) ends_at: Option<Timestamp>,
    pub(crate) leaf: Option<LeafEnd>,
    /// Whether clients would refuse it.
    pub(crate) is_refused: bool,
}

/// A leaf that was found.
#[derive(Clone, Debug)]
pub(crate) struct LeafEnd {
    pub(crate) subject: String,
    pub(crate) issuer: String,
    pub(crate) serial: String,
    pub(crate) not_before: Timestamp,
    pub(crate) not_after: Timestamp,
}

/// What is used how often: for one kind of key or signature.
#[derive(Clone, Debug)]
pub(crate) struct Use {
    pub(crate) algorithm: String,
    pub(crate) count: i64,
    /// Of them, those that stand somewhere as leaf.
    pub(crate) in_use: i64,
}

impl Store {
    /// The managed certificates that are served, the soonest end first, at most `limit`; and how many
    /// more there are.
    pub(crate) async fn managed_ends(
        &self,
        limit: u32,
    ) -> Result<(Vec<ManagedEnd>, i64), ReadError> {
        const FROM: &str = "FROM managed_certificate m JOIN certificate_version v
            ON v.managed = m.id AND v.number = m.current";
        let sql = format!(
            "SELECT m.name, v.issuer, v.not_before, v.not_after, v.renew_at, m.failures = 0
               AND NOT EXISTS (SELECT 1 FROM placement p WHERE p.managed = m.id
                 AND p.error IS NOT NULL)
             {FROM} ORDER BY v.not_after LIMIT ?1"
        );
        let read = |row: &Columns<'_>| {
            Ok(ManagedEnd {
                name: row.get(0)?,
                issuer: row.get(1)?,
                not_before: second(row.get(2)?),
                not_after: second(row.get(3)?),
                renew_at: second(row.get(4)?),
                is_served: row.get(5)?,
            })
        };
        let count = format!("SELECT count(*) {FROM}");
        self.scan(move |c| limited(c, &sql, &count, limit, read)).await
    }

    /// The places where certificates were found and the addresses of endpoints, the soonest end first.
    pub(crate) async fn place_ends(&self, limit: u32) -> Result<(Vec<PlaceEnd>, i64), ReadError> {
        const FROM: &str = "FROM sighting s LEFT JOIN found_certificate f ON f.id = s.found
            WHERE s.found IS NOT NULL OR s.endpoint IS NOT NULL";
        let sql = format!(
            "SELECT s.place, s.endpoint, f.owner, s.ends_at, s.flaws NOT IN ('[]',
               '[\"chain-ends-first\"]'), f.subject, f.issuer, f.serial, f.not_before, f.not_after
             {FROM} ORDER BY s.ends_at LIMIT ?1"
        );
        let read = |row: &Columns<'_>| {
            let leaf = match row.get::<_, Option<String>>(5)? {
                None => None,
                Some(subject) => Some(LeafEnd {
                    subject,
                    issuer: row.get(6)?,
                    serial: row.get(7)?,
                    not_before: second(row.get(8)?),
                    not_after: second(row.get(9)?),
                }),
            };
            Ok(PlaceEnd {
                place: row.get(0)?,
                endpoint: row.get(1)?,
                owner: row.get(2)?,
                ends_at: row.get::<_, Option<i64>>(3)?.map(second),
                is_refused: row.get(4)?,
                leaf,
            })
        };
        let count = format!("SELECT count(*) {FROM}");
        self.scan(move |c| limited(c, &sql, &count, limit, read)).await
    }

    /// Which kinds of keys, and which algorithms of signatures, found certificates have.
    pub(crate) async fn algorithms(&self) -> Result<(Vec<Use>, Vec<Use>), ReadError> {
        // What a root says of itself is trusted by nobody.
        self.scan(|c| Ok((uses(c, "key", "1")?, uses(c, "signature", "subject <> issuer")?))).await
    }
}

fn uses(connection: &Connection, column: &str, which: &str) -> rusqlite::Result<Vec<Use>> {
    let sql = format!(
        "SELECT {column}, count(*), sum(EXISTS (SELECT 1 FROM sighting WHERE found = f.id))
         FROM found_certificate f WHERE {which} GROUP BY {column} ORDER BY 2 DESC, 1 LIMIT 1000"
    );
    let read = |row: &Columns<'_>| {
        Ok(Use { algorithm: row.get(0)?, count: row.get(1)?, in_use: row.get(2)? })
    };
    connection.prepare_cached(&sql)?.query_map([], read)?.collect()
}

/// The first rows of a list, and how many follow.
fn limited<T>(
    connection: &Connection,
    sql: &str,
    count: &str,
    limit: u32,
    read: impl Fn(&Columns<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<(Vec<T>, i64)> {
    let mut statement = connection.prepare_cached(sql)?;
    let rows: Vec<T> = statement.query_map([limit], |row| read(row))?.collect::<Result<_, _>>()?;
    let all: i64 = connection.prepare_cached(count)?.query_row([], |row| row.get(0))?;
    let left_out = all - i64::try_from(rows.len()).unwrap_or(i64::MAX);
    Ok((rows, left_out))
}
