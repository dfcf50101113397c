//! The rows of keysets and their signing keys.

use jiff::Timestamp;
use jwks::{Key, Phase};
use rusqlite::types::Value;
use serde::{Deserialize, Serialize};

use super::{Columns, Stored, at, json, maybe_at, text};
use crate::seal::Sealed;

/// The signing keys of a JWT issuer, as a whole.
#[derive(Clone, Debug)]
pub(crate) struct KeysetRow {
    pub(crate) id: i64,
    pub(crate) version: i64,
    pub(crate) name: String,
    /// What was declared when it was last looked at, as JSON.
    pub(crate) declared: String,
    /// Until then somebody may hold a set fetched under an earlier declaration that allowed more.
    pub(crate) held_until: Option<Timestamp>,
    /// Whether a key was ever announced.
    pub(crate) published: bool,
    /// Grows with every change of what is published.
    pub(crate) sequence: i64,
    pub(crate) error: Option<String>,
    /// When a key was last published, taken out, or began to sign.
    pub(crate) changed_at: Timestamp,
    pub(crate) due_at: Option<Timestamp>,
    /// Since when it is declared no more.
    pub(crate) closed_at: Option<Timestamp>,
    /// Who may still trust a key that was taken out in an emergency.
    pub(crate) exposed: Vec<Exposed>,
}

/// A consumer that may trust a key that was taken out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Exposed {
    pub(crate) consumer: String,
    /// When the key was taken out.
    pub(crate) since: Timestamp,
    /// Until then at the latest; none: until it meets a key it does not know, or is restarted.
    pub(crate) until: Option<Timestamp>,
}

/// One signing key.
#[derive(Clone, Debug)]
pub(crate) struct SigningKeyRow {
    pub(crate) id: i64,
    pub(crate) version: i64,
    pub(crate) keyset: i64,
    /// What `jwks` knows of it.
    pub(crate) key: Key,
    /// The public half, a JWK.
    pub(crate) public: String,
    /// The private half, while it is kept.
    pub(crate) sealed_key: Option<Sealed>,
    /// The sequence of the first set with it; 0: before that was stored.
    pub(crate) sequence: i64,
}

impl Stored for KeysetRow {
    const TABLE: &'static str = "keyset";
    const COLUMNS: &'static [&'static str] = &[
        "name",
        "declared",
        "held_until",
        "published",
        "sequence",
        "error",
        "changed_at",
        "due_at",
        "exposed",
        "closed_at",
    ];

    fn values(&self) -> Vec<Value> {
        vec![
            text(&self.name),
            text(&self.declared),
            maybe_at(self.held_until),
            self.published.into(),
            self.sequence.into(),
            self.error.clone().into(),
            at(self.changed_at),
            maybe_at(self.due_at),
            json(&self.exposed),
            maybe_at(self.closed_at),
        ]
    }

    fn from_columns((id, version): (i64, i64), c: &mut Columns<'_, '_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id,
            version,
            name: c.next()?,
            declared: c.next()?,
            held_until: c.maybe_time()?,
            published: c.next()?,
            sequence: c.next()?,
            error: c.next()?,
            changed_at: c.time()?,
            due_at: c.maybe_time()?,
            exposed: c.json()?,
            closed_at: c.maybe_time()?,
        })
    }
}

impl Stored for SigningKeyRow {
    const TABLE: &'static str = "signing_key";
    const COLUMNS: &'static [&'static str] = &[
        "keyset",
        "kid",
        "algorithm",
        "phase",
        "public",
        "sealed_key",
        "first",
        "announced_at",
        "ready_at",
        "proven",
        "proven_at",
        "prove_at",
        "signing_from",
        "rotate_at",
        "last_signature_at",
        "last_expiry",
        "gone_at",
        "fetched",
        "kept_until",
        "exportable",
        "held",
        "sequence",
    ];

    fn values(&self) -> Vec<Value> {
        let key = &self.key;
        vec![
            self.keyset.into(),
            text(key.kid.as_str()),
            text(key.algorithm.name()),
            text(key.phase.name()),
            text(&self.public),
            self.sealed_key.as_ref().map(|sealed| sealed.0.clone()).into(),
            key.first.into(),
            at(key.announced_at),
            at(key.ready_at),
            json(&key.proven),
            maybe_at(key.proven_at),
            at(key.prove_at),
            maybe_at(key.signing_from),
            maybe_at(key.rotate_at),
            maybe_at(key.last_signature_at),
            maybe_at(key.last_expiry),
            maybe_at(key.gone_at),
            json(&key.fetched),
            maybe_at(key.kept_until),
            key.exportable.into(),
            json(&key.held),
            self.sequence.into(),
        ]
    }

    fn from_columns((id, version): (i64, i64), c: &mut Columns<'_, '_>) -> rusqlite::Result<Self> {
        let keyset = c.next()?;
        let (kid, algorithm, phase): (String, String, String) = (c.next()?, c.next()?, c.next()?);
        let (kid, algorithm) = (c.parse(&kid)?, c.parse(&algorithm)?);
        let phase = Phase::named(&phase).ok_or_else(|| c.unreadable("a phase that is none"))?;
        let public = c.next()?;
        let sealed_key = c.next::<Option<Vec<u8>>>()?.map(Sealed);
        let key = Key {
            kid,
            algorithm,
            phase,
            first: c.next()?,
            announced_at: c.time()?,
            ready_at: c.time()?,
            proven: c.json()?,
            proven_at: c.maybe_time()?,
            prove_at: c.time()?,
            signing_from: c.maybe_time()?,
            rotate_at: c.maybe_time()?,
            last_signature_at: c.maybe_time()?,
            last_expiry: c.maybe_time()?,
            gone_at: c.maybe_time()?,
            fetched: c.json()?,
            kept_until: c.maybe_time()?,
            exportable: c.next()?,
            held: c.json()?,
        };
        let sequence = c.next()?;
        Ok(Self { id, version, keyset, key, public, sealed_key, sequence })
    }
}
