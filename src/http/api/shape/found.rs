//! What is found in use, and what looks for it, as the API shows them.

use jiff::Timestamp;
use renew::alarm::Level;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

/// What a certificate says of itself.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Surveyed {
    /// Its first name.
    pub(crate) called: String,
    pub(crate) names: Vec<String>,
    pub(crate) subject: String,
    pub(crate) issuer: String,
    pub(crate) serial: String,
    pub(crate) not_before: Timestamp,
    pub(crate) not_after: Timestamp,
    pub(crate) key: String,
    pub(crate) signature: String,
    pub(crate) is_ca: bool,
    pub(crate) post_quantum: bool,
    pub(crate) fingerprint_sha256: String,
}

/// A certificate that was found in use.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Found {
    pub(crate) id: i64,
    #[serde(flatten)]
    pub(crate) survey: Surveyed,
    pub(crate) owner: Option<String>,
    /// How many places it stands at, and one of them.
    pub(crate) places: i64,
    pub(crate) place: Option<String>,
    pub(crate) first_seen_at: Timestamp,
    pub(crate) last_seen_at: Timestamp,
}

/// A found certificate with everything about it.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct FoundInFull {
    #[serde(flatten)]
    pub(crate) summary: Found,
    pub(crate) pem: String,
    pub(crate) sightings: Vec<Sighting>,
}

/// What was seen last at a place.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Sighting {
    pub(crate) place: String,
    /// What is wrong there, a word each.
    pub(crate) flaws: Vec<String>,
    /// The ids of the certificates of its chain.
    pub(crate) chain: Vec<i64>,
    pub(crate) chain_ends_at: Option<Timestamp>,
    pub(crate) keeper: Option<String>,
    pub(crate) endpoint: Option<String>,
    pub(crate) error: Option<String>,
    pub(crate) first_seen_at: Timestamp,
    pub(crate) changed_at: Timestamp,
    pub(crate) last_seen_at: Timestamp,
}

/// An address that is watched.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Endpoint {
    pub(crate) name: String,
    pub(crate) address: Option<String>,
    pub(crate) owner: Option<String>,
    /// `good`, `failing` or `new`.
    pub(crate) status: &'static str,
    pub(crate) error: Option<String>,
    pub(crate) looked_at: Option<Timestamp>,
    pub(crate) changed_at: Timestamp,
    pub(crate) next_at: Option<Timestamp>,
}

/// A watched address with what is seen there.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct WatchedInFull {
    #[serde(flatten)]
    pub(crate) summary: Endpoint,
    pub(crate) addresses: Vec<WatchedAddress>,
}

/// One of the addresses that a watched name leads to.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct WatchedAddress {
    #[serde(flatten)]
    pub(crate) sighting: Sighting,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) certificate: Option<Surveyed>,
}

/// Something that ends soon.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Ending {
    /// As the audit log calls it.
    pub(crate) subject: String,
    pub(crate) called: String,
    pub(crate) owner: Option<String>,
    /// How urgent it is.
    #[schemars(with = "String")]
    pub(crate) level: Level,
    pub(crate) ends_at: Timestamp,
    pub(crate) place: Option<String>,
}

/// A look at many places.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Scan {
    pub(crate) id: i64,
    /// `open` or `over`.
    pub(crate) status: &'static str,
    /// As it was asked for.
    pub(crate) request: Value,
    /// How many places there are, and how many are done.
    pub(crate) total: i64,
    pub(crate) done: i64,
    /// At how many a certificate was seen, and at how many something else was.
    pub(crate) seen: i64,
    pub(crate) failed: i64,
    pub(crate) started_at: Timestamp,
    pub(crate) changed_at: Timestamp,
    pub(crate) ended_at: Option<Timestamp>,
}
