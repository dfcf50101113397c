//! The rows, as types. Each knows its table and its columns, and how to cross between the two;
//! what a row means and what may become of it is decided elsewhere.

use acme::authorization;
use acme::challenge::ChallengeType;
use acme::order;
use acme::request::Contact;
use acme::resource::AccountStatus;
use acme::{Identifier, Problem};
use ca::{NamePattern, RevocationReason, Serial};
use jiff::Timestamp;
use rusqlite::types::{FromSql, Type, Value};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::seal::Sealed;
use crate::world::second;

/// A row of one table: an id, the version it was read at (0: not stored yet), and its columns.
pub(crate) trait Stored: Sized {
    /// The table's name.
    const TABLE: &'static str;
    /// The columns after `id` and `version`, in the order of [`Stored::values`].
    const COLUMNS: &'static [&'static str];
    /// The row's id and the version it was read at.
    fn key(&self) -> (i64, i64);
    /// The columns' values.
    fn values(&self) -> Vec<Value>;
    /// The row read back.
    fn from_columns(key: (i64, i64), columns: &mut Columns<'_, '_>) -> rusqlite::Result<Self>;
}

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
    pub(crate) der: Vec<u8>,
    pub(crate) due_at: Option<Timestamp>,
}

/// An ACME account (RFC 8555 §7.1.2).
#[derive(Clone, Debug)]
pub(crate) struct Account {
    pub(crate) id: i64,
    pub(crate) version: i64,
    pub(crate) directory: String,
    pub(crate) thumbprint: [u8; 32],
    pub(crate) jwk: String,
    pub(crate) status: AccountStatus,
    pub(crate) contact: Vec<Contact>,
    pub(crate) terms_agreed: bool,
    /// The `kid` of the external key it is bound to.
    pub(crate) external_key: Option<String>,
    pub(crate) created_at: Timestamp,
}

/// A key for external account binding (RFC 8555 §7.3.4).
#[derive(Clone, Debug)]
pub(crate) struct ExternalKey {
    pub(crate) id: i64,
    pub(crate) version: i64,
    pub(crate) directory: String,
    pub(crate) kid: String,
    pub(crate) sealed_key: Sealed,
    /// What an account bound by it may certify; empty: whatever the directory permits.
    pub(crate) permitted: Vec<NamePattern>,
    pub(crate) comment: String,
    /// The account bound by it; one key binds one account.
    pub(crate) account: Option<i64>,
    pub(crate) created_at: Timestamp,
    pub(crate) expires_at: Option<Timestamp>,
    pub(crate) revoked_at: Option<Timestamp>,
}

/// An ACME order (RFC 8555 §7.1.3).
#[derive(Clone, Debug)]
pub(crate) struct Order {
    pub(crate) id: i64,
    pub(crate) version: i64,
    pub(crate) account: i64,
    pub(crate) phase: order::Phase,
    pub(crate) identifiers: Vec<Identifier>,
    pub(crate) profile: String,
    /// The serial number of the certificate it replaces (RFC 9773 §5).
    pub(crate) replaces: Option<Serial>,
    pub(crate) not_before: Option<Timestamp>,
    pub(crate) not_after: Option<Timestamp>,
    /// The certificate intended or issued for it.
    pub(crate) certificate: Option<i64>,
    pub(crate) error: Option<Problem>,
    pub(crate) created_at: Timestamp,
    pub(crate) expires_at: Timestamp,
    pub(crate) due_at: Option<Timestamp>,
}

/// An ACME authorization with its challenges (RFC 8555 §7.1.4).
#[derive(Clone, Debug)]
pub(crate) struct Authorization {
    pub(crate) id: i64,
    pub(crate) version: i64,
    pub(crate) account: i64,
    /// What is proven; a wildcard name stands here with its `*.`.
    pub(crate) identifier: ca::Identifier,
    /// One token serves every challenge of the authorization.
    pub(crate) token: [u8; 32],
    pub(crate) phase: authorization::Phase,
    pub(crate) expires_at: Timestamp,
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
    /// The private key, for the node's own certificates only.
    pub(crate) sealed_key: Option<Sealed>,
    /// The certificate that took its place (RFC 9773 §5).
    pub(crate) replaced_by: Option<i64>,
    /// From when clients are told to replace it at once.
    pub(crate) must_go_at: Option<Timestamp>,
    pub(crate) revoked: Option<(Timestamp, RevocationReason)>,
}

