//! Who asks. Each way in proves it differently; from here on they are all callers.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use ::policy::{Kind, Resource, Subject};
use jiff::{SignedDuration, Timestamp};

use super::action::Action;
use super::approval::{Demand, Needed};
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
    consent: Arc<Consent>,
}

/// What a request brings towards approval, and what it turned out to need.
#[derive(Default)]
struct Consent {
    /// The actions that were agreed to.
    approved: BTreeSet<String>,
    /// Whether it is done though nobody agreed.
    unbound: bool,
    needed: Mutex<Option<Needed>>,
}

impl Asker {
    /// `caller` asks by HTTP request `request` at `now`.
    pub(crate) fn new(caller: Caller, rules: Arc<Rules>, request: &str, now: Timestamp) -> Self {
        let subject = caller.subject(now).map(Arc::new);
        let (caller, request) = (Arc::new(caller), request.into());
        Self { caller, subject, rules, request, consent: Arc::default() }
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
        self.subject.as_ref().map_or(Ok(()), |who| self.rules.decide(who, action, resource))?;
        self.agreed(action, || resource.id())
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
            return self.agreed(action, || format!("{}/", action.noun()));
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

    /// Whether somebody may be let in as `who`: what is declared for them by name they would have at once.
    ///
    /// # Errors
    /// Why not.
    pub(crate) fn may_let_in(&self, who: Who) -> Result<(), Denied> {
        let subject = Caller::new(who, Vec::new()).subject(Timestamp::UNIX_EPOCH);
        if subject.is_some_and(|subject| self.rules.names(&subject)) {
            self.may_govern("what is declared for them by name")?;
        }
        Ok(())
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

    /// `caller` in place of who asks, by the same rules, to see what they could do.
    pub(crate) fn standing_in(&self, caller: Caller, now: Timestamp) -> Self {
        Self::new(caller, Arc::clone(&self.rules), &self.request, now)
    }

    /// Whether `action` is permitted on `resource`, or where there is none on everything of its kind; and
    /// what decides it, in words.
    pub(crate) fn explain(&self, action: Action, on: Option<&Resource>) -> (bool, Vec<String>) {
        let Some(who) = &self.subject else {
            return (true, vec!["the admin socket may everything".to_owned()]);
        };
        match on {
            Some(on) => {
                let decision = self.rules.explain(who, action, on);
                let reasons = decision.reasons.iter().map(ToString::to_string);
                (decision.permitted, reasons.collect())
            }
            None => (self.may_all(action), Vec::new()),
        }
    }

    /// What `action` needs besides that it is permitted.
    pub(crate) fn demanded(&self, action: Action) -> Option<Demand> {
        self.rules.demanded(action)
    }

    /// Whether anything that is asked could need approval, or a fresh proof.
    pub(crate) fn is_bound(&self) -> bool {
        self.rules.demand_anything()
    }

    /// The same, to whose request somebody agreed, as far as it is these actions.
    pub(crate) fn approved(self, actions: BTreeSet<String>) -> Self {
        Self { consent: Arc::new(Consent { approved: actions, ..Consent::default() }), ..self }
    }

    /// The same, to whose request nobody needs to agree.
    pub(crate) fn unbound(self) -> Self {
        Self { consent: Arc::new(Consent { unbound: true, ..Consent::default() }), ..self }
    }

    /// What was denied only because nobody has agreed to it.
    pub(crate) fn needed(&self) -> Option<Needed> {
        self.consent.needed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Nothing is to be agreed to: it is denied for another reason too.
    pub(crate) fn need_nothing(&self) {
        *self.consent.needed.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Whether what is needed besides permission is there.
    fn agreed(&self, action: Action, subject: impl FnOnce() -> String) -> Result<(), Denied> {
        let Some(demand) = self.rules.demanded(action) else { return Ok(()) };
        if self.consent.unbound {
            return Ok(());
        }
        let stepped_up = self.subject.as_ref().is_some_and(|who| who.stepped_up);
        if demand.step_up && matches!(self.caller.who, Who::Person(_)) && !stepped_up {
            return Err(Denied::StepUp { action: action.name() });
        }
        if demand.approvals == 0 || self.consent.approved.contains(action.name()) {
            return Ok(());
        }
        let more = Needed::new(demand, action, subject());
        let mut needed = self.consent.needed.lock().unwrap_or_else(PoisonError::into_inner);
        *needed = Some(match needed.take() {
            Some(needed) => needed.and(more),
            None => more,
        });
        Err(Denied::NeedsApproval { action: action.name() })
    }
}
