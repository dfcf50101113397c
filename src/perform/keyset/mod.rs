//! Keysets, step by step: keys are announced, proven at every edge, sign, retire and are gone. `jwks`
//! says what comes next and what that changes; here it is done, stored with the set it was decided
//! on, and then published from memory.

mod body;
mod live;
mod signing;

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use jwks::{Algorithm, Jwk, Key, Kid, PrivateKey, Served, Step, next, transition};
use serde_json::{Value, json};
use tracing::{error, info, warn};

pub(crate) use body::Document;
pub(crate) use live::{Keysets, Live};
pub(crate) use signing::{SignError, signer};

use crate::catalog::{Keyset, KeysetSpec};
use crate::node::Node;
use crate::steps::Subject;
use crate::store::{Actor, Commit, CommitError, Event, KeysetRow, ReadError, SigningKeyRow};

/// Gives every declared keyset a row, and has those looked at whose declaration is not what it was.
///
/// # Errors
/// When the store fails.
pub(crate) async fn enlist(node: &Arc<Node>, actor: impl Into<Actor>) -> Result<(), KeysetError> {
    let actor = actor.into();
    let (catalog, now) = (node.catalog.load(), node.world.now());
    for keyset in catalog.keysets.values() {
        let declared = serde_json::to_string(&keyset.spec).unwrap_or_default();
        let name = &keyset.spec.name;
        let row = match node.store.keyset_by_name(name)? {
            Some(row) if row.declared == declared => continue,
            Some(row) => {
                let held_until = held_until(node, &row, keyset, now)?;
                KeysetRow { declared, held_until, due_at: Some(now), ..row }
            }
            None => KeysetRow {
                id: node.store.id(),
                version: 0,
                name: name.clone(),
                declared,
                held_until: None,
                published: false,
                sequence: 0,
                error: None,
                changed_at: now,
                due_at: Some(now),
            },
        };
        let id = row.id;
        let event = Event::new(actor.clone(), "keyset.enlist", format!("keyset/{name}"));
        node.store.commit(Commit::new(event).put(row), now).await?;
        begin(node, id);
    }
    live::refresh(node)
}

/// Until when somebody may hold a set that was fetched under what was declared before.
fn held_until(
    node: &Node,
    row: &KeysetRow,
    keyset: &Keyset,
    now: Timestamp,
) -> Result<Option<Timestamp>, KeysetError> {
    let old: KeysetSpec = serde_json::from_str(&row.declared)
        .map_err(|error| KeysetError::Unreadable(error.to_string()))?;
    let old = old.policy().map_err(KeysetError::Unreadable)?;
    let keys = node.store.signing_keys(row.id)?;
    Ok(set(row, &keys).reconfigured(&old, &keyset.policy, now))
}

/// A keyset as `jwks` sees it.
fn set(row: &KeysetRow, keys: &[SigningKeyRow]) -> jwks::Keyset {
    let keys = keys.iter().map(|row| row.key.clone()).collect();
    jwks::Keyset { keys, published: row.published, held_until: row.held_until }
}

/// Starts the steps of a keyset; one that is under way already is left alone.
pub(crate) fn begin(node: &Arc<Node>, id: i64) {
    node.steps.start(Subject::Keyset(id), advance(Arc::clone(node), id));
}

/// Takes a keyset as far as it goes now.
pub(crate) async fn advance(node: Arc<Node>, id: i64) {
    loop {
        match step(&node, id).await {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => {
                // It is due still, and taken up with the next tick.
                error!(keyset = id, %error, "a step of a keyset failed; it will be retried");
                return;
            }
        }
    }
}

/// A keyset and everything it is about, as stored and declared.
pub(crate) struct Known {
    pub(crate) row: KeysetRow,
    pub(crate) keys: Vec<SigningKeyRow>,
    pub(crate) keyset: Arc<Keyset>,
}

impl Known {
    /// What is known of the keyset; none, if it is not declared.
    pub(crate) fn of(node: &Node, row: KeysetRow) -> Result<Option<Self>, ReadError> {
        let keyset = node.catalog.load().keysets.get(&row.name).map(Arc::clone);
        let keys = node.store.signing_keys(row.id)?;
        Ok(keyset.map(|keyset| Self { row, keys, keyset }))
    }

