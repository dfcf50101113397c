//! Who fetched which keyset, as it is stored: written now and then, read once at the start.

use jiff::Timestamp;
use rusqlite::types::Type;
use rusqlite::{Connection, Row as Columns, params};

use super::commit::{Commit, CommitError, Row};
use super::error::ReadError;
use super::sqlite::Store;
use crate::world::second;

/// By what somebody who fetches is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum KnownBy {
    /// The consumer it says it is, or is declared to be.
    Consumer,
    /// The product in its `User-Agent`.
    Agent,
    /// Where it comes from.
    Address,
    /// Nothing: those for whom there was no room.
    Others,
}

impl KnownBy {
    /// Its name, as it is stored and shown.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Consumer => "consumer",
            Self::Agent => "agent",
            Self::Address => "address",
            Self::Others => "others",
        }
    }

    fn named(name: &str) -> Option<Self> {
        let all = [Self::Consumer, Self::Agent, Self::Address, Self::Others];
        all.into_iter().find(|known_by| known_by.name() == name)
    }
}

/// Somebody who fetched a keyset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FetchRow {
    pub(crate) keyset: i64,
    pub(crate) known_by: KnownBy,
    pub(crate) name: String,
    pub(crate) first_at: Timestamp,
    pub(crate) last_at: Timestamp,
    /// The highest sequence of the set that it was given, or told that it has.
    pub(crate) sequence: i64,
    pub(crate) count: i64,
    /// Where the last fetch came from; empty if that is not known.
    pub(crate) address: String,
    /// The product that the last fetch named; empty if it named none.
    pub(crate) agent: String,
}

impl FetchRow {
    pub(super) fn write(&self, connection: &Connection) -> rusqlite::Result<()> {
        let sql = "INSERT INTO fetch (keyset, known_by, name, first_at, last_at, sequence, count,
                     address, agent)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
                   ON CONFLICT (keyset, known_by, name) DO UPDATE SET
                     first_at = excluded.first_at, last_at = excluded.last_at,
                     sequence = excluded.sequence, count = excluded.count,
                     address = excluded.address, agent = excluded.agent";
        connection.prepare_cached(sql)?.execute(params![
            self.keyset,
            self.known_by.name(),
            self.name,
            self.first_at.as_second(),
            self.last_at.as_second(),
            self.sequence,
            self.count,
            self.address,
            self.agent,
        ])?;
        Ok(())
    }

    fn read(row: &Columns<'_>) -> rusqlite::Result<Self> {
        let known_by: String = row.get(1)?;
        let known_by = KnownBy::named(&known_by).ok_or_else(|| {
            let why = "what nobody is known by".into();
            rusqlite::Error::FromSqlConversionFailure(1, Type::Text, why)
        })?;
        Ok(Self {
            keyset: row.get(0)?,
            known_by,
            name: row.get(2)?,
            first_at: second(row.get(3)?),
            last_at: second(row.get(4)?),
            sequence: row.get(5)?,
            count: row.get(6)?,
            address: row.get(7)?,
            agent: row.get(8)?,
        })
    }
}

impl Store {
    /// Everybody who fetched a keyset and is not forgotten, as far as there is room for them in
    /// memory.
    pub(crate) fn fetches(&self, limit: u32) -> Result<Vec<FetchRow>, ReadError> {
        let sql =
            "SELECT keyset, known_by, name, first_at, last_at, sequence, count, address, agent
                   FROM fetch ORDER BY keyset, known_by DESC, name LIMIT ?1";
        self.read(|c| c.prepare_cached(sql)?.query_map([limit], FetchRow::read)?.collect())
    }

    /// Stores who fetched, and forgets who did not for long.
    ///
    /// # Errors
    /// As for [`Store::commit`].
    pub(crate) async fn keep_fetches(
        &self,
        kept: Vec<FetchRow>,
        forgotten: Vec<FetchRow>,
        now: Timestamp,
    ) -> Result<(), CommitError> {
        let gone = |row: FetchRow| Row::NoFetch {
            keyset: row.keyset,
            known_by: row.known_by,
            name: row.name,
        };
        let rows = kept.into_iter().map(Row::Fetch).chain(forgotten.into_iter().map(gone));
        self.commit(Commit::note_fetches(rows.collect()), now).await
    }
}
