//! Requests that somebody must agree to, as the API shows them.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

/// A request for approval.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Approval {
    pub(crate) id: i64,
    /// `open`, `approved`, `denied`, `withdrawn`, `used` or `expired`.
    pub(crate) status: &'static str,
    pub(crate) asked_by: String,
    /// What was asked for, as policies call it.
    #[schemars(with = "Vec<String>")]
    pub(crate) actions: Value,
    /// What it was to be done to.
    #[schemars(with = "Vec<String>")]
    pub(crate) subjects: Value,
    /// The method and path of the request.
    pub(crate) route: String,
    /// Of the request, to the last byte.
    pub(crate) digest_sha256: String,
    pub(crate) reason: String,
    /// How many must agree.
    pub(crate) needed: u64,
    /// What was said so far.
    pub(crate) decisions: Value,
    pub(crate) created_at: Timestamp,
    pub(crate) expires_at: Timestamp,
}
