//! Rows for what is declared. A keyset that is declared no more is closed, and not forgotten: tokens
//! signed with it live on.

use std::sync::Arc;

use jiff::Timestamp;
use jwks::Key;

use super::{KeysetError, Known, begin, live};
use crate::catalog::Keyset;
use crate::node::Node;
use crate::perform::again::again;
use crate::store::{Actor, Commit, Event, KeysetRow, Page, SigningKeyRow};

/// Gives every declared keyset a row, has those looked at whose declaration is not what it was, and
/// closes those that are declared no more. Run at the start and after each `apply`; running it
/// again changes nothing.
///
/// # Errors
/// When the store fails.
pub(crate) async fn enlist(node: &Arc<Node>, actor: impl Into<Actor>) -> Result<(), KeysetError> {
    let actor = actor.into();
    let catalog = node.catalog.load();
    for keyset in catalog.keysets.values() {
        again(|| open(node, &actor, keyset)).await?;
    }
    let mut page = Page { after: 0, limit: 256 };
    loop {
        let rows = node.store.keysets(page)?;
        for row in rows.iter().filter(|row| !catalog.keysets.contains_key(&row.name)) {
            again(|| close(node, &actor, row.id)).await?;
        }
        match rows.last() {
            Some(last) if rows.len() == page.limit as usize => page.after = last.id,
            _ => break,
        }
    }
    live::refresh(node)
}

async fn open(node: &Arc<Node>, actor: &Actor, keyset: &Keyset) -> Result<(), KeysetError> {
    let now = node.world.now();
    let declared = serde_json::to_string(&keyset.spec).unwrap_or_default();
    let name = &keyset.spec.name;
    let mut keys = Vec::new();
    let row = match node.store.keyset_by_name(name)? {
        Some(row) if row.declared == declared && row.closed_at.is_none() => return Ok(()),
        Some(row) => {
            let held_until;
            (held_until, keys) = redeclared(node, &row, keyset, now)?;
            let changed_at = if row.closed_at.is_some() { now } else { row.changed_at };
            let due_at = Some(now);
            KeysetRow { declared, held_until, changed_at, closed_at: None, due_at, ..row }
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
            closed_at: None,
            exposed: Vec::new(),
        },
    };
    let id = row.id;
    let event = Event::new(actor.clone(), "keyset.enlist", format!("keyset/{name}"));
    let commit = keys.into_iter().fold(Commit::new(event).put(row), Commit::put);
    node.store.commit(commit, now).await?;
    begin(node, id);
    Ok(())
}

async fn close(node: &Arc<Node>, actor: &Actor, id: i64) -> Result<(), KeysetError> {
    let now = node.world.now();
    let Some(row) = node.store.keyset(id)?.filter(|row| row.closed_at.is_none()) else {
        return Ok(());
    };
    let event = Event::new(actor.clone(), "keyset.undeclare", format!("keyset/{}", row.name));
    let closed = KeysetRow {
        closed_at: Some(now),
        error: None,
        // The other nodes are to stop signing too.
        changed_at: now,
        due_at: Some(now),
        ..row
    };
    node.store.commit(Commit::new(event).put(closed), now).await?;
    begin(node, id);
    Ok(())
}

/// Until when somebody may hold a set that was fetched under what was declared before, and the keys
/// that change because signer targets are declared no more.
fn redeclared(
    node: &Node,
    row: &KeysetRow,
    keyset: &Keyset,
    now: Timestamp,
) -> Result<(Option<Timestamp>, Vec<SigningKeyRow>), KeysetError> {
    let keys = node.store.signing_keys(row.id)?;
    let (old, set) = (Known::former(row)?.policy, super::set(row, &keys));
    let changed = set.redeclared(&old, &keyset.policy, now);
    let stored = |key: Key| {
        let row = keys.iter().find(|row| row.key.kid == key.kid)?.clone();
        Some(SigningKeyRow { key, ..row })
    };
    let held_until = set.reconfigured(&old, &keyset.policy, now);
    Ok((held_until, changed.into_iter().filter_map(stored).collect()))
}
