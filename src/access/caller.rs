//! Who asks. Each way in proves it differently; from here on they are all callers.

use std::fmt;
use std::sync::Arc;

use ::policy::{Kind, Resource, Subject};
use jiff::{SignedDuration, Timestamp};

use super::action::Action;
use super::role::Role;
use super::rules::{Denied, Rules};
use crate::store::Actor;

/// Somebody who was recognised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    /// Whoever may open the admin socket: root, or the user that runs the server.
    Local,
    /// The holder of an API token, by its name.
    Token(String),
    /// A person who is signed in, by their name.
    Person(String),
}

impl fmt::Display for Who {
    /// What the audit log calls them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local => f.write_str("admin"),
            Self::Token(name) => write!(f, "token/{name}"),
            Self::Person(name) => write!(f, "person/{name}"),
        }
    }
}

/// Somebody who was recognised, and what came with them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Caller {
    pub(crate) who: Who,
    /// Roles that hold for everything.
    pub(crate) roles: Vec<Role>,
    /// What they belong to.
    pub(crate) groups: Vec<String>,
    /// When they last proved, with something only they have, that it is they.
    pub(crate) stepped_up_at: Option<Timestamp>,
}

impl Caller {
    /// Whoever is recognised as `who`, with these roles and nothing else.
    pub(crate) fn new(who: Who, roles: Vec<Role>) -> Self {
        Self { who, roles, groups: Vec::new(), stepped_up_at: None }
    }

    /// As rules see them at `now`; none: nobody whom rules are for.
    pub(super) fn subject(&self, now: Timestamp) -> Option<Subject> {
        let (kind, name) = match &self.who {
            Who::Local => return None,
            Who::Token(name) => (Kind::Token, name),
            Who::Person(name) => (Kind::Person, name),
        };
        let fresh = |at: Timestamp| at <= now && now.duration_since(at) <= FRESH;
        Some(Subject {
            kind,
            name: name.clone(),
            groups: self.groups.clone(),
            roles: self.roles.iter().map(|role| role.name()).collect(),
            stepped_up: self.stepped_up_at.is_some_and(fresh),
        })
    }
}

/// How long somebody who proved anew that it is they is believed to be there still.
const FRESH: SignedDuration = SignedDuration::from_mins(10);

/// One request of a caller, judged by the rules that stood when it came.
#[derive(Clone)]
pub(crate) struct Asker {
    caller: Arc<Caller>,
    /// The caller as rules see them; none: rules are not for them.
    subject: Option<Arc<Subject>>,
    rules: Arc<Rules>,
    request: Arc<str>,
}

impl Asker {
    /// `caller` asks by HTTP request `request` at `now`.
    pub(crate) fn new(caller: Caller, rules: Arc<Rules>, request: &str, now: Timestamp) -> Self {
        let subject = caller.subject(now).map(Arc::new);
        Self { caller: Arc::new(caller), subject, rules, request: request.into() }
    }

    /// Who it is.
    pub(crate) fn caller(&self) -> &Caller {
        &self.caller
    }

    /// For the audit log.
    pub(crate) fn actor(&self) -> Actor {
        Actor::asked_by(&self.caller.who.to_string(), &self.request)
    }

    /// Whether `action` may be done to `resource`.
    ///
    /// # Errors
    /// Why not.
    pub(crate) fn may(&self, action: Action, resource: &Resource) -> Result<(), Denied> {
        self.subject.as_ref().map_or(Ok(()), |who| self.rules.decide(who, action, resource))
    }

    /// Whether there is anything at all to which `action` may be done: what is asked before it is known
    /// what a request is about.
    ///
    /// # Errors
    /// Why not.
    pub(crate) fn may_any(&self, action: Action) -> Result<(), Denied> {
        self.subject.as_ref().map_or(Ok(()), |who| self.rules.decide_any(who, action))
    }

    /// Whether `action` may be done to every resource of its kind.
    ///
    /// # Errors
    /// Why not.
    pub(crate) fn may_every(&self, action: Action) -> Result<(), Denied> {
        if self.may_all(action) {
            return Ok(());
        }
        self.may_any(action)?;
        Err(Denied::OutOfScope { action: action.name() })
    }

    /// Whether `action` may be done to every resource of its kind: then a list need not ask for each.
    pub(crate) fn may_all(&self, action: Action) -> bool {
        self.subject.as_ref().is_none_or(|who| self.rules.decide_all(who, action))
    }

    /// Whether `role` may be given away: nobody gives what they have not.
    ///
    /// # Errors
    /// Why not.
    pub(crate) fn may_give(&self, role: Role) -> Result<(), Denied> {
        let Some(who) = &self.subject else { return Ok(()) };
        if self.rules.holds(who, role) || self.rules.holds(who, Role::Admin) {
            Ok(())
        } else {
            Err(Denied::NotYours { what: format!("the role {role}") })
        }
    }

    /// Whether things may be done that decide who may what: only by who may everything.
    ///
    /// # Errors
    /// Why not.
    pub(crate) fn may_govern(&self, what: &str) -> Result<(), Denied> {
        let Some(who) = &self.subject else { return Ok(()) };
        let may = self.rules.holds(who, Role::Admin);
        if may { Ok(()) } else { Err(Denied::NotYours { what: what.to_owned() }) }
    }
}
