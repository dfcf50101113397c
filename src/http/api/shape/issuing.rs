//! Authorities, ACME directories and what they issue, as the API shows them.

use acme::request::Contact;
use acme::resource::AccountStatus;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

/// An internal CA.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Authority {
    pub(crate) name: String,
    pub(crate) generation: i64,
    /// As RFC 4514 writes names.
    pub(crate) subject: String,
    /// The authority that signed it; null: itself.
    pub(crate) issuer: Option<String>,
    pub(crate) key: String,
    pub(crate) serial: String,
    pub(crate) not_before: Timestamp,
    pub(crate) not_after: Timestamp,
    pub(crate) fingerprint_sha256: String,
    /// Where its CRL is, at any of these.
    pub(crate) crl: Vec<String>,
    /// Its chain, up to the root.
    pub(crate) pem: String,
}

/// An ACME directory, as it was declared.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Directory {
    /// What ACME clients are given.
    pub(crate) url: String,
    #[serde(flatten)]
    pub(crate) rest: Map<String, Value>,
}

/// An ACME account.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Account {
    pub(crate) id: i64,
    pub(crate) directory: String,
    /// `valid`, `deactivated` or `revoked`.
    #[schemars(with = "String")]
    pub(crate) status: AccountStatus,
    #[schemars(with = "Vec<String>")]
    pub(crate) contact: Vec<Contact>,
    pub(crate) terms_agreed: bool,
    /// The kid of the external account key that it was bound to.
    pub(crate) external_key: Option<String>,
    /// Of its key (RFC 7638).
    pub(crate) thumbprint: String,
    pub(crate) created_at: Timestamp,
}

/// An ACME order.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Order {
    pub(crate) id: i64,
    /// The account's id.
    pub(crate) account: i64,
    /// As RFC 8555 §7.1.6.
    #[schemars(with = "String")]
    pub(crate) status: Value,
    pub(crate) identifiers: Vec<String>,
    pub(crate) profile: String,
    /// The id of what was issued.
    pub(crate) certificate: Option<i64>,
    /// A problem document, if it failed.
    pub(crate) error: Value,
    pub(crate) authorizations: Vec<OrderAuthorization>,
    pub(crate) created_at: Timestamp,
    pub(crate) expires_at: Timestamp,
}

/// An authorization of an order.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct OrderAuthorization {
    pub(crate) id: i64,
    pub(crate) identifier: String,
    /// As RFC 8555 §7.1.6.
    pub(crate) status: &'static str,
    pub(crate) expires_at: Timestamp,
}

/// An issued certificate.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Certificate {
    pub(crate) id: i64,
    /// Hexadecimal.
    pub(crate) serial: String,
    /// `valid`, `expired` or `revoked`; `intended` or `abandoned` while it was never signed.
    pub(crate) status: &'static str,
    pub(crate) names: Vec<String>,
    pub(crate) authority: Option<String>,
    pub(crate) profile: String,
    /// The id of the ACME account that asked for it.
    pub(crate) account: Option<i64>,
    pub(crate) not_before: Timestamp,
    pub(crate) not_after: Timestamp,
    /// SHA-256 of its SubjectPublicKeyInfo.
    pub(crate) key_sha256: String,
    /// The id of the order that replaces it (RFC 9773).
    pub(crate) replaced_by: Option<i64>,
    pub(crate) revoked_at: Option<Timestamp>,
    pub(crate) revocation_reason: Option<String>,
    /// With its chain; only where one is shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) pem: Option<String>,
}

/// A key for external account binding (RFC 8555 §7.3.4).
#[derive(Serialize, JsonSchema)]
pub(crate) struct ExternalKey {
    pub(crate) kid: String,
    pub(crate) directory: String,
    /// `open`, `bound`, `expired` or `revoked`.
    pub(crate) status: &'static str,
    /// Which names its account may ask for; empty: all that the directory permits.
    #[schemars(with = "Vec<String>")]
    pub(crate) permitted: Value,
    pub(crate) comment: String,
    /// The id of the account that it was bound to.
    pub(crate) account: Option<i64>,
    pub(crate) created_at: Timestamp,
    pub(crate) expires_at: Option<Timestamp>,
    /// The key itself, in the answer that made it and never again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) hmac_key: Option<String>,
}