impl Stored for Declaration {
    const TABLE: &'static str = "declaration";
    const COLUMNS: &'static [&'static str] = &["kind", "name", "spec"];

    fn key(&self) -> (i64, i64) {
        (self.id, self.version)
    }

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

    fn key(&self) -> (i64, i64) {
        (self.id, self.version)
    }

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

    fn key(&self) -> (i64, i64) {
        (self.id, self.version)
    }

    fn values(&self) -> Vec<Value> {
        vec![
            self.authority.into(),
            self.number.into(),
            at(self.this_update),
            at(self.next_update),
            self.der.clone().into(),
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
            der: c.next()?,
            due_at: c.maybe_time()?,
        })
    }
}

impl Stored for Account {
    const TABLE: &'static str = "account";
    const COLUMNS: &'static [&'static str] = &[
        "directory",
        "thumbprint",
        "jwk",
        "status",
        "contact",
        "terms_agreed",
        "external_key",
        "created_at",
    ];

    fn key(&self) -> (i64, i64) {
        (self.id, self.version)
    }

    fn values(&self) -> Vec<Value> {
        vec![
            text(&self.directory),
            self.thumbprint.to_vec().into(),
            text(&self.jwk),
            text(account_status(self.status)),
            json(&self.contact.iter().map(Contact::as_str).collect::<Vec<_>>()),
            self.terms_agreed.into(),
            self.external_key.clone().into(),
            at(self.created_at),
        ]
    }

    fn from_columns((id, version): (i64, i64), c: &mut Columns<'_, '_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id,
            version,
            directory: c.next()?,
            thumbprint: c.bytes()?,
            jwk: c.next()?,
            status: match c.next::<String>()?.as_str() {
                "valid" => AccountStatus::Valid,
                "deactivated" => AccountStatus::Deactivated,
                "revoked" => AccountStatus::Revoked,
                _ => return Err(c.unreadable("no such status of an account")),
            },
            contact: c.contacts()?,
            terms_agreed: c.next()?,
            external_key: c.next()?,
            created_at: c.time()?,
        })
    }
}

impl Stored for ExternalKey {
    const TABLE: &'static str = "external_key";
    const COLUMNS: &'static [&'static str] = &[
        "directory",
        "kid",
        "sealed_key",
        "permitted",
        "comment",
        "account",
        "created_at",
        "expires_at",
        "revoked_at",
    ];

    fn key(&self) -> (i64, i64) {
        (self.id, self.version)
    }

    fn values(&self) -> Vec<Value> {
        vec![
            text(&self.directory),
            text(&self.kid),
            self.sealed_key.0.clone().into(),
            json(&self.permitted),
            text(&self.comment),
            self.account.into(),
            at(self.created_at),
            maybe_at(self.expires_at),
            maybe_at(self.revoked_at),
        ]
    }

    fn from_columns((id, version): (i64, i64), c: &mut Columns<'_, '_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id,
            version,
            directory: c.next()?,
            kid: c.next()?,
            sealed_key: Sealed(c.next()?),
            permitted: c.json()?,
            comment: c.next()?,
            account: c.next()?,
            created_at: c.time()?,
            expires_at: c.maybe_time()?,
            revoked_at: c.maybe_time()?,
        })
    }
}

impl Stored for Order {
    const TABLE: &'static str = "acme_order";
    const COLUMNS: &'static [&'static str] = &[
        "account",
        "phase",
        "identifiers",
        "profile",
        "replaces",
        "not_before",
        "not_after",
        "certificate",
        "error",
        "created_at",
        "expires_at",
        "due_at",
    ];

    fn key(&self) -> (i64, i64) {
        (self.id, self.version)
    }

    fn values(&self) -> Vec<Value> {
        vec![
            self.account.into(),
            text(order_phase(self.phase)),
            json(&self.identifiers),
            text(&self.profile),
            self.replaces.map(|serial| serial.as_bytes().to_vec()).into(),
            maybe_at(self.not_before),
            maybe_at(self.not_after),
            self.certificate.into(),
            maybe_json(self.error.as_ref()),
            at(self.created_at),
            at(self.expires_at),
            maybe_at(self.due_at),
        ]
    }

    fn from_columns((id, version): (i64, i64), c: &mut Columns<'_, '_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id,
            version,
            account: c.next()?,
            phase: match c.next::<String>()?.as_str() {
                "open" => order::Phase::Open,
                "processing" => order::Phase::Processing,
                "issued" => order::Phase::Issued,
                "failed" => order::Phase::Failed,
                _ => return Err(c.unreadable("no such phase of an order")),
            },
            identifiers: c.json()?,
            profile: c.next()?,
            replaces: c.maybe_serial()?,
            not_before: c.maybe_time()?,
            not_after: c.maybe_time()?,
            certificate: c.next()?,
            error: c.maybe_json()?,
            created_at: c.time()?,
            expires_at: c.time()?,
            due_at: c.maybe_time()?,
        })
    }
}

