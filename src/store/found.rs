//! Certificates that were found in use, and where: written as they are seen, one row for each
//! certificate and each place, so that seeing one again changes only when.

use ca::survey::Survey;
use jiff::Timestamp;
use rusqlite::types::{Type, Value};
use rusqlite::{Connection, OptionalExtension, Row as Columns, params, params_from_iter};

use super::error::ReadError;
use super::reads::{Page, all, one};
use super::rows::{EndpointRow, ScanRow};
use super::sqlite::Store;
use crate::found::Assessed;
use crate::world::second;

/// What was seen at a place, and by whom.
#[derive(Clone, Debug)]
pub(crate) struct Sighted {
    pub(crate) seen: Assessed,
    /// Who answers for it, if whoever looked knows.
    pub(crate) owner: Option<String>,
    pub(crate) endpoint: Option<String>,
    pub(crate) scan: Option<i64>,
}

/// A certificate that was found, as it is listed.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) id: i64,
    pub(crate) survey: Survey,
    pub(crate) owner: Option<String>,
    pub(crate) first_at: Timestamp,
    pub(crate) last_at: Timestamp,
    /// Places where it stands as leaf.
    pub(crate) places: i64,
    /// One of them.
    pub(crate) place: Option<String>,
}

/// What was seen last at a place.
#[derive(Clone, Debug)]
pub(crate) struct Sighting {
    pub(crate) place: String,
    /// The leaf.
    pub(crate) found: Option<i64>,
    pub(crate) chain: Vec<i64>,
    pub(crate) ends_at: Option<Timestamp>,
    /// Words of [`ca::survey::Flaw`].
    pub(crate) flaws: Vec<String>,
    pub(crate) keeper: Option<String>,
    pub(crate) error: Option<String>,
    pub(crate) endpoint: Option<String>,
    pub(crate) first_at: Timestamp,
    pub(crate) changed_at: Timestamp,
    pub(crate) last_at: Timestamp,
}

/// Which found certificates to list.
#[derive(Clone, Debug, Default)]
pub(crate) struct FoundFilter {
    /// Only those that end before this, and stand somewhere; the soonest first.
    pub(crate) ends_before: Option<Timestamp>,
    pub(crate) owner: Option<String>,
}

impl Sighted {
    pub(super) fn write(&self, connection: &Connection, at: Timestamp) -> rusqlite::Result<()> {
        let seen = &self.seen;
        let mut ids = Vec::new();
        for (index, (der, survey)) in seen.chain.iter().enumerate() {
            // What is above is not its owner's.
            let owner = self.owner.as_ref().filter(|_| index == 0);
            ids.push(write_certificate(connection, der, survey, owner, at)?);
        }
        let (leaf, above) = match ids.split_first() {
            Some((leaf, above)) => (Some(*leaf), above),
            None => (None, &[][..]),
        };
        let sql = "INSERT INTO sighting (place, found, chain, ends_at, flaws, keeper, error,
                     endpoint, scan, first_at, changed_at, last_at)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?10, ?10)
                   ON CONFLICT (place) DO UPDATE SET
                     changed_at = CASE WHEN found IS excluded.found THEN changed_at
                       ELSE excluded.changed_at END,
                     found = excluded.found, chain = excluded.chain, ends_at = excluded.ends_at,
                     flaws = excluded.flaws, keeper = excluded.keeper, error = excluded.error,
                     endpoint = coalesce(excluded.endpoint, endpoint),
                     scan = coalesce(excluded.scan, scan), last_at = excluded.last_at";
        connection.prepare_cached(sql)?.execute(params![
            seen.place,
            leaf,
            serde_json::to_string(above).unwrap_or_default(),
            seen.ends_at().map(Timestamp::as_second),
            serde_json::to_string(&seen.flaws).unwrap_or_default(),
            seen.keeper,
            seen.error,
            self.endpoint,
            self.scan,
            at.as_second(),
        ])?;
        Ok(())
    }
}

