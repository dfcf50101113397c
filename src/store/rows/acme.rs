//! The rows of the ACME server: accounts, external keys, orders, authorizations.

use acme::authorization::Phase;
use acme::request::Contact;
use acme::resource::AccountStatus;
use acme::{ChallengeType, Identifier, Problem, order};
use ca::{NamePattern, Serial};
use jiff::Timestamp;
use rusqlite::types::Value;

use super::{Columns, Stored, at, json, maybe_at, maybe_json, text};
use crate::seal::Sealed;

/// An ACME account (RFC 8555 §7.1.2).
#[derive(Clone, Debug)]
pub(crate) struct Account {
    pub(crate) id: i64,
    pub(crate) version: i64,
    pub(crate) directory: String,
    /// `https://host[:port]`, as the client called this server when it made the account: part of the
    /// account's URL, which records in the DNS name (RFC 8657 §3), and so fixed.
    pub(crate) origin: String,
    pub(crate) thumbprint: [u8; 32],
    pub(crate) jwk: String,
    pub(crate) status: AccountStatus,
    pub(crate) contact: Vec<Contact>,
    pub(crate) terms_agreed: bool,
    /// The `kid` of the external key it is bound to.
    pub(crate) external_key: Option<String>,
    /// The binding to that key as it came, JSON; shown with the account ever after.
    pub(crate) external_binding: Option<String>,
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
    pub(crate) phase: Phase,
    pub(crate) expires_at: Timestamp,
    pub(crate) due_at: Option<Timestamp>,
}

impl Account {
    /// The account's URL, by which records in the DNS mean it.
    pub(crate) fn url(&self) -> String {
        format!("{}/acme/{}/account/{}", self.origin, self.directory, self.id)
    }
}

impl Stored for Account {
    const TABLE: &'static str = "account";
    const COLUMNS: &'static [&'static str] = &[
        "directory",
        "origin",
        "thumbprint",
        "jwk",
        "status",
        "contact",
        "terms_agreed",
        "external_key",
        "external_binding",
        "created_at",
    ];

    fn values(&self) -> Vec<Value> {
        vec![
            text(&self.directory),
            text(&self.origin),
            self.thumbprint.to_vec().into(),
            text(&self.jwk),
            text(account_status(self.status)),
            json(&self.contact.iter().map(Contact::as_str).collect::<Vec<_>>()),
            self.terms_agreed.into(),
            self.external_key.clone().into(),
            self.external_binding.clone().into(),
            at(self.created_at),
        ]
    }

    fn from_columns((id, version): (i64, i64), c: &mut Columns<'_, '_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id,
            version,
            directory: c.next()?,
            origin: c.next()?,
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
            external_binding: c.next()?,
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

    fn values(&self) -> Vec<Value> {
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

fn phase_from(c: &mut Columns<'_, '_>) -> rusqlite::Result<Phase> {
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
