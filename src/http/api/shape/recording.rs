//! What proves the audit log, as the API shows it.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use super::Event;

/// What is on record of one thing, from its beginning to its end.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Lineage {
    pub(crate) subject: String,
    /// What else the events are about.
    pub(crate) about: Vec<String>,
    /// The events, oldest first.
    pub(crate) items: Vec<Event>,
    /// Whether there are more than are shown.
    pub(crate) cut: bool,
}

/// What verifies the signatures of checkpoints.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct CheckpointKey {
    /// What the log calls itself.
    pub(crate) origin: String,
    /// A verifier key, as signed notes have it.
    pub(crate) key: String,
}

/// A signed root of the log.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Checkpoint {
    /// How many events it is of.
    pub(crate) size: u64,
    pub(crate) made_at: Timestamp,
    /// The signed note.
    pub(crate) checkpoint: String,
}

/// That an event is in the log of a checkpoint.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct InclusionProof {
    /// The line that is hashed.
    pub(crate) event: String,
    pub(crate) position: u64,
    pub(crate) size: u64,
    /// The proof, to be verified offline.
    pub(crate) proof: String,
}

/// That the log of one size is the beginning of that of another.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct ConsistencyProof {
    pub(crate) from: u64,
    pub(crate) to: u64,
    /// Hashes (RFC 6962 §2.1.2).
    pub(crate) proof: Vec<String>,
}

/// What a check of the log found.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct LogReport {
    /// Whether nothing was wrong.
    pub(crate) sound: bool,
    pub(crate) events: u64,
    pub(crate) forgotten: u64,
    pub(crate) size: u64,
    pub(crate) root: String,
    pub(crate) checkpoints: u64,
    pub(crate) signed: u64,
    pub(crate) findings: Vec<LogFinding>,
    /// Findings that are not shown.
    pub(crate) more: u64,
}

/// Something that is wrong with the log.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct LogFinding {
    pub(crate) kind: &'static str,
    pub(crate) event: Option<i64>,
    pub(crate) what: String,
}
