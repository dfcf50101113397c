//! Keysets as an operator sees them: which keys are in which phase until when, who has fetched them
//! and who has not, and what an emergency has left. Nothing is changed here.

use std::sync::Arc;

use acme::Problem;
use axum::extract::State;
use jiff::Timestamp;
use jwks::sighting::signs_at;
use jwks::{Key, Phase, window};
use serde_json::Value;

use super::extract::Path;
use super::keyset::{in_full, is_planned, known};
use super::shape::{self, KeysetInFull, value};
use super::{Answer, missing};
use crate::catalog::Recognition;
use crate::node::Node;
use crate::perform::keyset::{Absent, Live, absent};
use crate::store::{Exposed, FetchRow, KnownBy};

/// One keyset: its keys, its consumers, and who else fetches it.
pub(super) async fn show(State(node): State<Arc<Node>>, Path(name): Path<String>) -> Answer {
    Answer(shown(&node, &name))
}

/// What asks for attention, a line each.
pub(super) fn attention(node: &Node) -> Vec<String> {
    let (keysets, now) = (node.keysets.load(), node.world.now());
    let lines = keysets.values().flat_map(|live| lines(node, live, now));
    lines.take(MAX_ATTENTION).collect()
}

fn lines(node: &Node, live: &Live, now: Timestamp) -> Vec<String> {
    let name = &live.keyset().spec.name;
    let exposed =
        live.standing.exposed(now).map(|left| format!("keyset {name}: {}", trust(left, now)));
    let absent = absent(node, live, now);
    let absent = absent.iter().map(|absent| {
        format!("keyset {name}: {}; see perennial status keyset {name}", absence(absent))
    });
    exposed.chain(absent).collect()
}

fn absence(absent: &Absent) -> String {
    let Absent { consumer, kid, announced_at, signs_at, required } = absent;
    let then = match required {
        true => "and it does not sign before".to_owned(),
        false => format!("and it signs at {signs_at}"),
    };
    format!(
        "{consumer} was not seen to fetch key {kid}, which was announced at {announced_at}, {then}"
    )
}

fn trust(left: &Exposed, now: Timestamp) -> String {
    let Exposed { consumer, since, until } = left;
    match until {
        Some(until) => format!(
            "{consumer} may trust what was taken out at {since} until {until}, {} more",
            window::words(until.duration_since(now))
        ),
        None => format!(
            "{consumer} may trust what was taken out at {since} until it meets a key it does not \
             know: restart it"
        ),
    }
}

fn shown(node: &Node, name: &str) -> Result<Value, Problem> {
    let known = in_full(node, &known(node, name)?);
    let (keysets, now) = (node.keysets.load(), node.world.now());
    let live = keysets.get(name).ok_or_else(|| missing("keyset", name))?;
    let fetches = node.fetches.of(live.id);
    let declared = &live.keyset().consumers;
    let is_declared = |row: &&FetchRow| {
        row.known_by == KnownBy::Consumer && declared.iter().any(|known| known.name == row.name)
    };
    let strangers = fetches.iter().filter(|row| !is_declared(row));
    let keys = live.standing.set.published();
    let of = |consumer| self::consumer(live, consumer, &fetches);
    Ok(value(&shape::KeysetStatus {
        keyset: KeysetInFull {
            keys: keys.iter().map(|key| phases(live, key)).collect(),
            // What an emergency would leave is not what one has left.
            exposure: None,
            name: known.name,
            status: known.status,
            issuer: known.issuer,
            url: known.url,
            sequence: known.sequence,
            changed_at: known.changed_at,
            next_at: known.next_at,
            lead: known.lead,
            retirement: known.retirement,
            signers: known.signers,
            kubernetes: known.kubernetes,
            owner: known.owner,
            error: known.error,
            undeclared_at: known.undeclared_at,
        },
        consumers: declared.iter().map(of).collect(),
        others: strangers.map(|row| fetched(live, row)).collect(),
        exposed: live.standing.exposed(now).map(value).collect(),
        attention: lines(node, live, now),
    }))
}

/// A key, with what it waits for and when it goes on.
fn phases(live: &Live, key: &Key) -> shape::KeyPhase {
    let (policy, set) = (live.policy(), &live.standing.set);
    let waits = matches!(key.phase, Phase::Announced | Phase::Proven);
    let next = match key.phase {
        Phase::Announced | Phase::Proven => Some(signs_at(set, policy, key)),
        Phase::Signing => key.rotate_at,
        Phase::Retiring => key.removal(policy),
        Phase::Gone => key.gone_at,
    };
    let awaited =
        if waits { [key.missing(policy), key.unseen(policy)].concat() } else { Vec::new() };
    shape::KeyPhase {
        kid: key.kid.as_str().to_owned(),
        algorithm: key.algorithm.name(),
        phase: key.phase.name(),
        announced_at: key.announced_at,
        signing_from: key.signing_from,
        next_at: next.filter(|at| is_planned(*at)),
        waits_for: awaited.into_iter().map(Into::into).collect(),
    }
}

/// A declared consumer: what is known of it, and which keys it has.
fn consumer(live: &Live, consumer: &Recognition, fetches: &[FetchRow]) -> shape::Consumer {
    let is_it = |row: &&FetchRow| row.known_by == KnownBy::Consumer && row.name == consumer.name;
    let shown = match fetches.iter().find(is_it) {
        Some(row) => fetched(live, row),
        // It has no key then.
        None => shape::Consumer {
            name: consumer.name.clone(),
            seen: "never",
            count: 0,
            lacks: lacking(live, None),
            fetched: None,
            declared: None,
        },
    };
    let declared = shape::DeclaredConsumer {
        required: consumer.required,
        agent_begins: consumer.agent.clone(),
        address_in: consumer.address.map(|net| net.to_string()),
    };
    shape::Consumer { declared: Some(declared), ..shown }
}

/// Somebody who fetched.
fn fetched(live: &Live, row: &FetchRow) -> shape::Consumer {
    let lacks = lacking(live, Some(row.sequence));
    let seen = if lacks.is_empty() { "current" } else { "behind" };
    let fetched = shape::Fetched {
        known_by: row.known_by.name(),
        first_at: row.first_at,
        last_at: row.last_at,
        sequence: row.sequence,
        address: row.address.clone(),
        agent: row.agent.clone(),
    };
    shape::Consumer {
        name: row.name.clone(),
        seen,
        count: row.count,
        lacks,
        fetched: Some(fetched),
        declared: None,
    }
}

/// The published keys, but those that retire, that are in no set up to a sequence.
fn lacking(live: &Live, sequence: Option<i64>) -> Vec<String> {
    let standing = &live.standing;
    let keys = standing.waiting().chain(standing.signing());
    let lacks = |key: &&Key| sequence.is_none_or(|sequence| !standing.is_in(&key.kid, sequence));
    keys.filter(lacks).map(|key| key.kid.as_str().to_owned()).collect()
}

const MAX_ATTENTION: usize = 100;
