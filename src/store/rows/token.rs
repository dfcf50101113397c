//! The row of an API token.

use jiff::Timestamp;
use rusqlite::types::Value;

use super::{Columns, Stored, at, json, maybe_at, text};
use crate::token::Scope;

/// An API token: everything about it but the token.
#[derive(Clone, Debug)]
pub(crate) struct ApiToken {
    pub(crate) id: i64,
    pub(crate) version: i64,
    /// What the audit log calls whoever holds it. Never given twice, not even after it is revoked.
    pub(crate) name: String,
    /// SHA-256 of its text.
    pub(crate) hash: [u8; 32],
    pub(crate) scope: Scope,
    pub(crate) created_at: Timestamp,
    /// It is good for nothing from then on.
    pub(crate) expires_at: Option<Timestamp>,
    /// When it was last used, give or take a minute.
    pub(crate) used_at: Option<Timestamp>,
    pub(crate) revoked_at: Option<Timestamp>,
}

impl ApiToken {
    /// One word for how it is: `valid`, `expired` or `revoked`.
    pub(crate) fn status(&self, now: Timestamp) -> &'static str {
        match (self.revoked_at, self.expires_at) {
            (Some(_), _) => "revoked",
            (None, Some(expires)) if expires <= now => "expired",
            _ => VALID,
        }
    }

    /// Whether it can be used.
    pub(crate) fn is_valid(&self, now: Timestamp) -> bool {
        self.status(now) == VALID
    }
}

impl Stored for ApiToken {
    const TABLE: &'static str = "api_token";
    const COLUMNS: &'static [&'static str] =
        &["name", "hash", "scope", "created_at", "expires_at", "used_at", "revoked_at"];

    fn values(&self) -> Vec<Value> {
        vec![
            text(&self.name),
            self.hash.to_vec().into(),
            json(&self.scope),
            at(self.created_at),
            maybe_at(self.expires_at),
            maybe_at(self.used_at),
            maybe_at(self.revoked_at),
        ]
    }

    fn from_columns((id, version): (i64, i64), c: &mut Columns<'_, '_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id,
            version,
            name: c.next()?,
            hash: c.bytes()?,
            scope: c.json()?,
            created_at: c.time()?,
            expires_at: c.maybe_time()?,
            used_at: c.maybe_time()?,
            revoked_at: c.maybe_time()?,
        })
    }
}

const VALID: &str = "valid";