impl Stored for Authorization {
    const TABLE: &'static str = "authorization";
    const COLUMNS: &'static [&'static str] = &[
        "account",
        "identifier",
        "token",
        "phase",
        "challenge",
        "attempts",
        "error",
        "changed_at",
        "expires_at",
        "due_at",
    ];

    fn key(&self) -> (i64, i64) {
        (self.id, self.version)
    }

    fn values(&self) -> Vec<Value> {
        use authorization::Phase;
        let (phase, challenge, attempts, error, changed_at) = match &self.phase {
            Phase::Pending => ("pending", None, 0, None, None),
            Phase::Processing { challenge, accepted_at, attempts, error } => {
                ("processing", Some(*challenge), *attempts, error.as_ref(), Some(*accepted_at))
            }
            Phase::Valid { challenge, at } => ("valid", *challenge, 0, None, Some(*at)),
            Phase::Invalid { challenge, error } => {
                ("invalid", Some(*challenge), 0, Some(error), None)
            }
            Phase::Deactivated => ("deactivated", None, 0, None, None),
            Phase::Revoked => ("revoked", None, 0, None, None),
        };
        vec![
            self.account.into(),
            text(&self.identifier.to_string()),
            self.token.to_vec().into(),
            text(phase),
            challenge.map(|kind| kind.name().to_owned()).into(),
            i64::from(attempts).into(),
            maybe_json(error),
            changed_at.map_or(0, Timestamp::as_second).into(),
            at(self.expires_at),
            maybe_at(self.due_at),
        ]
    }

    fn from_columns((id, version): (i64, i64), c: &mut Columns<'_, '_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id,
            version,
            account: c.next()?,
            identifier: c.identifier()?,
            token: c.bytes()?,
            phase: phase_from(c)?,
            expires_at: c.time()?,
            due_at: c.maybe_time()?,
        })
    }
}

fn phase_from(c: &mut Columns<'_, '_>) -> rusqlite::Result<authorization::Phase> {
    use authorization::Phase;
    let phase: String = c.next()?;
    let challenge: Option<ChallengeType> =
        c.next::<Option<String>>()?.map(|text| c.parse(&text)).transpose()?;
    let attempts = c.next::<u32>()?;
    let error: Option<Problem> = c.maybe_json()?;
    let changed_at = c.time()?;
    Ok(match (phase.as_str(), challenge, error) {
        ("pending", ..) => Phase::Pending,
        ("processing", Some(challenge), error) => {
            Phase::Processing { challenge, accepted_at: changed_at, attempts, error }
        }
        ("valid", challenge, _) => Phase::Valid { challenge, at: changed_at },
        ("invalid", Some(challenge), Some(error)) => Phase::Invalid { challenge, error },
        ("deactivated", ..) => Phase::Deactivated,
        ("revoked", ..) => Phase::Revoked,
        _ => return Err(c.unreadable("no such phase of an authorization")),
    })
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
        "sealed_key",
        "replaced_by",
        "must_go_at",
        "revoked_at",
        "revocation_reason",
    ];

    fn key(&self) -> (i64, i64) {
        (self.id, self.version)
    }

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
            self.sealed_key.as_ref().map(|sealed| sealed.0.clone()).into(),
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
            sealed_key: c.next::<Option<Vec<u8>>>()?.map(Sealed),
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

    fn time(&mut self) -> rusqlite::Result<Timestamp> {
        self.next().map(second)
    }

    fn maybe_time(&mut self) -> rusqlite::Result<Option<Timestamp>> {
        Ok(self.next::<Option<i64>>()?.map(second))
    }

    fn bytes<const N: usize>(&mut self) -> rusqlite::Result<[u8; N]> {
        let bytes: Vec<u8> = self.next()?;
        bytes.try_into().map_err(|_| self.unreadable("a value of another length"))
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

fn account_status(status: AccountStatus) -> &'static str {
    match status {
        AccountStatus::Valid => "valid",
        AccountStatus::Deactivated => "deactivated",
        AccountStatus::Revoked => "revoked",
    }
}

fn order_phase(phase: order::Phase) -> &'static str {
    match phase {
        order::Phase::Open => "open",
        order::Phase::Processing => "processing",
        order::Phase::Issued => "issued",
        order::Phase::Failed => "failed",
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
