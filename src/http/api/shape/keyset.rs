//! Keysets, as the API shows them. Of a signing key there is no field but for what is public.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

/// A keyset, in a line.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Keyset {
    pub(crate) name: String,
    /// `signing`, `rotating`, `pending`, `failing`, `ending` or `undeclared`.
    pub(crate) status: &'static str,
    pub(crate) issuer: String,
    pub(crate) algorithm: &'static str,
    /// The key that signs.
    pub(crate) kid: Option<String>,
    pub(crate) rotates_at: Option<Timestamp>,
    /// How many are published.
    pub(crate) keys: usize,
    pub(crate) error: Option<String>,
}

/// A keyset with its keys.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct KeysetInFull<K = KeyInFull> {
    pub(crate) name: String,
    pub(crate) status: &'static str,
    pub(crate) issuer: String,
    /// Where it is published.
    pub(crate) url: String,
    pub(crate) sequence: i64,
    pub(crate) changed_at: Timestamp,
    pub(crate) next_at: Option<Timestamp>,
    /// How long a key is announced, and why.
    pub(crate) lead: String,
    /// How long a key is kept after its last signature, and why.
    pub(crate) retirement: String,
    /// What an emergency would leave, or has left, a line each.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) exposure: Option<Vec<String>>,
    pub(crate) keys: Vec<K>,
    /// Where else it signs.
    pub(crate) signers: Vec<String>,
    /// Its socket for Kubernetes.
    pub(crate) kubernetes: Value,
    pub(crate) owner: Option<String>,
    pub(crate) error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) undeclared_at: Option<Timestamp>,
}

/// A signing key.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct KeyInFull {
    pub(crate) kid: String,
    pub(crate) algorithm: &'static str,
    pub(crate) phase: &'static str,
    pub(crate) announced_at: Timestamp,
    pub(crate) ready_at: Timestamp,
    /// By which edges it was proven to be served.
    pub(crate) proven: Value,
    pub(crate) proven_at: Option<Timestamp>,
    /// By which consumers it was fetched.
    pub(crate) fetched: Value,
    pub(crate) signing_from: Option<Timestamp>,
    pub(crate) rotate_at: Option<Timestamp>,
    pub(crate) last_signature_at: Option<Timestamp>,
    pub(crate) gone_at: Option<Timestamp>,
    pub(crate) kept_until: Option<Timestamp>,
    pub(crate) exportable: bool,
    pub(crate) signers: Vec<HeldKey>,
}

/// A signing key at a signer elsewhere.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct HeldKey {
    pub(crate) signer: String,
    pub(crate) given_at: Timestamp,
    pub(crate) held_at: Option<Timestamp>,
    pub(crate) used_at: Option<Timestamp>,
    pub(crate) left_at: Option<Timestamp>,
    pub(crate) error: Option<String>,
}

/// A keyset with who has fetched it.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct KeysetStatus {
    #[serde(flatten)]
    pub(crate) keyset: KeysetInFull<KeyPhase>,
    /// Those that are declared.
    pub(crate) consumers: Vec<Consumer>,
    /// Who else fetches it.
    pub(crate) others: Vec<Consumer>,
    /// Who may trust for how long what an emergency took out.
    pub(crate) exposed: Value,
    /// What an operator should look at, a line each.
    pub(crate) attention: Vec<String>,
}

/// A signing key, with what it waits for and when it goes on.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct KeyPhase {
    pub(crate) kid: String,
    pub(crate) algorithm: &'static str,
    pub(crate) phase: &'static str,
    pub(crate) announced_at: Timestamp,
    pub(crate) signing_from: Option<Timestamp>,
    pub(crate) next_at: Option<Timestamp>,
    pub(crate) waits_for: Vec<String>,
}

/// Somebody who fetches a keyset, or should.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Consumer {
    pub(crate) name: String,
    /// `current`, `behind` or `never`.
    pub(crate) seen: &'static str,
    pub(crate) count: i64,
    /// The published keys that it does not have.
    pub(crate) lacks: Vec<String>,
    #[serde(flatten)]
    pub(crate) fetched: Option<Fetched>,
    #[serde(flatten)]
    pub(crate) declared: Option<DeclaredConsumer>,
}

/// How somebody fetched a keyset last.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Fetched {
    pub(crate) known_by: &'static str,
    pub(crate) first_at: Timestamp,
    pub(crate) last_at: Timestamp,
    /// The set that it has.
    pub(crate) sequence: i64,
    pub(crate) address: String,
    pub(crate) agent: String,
}

/// How a consumer is declared.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct DeclaredConsumer {
    /// Whether no key signs before it has it.
    pub(crate) required: bool,
    /// How its User-Agent begins.
    pub(crate) agent_begins: Option<String>,
    pub(crate) address_in: Option<String>,
}
