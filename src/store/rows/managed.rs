//! The rows of managed certificates: what each needs, its versions, where they are placed, and the
//! rotations that brought them there.

use jiff::Timestamp;
use renew::need::Wish;
use renew::{Cause, Phase, Suggestion, Version};
use rusqlite::types::Value;
use serde::{Deserialize, Serialize};

use super::{Columns, Stored, at, json, maybe_at, maybe_json, text};
use crate::seal::Sealed;

/// A managed certificate: what is served of it, and what it needs next.
#[derive(Clone, Debug)]
pub(crate) struct Managed {
    pub(crate) id: i64,
    pub(crate) version: i64,
    pub(crate) name: String,
    /// Digest of the declarations of the certificate and its targets, as last looked at.
    pub(crate) declared: [u8; 32],
    /// The number of the version that every target was proven to serve.
    pub(crate) current: Option<u32>,
    /// The highest number ever given to a version.
    pub(crate) newest: u32,
    /// The rotation under way.
    pub(crate) rotation: Option<i64>,
    /// What an operator asked for.
    pub(crate) wish: Option<Wish>,
    /// The request that an operator rolled back from.
    pub(crate) held: Option<[u8; 32]>,
    /// Rotations that failed since the last that did not.
    pub(crate) failures: u32,
    pub(crate) retry_at: Option<Timestamp>,
    /// Why the last rotation failed.
    pub(crate) error: Option<String>,
    /// When it is looked at next, and its issuer asked about it.
    pub(crate) due_at: Option<Timestamp>,
}

/// One version of a managed certificate.
#[derive(Clone, Debug)]
pub(crate) struct VersionRow {
    pub(crate) id: i64,
    pub(crate) version: i64,
    pub(crate) managed: i64,
    /// Counted from 1, never given twice.
    pub(crate) number: u32,
    /// The issuer's name in the declarations.
    pub(crate) issuer: String,
    /// The leaf and what follows it, as PEM.
    pub(crate) chain: String,
    /// The private key, unless it was made elsewhere.
    pub(crate) sealed_key: Option<Sealed>,
    /// SHA-256 of the leaf.
    pub(crate) fingerprint: [u8; 32],
    /// Digest of what was asked for.
    pub(crate) request: [u8; 32],
    pub(crate) not_before: Timestamp,
    pub(crate) not_after: Timestamp,
    /// When its share of life is spent, chosen when it was obtained.
    pub(crate) renew_at: Timestamp,
    /// What its CA suggests instead (RFC 9773).
    pub(crate) suggestion: Option<Suggestion>,
    pub(crate) obtained_at: Timestamp,
    /// When every target was first proven to serve it.
    pub(crate) proven_at: Option<Timestamp>,
    pub(crate) retired_at: Option<Timestamp>,
    pub(crate) revoked_at: Option<Timestamp>,
}

impl VersionRow {
    /// What decisions need of it.
    pub(crate) fn facts(&self) -> Version {
        Version {
            number: self.number,
            not_before: self.not_before,
            not_after: self.not_after,
            request: self.request,
            issuer: self.issuer.clone(),
            revoked: self.revoked_at.is_some(),
            obtained_at: self.obtained_at,
            renew_at: self.renew_at,
            suggestion: self.suggestion.clone(),
        }
    }
}

/// One run from trigger to retirement.
#[derive(Clone, Debug)]
pub(crate) struct RotationRow {
    pub(crate) id: i64,
    pub(crate) version: i64,
    pub(crate) managed: i64,
    pub(crate) cause: Cause,
    pub(crate) phase: Phase,
    /// The number of the version it replaces.
    pub(crate) from: Option<u32>,
    /// The number of the version it rolls out, once there is one.
    pub(crate) to: Option<u32>,
    /// An order under way at a CA outside.
    pub(crate) pending: Option<Pending>,
    /// The key of that order.
    pub(crate) pending_key: Option<Sealed>,
    /// How often in a row its next step has failed.
    pub(crate) attempts: u32,
    pub(crate) error: Option<String>,
    pub(crate) started_at: Timestamp,
    pub(crate) proven_at: Option<Timestamp>,
    pub(crate) ended_at: Option<Timestamp>,
    pub(crate) due_at: Option<Timestamp>,
}

