//! The node's figures, as the API shows them.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use super::Placement;

/// What ends when, and how rotations went.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Overview {
    pub(crate) counted_at: Timestamp,
    /// A day each, from today on.
    pub(crate) ends: Vec<DayOfEnds>,
    pub(crate) rotations: Rotations,
    pub(crate) managed: ManagedCounts,
    /// When the first of the versions served ends.
    pub(crate) next_end: Option<Timestamp>,
}

/// How many certificates end on a day (UTC).
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct DayOfEnds {
    /// Such as `2026-12-01`.
    pub(crate) date: String,
    /// Issued here and not revoked.
    pub(crate) issued: i64,
    /// Managed, as served.
    pub(crate) managed: i64,
}

/// How rotations went.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Rotations {
    /// Of how many days.
    pub(crate) days: u32,
    /// Those that every target was proven to serve.
    pub(crate) succeeded: usize,
    /// Those that were rolled back, or came to nothing.
    pub(crate) failed: usize,
    pub(crate) emergencies: usize,
    pub(crate) seconds_to_proof: Seconds,
}

/// How long it took until every target was proven.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Seconds {
    pub(crate) median: Option<i64>,
    pub(crate) p95: Option<i64>,
}

/// How many managed certificates there are, by what is the matter with them.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct ManagedCounts {
    pub(crate) all: i64,
    /// Without a version that is served.
    pub(crate) pending: i64,
    pub(crate) rotating: i64,
    /// Whose last rotation failed.
    pub(crate) failing: i64,
    /// With a target that serves something else, or nothing.
    pub(crate) drifted: i64,
}

/// How a certificate stands on a target.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Placed {
    /// The managed certificate.
    pub(crate) certificate: Option<String>,
    /// The version that it should serve.
    pub(crate) should: Option<u32>,
    #[serde(flatten)]
    pub(crate) placement: Placement,
}
