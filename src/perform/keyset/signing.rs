//! Which key may sign now. Nothing is signed but under a lease that is stored first: when a key has
//! signed for the last time is known thereby, whatever happens to the node.

use std::sync::Arc;

use jiff::SignedDuration;
use jwks::token::Signer;
use jwks::{Algorithm, transition};
use serde_json::json;

use super::{KeysetError, Known, Live};
use crate::node::Node;
use crate::store::{Commit, Event, SigningKeyRow};

/// The keyset of this name as it is published, and its key that may sign now.
///
/// # Errors
/// When there is none, or the lease cannot be stored.
pub(crate) async fn signer(
    node: &Node,
    name: &str,
    algorithm: Option<Algorithm>,
) -> Result<(Arc<Live>, Arc<Signer>), SignError> {
    let found = find(node, name, algorithm)?;
    if found.0.is_leased(found.1.kid(), node.world.now()) {
        return Ok(found);
    }
    let _alone = node.steps.alone(&format!("keyset/{name}/lease")).await;
    // Another may have seen to it meanwhile, or the key have been replaced.
    let (live, signer) = find(node, name, algorithm)?;
    let now = node.world.now();
    if live.is_leased(signer.kid(), now) {
        return Ok((live, signer));
    }
    let row = node.store.keyset(live.id).map_err(KeysetError::from)?;
    let row = row.ok_or(SignError::NoKeyset)?;
    let known = Known::of(node, row).map_err(KeysetError::from)?.ok_or(SignError::NoKeyset)?;
    let until = now + LEASE;
    let policy = &known.keyset.policy;
    let changed = transition::lease(&known.set(), policy, signer.kid(), until);
    let event = Event::new("sign", "keyset.lease", format!("keyset/{name}"))
        .with(json!({ "kid": signer.kid().as_str(), "until": until.to_string() }));
    let mut commit = Commit::new(event);
    for key in changed.map_err(KeysetError::from)? {
        let row = known.keys.iter().find(|row| row.key.kid == key.kid).cloned();
        commit = commit.put(SigningKeyRow { key, ..row.ok_or(SignError::NoKey)? });
    }
    node.store.commit(commit, now).await.map_err(KeysetError::from)?;
    live.leased(signer.kid(), until);
    Ok((live, signer))
}

fn find(
    node: &Node,
    name: &str,
    algorithm: Option<Algorithm>,
) -> Result<(Arc<Live>, Arc<Signer>), SignError> {
    let keysets = node.keysets.load();
    let live = keysets.get(name).ok_or(SignError::NoKeyset)?;
    let signer = live.signer(algorithm).ok_or(SignError::NoKey)?;
    Ok((Arc::clone(live), Arc::clone(signer)))
}

/// Why nothing can be signed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SignError {
    #[error("there is no such keyset")]
    NoKeyset,
    #[error("the keyset has no key that signs so now")]
    NoKey,
    #[error(transparent)]
    Keyset(#[from] KeysetError),
}

/// How long a key may sign before it is stored again that it may.
const LEASE: SignedDuration = SignedDuration::from_mins(10);
