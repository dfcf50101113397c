//! The row of a passkey.

use jiff::Timestamp;
use passkeys::Credential;
use rusqlite::types::Value;

use super::{Columns, Stored, at, text};

/// A passkey of a person.
#[derive(Clone, Debug)]
pub(crate) struct PasskeyRow {
    pub(crate) id: i64,
    pub(crate) version: i64,
    /// The row of whose it is.
    pub(crate) person: i64,
    /// What its owner calls it.
    pub(crate) name: String,
    pub(crate) credential: Credential,
    pub(crate) created_at: Timestamp,
    /// When it last proved anything.
    pub(crate) used_at: Timestamp,
}

impl Stored for PasskeyRow {
    const TABLE: &'static str = "passkey";
    const COLUMNS: &'static [&'static str] = &[
        "person",
        "name",
        "credential",
        "key",
        "sign_count",
        "backup_eligible",
        "backed_up",
        "created_at",
        "used_at",
    ];

    fn values(&self) -> Vec<Value> {
        let Credential { id, key, sign_count, backup_eligible, backed_up } = &self.credential;
        vec![
            self.person.into(),
            text(&self.name),
            id.clone().into(),
            key.clone().into(),
            i64::from(*sign_count).into(),
            i64::from(*backup_eligible).into(),
            i64::from(*backed_up).into(),
            at(self.created_at),
            at(self.used_at),
        ]
    }

    fn from_columns((id, version): (i64, i64), c: &mut Columns<'_, '_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id,
            version,
            person: c.next()?,
            name: c.next()?,
            credential: Credential {
                id: c.next()?,
                key: c.next()?,
                sign_count: c.next()?,
                backup_eligible: c.next()?,
                backed_up: c.next()?,
            },
            created_at: c.time()?,
            used_at: c.time()?,
        })
    }
}
