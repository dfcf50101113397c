//! What the API answers, each as the struct that is really sent and that the description is made of, so
//! that the two cannot differ. Nothing is decided here, and nothing secret has a field, but what is shown
//! once when it is made.

mod deciding;
mod figures;
mod found;
mod issuing;
mod keyset;
mod managed;
mod people;
mod recording;
mod running;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

pub(super) use deciding::Approval;
pub(super) use figures::{DayOfEnds, ManagedCounts, Overview, Placed, Rotations, Seconds};
pub(super) use found::{
    Ending, Endpoint, Found, FoundInFull, Scan, Sighting, Surveyed, WatchedAddress, WatchedInFull,
};
pub(super) use issuing::{
    Account, Authority, Certificate, Directory, ExternalKey, Order, OrderAuthorization,
};
pub(super) use keyset::{
    Consumer, DeclaredConsumer, Fetched, HeldKey, KeyInFull, KeyPhase, Keyset, KeysetInFull,
    KeysetStatus,
};
pub(super) use managed::{Begun, Managed, ManagedInFull, Placement, Rotation, Version};
pub(super) use people::{
    EnteredSession, OwnSession, Passkey, PasskeyOptions, Passkeys, Person, RemovedPasskey, Session,
};
pub(super) use recording::{
    Checkpoint, CheckpointKey, ConsistencyProof, InclusionProof, Lineage, LogFinding, LogReport,
};
pub(super) use running::{
    Applied, Event, Notification, Plan, Receiver, ReceiverInFull, Status, Tested, Token, Use,
};

/// A page of a list.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct List<T> {
    pub(super) items: Vec<T>,
    /// Where the next page begins, as `after`; null: there is none.
    pub(super) next: Option<i64>,
}

/// Something that is shown as it was declared, with what became of it.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Declared {
    name: String,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

/// A problem document (RFC 9457).
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Problem {
    /// `about:blank` where the status says it all, or a URN of RFC 8555 §6.7 that says more.
    #[serde(rename = "type")]
    pub(super) kind: String,
    /// The status in words.
    pub(super) title: String,
    pub(super) status: u16,
    /// What happened, to what, and what to do about it.
    pub(super) detail: String,
}

/// A shape as JSON.
pub(super) fn value(shape: &impl Serialize) -> Value {
    // Structs of strings and numbers under strings cannot fail to be written.
    serde_json::to_value(shape).unwrap_or_default()
}
