//! People: invited, listed, taken out of use, given roles.

use std::sync::Arc;

use acme::{Problem, ProblemType};
use axum::extract::{Request, State};
use jiff::SignedDuration;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::extract::{Path, Query};
use super::guard::{denied, permit_giving};
use super::inventory::paged;
use super::listing::Listing;
use super::{Answer, body, missing, shape, views};
use crate::access::{Action, Asker, Resource, Role, Who};
use crate::catalog::check_name;
use crate::http::error::{uncommitted, unreadable};
use crate::node::Node;
use crate::people::{Secret, check_person_name, end_all};
use crate::store::{Actor, Commit, Event, Invitation, PersonRow, PersonState};

/// Who is to be let in.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "PersonInvited")]
pub(super) struct Invited {
    name: String,
    #[serde(default)]
    display_name: Option<String>,
    #[serde(default)]
    roles: Option<Vec<String>>,
    #[serde(default)]
    groups: Option<Vec<String>>,
    /// How long the link is good.
    #[serde(default)]
    expires: Option<String>,
}

/// What somebody is to be.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "PersonGiven")]
pub(super) struct Given {
    roles: Vec<String>,
    #[serde(default)]
    groups: Option<Vec<String>>,
}

/// All people, a page at a time.
pub(super) async fn list(State(node): State<Arc<Node>>, Query(listing): Query<Listing>) -> Answer {
    let (page, now) = (listing.page(), node.world.now());
    let people = node.store.people(page).map_err(unreadable);
    let shown = |person: PersonRow| (person.id, views::person(&person, now));
    Answer(people.map(|people| paged(page, people.into_iter().map(shown))))
}

/// One person, with their sessions.
pub(super) async fn show(State(node): State<Arc<Node>>, Path(name): Path<String>) -> Answer {
    Answer(show_one(&node, &name))
}

/// Makes a link that lets a person in once; this answer is the only place where it is ever shown.
pub(super) async fn invite(
    State(node): State<Arc<Node>>,
    asker: Asker,
    request: Request,
) -> Answer {
    Answer(invite_one(&node, &asker, request).await)
}

/// Takes a person out of use, with all their sessions.
pub(super) async fn disable(
    State(node): State<Arc<Node>>,
    Path(name): Path<String>,
    actor: Actor,
) -> Answer {
    Answer(disable_one(&node, &name, actor).await)
}

/// Lets a person sign in again.
pub(super) async fn enable(
    State(node): State<Arc<Node>>,
    Path(name): Path<String>,
    actor: Actor,
) -> Answer {
    Answer(enable_one(&node, &name, actor).await)
}

/// Removes the passkeys of a person who lost what they were on, and signs them out everywhere.
pub(super) async fn remove_passkeys(
    State(node): State<Arc<Node>>,
    Path(name): Path<String>,
    actor: Actor,
) -> Answer {
    Answer(remove_all_passkeys(&node, &name, actor).await)
}

/// Gives a person other roles and groups.
pub(super) async fn roles(
    State(node): State<Arc<Node>>,
    Path(name): Path<String>,
    asker: Asker,
    request: Request,
) -> Answer {
    Answer(give_one(&node, &name, &asker, request).await)
}

fn show_one(node: &Node, name: &str) -> Result<Value, Problem> {
    let (person, now) = (find(node, name)?, node.world.now());
    let mut shown = views::person(&person, now);
    let sessions = node.store.sessions_of(person.id).map_err(unreadable)?;
    let live = sessions.iter().filter(|session| session.is_live(now));
    shown["sessions"] = live.map(|session| views::session(session, &person.name)).collect();
    let passkeys = node.store.passkeys_of(person.id).map_err(unreadable)?;
    shown["passkeys"] = shape::value(&passkeys.iter().map(views::passkey).collect::<Vec<_>>());
    Ok(shown)
}

async fn invite_one(node: &Node, asker: &Asker, request: Request) -> Result<Value, Problem> {
    let wanted: Invited = body(request).await?;
    check_person_name(&wanted.name).map_err(Problem::malformed)?;
    let now = node.world.now();
    let lifetime = wanted.expires.as_deref().unwrap_or("1d");
    let lifetime = ca::duration::parse(lifetime).map_err(|e| Problem::malformed(e.to_string()))?;
    if lifetime <= SignedDuration::ZERO || lifetime > LONGEST {
        return Err(Problem::malformed("a link is good for some time, and 7d at the most"));
    }
    let known = node.store.person_by_name(&wanted.name).map_err(unreadable)?;
    let person = known.unwrap_or_else(|| PersonRow {
        id: node.store.id(),
        version: 0,
        name: wanted.name.clone(),
        display_name: wanted.name.clone(),
        roles: Vec::new(),
        groups: Vec::new(),
        state: PersonState::Active,
        created_at: now,
        entered_at: None,
        invitation: None,
    });
    if person.state == PersonState::Disabled {
        return Err(conflict("the person is disabled; enable them first"));
    }
    let secret = Secret::new(&node.world);
    let person = PersonRow {
        display_name: display_name(wanted.display_name)?.unwrap_or(person.display_name),
        roles: wanted.roles.map_or(Ok(person.roles), |roles| parse_roles(&roles))?,
        groups: wanted.groups.map_or(Ok(person.groups), check_groups)?,
        invitation: Some(Invitation { hash: secret.hash(), expires_at: now + lifetime }),
        ..person
    };
    // The link is good for whatever the person is.
    asker.may(Action::PersonInvite, &Resource::named("person", &person.name)).map_err(denied)?;
    permit_giving(asker, person.roles.iter().copied(), person.groups.iter())?;
    asker.may_let_in(Who::Person(person.name.clone())).map_err(denied)?;
    let mut shown = views::person(&person, now);
    let detail = json!({
        "roles": shown["roles"], "groups": shown["groups"], "expires_at": shown["invited_until"],
    });
    let event = Event::new(asker.actor(), "person.invite", subject(&person)).with(detail);
    node.store.commit(Commit::new(event).put(person), now).await.map_err(uncommitted)?;
    shown["link"] = format!("{}/enter#{}", node.https_url, *secret.reveal()).into();
    Ok(shown)
}

