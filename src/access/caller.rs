//! Who asks. Each way in proves it differently; from here on they are all callers.

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;

use super::action::Action;
use super::resource::Resource;
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
}

/// One request of a caller, judged by the rules that stood when it came.
#[derive(Clone)]
pub(crate) struct Asker {
    caller: Arc<Caller>,
    rules: Arc<Rules>,
    request: Arc<str>,
}

impl Asker {
    /// `caller` asks by HTTP request `request`.
    pub(crate) fn new(caller: Caller, rules: Arc<Rules>, request: &str) -> Self {
        Self { caller: Arc::new(caller), rules, request: request.into() }
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
        self.rules.decide(&self.caller, action, resource)
    }

    /// Whether there is anything at all to which `action` may be done: what is asked before it is known
    /// what a request is about.
    ///
    /// # Errors
    /// Why not.
    pub(crate) fn may_any(&self, action: Action) -> Result<(), Denied> {
        self.rules.decide_any(&self.caller, action)
    }

    /// Whether `action` may be done to every resource of its kind: then a list need not ask for each.
    pub(crate) fn may_all(&self, action: Action) -> bool {
        self.rules.decide_all(&self.caller, action)
    }
}