fn write_certificate(
    connection: &Connection,
    der: &[u8],
    survey: &Survey,
    owner: Option<&String>,
    at: Timestamp,
) -> rusqlite::Result<i64> {
    let sql = "INSERT INTO found_certificate (fingerprint, der, subject, issuer, serial, names,
                 not_before, not_after, key, key_bits, signature, is_ca, owner, first_at, last_at)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?14)
               ON CONFLICT (fingerprint) DO UPDATE SET
                 owner = coalesce(excluded.owner, owner), last_at = excluded.last_at
               RETURNING id";
    let values = params![
        survey.fingerprint,
        der,
        survey.subject,
        survey.issuer,
        survey.serial,
        serde_json::to_string(&survey.names).unwrap_or_default(),
        survey.not_before.as_second(),
        survey.not_after.as_second(),
        survey.key,
        survey.key_bits,
        survey.signature,
        survey.is_ca,
        owner,
        at.as_second(),
    ];
    connection.prepare_cached(sql)?.query_row(values, |row| row.get(0))
}

impl Found {
    const COLUMNS: &'static str = "id, fingerprint, subject, issuer, serial, names, not_before,
        not_after, key, key_bits, signature, is_ca, owner, first_at, last_at,
        (SELECT count(*) FROM sighting WHERE found = found_certificate.id),
        (SELECT min(place) FROM sighting WHERE found = found_certificate.id)";

    fn read(row: &Columns<'_>) -> rusqlite::Result<Self> {
        let (subject, issuer): (String, String) = (row.get(2)?, row.get(3)?);
        Ok(Self {
            id: row.get(0)?,
            survey: Survey {
                fingerprint: row.get(1)?,
                self_issued: subject == issuer,
                subject,
                issuer,
                serial: row.get(4)?,
                names: list(row, 5)?,
                not_before: second(row.get(6)?),
                not_after: second(row.get(7)?),
                key: row.get(8)?,
                key_bits: row.get(9)?,
                signature: row.get(10)?,
                is_ca: row.get(11)?,
            },
            owner: row.get(12)?,
            first_at: second(row.get(13)?),
            last_at: second(row.get(14)?),
            places: row.get(15)?,
            place: row.get(16)?,
        })
    }
}

impl Sighting {
    const COLUMNS: &'static str = "place, found, chain, ends_at, flaws, keeper, error, endpoint, first_at, changed_at, last_at";

    fn read(row: &Columns<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            place: row.get(0)?,
            found: row.get(1)?,
            chain: list(row, 2)?,
            ends_at: row.get::<_, Option<i64>>(3)?.map(second),
            flaws: list(row, 4)?,
            keeper: row.get(5)?,
            error: row.get(6)?,
            endpoint: row.get(7)?,
            first_at: second(row.get(8)?),
            changed_at: second(row.get(9)?),
            last_at: second(row.get(10)?),
        })
    }
}

impl Store {
    /// Certificates that were found.
    pub(crate) async fn found(
        &self,
        filter: FoundFilter,
        page: Page,
    ) -> Result<Vec<Found>, ReadError> {
        let mut tail = String::from("WHERE 1");
        let mut values: Vec<Value> = vec![page.after.into(), page.limit.into()];
        if let Some(owner) = filter.owner {
            values.push(owner.into());
            tail += &format!(" AND owner = ?{}", values.len());
        }
        if let Some(end) = filter.ends_before {
            values.push(end.as_second().into());
            tail += &format!(
                " AND not_after < ?{} AND EXISTS (SELECT 1 FROM sighting s WHERE s.found = found_certificate.id)
                 AND (not_after, id) > (coalesce((SELECT not_after FROM found_certificate
                   WHERE id = ?1), -9223372036854775808), ?1) ORDER BY not_after, id LIMIT ?2",
                values.len()
            );
        } else {
            tail += " AND id > ?1 ORDER BY id LIMIT ?2";
        }
        let sql = format!("SELECT {} FROM found_certificate {tail}", Found::COLUMNS);
        self.scan(move |c| {
            c.prepare_cached(&sql)?.query_map(params_from_iter(values), Found::read)?.collect()
        })
        .await
    }

