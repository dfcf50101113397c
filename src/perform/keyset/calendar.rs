//! What `plan` shows of keysets: when keys are announced, sign, retire and go, and the arithmetic of
//! the windows that this comes from, as it is declared and as it was.

use jiff::Timestamp;
use jwks::forecast::{Happening, forecast};
use jwks::window::words;
use jwks::{Kid, Policy};
use serde::Serialize;

use super::set;
use crate::catalog::{Declared, KeysetSpec};
use crate::node::Node;
use crate::store::ReadError;

/// The future of one keyset.
#[derive(Debug, Serialize)]
pub(crate) struct Outlook {
    keyset: String,
    /// How long a key is announced, and why.
    lead: String,
    /// How long a key is kept after its last signature, and why.
    retirement: String,
    /// The same as it is declared now, where that differs.
    #[serde(skip_serializing_if = "Option::is_none")]
    lead_before: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retirement_before: Option<String>,
    calendar: Vec<Entry>,
}

/// Something that will happen to a key.
#[derive(Debug, Serialize)]
struct Entry {
    at: String,
    what: &'static str,
    algorithm: &'static str,
    /// The key, if it exists already.
    kid: Option<String>,
    /// Why then.
    why: String,
}

/// What happens to the keysets that `wanted` declares from now until `horizon`, if it is applied; the
/// first hundred things of each, as far as a plan has room for them.
///
/// # Errors
/// When the store cannot be read.
pub(crate) fn calendar(
    node: &Node,
    wanted: &Declared,
    horizon: Timestamp,
) -> Result<Vec<Outlook>, ReadError> {
    let (mut outlooks, mut room) = (Vec::new(), ROOM);
    for spec in wanted.keysets.values() {
        // What cannot be kept was refused before.
        if let Ok(policy) = spec.policy() {
            let outlook = outlook(node, spec, &policy, horizon, room.min(MOST))?;
            room -= outlook.calendar.len();
            outlooks.push(outlook);
        }
    }
    Ok(outlooks)
}

fn outlook(
    node: &Node,
    spec: &KeysetSpec,
    policy: &Policy,
    horizon: Timestamp,
    most: usize,
) -> Result<Outlook, ReadError> {
    let now = node.world.now();
    let row = node.store.keyset_by_name(&spec.name)?;
    let before =
        row.as_ref().and_then(|row| serde_json::from_str::<KeysetSpec>(&row.declared).ok());
    let before = before.and_then(|spec| spec.policy().ok());
    let mut keys = jwks::Keyset::default();
    if let Some(row) = &row {
        keys = set(row, &node.store.signing_keys(row.id)?);
        // It is declared, or will be.
        keys.closed = false;
        if let Some(before) = &before {
            keys.held_until = keys.reconfigured(before, policy, now);
        }
    }
    let calendar = forecast(&keys, policy, now, horizon, most);
    let entry = |happening: Happening| Entry {
        at: happening.at.to_string(),
        what: happening.what,
        algorithm: happening.algorithm.name(),
        kid: happening.kid.as_ref().map(Kid::to_string),
        why: why(&happening, policy),
    };
    let (lead, retirement) = (policy.lead().sum(), policy.retirement().sum());
    Ok(Outlook {
        keyset: spec.name.clone(),
        lead_before: before.as_ref().map(|old| old.lead().sum()).filter(|old| *old != lead),
        retirement_before: (before.as_ref().map(|old| old.retirement().sum()))
            .filter(|old| *old != retirement),
        calendar: calendar.into_iter().map(entry).collect(),
        lead,
        retirement,
    })
}

/// In one sentence what a moment follows from.
fn why(happening: &Happening, policy: &Policy) -> String {
    match happening.what {
        "announce" if happening.first => "the keyset is new".to_owned(),
        "sign" if happening.first => "nobody holds a set without it".to_owned(),
        "announce" => format!("the lead, {}, before it signs", words(policy.lead().total())),
        "sign" => {
            let every = words(policy.settings().rotate_every);
            format!("its lead is over and its turn has come, rotate_every {every}")
        }
        "retire" => "its successor signs".to_owned(),
        _ => format!("the retirement, {}, after it signed", words(policy.retirement().total())),
    }
}

const MOST: usize = 100;
/// Of all keysets of a plan.
const ROOM: usize = 5000;
