//! What is stored of a transition, in one commit with what it was decided on, and published from
//! memory after it.

use std::collections::BTreeSet;
use std::sync::Arc;

use jwks::{Algorithm, Jwk, Key, Kid, Phase, PrivateKey};
use serde_json::{Value, json};
use tracing::{info, warn};

use super::standing::still_exposed;
use super::{KeysetError, Known, certificate, live, told};
use crate::node::Node;
use crate::store::{Actor, Commit, Event, Exposed, KeysetRow, SigningKeyRow};

/// What is stored of a transition.
pub(super) struct Change {
    pub(super) action: &'static str,
    pub(super) changed: Vec<Key>,
    /// Those of the keys that are new.
    pub(super) fresh: Vec<Fresh>,
    pub(super) error: Option<String>,
    /// Who may go on trusting a key that is taken out.
    pub(super) exposed: Vec<Exposed>,
    pub(super) detail: Value,
}

impl Change {
    pub(super) fn new(action: &'static str) -> Self {
        Self {
            action,
            changed: Vec::new(),
            fresh: Vec::new(),
            error: None,
            exposed: Vec::new(),
            detail: Value::Null,
        }
    }
}

/// A key that was just made.
pub(super) struct Fresh {
    pub(super) kid: Kid,
    key: PrivateKey,
    /// DER, its own certificate first; none is declared, or could not be had yet.
    x5c: Vec<Vec<u8>>,
}

impl Fresh {
    /// For what it is made, and its name.
    pub(super) fn named(&self) -> (Algorithm, Kid) {
        (self.key.algorithm(), self.kid.clone())
    }
}

/// Makes a key for each algorithm, named and certified as declared.
///
/// # Errors
/// When a key cannot be made.
pub(super) async fn generate(
    node: &Arc<Node>,
    known: &Known,
    algorithms: Vec<Algorithm>,
) -> Result<Vec<Fresh>, KeysetError> {
    // RSA takes its time.
    let made = tokio::task::spawn_blocking(move || {
        let make = |algorithm| PrivateKey::generate(algorithm, RSA_BITS);
        algorithms.into_iter().map(make).collect::<Result<Vec<_>, _>>()
    });
    let keys = made.await.map_err(|error| KeysetError::Unreadable(error.to_string()))??;
    let (spec, now) = (&known.keyset.spec, node.world.now());
    let mut fresh: Vec<Fresh> = Vec::new();
    for key in keys {
        let is_taken = |kid: &Kid| {
            let old = known.keys.iter().any(|row| row.key.kid == *kid);
            old || fresh.iter().any(|other| other.kid == *kid)
        };
        let kid = spec.kid.name(key.public_key(), now, node.world.random(), is_taken);
        let x5c = match certificate::obtain(node, known, key.public_key(), None).await {
            Ok(chain) => chain,
            Err(why) => {
                // It is published without one, and gets it as soon as there is one.
                warn!(keyset = spec.name, %kid, why, "a signing key has no certificate yet");
                Vec::new()
            }
        };
        fresh.push(Fresh { kid, key, x5c });
    }
    Ok(fresh)
}

/// Stores a transition, destroying the private halves that are not needed any more, and publishes
/// what follows from it.
///
/// # Errors
/// When the store fails, or somebody else changed the keyset in between: it must be decided anew.
pub(super) async fn store(
    node: &Arc<Node>,
    known: &Known,
    actor: Actor,
    change: Change,
) -> Result<(), KeysetError> {
    let now = node.world.now();
    let name = &known.row.name;
    let mut rows = Vec::new();
    for key in &change.changed {
        let stored = known.keys.iter().find(|row| row.key.kid == key.kid);
        let row = match stored {
            Some(row) => row.clone(),
            None => made(node, known, key, &change.fresh)?,
        };
        let sealed_key = row.sealed_key.filter(|_| key.is_private_kept());
        rows.push(SigningKeyRow { key: key.clone(), sealed_key, ..row });
    }
    let mut after = known.set();
    let before = (listed(&after), signing(&after));
    after.apply(&change.changed);
    let differs = before.0 != listed(&after);
    let switches = before.1 != signing(&after);
    let phases: serde_json::Map<_, _> =
        (change.changed.iter()).map(|key| (key.kid.to_string(), json!(key.phase.name()))).collect();
    let subject = format!("keyset/{name}");
    let is_told = notices::Kind::of(change.action).is_some();
    let mut detail = json!({ "keys": phases, "detail": change.detail });
    if is_told {
        detail["news"] = told::news(node, known, &change);
    }
    let event = Event::new(actor, change.action, subject).with(detail);
    let row = KeysetRow {
        published: after.published,
        sequence: known.row.sequence + i64::from(differs),
        exposed: still_exposed(&known.row.exposed, change.exposed, now),
        error: told::complaint(change.error, &after),
        changed_at: if differs || switches { now } else { known.row.changed_at },
        due_at: Some(now),
        ..known.row.clone()
    };
    let commit = rows.into_iter().fold(Commit::new(event).put(row), Commit::put);
    node.store.commit(commit, now).await?;
    if is_told {
        node.steps.hurry();
    }
    info!(keyset = name, keys = ?phases, "{}", change.action);
    live::refresh_one(node, name)
}

/// The keys that are published.
fn listed(set: &jwks::Keyset) -> BTreeSet<Kid> {
    set.published().into_iter().map(|key| key.kid.clone()).collect()
}

/// The keys that sign.
fn signing(set: &jwks::Keyset) -> BTreeSet<Kid> {
    let signs = set.keys.iter().filter(|key| key.phase == Phase::Signing);
    signs.map(|key| key.kid.clone()).collect()
}

/// The row of a key that is new.
fn made(
    node: &Node,
    known: &Known,
    key: &Key,
    fresh: &[Fresh],
) -> Result<SigningKeyRow, KeysetError> {
    let fresh = fresh.iter().find(|fresh| fresh.kid == key.kid);
    let fresh = fresh.ok_or_else(|| KeysetError::Gone(key.kid.clone()))?;
    let jwk = Jwk::new(fresh.key.public_key().clone(), key.algorithm, Some(key.kid.clone()));
    let jwk = jwk.map_err(|error| KeysetError::Unreadable(error.to_string()))?;
    let jwk = Jwk { x5c: fresh.x5c.clone(), ..jwk };
    let secret = fresh.key.secret()?;
    let identity = super::identity(&known.row.name, &key.kid);
    Ok(SigningKeyRow {
        id: node.store.id(),
        version: 0,
        keyset: known.row.id,
        key: key.clone(),
        public: jwk.to_string(),
        sealed_key: Some(node.key.seal(&node.world, &identity, secret.expose())),
        // It is in the set that follows from this.
        sequence: known.row.sequence + 1,
    })
}

const RSA_BITS: u16 = 2048;