impl RotationRow {
    /// Whether what an operator wants is begun in its place.
    pub(crate) fn gives_way_to(&self, wish: &Wish) -> bool {
        self.cause.gives_way_to(wish, self.attempts)
    }
}

/// An order under way at a CA outside: enough to take it up again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Pending {
    /// The issuer's name in the declarations.
    pub(crate) issuer: String,
    /// The order's URL, once the CA has made it.
    pub(crate) order: Option<String>,
    /// From when on the CA takes it without hitting its limits.
    pub(crate) slot: Timestamp,
}

/// Our account at a CA outside.
#[derive(Clone, Debug)]
pub(crate) struct ClientAccountRow {
    pub(crate) id: i64,
    pub(crate) version: i64,
    /// The issuer's name in the declarations.
    pub(crate) issuer: String,
    pub(crate) sealed_credentials: Sealed,
    pub(crate) created_at: Timestamp,
}

/// Where a managed certificate stands on one of its targets.
#[derive(Clone, Debug)]
pub(crate) struct PlacementRow {
    pub(crate) id: i64,
    pub(crate) version: i64,
    pub(crate) managed: i64,
    /// The target's name in the declarations.
    pub(crate) target: String,
    /// The version it was last proven to serve.
    pub(crate) serves: Option<u32>,
    /// The version that was last begun to be put there.
    pub(crate) given: Option<u32>,
    /// Digest of the target's declaration when it was last proven.
    pub(crate) spec: Option<[u8; 32]>,
    /// What was seen there last, address by address.
    pub(crate) proof: Option<push::probe::Proof>,
    /// What is wrong with it.
    pub(crate) error: Option<String>,
    pub(crate) changed_at: Timestamp,
    /// When it is looked at next.
    pub(crate) due_at: Option<Timestamp>,
}

impl Stored for Managed {
    const TABLE: &'static str = "managed_certificate";
    const COLUMNS: &'static [&'static str] = &[
        "name", "declared", "current", "newest", "rotation", "wish", "held", "failures",
        "retry_at", "error", "due_at",
    ];

    fn values(&self) -> Vec<Value> {
        vec![
            text(&self.name),
            self.declared.to_vec().into(),
            self.current.into(),
            self.newest.into(),
            self.rotation.into(),
            maybe_json(self.wish.as_ref()),
            self.held.map(|digest| digest.to_vec()).into(),
            self.failures.into(),
            maybe_at(self.retry_at),
            self.error.clone().into(),
            maybe_at(self.due_at),
        ]
    }

    fn from_columns((id, version): (i64, i64), c: &mut Columns<'_, '_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id,
            version,
            name: c.next()?,
            declared: c.bytes()?,
            current: c.next()?,
            newest: c.next()?,
            rotation: c.next()?,
            wish: c.maybe_json()?,
            held: c.maybe_bytes()?,
            failures: c.next()?,
            retry_at: c.maybe_time()?,
            error: c.next()?,
            due_at: c.maybe_time()?,
        })
    }
}

impl Stored for VersionRow {
    const TABLE: &'static str = "certificate_version";
    const COLUMNS: &'static [&'static str] = &[
        "managed",
        "number",
        "issuer",
        "chain",
        "sealed_key",
        "fingerprint",
        "request",
        "not_before",
        "not_after",
        "renew_at",
        "suggestion",
        "obtained_at",
        "proven_at",
        "retired_at",
        "revoked_at",
    ];

    fn values(&self) -> Vec<Value> {
        vec![
            self.managed.into(),
            self.number.into(),
            text(&self.issuer),
            text(&self.chain),
            self.sealed_key.as_ref().map(|sealed| sealed.0.clone()).into(),
            self.fingerprint.to_vec().into(),
            self.request.to_vec().into(),
            at(self.not_before),
            at(self.not_after),
            at(self.renew_at),
            maybe_json(self.suggestion.as_ref()),
            at(self.obtained_at),
            maybe_at(self.proven_at),
            maybe_at(self.retired_at),
            maybe_at(self.revoked_at),
        ]
    }

    fn from_columns((id, version): (i64, i64), c: &mut Columns<'_, '_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id,
            version,
            managed: c.next()?,
            number: c.next()?,
            issuer: c.next()?,
            chain: c.next()?,
            sealed_key: c.next::<Option<Vec<u8>>>()?.map(Sealed),
            fingerprint: c.bytes()?,
            request: c.bytes()?,
            not_before: c.time()?,
            not_after: c.time()?,
            renew_at: c.time()?,
            suggestion: c.maybe_json()?,
            obtained_at: c.time()?,
            proven_at: c.maybe_time()?,
            retired_at: c.maybe_time()?,
            revoked_at: c.maybe_time()?,
        })
    }
}

