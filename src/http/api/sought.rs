//! Requests that somebody must agree to: what each brings towards that, and what it is told that lacks it. An
//! approval is for one request of one asker, to the last byte of it, and is used up before that is done.

use acme::{Problem, ProblemType};
use aws_lc_rs::digest::{Context, SHA256};
use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{HeaderName, Response, StatusCode};
use serde_json::json;

use super::guard::Entry;
use super::problem;
use crate::access::{Asker, Needed};
use crate::http::error::{uncommitted, unreadable};
use crate::node::Node;
use crate::store::{ApprovalRow, ApprovalState, Commit, Event};

/// What a request is, and what it brought.
pub(super) struct Sought {
    route: String,
    digest: [u8; 32],
    reason: String,
    claimed: Option<ApprovalRow>,
}

/// Takes what the request brings: an approval, which is used up now, or a reason to go without.
///
/// # Errors
/// When it brings something that is not good for it.
pub(super) async fn present(
    node: &Node,
    asker: Asker,
    entry: Entry,
    (parts, body): (&Parts, &[u8]),
) -> Result<(Asker, Sought), Problem> {
    let path = parts.uri.path_and_query().map_or("", |path| path.as_str());
    let route = format!("{} {path}", parts.method);
    let mut context = Context::new(&SHA256);
    context.update(route.as_bytes());
    context.update(b"\n");
    context.update(body);
    let mut digest = [0; 32];
    digest.copy_from_slice(context.finish().as_ref());
    let reason = header(parts, &REASON)?.unwrap_or_default();
    let mut sought = Sought { route, digest, reason, claimed: None };
    let glass = header(parts, &BREAK_GLASS)?;
    let asker = match (header(parts, &APPROVAL)?, glass) {
        (Some(_), Some(_)) => {
            return Err(Problem::malformed("bring an approval, or a reason to go without one"));
        }
        (Some(id), None) => {
            let row = claim(node, &asker, &sought, &id).await?;
            let actions = row.actions.clone();
            sought.claimed = Some(row);
            asker.approved(actions)
        }
        (None, Some(reason)) => {
            break_glass(node, &asker, entry, &sought, &reason).await?;
            asker.unbound()
        }
        (None, None) => asker,
    };
    Ok((asker, sought))
}

/// What is answered in the end: `response`, or what somebody must agree to first. An approval with which
/// nothing was done can be used again.
pub(super) async fn settle(
    node: &Node,
    asker: &Asker,
    sought: Sought,
    response: Response<Body>,
) -> Response<Body> {
    if let Some(row) = &sought.claimed
        && response.status().is_client_error()
        && let Err(problem) = give_back(node, asker, row.id).await
    {
        return problem::response(&problem);
    }
    match asker.needed() {
        Some(needed) if response.status() == StatusCode::FORBIDDEN => {
            match ask(node, asker, &sought, needed).await {
                Ok(row) => told(&row),
                Err(problem) => problem::response(&problem),
            }
        }
        _ => response,
    }
}

async fn claim(
    node: &Node,
    asker: &Asker,
    sought: &Sought,
    id: &str,
) -> Result<ApprovalRow, Problem> {
    let refused = |why: &str| {
        let why = format!("approval {id:?} is not good for this: {why}");
        Problem::new(ProblemType::Unauthorized, why).with_status(403)
    };
    let now = node.world.now();
    let found = id.parse().ok().map(|id| node.store.approval(id)).transpose();
    let row = found.map_err(unreadable)?.flatten();
    // What another asked for is nothing that whoever tries needs to hear of.
    let own = row.filter(|row| row.asked_by == asker.caller().who.to_string());
    let row = own.ok_or_else(|| refused("you asked for no such one"))?;
    if row.digest != sought.digest {
        return Err(refused("it was given for another request, or for other contents"));
    }
    match row.status(now) {
        "approved" => {}
        status => return Err(refused(&format!("it is {status}"))),
    }
    let row = ApprovalRow { state: ApprovalState::Used, ..row };
    let event = Event::new(asker.actor(), "approval.use", subject(row.id))
        .with(json!({ "route": row.route }));
    node.store.commit(Commit::new(event).put(row.clone()), now).await.map_err(uncommitted)?;
    Ok(row)
}

async fn give_back(node: &Node, asker: &Asker, id: i64) -> Result<(), Problem> {
    let Some(row) = node.store.approval(id).map_err(unreadable)? else { return Ok(()) };
    let row = ApprovalRow { state: ApprovalState::Approved, ..row };
    let event = Event::new(asker.actor(), "approval.return", subject(id));
    let commit = Commit::new(event).put(row);
    node.store.commit(commit, node.world.now()).await.map_err(uncommitted)
}

