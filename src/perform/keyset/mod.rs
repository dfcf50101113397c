//! Keysets, step by step: keys are announced, proven at every edge, sign, retire and are gone. `jwks`
//! says what comes next and what that changes; here it is done, stored with the set it was decided
//! on, and then published from memory.

mod asked;
mod body;
mod calendar;
mod certificate;
mod change;
mod edge;
mod enlist;
mod fetch;
mod live;
mod seen;
mod signers;
mod signing;
mod standing;
mod told;

use std::sync::Arc;

use jiff::Timestamp;
use jwks::{Jwk, Kid, Step, handover, next, transition};
use serde_json::json;
use tracing::{error, warn};

pub(crate) use asked::{replace, roll_back, rotate};
pub(crate) use body::Document;
pub(crate) use calendar::calendar;
pub(crate) use enlist::enlist;
pub(crate) use fetch::Edges;
pub(crate) use live::{Keysets, Live, catch_up};
pub(crate) use seen::{Absent, absent, keep_fetches, note_fetches};
pub(crate) use signing::{SignError, signer};
pub(crate) use standing::Standing;

use change::{Change, Fresh, generate, store};

use super::again::{Conflicts, again};
use crate::catalog::{Keyset, KeysetSpec};
use crate::node::Node;
use crate::steps::Subject;
use crate::store::{CommitError, KeysetRow, ReadError, SigningKeyRow};

/// A keyset as `jwks` sees it.
fn set(row: &KeysetRow, keys: &[SigningKeyRow]) -> jwks::Keyset {
    let keys = keys.iter().map(|row| row.key.clone()).collect();
    let (published, held_until) = (row.published, row.held_until);
    jwks::Keyset { keys, published, held_until, closed: row.closed_at.is_some() }
}

/// Starts the steps of a keyset; one that is under way already is left alone.
pub(crate) fn begin(node: &Arc<Node>, id: i64) {
    node.steps.start(Subject::Keyset(id), advance(Arc::clone(node), id));
}

