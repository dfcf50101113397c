//! Requests that somebody must agree to: listed, shown, agreed to or not, withdrawn. Whoever asks never
//! agrees, nor does a token: an approval is somebody's word.

use std::sync::Arc;

use acme::{Problem, ProblemType};
use axum::extract::{Request, State};
use data_encoding::HEXLOWER;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::extract::{Path, Query};
use super::inventory::paged;
use super::listing::Listing;
use super::shape::{self, value};
use super::sought::subject;
use super::{Answer, body, missing};
use crate::access::{Asker, Who};
use crate::http::error::{uncommitted, unreadable};
use crate::node::Node;
use crate::store::{ApprovalRow, ApprovalState, Commit, Event, Opinion};

/// What is said with a decision.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[schemars(rename = "ApprovalSaid")]
#[serde(deny_unknown_fields, default)]
pub(super) struct Said {
    comment: String,
}

/// All requests, a page at a time.
pub(super) async fn list(State(node): State<Arc<Node>>, Query(listing): Query<Listing>) -> Answer {
    let (page, now) = (listing.page(), node.world.now());
    let rows = node.store.approvals(page).map_err(unreadable);
    Answer(rows.map(|rows| paged(page, rows.iter().map(|row| (row.id, view(row, now))))))
}

/// One request.
pub(super) async fn show(State(node): State<Arc<Node>>, Path(id): Path<i64>) -> Answer {
    Answer(find(&node, id).map(|row| view(&row, node.world.now())))
}

/// Agrees to a request.
pub(super) async fn approve(
    State(node): State<Arc<Node>>,
    Path(id): Path<i64>,
    asker: Asker,
    request: Request,
) -> Answer {
    Answer(decide(&node, id, &asker, true, request).await)
}

/// Does not agree to a request, which ends it.
pub(super) async fn deny(
    State(node): State<Arc<Node>>,
    Path(id): Path<i64>,
    asker: Asker,
    request: Request,
) -> Answer {
    Answer(decide(&node, id, &asker, false, request).await)
}

/// Takes a request back.
pub(super) async fn withdraw(
    State(node): State<Arc<Node>>,
    Path(id): Path<i64>,
    asker: Asker,
) -> Answer {
    Answer(withdraw_one(&node, id, &asker).await)
}

async fn decide(
    node: &Node,
    id: i64,
    asker: &Asker,
    agreed: bool,
    request: Request,
) -> Result<Value, Problem> {
    let Said { comment } = body(request).await?;
    if comment.len() > LONGEST || comment.chars().any(char::is_control) {
        return Err(Problem::malformed(format!("a comment has {LONGEST} bytes at the most")));
    }
    let now = node.world.now();
    let opinion = Opinion { by: asker.caller().who.to_string(), agreed, comment, at: now };
    let row = with_opinion(find(node, id)?, &asker.caller().who, opinion.clone(), now)?;
    let action = if agreed { "approval.approve" } else { "approval.deny" };
    let event = Event::new(asker.actor(), action, subject(id)).with(json!({
        "comment": opinion.comment, "asked_by": row.asked_by, "state": row.state.name(),
    }));
    node.store.commit(Commit::new(event).put(row.clone()), now).await.map_err(uncommitted)?;
    Ok(view(&row, now))
}

/// What becomes of a request by what somebody says to it.
fn with_opinion(
    mut row: ApprovalRow,
    who: &Who,
    opinion: Opinion,
    now: Timestamp,
) -> Result<ApprovalRow, Problem> {
    let refused = |why: &str| Problem::new(ProblemType::Unauthorized, why).with_status(403);
    if matches!(who, Who::Token(_)) {
        return Err(refused(
            "a token is nobody's word: people approve, signed in or on the machine",
        ));
    }
    if row.asked_by == opinion.by {
        return Err(refused("whoever asks does not approve; withdraw it, or ask another"));
    }
    if row.status(now) != ApprovalState::Open.name() {
        return Err(conflict(&format!("it is {}", row.status(now))));
    }
    if row.decisions.iter().any(|said| said.by == opinion.by) {
        return Err(conflict("you have approved it already; others must too"));
    }
    let agreed = opinion.agreed;
    row.decisions.push(opinion);
    row.state = match agreed {
        false => ApprovalState::Denied,
        true if row.decisions.len() >= usize::from(row.needed) => ApprovalState::Approved,
        true => ApprovalState::Open,
    };
    Ok(row)
}

async fn withdraw_one(node: &Node, id: i64, asker: &Asker) -> Result<Value, Problem> {
    let who = &asker.caller().who;
    // What others asked for is not there for whoever may not see it.
    let row = find(node, id)?;
    if row.asked_by != who.to_string() && *who != Who::Local {
        return Err(missing("request of yours", &id.to_string()));
    }
    let now = node.world.now();
    if !matches!(row.status(now), "open" | "approved") {
        return Err(conflict(&format!("it is {}", row.status(now))));
    }
    let row = ApprovalRow { state: ApprovalState::Withdrawn, ..row };
    let event = Event::new(asker.actor(), "approval.withdraw", subject(id));
    node.store.commit(Commit::new(event).put(row.clone()), now).await.map_err(uncommitted)?;
    Ok(view(&row, now))
}

fn find(node: &Node, id: i64) -> Result<ApprovalRow, Problem> {
    let found = node.store.approval(id).map_err(unreadable)?;
    found.ok_or_else(|| missing("request for approval", &id.to_string()))
}

fn conflict(why: &str) -> Problem {
    Problem::new(ProblemType::Malformed, why).with_status(409)
}

fn view(row: &ApprovalRow, now: Timestamp) -> Value {
    value(&shape::Approval {
        id: row.id,
        status: row.status(now),
        asked_by: row.asked_by.clone(),
        actions: value(&row.actions),
        subjects: value(&row.subjects),
        route: row.route.clone(),
        digest_sha256: HEXLOWER.encode(&row.digest),
        reason: row.reason.clone(),
        needed: row.needed.into(),
        decisions: value(&row.decisions),
        created_at: row.created_at,
        expires_at: row.expires_at,
    })
}

const LONGEST: usize = 500;
