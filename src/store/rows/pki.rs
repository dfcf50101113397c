//! The rows of the CA: declarations, authorities, CRLs, certificates.

use bytes::Bytes;
use ca::{RevocationReason, Serial};
use jiff::Timestamp;
use rusqlite::types::Value;

use super::{Columns, Stored, at, maybe_at, text};
use crate::seal::Sealed;

/// A declared thing: its specification as JSON.
#[derive(Clone, Debug)]
pub(crate) struct Declaration {
    pub(crate) id: i64,
    pub(crate) version: i64,
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) spec: String,
}

/// One generation of an authority.
#[derive(Clone, Debug)]
pub(crate) struct AuthorityRow {
    pub(crate) id: i64,
    pub(crate) version: i64,
    pub(crate) name: String,
    pub(crate) generation: i64,
    /// The row of the authority that certified it; none for a root.
    pub(crate) issuer: Option<i64>,
    pub(crate) certificate: Vec<u8>,
    pub(crate) sealed_key: Sealed,
    pub(crate) created_at: Timestamp,
}

/// The newest CRL of an authority.
#[derive(Clone, Debug)]
pub(crate) struct CrlRow {
    pub(crate) id: i64,
    pub(crate) version: i64,
    pub(crate) authority: i64,
    pub(crate) number: i64,
    pub(crate) this_update: Timestamp,
    pub(crate) next_update: Timestamp,
    pub(crate) der: Bytes,
    pub(crate) due_at: Option<Timestamp>,
}

/// How far a certificate has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CertificatePhase {
    /// Its serial number is taken and its bytes are decided; it may never have been signed.
    Intended,
    /// It is signed and stored.
    Issued,
    /// It was given up before it was signed.
    Abandoned,
}

/// A certificate this node issued, or meant to.
#[derive(Clone, Debug)]
pub(crate) struct CertificateRow {
    pub(crate) id: i64,
    pub(crate) version: i64,
    pub(crate) serial: Serial,
    pub(crate) authority: i64,
    pub(crate) phase: CertificatePhase,
    pub(crate) account: Option<i64>,
    pub(crate) profile: String,
    pub(crate) not_before: Timestamp,
    pub(crate) not_after: Timestamp,
    /// SHA-256 of the SubjectPublicKeyInfo.
    pub(crate) key_hash: [u8; 32],
    /// The bytes that were to be signed, until they are.
    pub(crate) intended: Option<Vec<u8>>,
    pub(crate) der: Option<Vec<u8>>,
    /// The certificate that took its place (RFC 9773 §5).
    pub(crate) replaced_by: Option<i64>,
    /// From when clients are told to replace it at once.
    pub(crate) must_go_at: Option<Timestamp>,
    pub(crate) revoked: Option<(Timestamp, RevocationReason)>,
}

impl Stored for Declaration {
    const TABLE: &'static str = "declaration";
    const COLUMNS: &'static [&'static str] = &["kind", "name", "spec"];

    fn values(&self) -> Vec<Value> {
        vec![text(&self.kind), text(&self.name), text(&self.spec)]
    }

    fn from_columns((id, version): (i64, i64), c: &mut Columns<'_, '_>) -> rusqlite::Result<Self> {
        Ok(Self { id, version, kind: c.next()?, name: c.next()?, spec: c.next()? })
    }
}

impl Stored for AuthorityRow {
    const TABLE: &'static str = "authority";
    const COLUMNS: &'static [&'static str] =
        &["name", "generation", "issuer", "certificate", "sealed_key", "created_at"];

    fn values(&self) -> Vec<Value> {
        vec![
            text(&self.name),
            self.generation.into(),
            self.issuer.into(),
            self.certificate.clone().into(),
            self.sealed_key.0.clone().into(),
            at(self.created_at),
        ]
    }

    fn from_columns((id, version): (i64, i64), c: &mut Columns<'_, '_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id,
            version,
            name: c.next()?,
            generation: c.next()?,
            issuer: c.next()?,
            certificate: c.next()?,
            sealed_key: Sealed(c.next()?),
            created_at: c.time()?,
        })
    }
}

impl Stored for CrlRow {
    const TABLE: &'static str = "crl";
    const COLUMNS: &'static [&'static str] =
        &["authority", "number", "this_update", "next_update", "der", "due_at"];

    fn values(&self) -> Vec<Value> {
        vec![
            self.authority.into(),
            self.number.into(),
            at(self.this_update),
            at(self.next_update),
            self.der.to_vec().into(),
            maybe_at(self.due_at),
        ]
    }

    fn from_columns((id, version): (i64, i64), c: &mut Columns<'_, '_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id,
            version,
            authority: c.next()?,
            number: c.next()?,
            this_update: c.time()?,
            next_update: c.time()?,
            der: c.next::<Vec<u8>>()?.into(),
            due_at: c.maybe_time()?,
        })
    }
}

impl Stored for CertificateRow {
    const TABLE: &'static str = "certificate";
    const COLUMNS: &'static [&'static str] = &[
        "serial",
        "authority",
        "phase",
        "account",
        "profile",
        "not_before",
        "not_after",
        "key_hash",
        "intended",
        "der",
        "replaced_by",
        "must_go_at",
        "revoked_at",
        "revocation_reason",
    ];

    fn values(&self) -> Vec<Value> {
        let phase = match self.phase {
            CertificatePhase::Intended => "intended",
            CertificatePhase::Issued => "issued",
            CertificatePhase::Abandoned => "abandoned",
        };
        vec![
            self.serial.as_bytes().to_vec().into(),
            self.authority.into(),
            text(phase),
            self.account.into(),
            text(&self.profile),
            at(self.not_before),
            at(self.not_after),
            self.key_hash.to_vec().into(),
            self.intended.clone().into(),
            self.der.clone().into(),
            self.replaced_by.into(),
            maybe_at(self.must_go_at),
            maybe_at(self.revoked.map(|(when, _)| when)),
            self.revoked.map(|(_, reason)| i64::from(reason.code())).into(),
        ]
    }

    fn from_columns((id, version): (i64, i64), c: &mut Columns<'_, '_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id,
            version,
            serial: c.serial()?,
            authority: c.next()?,
            phase: match c.next::<String>()?.as_str() {
                "intended" => CertificatePhase::Intended,
                "issued" => CertificatePhase::Issued,
                "abandoned" => CertificatePhase::Abandoned,
                _ => return Err(c.unreadable("no such phase of a certificate")),
            },
            account: c.next()?,
            profile: c.next()?,
            not_before: c.time()?,
            not_after: c.time()?,
            key_hash: c.bytes()?,
            intended: c.next()?,
            der: c.next()?,
            replaced_by: c.next()?,
            must_go_at: c.maybe_time()?,
            revoked: match (c.maybe_time()?, c.next::<Option<u8>>()?) {
                (Some(when), reason) => {
                    let reason = RevocationReason::from_code(reason.unwrap_or(0).into());
                    Some((when, reason.unwrap_or_default()))
                }
                (None, _) => None,
            },
        })
    }
}
