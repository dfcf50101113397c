//! The rows, as types. Each knows its table and its columns, and how to cross between the two;
//! what a row means and what may become of it is decided elsewhere.

mod acme;
mod approval;
mod asked;
mod endpoint;
mod identity;
mod keyset;
mod managed;
mod notification;
mod passkey;
mod person;
mod pki;
mod token;

use std::sync::LazyLock;

use ::acme::request::Contact;
use ca::Serial;
use jiff::Timestamp;
use rusqlite::types::{FromSql, Type, Value};
use serde::Serialize;
use serde::de::DeserializeOwned;

pub(crate) use acme::{Account, Authorization, ExternalKey, Order};
pub(crate) use approval::{ApprovalRow, ApprovalState, Opinion};
pub(crate) use asked::AskedRow;
pub(crate) use endpoint::{EndpointRow, ScanRow};
pub(crate) use identity::IdentityRow;
pub(crate) use keyset::{Exposed, KeysetRow, SigningKeyRow};
pub(crate) use managed::{
    ClientAccountRow, Managed, Pending, PlacementRow, RotationRow, VersionRow,
};
pub(crate) use notification::{NoticeRow, NotificationRow};
pub(crate) use passkey::PasskeyRow;
pub(crate) use person::{Invitation, PersonRow, PersonState, SessionRow};
pub(crate) use pki::{AuthorityRow, CertificatePhase, CertificateRow, CrlRow, Declaration};
pub(crate) use token::ApiToken;

use crate::world::second;

/// A row of one table: an id, the version it was read at (0: not stored yet), and its columns.
pub(crate) trait Stored: Listed + Sized {
    /// The table's name.
    const TABLE: &'static str;
    /// The columns after `id` and `version`, in the order of [`Stored::values`].
    const COLUMNS: &'static [&'static str];
    /// The columns' values.
    fn values(&self) -> Vec<Value>;
    /// The row read back.
    fn from_columns(key: (i64, i64), columns: &mut Columns<'_, '_>) -> rusqlite::Result<Self>;
}

/// What being in the list of tables gives a row.
pub(crate) trait Listed {
    /// The row's id and the version it was read at.
    fn key(&self) -> (i64, i64);
    /// What writes it.
    fn statements() -> &'static Statements;
}

macro_rules! tables {
    ($($row:ident),+ $(,)?) => {
        $(impl Listed for $row {
            fn key(&self) -> (i64, i64) {
                (self.id, self.version)
            }

            fn statements() -> &'static Statements {
                static STATEMENTS: LazyLock<Statements> = LazyLock::new(Statements::of::<$row>);
                &STATEMENTS
            }
        })+

        /// Every table that takes its ids from the store.
        pub(super) const TABLES: &[&str] = &[$($row::TABLE),+];
    };
}

// A new table is a line here and the file of its row.
tables!(
    ApprovalRow,
    Declaration,
    AuthorityRow,
    CrlRow,
    Account,
    ExternalKey,
    Order,
    Authorization,
    CertificateRow,
    Managed,
    VersionRow,
    RotationRow,
    PlacementRow,
    ClientAccountRow,
    ApiToken,
    KeysetRow,
    SigningKeyRow,
    NotificationRow,
    EndpointRow,
    ScanRow,
    NoticeRow,
    AskedRow,
    PersonRow,
    SessionRow,
    PasskeyRow,
    IdentityRow,
);

/// The statements that write one table, spelled once.
#[derive(Debug)]
pub(crate) struct Statements {
    /// Stores a new row: its id, its columns, and the version 0 it comes with.
    pub(super) insert: String,
    /// Replaces the row of an id if it still has the version it was read at; parameters as above.
    pub(super) update: String,
}

impl Statements {
    fn of<T: Stored>() -> Self {
        let columns = T::COLUMNS;
        let marks: Vec<_> = (0..columns.len()).map(|i| format!("?{}", i + 2)).collect();
        let sets: Vec<_> = columns.iter().zip(&marks).map(|(c, m)| format!("{c} = {m}")).collect();
        let (table, version) = (T::TABLE, columns.len() + 2);
        Self {
            insert: format!(
                "INSERT INTO {table} (id, {}, version) VALUES (?1, {}, ?{version} + 1)",
                columns.join(", "),
                marks.join(", ")
            ),
            update: format!(
                "UPDATE {table} SET {}, version = version + 1 WHERE id = ?1 AND version = ?{version}",
                sets.join(", ")
            ),
        }
    }
}

