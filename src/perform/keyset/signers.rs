//! Signer targets: brought the private keys that they are to hold, which are read back, and seen to
//! sign with them. That a key leaves is stored before it does, and only here does one.

use std::sync::Arc;

use jwks::export::{self, NotProven, is_signed_by};
use jwks::handover::{Holds, not_placed, placed};
use jwks::{Kid, PrivateKey};
use push::KeyFileContent;
use serde_json::json;
use tracing::warn;
use zeroize::Zeroizing;

use super::{Change, KeysetError, Known, identity, store};
use crate::catalog::{KeyFormat, SignerSpec};
use crate::node::Node;

/// Brings signer targets what they are to hold, and stores how far that went.
pub(super) async fn place(
    node: &Arc<Node>,
    known: &Known,
    targets: Vec<String>,
) -> Result<bool, KeysetError> {
    let mut set = known.set();
    let before = set.clone();
    let (mut kids, mut seen, mut complaints) = (Vec::new(), Vec::new(), Vec::new());
    for target in targets {
        let outcome = bring(node, known, &target).await;
        let (policy, now) = (&known.keyset.policy, node.world.now());
        let changed = match outcome {
            Ok(()) => {
                seen.push(target.clone());
                placed(&set, policy, &target, now)?
            }
            Err(Fault { why, signs_with }) => {
                let said: String = why.chars().take(MAX_COMPLAINT).collect();
                warn!(keyset = known.row.name, target, why = said, "a signer target is not served");
                complaints.push(format!("{target}: {said}"));
                not_placed(&set, policy, &target, (&said, signs_with.as_ref()), now)?
            }
        };
        kids.extend(changed.iter().map(|key| key.kid.clone()));
        set.apply(&changed);
    }
    kids.sort();
    kids.dedup();
    let changed: Vec<_> = kids.iter().filter_map(|kid| set.key(kid).cloned()).collect();
    // Only when to look again: nothing happened.
    let same = |key: &jwks::Key| before.key(&key.kid).is_some_and(|old| is_same(old, key));
    let action = match (complaints.is_empty(), changed.iter().all(same)) {
        (false, _) => "keyset.unplaced",
        (true, false) => "keyset.place",
        (true, true) => "keyset.watch",
    };
    let detail = json!({ "seen": seen, "why": complaints });
    store(node, known, "worker".into(), Change { changed, detail, ..Change::new(action) }).await?;
    Ok(true)
}

/// Whether two states of a key say the same of its signer targets.
fn is_same(old: &jwks::Key, new: &jwks::Key) -> bool {
    let of = |key: &jwks::Key| -> Vec<_> {
        let held = key.held.iter().map(|h| (h.held_at, h.used_at, h.left_at, h.complaint.clone()));
        held.collect()
    };
    of(old) == of(new)
}

/// Why a target does not hold or use what it should.
struct Fault {
    why: String,
    /// The key that it showed to sign with instead.
    signs_with: Option<Kid>,
}

impl<E: std::error::Error> From<E> for Fault {
    fn from(error: E) -> Self {
        Self { why: error.to_string(), signs_with: None }
    }
}

/// Brings one target what it is to hold, and looks whether it signs with that.
async fn bring(node: &Node, known: &Known, target: &str) -> Result<(), Fault> {
    let missing = || Fault { why: "it is not declared any more".into(), signs_with: None };
    let spec = known.keyset.spec.signers.iter().find(|spec| spec.id() == target);
    let spec = spec.ok_or_else(missing)?;
    let set = known.set();
    let holds = set.holds(known.keyset.policy.signer(target).ok_or_else(missing)?);
    let content = content(node, known, spec, &holds)?;
    // Told again until it is stored that it was.
    let new = |kid: &Kid, is_current: bool| {
        let mut held = set.key(kid).into_iter().flat_map(|key| key.held.in_use());
        held.any(|holding| {
            let stored = if is_current { holding.used_at } else { holding.held_at };
            holding.target == target && stored.is_none()
        })
    };
    let tell = holds.current.iter().any(|kid| new(kid, true))
        || holds.next.iter().any(|kid| new(kid, false));
    spec.file().put(content, tell).await?;
    match (&spec.proof, &holds.current) {
        (Some(url), Some(current)) => prove(node, known, url, current).await,
        _ => Ok(()),
    }
}

/// The keys in the form in which the target reads them.
fn content(
    node: &Node,
    known: &Known,
    spec: &SignerSpec,
    holds: &Holds,
) -> Result<KeyFileContent, KeysetError> {
    let open = |kid: &Option<Kid>| kid.as_ref().map(|kid| opened(node, known, kid)).transpose();
    let (current, next) = (open(&holds.current)?, open(&holds.next)?);
    let one = |key: &Option<(Kid, PrivateKey)>| {
        let written = key.as_ref().map(|(kid, key)| match spec.format {
            KeyFormat::Pem => export::pem(key),
            KeyFormat::Jwk | KeyFormat::Jwks => export::jwk(key, kid),
        });
        let written = written.transpose()?;
        Ok::<_, KeysetError>(written.map(|secret| Zeroizing::new(secret.expose().to_vec())))
    };
    if spec.format != KeyFormat::Jwks {
        return Ok(KeyFileContent { content: one(&current)?, next: one(&next)? });
    }
    let keys: Vec<_> = current.iter().chain(&next).map(|(kid, key)| (key, kid)).collect();
    if keys.is_empty() {
        // A set without keys would stop it.
        return Ok(KeyFileContent { content: None, next: None });
    }
    let set = export::set(keys)?;
    let content = Some(Zeroizing::new(set.expose().to_vec()));
    Ok(KeyFileContent { content, next: None })
}

fn opened(node: &Node, known: &Known, kid: &Kid) -> Result<(Kid, PrivateKey), KeysetError> {
    let row = known.keys.iter().find(|row| row.key.kid == *kid);
    let sealed = row.and_then(|row| Some((row, row.sealed_key.as_ref()?)));
    let (row, sealed) = sealed.ok_or_else(|| KeysetError::Gone(kid.clone()))?;
    let secret = node.key.open(&identity(&known.row.name, kid), sealed)?;
    Ok((kid.clone(), PrivateKey::from_secret(row.key.algorithm, &secret)?))
}

/// Whether what a target shows is signed with its current key, several times in a row: it may be
/// several processes, of which one has not read the file again.
async fn prove(node: &Node, known: &Known, url: &str, current: &Kid) -> Result<(), Fault> {
    let jwk = known.jwk(current)?;
    for _ in 0..MATCHES {
        let shown = node.published.document(url, MAX_TOKEN, node.world.now()).await;
        let shown = shown.map_err(|why| Fault { why, signs_with: None })?;
        let token = String::from_utf8_lossy(&shown);
        if let Err(not) = is_signed_by(token.trim(), &jwk) {
            let signs_with = match &not {
                NotProven::Other(kid) => Some(kid.clone()),
                _ => None,
            };
            return Err(Fault { why: format!("{url}: {not}"), signs_with });
        }
    }
    Ok(())
}

const MATCHES: usize = 3;
const MAX_TOKEN: usize = 16 * 1024;
const MAX_COMPLAINT: usize = 500;
