//! What an operator wants of a managed certificate now: to renew it, to roll it back. It is stored, and
//! the worker begins it like anything else that is due.

use std::sync::Arc;
use std::time::Duration;

use acme::{Problem, ProblemType};
use axum::extract::{Request, State};
use ca::RevocationReason;
use renew::need::Wish;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::extract::Path;
use super::guard::permit;
use super::managed::{Pause, known};
use super::shape::{self, value};
use super::{Answer, body, missing};
use crate::access::{Action, Asker};
use crate::http::error::{uncommitted, unreadable};
use crate::node::Node;
use crate::perform::managed;
use crate::steps::Subject;
use crate::store::{Actor, Commit, CommitError, Event, Managed, RotationRow, VersionRow};

type Shared = State<Arc<Node>>;

/// How a certificate is to be renewed.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Renewal {
    emergency: bool,
    reason: Option<String>,
}

/// Where to roll a certificate back to.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RollBack {
    to: Option<u32>,
}

/// Renews a certificate now.
pub(super) async fn renew(
    State(node): Shared,
    Path(name): Path<String>,
    asker: Asker,
    request: Request,
) -> Answer {
    Answer(renew_one(&node, &name, &asker, request).await)
}

/// Puts an older version back on the targets of a certificate.
pub(super) async fn roll_back(
    State(node): Shared,
    Path(name): Path<String>,
    actor: Actor,
    request: Request,
) -> Answer {
    Answer(roll_back_one(&node, &name, actor, request).await)
}

async fn renew_one(
    node: &Arc<Node>,
    name: &str,
    asker: &Asker,
    request: Request,
) -> Result<Value, Problem> {
    let wanted: Renewal = body(request).await?;
    if wanted.emergency {
        permit(node, asker, Action::ManagedRenewEmergency, ("managed", name))?;
    }
    let wish = match (wanted.emergency, wanted.reason) {
        (false, None) => Wish::Renew,
        (false, Some(_)) => {
            return Err(Problem::malformed("a reason is given for emergencies only"));
        }
        (true, reason) => {
            let reason = reason.unwrap_or_else(|| "unspecified".into());
            let parsed: Result<RevocationReason, _> = reason.parse();
            let known = parsed.map_err(|e| Problem::malformed(e.to_string()))?;
            Wish::Emergency { reason: known.to_string() }
        }
    };
    grant(node, name, wish, asker.actor()).await
}

async fn roll_back_one(
    node: &Arc<Node>,
    name: &str,
    actor: Actor,
    request: Request,
) -> Result<Value, Problem> {
    let wanted: RollBack = body(request).await?;
    let known = known(node, name)?;
    let current = known.row.current;
    let now = node.world.now();
    let usable = |version: &&VersionRow| version.facts().is_usable(now);
    let to = match wanted.to {
        Some(number) => {
            known.version(Some(number)).ok_or_else(|| missing("version", &number.to_string()))?
        }
        None => (known.versions.iter().filter(usable))
            .find(|version| Some(version.number) < current && version.proven_at.is_some())
            .ok_or_else(|| conflict("there is no earlier version that can still be served"))?,
    };
    if !usable(&to) {
        return Err(conflict("that version has expired or was revoked; it is never served again"));
    }
    if Some(to.number) == current {
        return Err(conflict("that version is the one served"));
    }
    grant(node, name, Wish::RollBack { to: to.number }, actor).await
}

/// Stores what an operator wants, and begins it.
async fn grant(node: &Arc<Node>, name: &str, wish: Wish, actor: Actor) -> Result<Value, Problem> {
    // Whatever begins from here on has a higher id.
    let before = node.store.id();
    let mut tries = 0;
    while let Err(error) = ask_for(node, name, &wish, &actor).await? {
        // The worker looks at certificates too, and may just have done so.
        tries += 1;
        if tries == TRIES || !matches!(error, CommitError::Conflict) {
            return Err(uncommitted(error));
        }
    }
    let mut waited = Duration::ZERO;
    loop {
        let row = known(node, name)?.row;
        if row.wish.is_none() || waited > BEGIN {
            // One without targets may have ended by now.
            let newest = node.store.rotations(row.id, 1).map_err(unreadable)?;
            let newest = newest.first().map(|rotation| rotation.id).filter(|id| *id > before);
            let begun = row.rotation.or(newest).filter(|_| row.wish.is_none());
            let certificate = name.to_owned();
            return Ok(value(&shape::Begun { certificate, rotation: begun }));
        }
        if let Some(rotation) = row.rotation {
            // It is to see at once that something more urgent waits.
            managed::begin(node, rotation);
        } else {
            let look = managed::look(Arc::clone(node), row.id);
            if let Some(look) = node.steps.start(Subject::Managed(row.id), look) {
                // However it ends, the row says what became of it.
                let _ = look.await;
            }
        }
        tokio::time::sleep(PAUSE).await;
        waited += PAUSE;
    }
}

/// Stores what an operator wants; the inner error is one of the store.
async fn ask_for(
    node: &Node,
    name: &str,
    wish: &Wish,
    actor: &Actor,
) -> Result<Result<(), CommitError>, Problem> {
    let now = node.world.now();
    if !node.catalog.load().certificates.contains_key(name) {
        return Err(missing("managed certificate", name));
    }
    let row = known(node, name)?.row;
    let rotation = row.rotation.map(|id| node.store.rotation(id)).transpose();
    let rotation = rotation.map_err(unreadable)?.flatten();
    let urgent = matches!(wish, Wish::Emergency { .. });
    let goes_on = |busy: &&RotationRow| !urgent && !busy.gives_way_to(wish);
    if let Some(busy) = rotation.as_ref().filter(goes_on) {
        let pause = Pause::of(busy, now).map(|pause| format!(" and {pause}")).unwrap_or_default();
        return Err(conflict(&format!(
            "rotation {} is under way{pause}; wait for its end, or ask for an emergency renewal",
            busy.id
        )));
    }
    let action = match wish {
        Wish::RollBack { .. } => "certificate.roll-back",
        _ => "certificate.renew",
    };
    let event = Event::new(actor.clone(), action, format!("managed/{name}")).with(json!(wish));
    let due_at = rotation.is_none().then_some(now);
    let row = Managed { wish: Some(wish.clone()), due_at, retry_at: None, ..row };
    let mut commit = Commit::new(event).put(row);
    if let Some(rotation) = rotation {
        commit = commit.put(RotationRow { due_at: Some(now), ..rotation });
    }
    Ok(node.store.commit(commit, now).await)
}

fn conflict(why: &str) -> Problem {
    Problem::new(ProblemType::Malformed, why.to_owned()).with_status(409)
}

/// How often something is stored that others change at the same time.
const TRIES: u32 = 10;
/// How long a rotation may take to begin before who asked for it gets an answer without.
const BEGIN: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(20);
