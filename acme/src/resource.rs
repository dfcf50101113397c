//! What clients are sent (RFC 8555 §7.1, RFC 9773 §4.2): objects that serialize to exactly the
//! members the RFCs define. URLs are handed in ready-made; times are UTC, in whole seconds.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Serialize, Serializer};

use crate::ari::Window;
use crate::authorization::{AuthorizationStatus, ChallengeStatus};
use crate::order::OrderStatus;
use crate::request::Contact;
use crate::{ChallengeType, Identifier, Problem};

/// The directory (RFC 8555 §7.1.1).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Directory {
    /// Where to get a nonce.
    pub new_nonce: String,
    /// Where to make an account.
    pub new_account: String,
    /// Where to make an order.
    pub new_order: String,
    /// Where to get an authorization ahead of an order, if that is possible.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new_authz: Option<String>,
    /// Where to revoke a certificate.
    pub revoke_cert: String,
    /// Where to change an account's key.
    pub key_change: String,
    /// Where renewal information is found (RFC 9773 §4).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub renewal_info: Option<String>,
    /// What else there is to know.
    pub meta: Meta,
}

/// The directory's `meta` (RFC 8555 §7.1.1).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Meta {
    /// URL of the terms of service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub terms_of_service: Option<String>,
    /// URL of more about the server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub website: Option<String>,
    /// The names CAA records may have for this authority (RFC 8659).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub caa_identities: Vec<String>,
    /// Whether newAccount takes an external account binding.
    #[serde(skip_serializing_if = "is_false")]
    pub external_account_required: bool,
    /// Profiles by name, each with a description or its URL (draft-ietf-acme-profiles-01 §3).
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub profiles: BTreeMap<String, String>,
    /// The issuer names of dns-persist-01 (draft-ietf-acme-dns-persist-02 §3.2).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub issuer_domain_names: Vec<String>,
    /// What hashed account URIs start with (draft-ietf-acme-dns-persist-02 §4.1).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account_hash_prefix: Option<String>,
}

/// The status of an account (RFC 8555 §7.1.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum AccountStatus {
    /// It can be used.
    Valid,
    /// Its holder gave it up.
    Deactivated,
    /// The server took it back.
    Revoked,
}

/// An account (RFC 8555 §7.1.2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Account {
    /// Its status.
    pub status: AccountStatus,
    /// Where to reach its holder.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub contact: Vec<Contact>,
    /// Whether its holder agreed to the terms.
    #[serde(skip_serializing_if = "is_false")]
    pub terms_of_service_agreed: bool,
    /// The binding it was made with, as received (RFC 8555 §7.3.4).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_account_binding: Option<serde_json::Value>,
    /// Where its orders are listed.
    pub orders: String,
}

/// A page of the orders list (RFC 8555 §7.1.2.1).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct OrdersList {
    /// URLs of orders.
    pub orders: Vec<String>,
}

/// An order (RFC 8555 §7.1.3).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Order {
    /// Its status.
    pub status: OrderStatus,
    /// When the server gives it up.
    #[serde(serialize_with = "rfc3339")]
    pub expires: Timestamp,
    /// What it asks for.
    pub identifiers: Vec<Identifier>,
    /// The `notBefore` wished for.
    #[serde(serialize_with = "rfc3339_option", skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Timestamp>,
    /// The `notAfter` wished for.
    #[serde(serialize_with = "rfc3339_option", skip_serializing_if = "Option::is_none")]
    pub not_after: Option<Timestamp>,
    /// Its profile (draft-ietf-acme-profiles-01 §4).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// The certificate it replaces (RFC 9773 §5).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replaces: Option<String>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Problem>,
    /// URLs of its authorizations.
    pub authorizations: Vec<String>,
    /// Where to send the CSR.
    pub finalize: String,
    /// Where the certificate is, once it is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate: Option<String>,
}

/// An authorization (RFC 8555 §7.1.4).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Authorization {
    /// What it is for; never with `*.` (RFC 8555 §7.1.4).
    pub identifier: Identifier,
    /// Its status.
    pub status: AuthorizationStatus,
    /// When it ends.
    #[serde(serialize_with = "rfc3339")]
    pub expires: Timestamp,
    /// The ways to prove it, or the way it was proven.
    pub challenges: Vec<Challenge>,
    /// Whether it is for the wildcard below the identifier.
    #[serde(skip_serializing_if = "is_false")]
    pub wildcard: bool,
}

/// A challenge (RFC 8555 §7.1.5, §8).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Challenge {
    /// Its type.
    #[serde(rename = "type")]
    pub kind: ChallengeType,
    /// Where to answer it.
    pub url: String,
    /// Its status.
    pub status: ChallengeStatus,
    /// Its token, if the type has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// Only dns-persist-01: the issuer names a record may have (draft -02 §3.1).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub issuer_domain_names: Vec<String>,
    /// The same under the name drafts -00 and -01 gave it, for the clients that know only those.
    #[serde(rename = "issuer-domain-names", skip_serializing_if = "Vec::is_empty")]
    pub issuer_domain_names_01: Vec<String>,
    /// When it was validated.
    #[serde(serialize_with = "rfc3339_option", skip_serializing_if = "Option::is_none")]
    pub validated: Option<Timestamp>,
    /// Why it, or the last attempt, failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Problem>,
}

/// When to renew a certificate (RFC 9773 §4.2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RenewalInfo {
    /// The window.
    #[serde(serialize_with = "window")]
    pub suggested_window: Window,
    /// URL of an explanation.
    #[serde(rename = "explanationURL", skip_serializing_if = "Option::is_none")]
    pub explanation_url: Option<String>,
}

fn rfc3339<S: Serializer>(instant: &Timestamp, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(&whole(*instant))
}

fn rfc3339_option<S: Serializer>(instant: &Option<Timestamp>, to: S) -> Result<S::Ok, S::Error> {
    match instant {
        Some(instant) => rfc3339(instant, to),
        None => to.serialize_none(),
    }
}

fn window<S: Serializer>(window: &Window, to: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Wire {
        #[serde(serialize_with = "rfc3339")]
        start: Timestamp,
        #[serde(serialize_with = "rfc3339")]
        end: Timestamp,
    }
    Wire { start: window.start, end: window.end }.serialize(to)
}

/// Without a fraction of a second, which some clients do not read.
fn whole(instant: Timestamp) -> Timestamp {
    Timestamp::from_second(instant.as_second()).unwrap_or(instant)
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks with a reference")]
fn is_false(flag: &bool) -> bool {
    !*flag
}
