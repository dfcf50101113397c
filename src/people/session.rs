//! Sessions: begun by who proves who they are, kept as a hash, over after a time or when they are not used.
//! A secret is never used twice: each time somebody proves something, the session has a new one, so that
//! what another may have put into a browser before is worth nothing after.

use jiff::SignedDuration;
use serde_json::json;

use super::error::EntryError;
use super::secret::{CsrfToken, Secret};
use crate::access::{Caller, Who};
use crate::node::Node;
use crate::store::{
    Actor, Commit, CommitError, Event, PersonRow, PersonState, ReadError, Row, SessionRow,
};

/// Somebody who is signed in.
#[derive(Clone, Debug)]
pub(crate) struct Entered {
    pub(crate) person: PersonRow,
    pub(crate) session: SessionRow,
    /// What requests of the session that change something must say.
    pub(crate) csrf: CsrfToken,
}

impl Entered {
    /// As whom they ask.
    pub(crate) fn caller(&self) -> Caller {
        Caller {
            groups: self.person.groups.clone(),
            stepped_up_at: self.session.stepped_up_at,
            ..Caller::new(Who::Person(self.person.name.clone()), self.person.roles.clone())
        }
    }
}

/// What is noted of a visit that begins a session.
#[derive(Clone, Debug)]
pub(crate) struct Visit {
    /// The HTTP request.
    pub(crate) request: String,
    /// What the browser calls itself, as it says.
    pub(crate) user_agent: Option<String>,
}

/// Lets in whom the link with this secret is for, and closes it.
///
/// # Errors
/// When there is no such link, or the store fails.
pub(crate) async fn enter(
    node: &Node,
    link: &Secret,
    visit: &Visit,
) -> Result<(Secret, Entered), EntryError> {
    let now = node.world.now();
    let person = node.store.person_by_link(&link.hash())?.ok_or(EntryError::Closed)?;
    let open = person.invitation.is_some_and(|open| now < open.expires_at);
    if !open || person.state != PersonState::Active {
        return Err(EntryError::Closed);
    }
    let person = PersonRow { invitation: None, ..person };
    match begin(node, person, BY_LINK, visit, None).await {
        // Somebody was faster with the same link: what is read again says so.
        Err(EntryError::Commit(CommitError::Conflict)) => Err(EntryError::Closed),
        outcome => outcome,
    }
}

/// Who has the session with this secret, if it is good and so are they.
///
/// # Errors
/// When the store cannot be read.
pub(crate) fn entered(node: &Node, secret: &Secret) -> Result<Option<Entered>, ReadError> {
    let Some(session) = node.store.session_by_hash(&secret.hash())? else { return Ok(None) };
    if !session.is_live(node.world.now()) {
        return Ok(None);
    }
    let person = node.store.person(session.person)?;
    let person = person.filter(|person| person.state == PersonState::Active);
    Ok(person.map(|person| Entered { person, session, csrf: secret.csrf_token() }))
}

/// A commit that also ends all sessions of a person.
///
/// # Errors
/// When the store cannot be read.
pub(crate) fn end_all(node: &Node, person: i64, commit: Commit) -> Result<Commit, ReadError> {
    let sessions = node.store.sessions_of(person)?;
    Ok(sessions.iter().fold(commit, |commit, session| commit.remove(session)))
}

/// Gives a session whose person proved again who they are another secret, with what `commit` says.
///
/// # Errors
/// When the store fails.
pub(super) async fn step_up(
    node: &Node,
    entered: &Entered,
    commit: Commit,
) -> Result<(Secret, Entered), EntryError> {
    let (now, secret) = (node.world.now(), Secret::new(&node.world));
    let Entered { person, session, .. } = entered.clone();
    let session = SessionRow {
        hash: secret.hash(),
        expires_at: session.created_at + LONGEST,
        used_at: now,
        stepped_up_at: Some(now),
        ..session
    };
    node.store.commit(commit.put(session.clone()), now).await?;
    // The row that is stored is one version further.
    let session = SessionRow { version: session.version + 1, ..session };
    let csrf = secret.csrf_token();
    Ok((secret, Entered { person, session, csrf }))
}

/// Begins a session of `person`, who is stored as given, as is `shown`: that by which they proved who
/// they are.
///
/// # Errors
/// When the store fails.
pub(super) async fn begin(
    node: &Node,
    person: PersonRow,
    way: &str,
    visit: &Visit,
    shown: Option<Row>,
) -> Result<(Secret, Entered), EntryError> {
    let now = node.world.now();
    let secret = Secret::new(&node.world);
    let session = SessionRow {
        id: node.store.id(),
        version: 0,
        person: person.id,
        hash: secret.hash(),
        way: way.to_owned(),
        created_at: now,
        used_at: now,
        expires_at: now + if way == BY_LINK { BY_LINK_ALONE } else { LONGEST },
        stepped_up_at: (way == BY_PASSKEY).then_some(now),
        user_agent: visit.user_agent.as_deref().map(shortened),
    };
    let person = PersonRow { entered_at: Some(now), ..person };
    let (name, before) = (format!("person/{}", person.name), node.store.sessions_of(person.id)?);
    let roles: Vec<_> = person.roles.iter().map(|role| role.name()).collect();
    let detail = json!({
        "session": session.id, "way": way, "user_agent": session.user_agent,
        "roles": roles, "groups": person.groups,
    });
    let event = Event::new(Actor::asked_by(&name, &visit.request), "session.begin", name.as_str());
    let mut commit = Commit::new(event.with(detail)).put(session.clone()).put(person.clone());
    for old in before.iter().rev().skip(MOST - 1) {
        commit = commit.remove(old);
    }
    let commit = shown.into_iter().fold(commit, Commit::put);
    node.store.commit(commit, now).await?;
    let csrf = secret.csrf_token();
    Ok((secret, Entered { person, session, csrf }))
}

/// The beginning of what a browser calls itself, in characters that do nothing.
fn shortened(user_agent: &str) -> String {
    user_agent.chars().filter(|c| c.is_ascii_graphic() || *c == ' ').take(MAX_AGENT).collect()
}

/// How somebody signed in who came by a link.
pub(super) const BY_LINK: &str = "link";
/// How somebody signed in who showed a passkey.
pub(super) const BY_PASSKEY: &str = "passkey";
/// Who has shown nothing but a link is asked to make a passkey, and to come again otherwise.
const BY_LINK_ALONE: SignedDuration = SignedDuration::from_hours(1);
/// A session is over after so long, however much it is used.
pub(crate) const LONGEST: SignedDuration = SignedDuration::from_hours(12);
/// Of one person; the oldest goes when there is one more.
const MOST: usize = 20;
const MAX_AGENT: usize = 120;