    /// The same as `jwks` sees it.
    pub(crate) fn set(&self) -> jwks::Keyset {
        set(&self.row, &self.keys)
    }

    /// The public half of a key.
    pub(crate) fn jwk(&self, kid: &Kid) -> Result<Jwk, KeysetError> {
        let row = self.keys.iter().find(|row| row.key.kid == *kid);
        let row = row.ok_or_else(|| KeysetError::Gone(kid.clone()))?;
        Jwk::parse(&row.public).map_err(|error| KeysetError::Unreadable(error.to_string()))
    }
}

/// Does what comes next; whether there is more.
async fn step(node: &Arc<Node>, id: i64) -> Result<bool, KeysetError> {
    let now = node.world.now();
    let Some(row) = node.store.keyset(id)? else { return Ok(false) };
    let Some(known) = Known::of(node, row.clone())? else {
        node.store.schedule(&row, None, now).await?;
        return Ok(false);
    };
    let (set, policy) = (known.set(), &known.keyset.policy);
    let change = match next(&set, policy, now) {
        Step::Wait(until) => {
            if known.row.due_at != Some(until) {
                node.store.schedule(&known.row, Some(until), now).await?;
            }
            return Ok(false);
        }
        Step::Prove { kid, edges } => return prove(node, &known, &set, &kid, edges).await,
        Step::Announce { algorithms } => {
            let fresh = generate(algorithms).await?;
            let named: Vec<_> =
                fresh.iter().map(|(kid, key)| (key.algorithm(), kid.clone())).collect();
            let changed = transition::announce(&set, policy, &named, now)?;
            Change { changed, fresh, ..Change::new("keyset.announce") }
        }
        Step::Sign { kid } => {
            let changed = transition::sign(&set, policy, &kid, now)?;
            Change { changed, ..Change::new("keyset.sign") }
        }
        Step::Retire { kid } => {
            let changed = transition::retire(&set, policy, &kid, now)?;
            Change { changed, ..Change::new("keyset.retire") }
        }
        Step::Remove { kid } => {
            let changed = transition::remove(&set, policy, &kid, now)?;
            Change { changed, ..Change::new("keyset.remove") }
        }
    };
    store(node, &known, "worker".into(), change).await?;
    Ok(true)
}

/// Looks whether edges serve a key.
async fn prove(
    node: &Arc<Node>,
    known: &Known,
    set: &jwks::Keyset,
    kid: &Kid,
    edges: Vec<String>,
) -> Result<bool, KeysetError> {
    let jwk = known.jwk(kid)?;
    let (mut seen, mut complaints) = (Vec::new(), Vec::new());
    for edge in edges {
        match serves(node, &edge, &jwk).await {
            Ok(()) => seen.push(edge),
            Err(why) => complaints.push(format!("{edge}: {why}")),
        }
    }
    let now = node.world.now();
    let changed = match seen.is_empty() {
        true => transition::not_proven(set, kid, now)?,
        false => transition::prove(set, &known.keyset.policy, kid, &seen, now)?,
    };
    let error = (!complaints.is_empty()).then(|| complaints.join("; "));
    if let Some(why) = &error {
        warn!(keyset = known.row.name, %kid, why, "an edge does not serve a key that is announced");
    }
    let action = if error.is_none() { "keyset.prove" } else { "keyset.unproven" };
    let detail = json!({ "seen": seen, "why": error });
    let change = Change { changed, error, detail, ..Change::new(action) };
    store(node, known, "worker".into(), change).await?;
    Ok(true)
}

/// Whether an edge serves a key, and if not, why.
async fn serves(node: &Node, edge: &str, jwk: &Jwk) -> Result<(), String> {
    let body = node.published.document(edge, MAX_SET, node.world.now()).await?;
    let served = Served::parse(&body).map_err(|error| error.to_string())?;
    if let Some(kid) = &served.leaked {
        return Err(format!("it gives the private half of key {kid} away"));
    }
    if served.serves(jwk) { Ok(()) } else { Err("it does not serve the key".into()) }
}