    /// The found certificate `id`, and its DER.
    pub(crate) fn found_one(&self, id: i64) -> Result<Option<(Found, Vec<u8>)>, ReadError> {
        let sql = format!("SELECT {}, der FROM found_certificate WHERE id = ?1", Found::COLUMNS);
        self.read(|c| {
            let read = |row: &Columns<'_>| Ok((Found::read(row)?, row.get(17)?));
            c.prepare_cached(&sql)?.query_row([id], read).optional()
        })
    }

    /// The id of the found certificate with this SHA-256.
    pub(crate) fn found_by_fingerprint(&self, hash: &[u8; 32]) -> Result<Option<i64>, ReadError> {
        let sql = "SELECT id FROM found_certificate WHERE fingerprint = ?1";
        self.read(|c| c.prepare_cached(sql)?.query_row([hash], |row| row.get(0)).optional())
    }

    /// Where a found certificate stands as leaf.
    pub(crate) fn sightings_of(&self, found: i64, limit: u32) -> Result<Vec<Sighting>, ReadError> {
        let tail = "WHERE found = ?1 ORDER BY place LIMIT ?2";
        self.sightings(tail, params![found, limit])
    }

    /// What was seen where an endpoint leads to.
    pub(crate) fn sightings_at(&self, endpoint: &str) -> Result<Vec<Sighting>, ReadError> {
        self.sightings("WHERE endpoint = ?1 ORDER BY place LIMIT 1000", [endpoint])
    }

    fn sightings(
        &self,
        tail: &str,
        params: impl rusqlite::Params,
    ) -> Result<Vec<Sighting>, ReadError> {
        let sql = format!("SELECT {} FROM sighting {tail}", Sighting::COLUMNS);
        self.read(|c| c.prepare_cached(&sql)?.query_map(params, Sighting::read)?.collect())
    }

    /// The endpoint `id`.
    pub(crate) fn endpoint(&self, id: i64) -> Result<Option<EndpointRow>, ReadError> {
        self.read(|c| one(c, "WHERE id = ?1", [id]))
    }

    /// The endpoint of this name.
    pub(crate) fn endpoint_by_name(&self, name: &str) -> Result<Option<EndpointRow>, ReadError> {
        self.read(|c| one(c, "WHERE name = ?1", [name]))
    }

    /// Every endpoint, by name.
    pub(crate) fn endpoints(&self) -> Result<Vec<EndpointRow>, ReadError> {
        self.read(|c| all(c, "ORDER BY name", []))
    }

    /// How many endpoints are watched, and with how many of them something is wrong.
    pub(crate) fn endpoint_counts(&self) -> Result<(i64, i64), ReadError> {
        let sql = "SELECT count(*), count(error) FROM endpoint";
        self.read(|c| c.prepare_cached(sql)?.query_row([], |row| Ok((row.get(0)?, row.get(1)?))))
    }

    /// The scan `id`.
    pub(crate) fn scan_row(&self, id: i64) -> Result<Option<ScanRow>, ReadError> {
        self.read(|c| one(c, "WHERE id = ?1", [id]))
    }

    /// The latest scans, the newest first.
    pub(crate) fn scans(&self, limit: u32) -> Result<Vec<ScanRow>, ReadError> {
        self.read(|c| all(c, "ORDER BY id DESC LIMIT ?1", [limit]))
    }
}

/// A column that holds a list.
pub(super) fn list<T: serde::de::DeserializeOwned>(
    row: &Columns<'_>,
    column: usize,
) -> rusqlite::Result<Vec<T>> {
    let text: String = row.get(column)?;
    serde_json::from_str(&text).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(column, Type::Text, error.to_string().into())
    })
}