/// Takes a keyset as far as it goes now.
pub(crate) async fn advance(node: Arc<Node>, id: i64) {
    loop {
        match again(|| step(&node, id)).await {
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
    /// As it was declared last.
    pub(crate) keyset: Arc<Keyset>,
    /// Whether it still is.
    pub(crate) declared: bool,
}

impl Known {
    /// What is known of the keyset.
    ///
    /// # Errors
    /// When the store fails.
    pub(crate) fn of(node: &Node, row: KeysetRow) -> Result<Self, KeysetError> {
        let declared = node.catalog.load().keysets.get(&row.name).map(Arc::clone);
        let keys = node.store.signing_keys(row.id)?;
        let (keyset, declared) = match declared {
            Some(keyset) => (keyset, true),
            None => (Arc::new(Self::former(&row)?), false),
        };
        Ok(Self { row, keys, keyset, declared })
    }

    /// The same of the keyset of this name, to change it.
    ///
    /// # Errors
    /// When it is not declared, or the store fails.
    pub(crate) fn declared(node: &Node, name: &str) -> Result<Self, KeysetError> {
        let undeclared = || KeysetError::Undeclared(name.to_owned());
        let row = node.store.keyset_by_name(name)?.ok_or_else(undeclared)?;
        let known = Self::of(node, row)?;
        let stands = known.declared && known.row.closed_at.is_none();
        if stands { Ok(known) } else { Err(undeclared()) }
    }

    /// What was declared when the row was last looked at.
    fn former(row: &KeysetRow) -> Result<Keyset, KeysetError> {
        let spec: KeysetSpec = serde_json::from_str(&row.declared)
            .map_err(|error| KeysetError::Unreadable(error.to_string()))?;
        Keyset::new(spec).map_err(KeysetError::Unreadable)
    }

    /// The same as `jwks` sees it.
    pub(crate) fn set(&self) -> jwks::Keyset {
        set(&self.row, &self.keys)
    }

    /// The public half of a key.
    pub(crate) fn jwk(&self, kid: &Kid) -> Result<Jwk, KeysetError> {
        let row = self.keys.iter().find(|row| row.key.kid == *kid);
        let row = row.ok_or_else(|| KeysetError::Gone(kid.clone()))?;
        let jwk = Jwk::parse(&row.public);
        let mut jwk = jwk.map_err(|error| KeysetError::Unreadable(error.to_string()))?;
        if self.keyset.spec.x5c.is_none() {
            jwk.x5c.clear();
        }
        Ok(jwk)
    }
}

/// Does what comes next; whether there is more.
async fn step(node: &Arc<Node>, id: i64) -> Result<bool, KeysetError> {
    let now = node.world.now();
    let Some(row) = node.store.keyset(id)? else { return Ok(false) };
    let known = Known::of(node, row)?;
    let (set, policy) = (known.set(), &known.keyset.policy);
    if let Some(change) = seen::sighting(node, &known)? {
        store(node, &known, "worker".into(), change).await?;
        return Ok(true);
    }
    let change = match next(&set, policy, now) {
        Step::Wait(until) => return wait(node, &known, until).await,
        Step::Prove { kid, edges } => return prove(node, &known, &set, &kid, edges).await,
        Step::Announce { algorithms } => {
            let fresh = generate(node, &known, algorithms).await?;
            let named: Vec<_> = fresh.iter().map(Fresh::named).collect();
            let changed = transition::announce(&set, policy, &named, now)?;
            Change { changed, fresh, ..Change::new("keyset.announce") }
        }
        Step::Place { targets } => return signers::place(node, known, targets).await,
        Step::Export { kid, target } => {
            let changed = handover::export(&set, policy, &kid, &target, now)?;
            let detail = json!({ "kid": kid.as_str(), "to": target });
            Change { changed, detail, ..Change::new("keyset.export") }
        }
        Step::Sign { kid } => {
            let changed = transition::sign(&set, policy, &kid, now)?;
            Change { changed, ..Change::new("keyset.sign") }
        }
        Step::Retire { kid } => {
            let changed = transition::retire(&set, policy, &kid, now)?;
            Change { changed, ..Change::new("keyset.retire") }
        }
        Step::Destroy { kid } => {
            let changed = transition::destroy(&set, &kid, now)?;
            Change { changed, ..Change::new("keyset.destroy") }
        }
        Step::Close => {
            let changed = transition::close(&set, policy, now)?;
            Change { changed, ..Change::new("keyset.close") }
        }
        Step::Remove { kid } => {
            let changed = transition::remove(&set, policy, &kid, now)?;
            Change { changed, ..Change::new("keyset.remove") }
        }
    };
    store(node, &known, "worker".into(), change).await?;
    Ok(true)
}

/// Nothing is to be done to the keys before then; their certificates may need something.
async fn wait(node: &Arc<Node>, known: &Known, until: Timestamp) -> Result<bool, KeysetError> {
    let now = node.world.now();
    let until = match certificate::need(node, known, now) {
        certificate::Need::Now(kid) => return certificate::renew(node, known, &kid).await,
        certificate::Need::At(at) => until.min(at),
        certificate::Need::Nothing => until,
    };
    if known.row.due_at != Some(until) {
        node.store.schedule(&known.row, Some(until), now).await?;
    }
    Ok(false)
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
    let (seen, complaints) = edge::look(node, known, &jwk, edges).await;
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
    #[error("keyset {0} is declared no more: it verifies what was signed, and nothing else")]
    Undeclared(String),
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

impl Conflicts for KeysetError {
    fn is_conflict(&self) -> bool {
        matches!(self, Self::Commit(error) if error.is_conflict())
    }
}

#[cfg(test)]
mod elsewhere_tests;
#[cfg(test)]
mod tests;
