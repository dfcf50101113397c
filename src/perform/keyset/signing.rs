//! Which key may sign now. Nothing is signed but under a lease that is stored first: when a key has
//! signed for the last time is known thereby, whatever happens to the node.

use std::sync::Arc;

use jwks::token::Signer;
use jwks::{Algorithm, transition};
use serde_json::json;

use super::live::refresh_one;
use super::{KeysetError, Known, Live};
use crate::node::Node;
use crate::perform::again::{Conflicts, again};
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
    match find(node, name, algorithm) {
        Ok((live, signer)) if live.is_leased(signer.kid(), node.world.now()) => {
            return Ok((live, signer));
        }
        Err(SignError::NoKeyset) => return Err(SignError::NoKeyset),
        // Another node may have brought one.
        Ok(_) | Err(_) => {}
    }
    let _alone = node.steps.alone(&format!("keyset/{name}/lease")).await;
    again(|| leased(node, name, algorithm)).await
}

/// The key under a lease that is stored. Whoever replaced it since it was read has changed its row, so
/// that the lease is not stored, here or on whichever node: no key is used that another has retired.
async fn leased(
    node: &Node,
    name: &str,
    algorithm: Option<Algorithm>,
) -> Result<(Arc<Live>, Arc<Signer>), SignError> {
    let live = node.keysets.load().get(name).map(Arc::clone).ok_or(SignError::NoKeyset)?;
    let row = node.store.keyset(live.id).map_err(KeysetError::from)?;
    let row = row.ok_or(SignError::NoKeyset)?;
    if row.version != live.version() {
        // Another node was at work.
        refresh_one(node, name)?;
    }
    // Another may have seen to it meanwhile, or the key have been replaced.
    let (live, signer) = find(node, name, algorithm)?;
    let now = node.world.now();
    if live.is_leased(signer.kid(), now) {
        return Ok((live, signer));
    }
    let known = Known::of(node, row)?;
    let until = now + live.policy().lease();
    // By what is published, since that bounds the tokens.
    let changed = transition::lease(&known.set(), live.policy(), signer.kid(), until);
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
    if live.is_closed() {
        return Err(SignError::NoKeyset);
    }
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

impl Conflicts for SignError {
    fn is_conflict(&self) -> bool {
        match self {
            // It was replaced between two reads.
            Self::Keyset(KeysetError::Refused(_)) => true,
            Self::Keyset(error) => error.is_conflict(),
            Self::NoKeyset | Self::NoKey => false,
        }
    }
}