impl Stored for RotationRow {
    const TABLE: &'static str = "rotation";
    const COLUMNS: &'static [&'static str] = &[
        "managed",
        "cause",
        "phase",
        "from_number",
        "to_number",
        "pending",
        "pending_key",
        "attempts",
        "error",
        "started_at",
        "proven_at",
        "ended_at",
        "due_at",
    ];

    fn values(&self) -> Vec<Value> {
        vec![
            self.managed.into(),
            json(&self.cause),
            text(self.phase.name()),
            self.from.into(),
            self.to.into(),
            maybe_json(self.pending.as_ref()),
            self.pending_key.as_ref().map(|sealed| sealed.0.clone()).into(),
            self.attempts.into(),
            self.error.clone().into(),
            at(self.started_at),
            maybe_at(self.proven_at),
            maybe_at(self.ended_at),
            maybe_at(self.due_at),
        ]
    }

    fn from_columns((id, version): (i64, i64), c: &mut Columns<'_, '_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id,
            version,
            managed: c.next()?,
            cause: c.json()?,
            phase: {
                let name: String = c.next()?;
                let known = Phase::named(&name);
                known.ok_or_else(|| c.unreadable("no such phase of a rotation"))?
            },
            from: c.next()?,
            to: c.next()?,
            pending: c.maybe_json()?,
            pending_key: c.next::<Option<Vec<u8>>>()?.map(Sealed),
            attempts: c.next()?,
            error: c.next()?,
            started_at: c.time()?,
            proven_at: c.maybe_time()?,
            ended_at: c.maybe_time()?,
            due_at: c.maybe_time()?,
        })
    }
}

impl Stored for PlacementRow {
    const TABLE: &'static str = "placement";
    const COLUMNS: &'static [&'static str] =
        &["managed", "target", "serves", "given", "spec", "proof", "error", "changed_at", "due_at"];

    fn values(&self) -> Vec<Value> {
        vec![
            self.managed.into(),
            text(&self.target),
            self.serves.into(),
            self.given.into(),
            self.spec.map(|digest| digest.to_vec()).into(),
            maybe_json(self.proof.as_ref()),
            self.error.clone().into(),
            at(self.changed_at),
            maybe_at(self.due_at),
        ]
    }

    fn from_columns((id, version): (i64, i64), c: &mut Columns<'_, '_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id,
            version,
            managed: c.next()?,
            target: c.next()?,
            serves: c.next()?,
            given: c.next()?,
            spec: c.maybe_bytes()?,
            proof: c.maybe_json()?,
            error: c.next()?,
            changed_at: c.time()?,
            due_at: c.maybe_time()?,
        })
    }
}

impl Stored for ClientAccountRow {
    const TABLE: &'static str = "client_account";
    const COLUMNS: &'static [&'static str] = &["issuer", "sealed_credentials", "created_at"];

    fn values(&self) -> Vec<Value> {
        vec![text(&self.issuer), self.sealed_credentials.0.clone().into(), at(self.created_at)]
    }

    fn from_columns((id, version): (i64, i64), c: &mut Columns<'_, '_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id,
            version,
            issuer: c.next()?,
            sealed_credentials: Sealed(c.next()?),
            created_at: c.time()?,
        })
    }
}
