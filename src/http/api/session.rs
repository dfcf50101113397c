//! Sessions of people: one's own, and everybody's for who looks after them.

use std::sync::Arc;

use acme::Problem;
use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::{Response, header};
use axum::response::IntoResponse;
use serde_json::{Value, json};

use super::extract::{Path, Query};
use super::inventory::paged;
use super::listing::Listing;
use super::shape::{EnteredSession, OwnSession, value};
use super::{Answer, missing, views};
use crate::access::{Asker, Role, Who};
use crate::http::caller::clear_cookie;
use crate::http::error::{uncommitted, unreadable};
use crate::node::Node;
use crate::people::Entered;
use crate::store::{Actor, Commit, Event, Page, SessionRow};

/// Who asks: what they are called, their roles, and for a person what their pages must know.
pub(super) async fn own(asker: Asker, entered: Option<Extension<Entered>>) -> Answer {
    let caller = asker.caller();
    let roles = match caller.who {
        Who::Local => vec![Role::Admin],
        _ => caller.roles.clone(),
    };
    let session = entered.map(|Extension(Entered { person, session, csrf })| EnteredSession {
        name: person.name,
        display_name: person.display_name,
        csrf_token: csrf.reveal().to_string(),
        way: session.way,
        expires_at: session.expires_at,
    });
    Answer(Ok(value(&OwnSession {
        who: caller.who.to_string(),
        roles: roles.iter().map(|role| role.name()).collect(),
        groups: caller.groups.clone(),
        stepped_up_at: caller.stepped_up_at,
        session,
    })))
}

/// Signs the person out who asks.
pub(super) async fn end(
    State(node): State<Arc<Node>>,
    actor: Actor,
    entered: Option<Extension<Entered>>,
) -> Response<Body> {
    let Some(Extension(Entered { session, .. })) = entered else {
        let why = "there is no session to end: this request came without one";
        return Answer(Err(Problem::malformed(why))).into_response();
    };
    let outcome = remove(&node, &session, Event::new(actor.clone(), "session.end", name(&session)));
    let mut response = Answer(outcome.await).into_response();
    if response.status().is_success() {
        response.headers_mut().insert(header::SET_COOKIE, clear_cookie());
    }
    response
}

/// All sessions that are good, a page at a time.
pub(super) async fn list(State(node): State<Arc<Node>>, Query(listing): Query<Listing>) -> Answer {
    Answer(list_page(&node, listing.page()))
}

/// Ends a session of anybody.
pub(super) async fn revoke(
    State(node): State<Arc<Node>>,
    Path(id): Path<i64>,
    actor: Actor,
) -> Answer {
    let found = node.store.session(id).map_err(unreadable);
    let found = found.and_then(|row| row.ok_or_else(|| missing("session", &id.to_string())));
    Answer(match found {
        Ok(session) => {
            remove(&node, &session, Event::new(actor, "session.revoke", name(&session))).await
        }
        Err(problem) => Err(problem),
    })
}

fn list_page(node: &Node, page: Page) -> Result<Value, Problem> {
    let now = node.world.now();
    let sessions = node.store.sessions(page).map_err(unreadable)?;
    let mut shown = Vec::with_capacity(sessions.len());
    for session in &sessions {
        let person = node.store.person(session.person).map_err(unreadable)?;
        let person = person.map(|person| person.name).unwrap_or_default();
        let mut view = views::session(session, &person);
        view["status"] = if session.is_live(now) { "live" } else { "expired" }.into();
        shown.push((session.id, view));
    }
    Ok(paged(page, shown.into_iter()))
}

async fn remove(node: &Node, session: &SessionRow, event: Event) -> Result<Value, Problem> {
    let person = node.store.person(session.person).map_err(unreadable)?;
    let person = person.map(|person| person.name).unwrap_or_default();
    let event = event.with(json!({ "person": person }));
    let commit = Commit::new(event).remove(session);
    node.store.commit(commit, node.world.now()).await.map_err(uncommitted)?;
    Ok(views::session(session, &person))
}

fn name(session: &SessionRow) -> String {
    format!("session/{}", session.id)
}
