//! What an operator asks for: a rotation now, an emergency, a way back. A step of the worker, or of
//! another node, may come between the look and the commit: then it is decided anew.

use std::sync::Arc;

use jwks::emergency::{self, Exposure, emergency, exposure};
use jwks::{Key, Kid, Phase, transition};
use serde_json::json;

use super::change::{Change, Fresh, generate, store};
use super::standing::exposed;
use super::{KeysetError, Known, certificate};
use crate::node::Node;
use crate::perform::again::again;
use crate::store::Actor;

/// Has the next key announced now.
///
/// # Errors
/// When no key signs, the keyset is not declared, or the store fails.
pub(crate) async fn rotate(node: &Arc<Node>, name: &str, actor: &Actor) -> Result<(), KeysetError> {
    again(|| async {
        let known = Known::declared(node, name)?;
        let changed = transition::ask(&known.set(), node.world.now())?;
        let change = Change { changed, ..Change::new("keyset.rotate") };
        store(node, &known, actor.clone(), change).await
    })
    .await
}

/// Takes a key out, or all that sign if none is named, and lets fresh ones sign; gives who goes on
/// trusting it for how long.
///
/// # Errors
/// When there is no such key, the keyset is not declared, or the store fails.
pub(crate) async fn replace(
    node: &Arc<Node>,
    name: &str,
    actor: &Actor,
    kid: Option<&Kid>,
) -> Result<Vec<Exposure>, KeysetError> {
    again(|| async {
        let known = Known::declared(node, name)?;
        let (set, policy) = (known.set(), &known.keyset.policy);
        let needed = emergency::needed(&set, policy, kid)?;
        let fresh = generate(node, &known, needed).await?;
        let named: Vec<_> = fresh.iter().map(Fresh::named).collect();
        let now = node.world.now();
        let changed = emergency(&set, policy, kid, &named, now)?;
        let left = exposure(&set, policy, now);
        let said: Vec<_> = left.iter().map(ToString::to_string).collect();
        let detail = json!({ "compromised": kid.map(Kid::as_str), "exposure": said });
        let exposed = exposed(&left, now);
        let gone = changed.iter().filter(|key| key.phase == Phase::Gone);
        let gone: Vec<Kid> = gone.map(|key| key.kid.clone()).collect();
        let change = Change { changed, fresh, exposed, detail, ..Change::new("keyset.emergency") };
        store(node, &known, actor.clone(), change).await?;
        certificate::revoke(node, &known, actor, &gone).await;
        Ok(left)
    })
    .await
}

/// Withdraws the keys that wait; where none does, lets those that were replaced sign again. Whether
/// there was anything to do.
///
/// # Errors
/// When nothing would sign, the keyset is not declared, or the store fails.
pub(crate) async fn roll_back(
    node: &Arc<Node>,
    name: &str,
    actor: &Actor,
) -> Result<bool, KeysetError> {
    again(|| async {
        let known = Known::declared(node, name)?;
        let (set, policy, now) = (known.set(), &known.keyset.policy, node.world.now());
        let (mut changed, mut action) = (Vec::new(), "keyset.roll-back");
        let waits = |phase| matches!(phase, Phase::Announced | Phase::Proven);
        // Where nothing signs, what waits is all there is.
        let rest = |key: &&Key| waits(key.phase) && set.signer(key.algorithm).is_some();
        for key in set.keys.iter().filter(rest) {
            changed.extend(emergency::roll_back(&set, policy, &key.kid, now)?);
        }
        if changed.is_empty() {
            action = "keyset.reinstate";
            for kept in policy.settings().algorithms.iter().filter_map(|a| set.predecessor(*a)) {
                if kept.kept_until.is_some_and(|until| until > now) {
                    changed.extend(emergency::reinstate(&set, policy, &kept.kid, now)?);
                }
            }
        }
        if changed.is_empty() {
            return Ok(false);
        }
        let change = Change { changed, ..Change::new(action) };
        store(node, &known, actor.clone(), change).await.map(|()| true)
    })
    .await
}
