//! The node, its audit log, who may use it and who is told, as the API shows them.

use std::collections::BTreeMap;

use ca::survey::Strength;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

/// The node at a glance.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Status {
    pub(crate) https: String,
    pub(crate) http: String,
    pub(crate) authorities: Vec<String>,
    pub(crate) directories: Vec<String>,
    /// How many certificates expire within a time.
    pub(crate) certificates_expiring_within: BTreeMap<String, i64>,
    pub(crate) counted_at: Timestamp,
    pub(crate) version: &'static str,
    /// What an operator should look at, a line each.
    pub(crate) attention: Vec<String>,
}

/// An audit record.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Event {
    pub(crate) id: i64,
    pub(crate) at: Timestamp,
    /// Who acted.
    pub(crate) actor: String,
    /// What was done.
    pub(crate) action: String,
    /// What it was done to.
    pub(crate) subject: String,
    /// The HTTP request that asked for it.
    pub(crate) request: Option<String>,
    /// The id of the rotation that it is part of.
    pub(crate) rotation: Option<i64>,
    /// What else an auditor needs.
    pub(crate) detail: Value,
}

/// An API token.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Token {
    pub(crate) id: i64,
    pub(crate) name: String,
    /// `valid`, `expired` or `revoked`.
    pub(crate) status: &'static str,
    /// What it is good for: `role/viewer`, `certificate/shop`, `keyset/auth-*`.
    #[schemars(with = "Vec<String>")]
    pub(crate) scope: Value,
    pub(crate) created_at: Timestamp,
    pub(crate) expires_at: Option<Timestamp>,
    pub(crate) used_at: Option<Timestamp>,
    pub(crate) revoked_at: Option<Timestamp>,
    /// The token itself, in the answer that made it and never again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) token: Option<String>,
}

/// Who is told of events.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Receiver {
    pub(crate) name: String,
    /// `webhook`, `mail` or `chat`.
    pub(crate) kind: &'static str,
    /// `unused`, or what became of the latest message: `pending`, `delivered`, `failing` or `abandoned`.
    pub(crate) status: &'static str,
    /// When the latest message was made.
    pub(crate) latest: Option<Timestamp>,
    /// When one was delivered last.
    pub(crate) delivered: Option<Timestamp>,
    pub(crate) error: Option<String>,
    #[serde(flatten)]
    pub(crate) rest: Map<String, Value>,
}

/// Who is told of events, with the latest messages.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct ReceiverInFull {
    #[serde(flatten)]
    pub(crate) summary: Receiver,
    pub(crate) notifications: Vec<Notification>,
}

/// A message.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Notification {
    pub(crate) message: String,
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) subject: String,
    pub(crate) status: &'static str,
    pub(crate) attempts: u32,
    pub(crate) created_at: Timestamp,
    pub(crate) delivered_at: Option<Timestamp>,
    pub(crate) next_at: Option<Timestamp>,
    pub(crate) error: Option<String>,
}

/// A message that was taken.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Tested {
    pub(crate) name: String,
    pub(crate) kind: &'static str,
    pub(crate) message: String,
    pub(crate) status: &'static str,
}

/// How often an algorithm is used for something.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Use {
    pub(crate) role: &'static str,
    pub(crate) algorithm: String,
    pub(crate) count: i64,
    pub(crate) in_use: i64,
    /// What could break it.
    #[schemars(with = "String")]
    pub(crate) strength: Strength,
}

/// What declarations would change, and what would happen when.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Plan {
    /// What this plan is known by: given to apply, it is done only while it is still this.
    pub(crate) plan: String,
    pub(crate) changes: Vec<Value>,
    /// For each of them whether it may be made, and why not.
    pub(crate) decisions: Vec<Value>,
    pub(crate) calendar: Vec<Value>,
    pub(crate) keysets: Vec<Value>,
}

/// What declarations changed.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Applied {
    pub(crate) changes: Vec<Value>,
}
