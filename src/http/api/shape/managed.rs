//! Managed certificates and their rotations, as the API shows them.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::Event;

/// A managed certificate, in a line.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Managed {
    pub(crate) name: String,
    /// `served`, `rotating`, `waiting`, `failing`, `drifted`, `pending`, `expired`, `revoked` or
    /// `undeclared`.
    pub(crate) status: &'static str,
    /// What it is declared for; null: it is not declared any more.
    pub(crate) names: Option<Vec<String>>,
    /// The number of the version that is served.
    pub(crate) version: Option<u32>,
    /// Where that came from.
    pub(crate) issuer: Option<String>,
    pub(crate) not_after: Option<Timestamp>,
    pub(crate) renews_at: Option<Timestamp>,
    /// Why then, or why not yet.
    pub(crate) because: Option<String>,
    /// On how many of its targets it is served: `2/3`.
    pub(crate) targets: String,
    /// The id of the rotation under way.
    pub(crate) rotation: Option<i64>,
    pub(crate) owner: Option<String>,
    pub(crate) origin: Option<String>,
    pub(crate) error: Option<String>,
}

/// A managed certificate with everything about it.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct ManagedInFull {
    #[serde(flatten)]
    pub(crate) summary: Managed,
    /// The newest first.
    pub(crate) versions: Vec<Version>,
    pub(crate) placements: Vec<Placement>,
    /// The latest, the newest first.
    pub(crate) rotations: Vec<Rotation>,
    /// The version that is served, with its chain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) pem: Option<String>,
}

/// A version of a managed certificate.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Version {
    pub(crate) version: u32,
    /// `obtained`, `current`, `retiring`, `retired` or `revoked`.
    pub(crate) status: &'static str,
    pub(crate) issuer: String,
    pub(crate) serial: Option<String>,
    pub(crate) sha256: String,
    pub(crate) not_before: Timestamp,
    pub(crate) not_after: Timestamp,
    pub(crate) renews_at: Timestamp,
    pub(crate) obtained_at: Timestamp,
    pub(crate) proven_at: Option<Timestamp>,
    pub(crate) retired_at: Option<Timestamp>,
    pub(crate) revoked_at: Option<Timestamp>,
}

/// How a managed certificate stands on one target.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Placement {
    pub(crate) target: String,
    /// The version that it was last proven to serve.
    pub(crate) serves: Option<u32>,
    /// The version that was last brought there.
    pub(crate) given: Option<u32>,
    pub(crate) error: Option<String>,
    pub(crate) changed_at: Timestamp,
    pub(crate) looked_at_next: Option<Timestamp>,
    /// What was seen there, address by address.
    pub(crate) proof: Value,
}

/// One run from trigger to retirement.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Rotation {
    pub(crate) id: i64,
    pub(crate) because: String,
    pub(crate) phase: &'static str,
    pub(crate) from: Option<u32>,
    pub(crate) to: Option<u32>,
    pub(crate) error: Option<String>,
    /// Why it rests, and until when.
    pub(crate) pause: Option<String>,
    pub(crate) started_at: Timestamp,
    pub(crate) proven_at: Option<Timestamp>,
    pub(crate) ended_at: Option<Timestamp>,
    pub(crate) next_at: Option<Timestamp>,
    /// What happened, the oldest first.
    pub(crate) timeline: Vec<Event>,
}

/// A rotation that was asked for.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Begun {
    /// The managed certificate's name.
    pub(crate) certificate: String,
    /// The id of the rotation; null: it has not begun yet.
    pub(crate) rotation: Option<i64>,
}
