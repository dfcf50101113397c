//! Keys for external account binding: made, listed, revoked.

use std::sync::Arc;

use acme::{Problem, ProblemType};
use axum::extract::{Request, State};
use ca::NamePattern;
use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::extract::{Path, Query};
use super::inventory::paged;
use super::listing::Listing;
use super::{Answer, body, missing, views};
use crate::http::acme::external_key_identity;
use crate::http::error::{uncommitted, unreadable};
use crate::node::Node;
use crate::store::{Actor, Commit, Event, ExternalKey};
use crate::world::World;

/// An external account key to be made.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "ExternalKeyWanted")]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    directory: String,
    /// Which names its account may ask for; empty: all that the directory permits.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    permitted: Vec<NamePattern>,
    #[serde(default)]
    expires: Option<String>,
    #[serde(default)]
    comment: String,
}

/// A page of the keys, without the keys themselves.
pub(super) async fn list(State(node): State<Arc<Node>>, Query(listing): Query<Listing>) -> Answer {
    let (page, now) = (listing.page(), node.world.now());
    let keys = node.store.external_keys(page).map_err(unreadable);
    let shown = |key: &ExternalKey| (key.id, views::external_key(key, now));
    Answer(keys.map(|keys| paged(page, keys.iter().map(shown))))
}

/// Makes a key; this answer is the only place where it is ever shown.
pub(super) async fn create(
    State(node): State<Arc<Node>>,
    actor: Actor,
    request: Request,
) -> Answer {
    Answer(create_one(&node, actor, request).await)
}

/// Revokes a key.
pub(super) async fn revoke(
    State(node): State<Arc<Node>>,
    Path(kid): Path<String>,
    actor: Actor,
) -> Answer {
    Answer(revoke_one(&node, actor, &kid).await)
}

async fn create_one(node: &Node, actor: Actor, request: Request) -> Result<Value, Problem> {
    let wanted: Wanted = body(request).await?;
    if !node.catalog.load().directories.contains_key(&wanted.directory) {
        return Err(missing("directory", &wanted.directory));
    }
    let lifetime = wanted.expires.as_deref().map(ca::duration::parse).transpose();
    let lifetime = lifetime.map_err(|e| Problem::malformed(e.to_string()))?;
    if wanted.comment.len() > MAX_COMMENT {
        return Err(Problem::malformed("the comment is longer than 200 octets"));
    }
    let now = node.world.now();
    let kid = HEXLOWER.encode(&node.world.random::<12>());
    let (secret, shown_secret) = secret(&node.world);
    let key = ExternalKey {
        id: node.store.id(),
        version: 0,
        directory: wanted.directory.clone(),
        sealed_key: node.key.seal(&node.world, &external_key_identity(&kid), secret.as_slice()),
        kid: kid.clone(),
        permitted: wanted.permitted,
        comment: wanted.comment,
        account: None,
        created_at: now,
        expires_at: lifetime.map(|lifetime| now + lifetime),
        revoked_at: None,
    };
    let event = Event::new(actor, "external-key.create", format!("external-key/{kid}"))
        .with(json!({ "directory": key.directory, "permitted": key.permitted }));
    let mut shown = views::external_key(&key, now);
    node.store.commit(Commit::new(event).put(key), now).await.map_err(uncommitted)?;
    shown["hmac_key"] = shown_secret.into();
    Ok(shown)
}

async fn revoke_one(node: &Node, actor: Actor, kid: &str) -> Result<Value, Problem> {
    let found = node.store.external_key(kid).map_err(unreadable)?;
    let key = found.ok_or_else(|| missing("external account key", kid))?;
    if key.revoked_at.is_some() {
        return Err(Problem::new(ProblemType::Malformed, "the key is revoked already"));
    }
    let now = node.world.now();
    let key = ExternalKey { revoked_at: Some(now), ..key };
    let event = Event::new(actor, "external-key.revoke", format!("external-key/{kid}"));
    let shown = views::external_key(&key, now);
    node.store.commit(Commit::new(event).put(key), now).await.map_err(uncommitted)?;
    Ok(shown)
}

/// A MAC key, and how it is shown: never with a leading hyphen, which the command lines of clients
/// would take for an option.
fn secret(world: &World) -> (Zeroizing<[u8; 32]>, String) {
    loop {
        let secret = Zeroizing::new(world.random::<32>());
        let shown = BASE64URL_NOPAD.encode(secret.as_slice());
        if !shown.starts_with('-') {
            return (secret, shown);
        }
    }
}

const MAX_COMMENT: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_begins_with_a_hyphen() {
        let world = World::system();
        for _ in 0..2000 {
            let (secret, shown) = secret(&world);
            assert!(!shown.starts_with('-'));
            assert_eq!(BASE64URL_NOPAD.decode(shown.as_bytes()).expect("base64url"), *secret);
        }
    }
}
