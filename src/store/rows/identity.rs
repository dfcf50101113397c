//! The row of who somebody is at an identity provider.

use jiff::Timestamp;
use rusqlite::types::Value;

use super::{Columns, Stored, at, text};

/// A person, as an issuer of identities knows them.
#[derive(Clone, Debug)]
pub(crate) struct IdentityRow {
    pub(crate) id: i64,
    pub(crate) version: i64,
    /// The issuer's identifier, and not what the provider is called here: that may come to mean another.
    pub(crate) issuer: String,
    /// What the issuer calls them.
    pub(crate) subject: String,
    /// The row of whoever that is here.
    pub(crate) person: i64,
    pub(crate) created_at: Timestamp,
}

impl Stored for IdentityRow {
    const TABLE: &'static str = "identity";
    const COLUMNS: &'static [&'static str] = &["issuer", "subject", "person", "created_at"];

    fn values(&self) -> Vec<Value> {
        vec![text(&self.issuer), text(&self.subject), self.person.into(), at(self.created_at)]
    }

    fn from_columns((id, version): (i64, i64), c: &mut Columns<'_, '_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id,
            version,
            issuer: c.next()?,
            subject: c.next()?,
            person: c.next()?,
            created_at: c.time()?,
        })
    }
}