/// Makes a key for each algorithm.
pub(crate) async fn generate(
    algorithms: Vec<Algorithm>,
) -> Result<Vec<(Kid, PrivateKey)>, KeysetError> {
    // RSA takes its time.
    let made = tokio::task::spawn_blocking(move || {
        let make = |algorithm| PrivateKey::generate(algorithm, RSA_BITS);
        algorithms.into_iter().map(make).collect::<Result<Vec<_>, _>>()
    });
    let keys = made.await.map_err(|error| KeysetError::Unreadable(error.to_string()))??;
    Ok(keys.into_iter().map(|key| (Kid::of(key.public_key()), key)).collect())
}

/// What is stored of a transition.
pub(crate) struct Change {
    pub(crate) action: &'static str,
    pub(crate) changed: Vec<Key>,
    /// Those of the keys that are new.
    pub(crate) fresh: Vec<(Kid, PrivateKey)>,
    pub(crate) error: Option<String>,
    pub(crate) detail: Value,
}

impl Change {
    pub(crate) fn new(action: &'static str) -> Self {
        Self { action, changed: Vec::new(), fresh: Vec::new(), error: None, detail: Value::Null }
    }
}

/// Stores a transition, destroying the private halves that are not needed any more, and publishes
/// what follows from it.
pub(crate) async fn store(
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
        let sealed_key = row.sealed_key.filter(|_| key.phase.is_private_kept());
        rows.push(SigningKeyRow { key: key.clone(), sealed_key, ..row });
    }
    let listed = |set: &jwks::Keyset| -> BTreeSet<Kid> {
        set.published().into_iter().map(|key| key.kid.clone()).collect()
    };
    let mut after = known.set();
    let before = listed(&after);
    after.apply(&change.changed);
    let differs = before != listed(&after);
    let phases: serde_json::Map<_, _> =
        (change.changed.iter()).map(|key| (key.kid.to_string(), json!(key.phase.name()))).collect();
    let event = Event::new(actor, change.action, format!("keyset/{name}"))
        .with(json!({ "keys": phases, "detail": change.detail }));
    let row = KeysetRow {
        published: after.published,
        sequence: known.row.sequence + i64::from(differs),
        error: change.error,
        changed_at: if differs { now } else { known.row.changed_at },
        due_at: Some(now),
        ..known.row.clone()
    };
    let commit = rows.into_iter().fold(Commit::new(event).put(row), Commit::put);
    node.store.commit(commit, now).await?;
    info!(keyset = name, keys = ?phases, "{}", change.action);
    live::refresh_one(node, name)
}

/// The row of a key that is new.
fn made(
    node: &Node,
    known: &Known,
    key: &Key,
    fresh: &[(Kid, PrivateKey)],
) -> Result<SigningKeyRow, KeysetError> {
    let private = fresh.iter().find(|(kid, _)| *kid == key.kid).map(|(_, private)| private);
    let private = private.ok_or_else(|| KeysetError::Gone(key.kid.clone()))?;
    let jwk = Jwk::new(private.public_key().clone(), key.algorithm, Some(key.kid.clone()));
    let jwk = jwk.map_err(|error| KeysetError::Unreadable(error.to_string()))?;
    let secret = private.secret()?;
    let identity = identity(&known.row.name, &key.kid);
    Ok(SigningKeyRow {
        id: node.store.id(),
        version: 0,
        keyset: known.row.id,
        key: key.clone(),
        public: jwk.to_string(),
        sealed_key: Some(node.key.seal(&node.world, &identity, secret.expose())),
    })
}

/// The identity under which a private key is sealed.
fn identity(keyset: &str, kid: &Kid) -> String {
    format!("keyset/{keyset}/{kid}")
}

/// A step of a keyset could not be done, or its outcome not be stored.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeysetError {
    #[error(transparent)]
    Refused(#[from] transition::Refused),
    #[error("key {0} is gone")]
    Gone(Kid),
    #[error("what is stored cannot be used: {0}")]
    Unreadable(String),
    #[error(transparent)]
    Key(#[from] jwks::key::KeyError),
    #[error(transparent)]
    Set(#[from] jwks::set::BadSet),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Commit(#[from] CommitError),
    #[error(transparent)]
    Seal(#[from] crate::seal::Unsealable),
}

const RSA_BITS: u16 = 2048;
const MAX_SET: usize = 256 * 1024;

#[cfg(test)]
mod tests;