/// The columns of a row, read from left to right.
pub(crate) struct Columns<'row, 'statement> {
    row: &'row rusqlite::Row<'statement>,
    index: usize,
}

impl<'row, 'statement> Columns<'row, 'statement> {
    /// The columns of `row` from `index` on.
    pub(crate) fn new(row: &'row rusqlite::Row<'statement>, index: usize) -> Self {
        Self { row, index }
    }

    /// The next column.
    pub(crate) fn next<T: FromSql>(&mut self) -> rusqlite::Result<T> {
        self.index += 1;
        self.row.get(self.index - 1)
    }

    pub(crate) fn time(&mut self) -> rusqlite::Result<Timestamp> {
        self.next().map(second)
    }

    fn maybe_time(&mut self) -> rusqlite::Result<Option<Timestamp>> {
        Ok(self.next::<Option<i64>>()?.map(second))
    }

    fn bytes<const N: usize>(&mut self) -> rusqlite::Result<[u8; N]> {
        let bytes: Vec<u8> = self.next()?;
        bytes.try_into().map_err(|_| self.unreadable("a value of another length"))
    }

    fn maybe_bytes<const N: usize>(&mut self) -> rusqlite::Result<Option<[u8; N]>> {
        let Some(bytes) = self.next::<Option<Vec<u8>>>()? else { return Ok(None) };
        bytes.try_into().map(Some).map_err(|_| self.unreadable("a value of another length"))
    }

    fn serial(&mut self) -> rusqlite::Result<Serial> {
        let bytes: Vec<u8> = self.next()?;
        Serial::try_from(bytes.as_slice()).map_err(|e| self.unreadable(&e.to_string()))
    }

    fn maybe_serial(&mut self) -> rusqlite::Result<Option<Serial>> {
        let Some(bytes) = self.next::<Option<Vec<u8>>>()? else { return Ok(None) };
        let serial = Serial::try_from(bytes.as_slice());
        serial.map(Some).map_err(|e| self.unreadable(&e.to_string()))
    }

    fn identifier(&mut self) -> rusqlite::Result<ca::Identifier> {
        let text: String = self.next()?;
        ca::Identifier::parse(&text).map_err(|e| self.unreadable(&e.to_string()))
    }

    fn contacts(&mut self) -> rusqlite::Result<Vec<Contact>> {
        let texts: Vec<String> = self.json()?;
        let parse = |text: &String| Contact::parse(text).map_err(|p| self.unreadable(&p.detail));
        texts.iter().map(parse).collect()
    }

    fn parse<T: std::str::FromStr>(&self, text: &str) -> rusqlite::Result<T> {
        text.parse().map_err(|_| self.unreadable("a word that means nothing here"))
    }

    fn named<T>(&mut self, find: impl Fn(&str) -> Option<T>) -> rusqlite::Result<T> {
        let text: String = self.next()?;
        find(&text).ok_or_else(|| self.unreadable("a word that means nothing here"))
    }

    fn json<T: DeserializeOwned>(&mut self) -> rusqlite::Result<T> {
        let text: String = self.next()?;
        serde_json::from_str(&text).map_err(|e| self.unreadable(&e.to_string()))
    }

    fn maybe_json<T: DeserializeOwned>(&mut self) -> rusqlite::Result<Option<T>> {
        let text: Option<String> = self.next()?;
        let parsed = text.map(|text| serde_json::from_str(&text)).transpose();
        parsed.map_err(|e| self.unreadable(&e.to_string()))
    }

    fn unreadable(&self, why: &str) -> rusqlite::Error {
        let column = self.index.saturating_sub(1);
        rusqlite::Error::FromSqlConversionFailure(column, Type::Text, why.to_owned().into())
    }
}

fn text(value: &str) -> Value {
    Value::Text(value.to_owned())
}

fn at(instant: Timestamp) -> Value {
    Value::Integer(instant.as_second())
}

fn maybe_at(instant: Option<Timestamp>) -> Value {
    instant.map(Timestamp::as_second).into()
}

fn json<T: Serialize>(value: &T) -> Value {
    // Rows hold only types that always have a JSON form.
    Value::Text(serde_json::to_string(value).unwrap_or_default())
}

fn maybe_json<T: Serialize>(value: Option<&T>) -> Value {
    value.map_or(Value::Null, json)
}
