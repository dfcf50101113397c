//! The row of a certificate that an object of a cluster asks for.

use cluster::Asker;
use jiff::Timestamp;
use rusqlite::types::Value;

use super::{Columns, Stored, at, json, text};

/// A certificate that an object of a Kubernetes cluster asks for, and may have.
#[derive(Clone, Debug)]
pub(crate) struct AskedRow {
    pub(crate) id: i64,
    pub(crate) version: i64,
    /// The discovery that found it.
    pub(crate) discovery: String,
    /// What the managed certificate and its target are called.
    pub(crate) name: String,
    pub(crate) namespace: String,
    pub(crate) secret: String,
    pub(crate) profile: String,
    /// As the object has them.
    pub(crate) names: Vec<String>,
    /// What asks.
    pub(crate) kind: Asker,
    /// Its name.
    pub(crate) object: String,
    pub(crate) found_at: Timestamp,
}

impl Stored for AskedRow {
    const TABLE: &'static str = "asked_certificate";
    const COLUMNS: &'static [&'static str] = &[
        "discovery",
        "name",
        "namespace",
        "secret",
        "profile",
        "names",
        "kind",
        "object",
        "found_at",
    ];

    fn values(&self) -> Vec<Value> {
        vec![
            text(&self.discovery),
            text(&self.name),
            text(&self.namespace),
            text(&self.secret),
            text(&self.profile),
            json(&self.names),
            text(self.kind.word()),
            text(&self.object),
            at(self.found_at),
        ]
    }

    fn from_columns((id, version): (i64, i64), c: &mut Columns<'_, '_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id,
            version,
            discovery: c.next()?,
            name: c.next()?,
            namespace: c.next()?,
            secret: c.next()?,
            profile: c.next()?,
            names: c.json()?,
            kind: {
                let word: String = c.next()?;
                c.parse(&word)?
            },
            object: c.next()?,
            found_at: c.time()?,
        })
    }
}