async fn disable_one(node: &Node, name: &str, actor: Actor) -> Result<Value, Problem> {
    let person = find(node, name)?;
    if person.state == PersonState::Disabled {
        return Err(conflict("the person is disabled already"));
    }
    let now = node.world.now();
    let person = PersonRow { state: PersonState::Disabled, invitation: None, ..person };
    let shown = views::person(&person, now);
    let event = Event::new(actor, "person.disable", subject(&person));
    let commit = end_all(node, person.id, Commit::new(event).put(person)).map_err(unreadable)?;
    node.store.commit(commit, now).await.map_err(uncommitted)?;
    Ok(shown)
}

async fn remove_all_passkeys(node: &Node, name: &str, actor: Actor) -> Result<Value, Problem> {
    let (person, now) = (find(node, name)?, node.world.now());
    let passkeys = node.store.passkeys_of(person.id).map_err(unreadable)?;
    let detail = json!({ "passkeys": passkeys.iter().map(|row| row.id).collect::<Vec<_>>() });
    let event = Event::new(actor, "passkey.remove", subject(&person)).with(detail);
    // A link that was not used yet would be another way in.
    let person = PersonRow { invitation: None, ..person };
    let shown = views::person(&person, now);
    let commit = passkeys.iter().fold(Commit::new(event), Commit::remove).put(person.clone());
    let commit = end_all(node, person.id, commit).map_err(unreadable)?;
    node.store.commit(commit, now).await.map_err(uncommitted)?;
    Ok(shown)
}

async fn enable_one(node: &Node, name: &str, actor: Actor) -> Result<Value, Problem> {
    let person = find(node, name)?;
    if person.state == PersonState::Active {
        return Err(conflict("the person is not disabled"));
    }
    let person = PersonRow { state: PersonState::Active, ..person };
    let event = Event::new(actor, "person.enable", subject(&person));
    changed(node, person, event).await
}

async fn give_one(
    node: &Node,
    name: &str,
    asker: &Asker,
    request: Request,
) -> Result<Value, Problem> {
    let given: Given = body(request).await?;
    let person = find(node, name)?;
    let before = (person.roles.clone(), person.groups.clone());
    let person = PersonRow {
        roles: parse_roles(&given.roles)?,
        groups: given.groups.map_or(Ok(person.groups), check_groups)?,
        ..person
    };
    permit_giving(asker, person.roles.iter().copied(), person.groups.iter())?;
    // Nobody takes away what they could not give.
    permit_giving(asker, before.0.iter().copied(), before.1.iter())?;
    let names = |roles: &[Role]| roles.iter().map(|role| role.name()).collect::<Vec<_>>();
    let detail = json!({
        "roles": names(&person.roles), "groups": person.groups,
        "roles_before": names(&before.0), "groups_before": before.1,
    });
    let event = Event::new(asker.actor(), "person.change", subject(&person)).with(detail);
    changed(node, person, event).await
}

async fn changed(node: &Node, person: PersonRow, event: Event) -> Result<Value, Problem> {
    let now = node.world.now();
    let shown = views::person(&person, now);
    node.store.commit(Commit::new(event).put(person), now).await.map_err(uncommitted)?;
    Ok(shown)
}

fn find(node: &Node, name: &str) -> Result<PersonRow, Problem> {
    let found = node.store.person_by_name(name).map_err(unreadable)?;
    found.ok_or_else(|| missing("person", name))
}

fn subject(person: &PersonRow) -> String {
    format!("person/{}", person.name)
}

fn conflict(why: &str) -> Problem {
    Problem::new(ProblemType::Malformed, why).with_status(409)
}

fn parse_roles(names: &[String]) -> Result<Vec<Role>, Problem> {
    let parse = |name: &String| name.parse::<Role>().ok();
    let roles: Option<Vec<_>> = names.iter().map(parse).collect();
    let roles = roles.filter(|_| names.len() <= Role::ALL.len());
    let mut roles = roles.ok_or_else(|| {
        let known = Role::ALL.map(Role::name).join(", ");
        Problem::malformed(format!("there is no such role: roles are {known}"))
    })?;
    roles.sort_unstable();
    roles.dedup();
    Ok(roles)
}

fn check_groups(groups: Vec<String>) -> Result<Vec<String>, Problem> {
    if groups.len() > MAX_GROUPS {
        return Err(Problem::malformed(format!("a person has {MAX_GROUPS} groups at the most")));
    }
    groups.iter().try_for_each(|group| check_name(group)).map_err(Problem::malformed)?;
    Ok(groups)
}

fn display_name(name: Option<String>) -> Result<Option<String>, Problem> {
    match name {
        Some(name)
            if name.is_empty()
                || name.len() > MAX_DISPLAY
                || name.chars().any(char::is_control) =>
        {
            Err(Problem::malformed(format!("a display name has 1 to {MAX_DISPLAY} bytes")))
        }
        name => Ok(name),
    }
}

/// Of a link: who has not come in a week is asked again whether they are still to.
const LONGEST: SignedDuration = SignedDuration::from_hours(7 * 24);
const MAX_GROUPS: usize = 100;
const MAX_DISPLAY: usize = 120;
