//! Which key may sign now. Nothing is signed but under a lease that is stored first: when a key has
//! signed for the last time is known thereby, whatever happens to the node.

use std::sync::Arc;

use jwks::token::Signer;
use jwks::{Algorithm, transition};
use serde_json::json;
use tracing::debug;

use super::{KeysetError, Known, Live, live};
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
    let mut tries = 1;
    loop {
        // Another may have seen to it meanwhile, or the key have been replaced.
        let (live, signer) = find(node, name, algorithm)?;
        if live.is_leased(signer.kid(), node.world.now()) {
            return Ok((live, signer));
        }
        match lease(node, name, &live, &signer).await {
            Ok(()) => return Ok((live, signer)),
            // It is replaced in this moment; what is published is behind what is stored.
            Err(SignError::Keyset(error)) if error.is_race() && tries < TRIES => {
                debug!(keyset = name, %error, "a key is replaced while it is to sign");
                live::refresh_one(node, name)?;
                tries += 1;
            }
            Err(error) => return Err(error),
        }
    }
}

/// Stores that a key may sign for a while.
async fn lease(node: &Node, name: &str, live: &Live, signer: &Signer) -> Result<(), SignError> {
    let now = node.world.now();
    let row = node.store.keyset(live.id).map_err(KeysetError::from)?;
    let row = row.ok_or(SignError::NoKeyset)?;
    let known = Known::of(node, row).map_err(KeysetError::from)?.ok_or(SignError::NoKeyset)?;
    let policy = &known.keyset.policy;
    let until = now + policy.lease();
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
    Ok(())
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

/// A key is replaced once in a while; twice in one moment is only by hand.
const TRIES: u32 = 4;