async fn break_glass(
    node: &Node,
    asker: &Asker,
    entry: Entry,
    sought: &Sought,
    reason: &str,
) -> Result<(), Problem> {
    if entry != Entry::Socket {
        let why = "only at the admin socket something is done without the approval it needs";
        return Err(Problem::new(ProblemType::Unauthorized, why).with_status(403));
    }
    if reason.is_empty() {
        return Err(Problem::malformed("say why nobody can be asked"));
    }
    // Stored first: whatever comes of the request, it was tried.
    let event = Event::new(asker.actor(), "approval.break-glass", "node")
        .with(json!({ "route": sought.route, "reason": reason }));
    node.store.commit(Commit::new(event), node.world.now()).await.map_err(uncommitted)
}

/// The request that somebody must agree to, made now unless it is there.
async fn ask(
    node: &Node,
    asker: &Asker,
    sought: &Sought,
    needed: Needed,
) -> Result<ApprovalRow, Problem> {
    let now = node.world.now();
    let who = asker.caller().who.to_string();
    let waiting = node.store.waiting_approvals(&who, now, MOST_WAITING).map_err(unreadable)?;
    let same = |row: &&ApprovalRow| {
        row.digest == sought.digest
            && row.needed >= needed.demand.approvals
            && row.actions.is_superset(&needed.actions)
    };
    if let Some(row) = waiting.iter().find(same) {
        return Ok(row.clone());
    }
    if waiting.len() >= MOST_WAITING as usize {
        let why = "too many of your requests wait for approval; withdraw some";
        return Err(Problem::new(ProblemType::RateLimited, why).with_status(429));
    }
    if needed.subjects.len() > MOST_SUBJECTS {
        let why =
            format!("nobody can agree to more than {MOST_SUBJECTS} things at once; ask for fewer");
        return Err(Problem::malformed(why).with_status(422));
    }
    let mut actions = needed.actions;
    // What was approved already is so no more, and is asked for with the rest.
    actions.extend(sought.claimed.iter().flat_map(|row| row.actions.iter().cloned()));
    let row = ApprovalRow {
        id: node.store.id(),
        version: 0,
        asked_by: who,
        actions,
        subjects: needed.subjects.into_iter().collect(),
        route: sought.route.clone(),
        digest: sought.digest,
        reason: sought.reason.clone(),
        needed: needed.demand.approvals,
        decisions: Vec::new(),
        state: ApprovalState::Open,
        created_at: now,
        expires_at: now + needed.demand.valid,
    };
    let event = Event::new(asker.actor(), "approval.ask", subject(row.id)).with(json!({
        "actions": row.actions, "subjects": row.subjects, "reason": row.reason,
        "needed": row.needed, "expires_at": row.expires_at.to_string(),
    }));
    node.store.commit(Commit::new(event).put(row.clone()), now).await.map_err(uncommitted)?;
    Ok(row)
}

/// What whoever asked is told: nothing was done, and what to do.
fn told(row: &ApprovalRow) -> Response<Body> {
    let then = match row.state {
        ApprovalState::Approved => "it has it: ask again the same way, with --approval",
        _ => "once it has it, ask again the same way, with --approval",
    };
    let why = format!(
        "this needs the approval of {} ({}); request {} is made until {}, and {then} {}",
        if row.needed == 1 { "another".to_owned() } else { format!("{} others", row.needed) },
        row.actions.iter().map(String::as_str).collect::<Vec<_>>().join(", "),
        row.id,
        row.expires_at,
        row.id,
    );
    let problem = Problem::new(ProblemType::Unauthorized, why).with_status(403);
    let mut response = problem::response(&problem);
    response.headers_mut().insert(APPROVAL, row.id.into());
    response
}

pub(super) fn subject(id: i64) -> String {
    format!("approval/{id}")
}

/// The one header of a name; several could mean one thing here and another elsewhere.
fn header(parts: &Parts, name: &HeaderName) -> Result<Option<String>, Problem> {
    let mut values = parts.headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let text = std::str::from_utf8(value.as_bytes()).ok().map(str::trim);
    let text = text.filter(|text| text.len() <= LONGEST && !text.chars().any(char::is_control));
    match text {
        Some(text) if values.next().is_none() => Ok(Some(text.to_owned())),
        _ => {
            let why =
                format!("the header {name} comes once, with {LONGEST} bytes of text at the most");
            Err(Problem::malformed(why))
        }
    }
}

const APPROVAL: HeaderName = HeaderName::from_static("approval");
const BREAK_GLASS: HeaderName = HeaderName::from_static("break-glass");
const REASON: HeaderName = HeaderName::from_static("reason");
const LONGEST: usize = 500;
/// Of one asker.
const MOST_WAITING: u32 = 100;
/// Whoever agrees reads them.
const MOST_SUBJECTS: usize = 200;

#[cfg(test)]
mod tests;
