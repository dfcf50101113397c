//! The one place that decides. What no rule permits is denied. Whoever may open the admin socket is not asked
//! about here: no rule can lock everybody out.

use std::fmt;
use std::sync::{Arc, LazyLock};

use ::policy::{Binding, Decision, Policy, Resource, Subject, Vocabulary};

pub(crate) use ::policy::Fault;

use super::action::Action;
use super::approval::{self, ApprovalSpec, Demand};
use super::role::Role;

/// Who may what, as it stands.
#[derive(Clone)]
pub(crate) struct Rules {
    /// None: nobody may anything.
    permissions: Option<::policy::Rules>,
    approvals: Vec<ApprovalSpec>,
}

impl Rules {
    /// What bindings, policies and rules of approval say; whether the last could work is checked elsewhere.
    ///
    /// # Errors
    /// The first of them that could not work.
    pub(crate) fn compile<'a>(
        bindings: impl IntoIterator<Item = &'a Binding>,
        policies: impl IntoIterator<Item = &'a Policy>,
        approvals: impl IntoIterator<Item = &'a ApprovalSpec>,
    ) -> Result<Self, Fault> {
        let vocabulary = VOCABULARY.as_ref().map_err(|why| Fault::Program(why.clone()))?;
        let rules = ::policy::Rules::compile(Arc::clone(vocabulary), bindings, policies);
        let approvals = approvals.into_iter().cloned().collect();
        rules.map(|rules| Self { permissions: Some(rules), approvals })
    }

    /// Whether `subject` may do `action` to `resource`.
    ///
    /// # Errors
    /// Why not.
    pub(super) fn decide(
        &self,
        subject: &Subject,
        action: Action,
        resource: &Resource,
    ) -> Result<(), Denied> {
        let decision = self.explain(subject, action, resource);
        let policy = decision.policies().next().map(str::to_owned);
        match policy {
            _ if decision.permitted => Ok(()),
            Some(policy) => Err(Denied::Forbidden { action: action.name(), policy }),
            None if self
                .permissions
                .as_ref()
                .is_some_and(|rules| rules.might(subject, action.name())) =>
            {
                Err(Denied::OutOfScope { action: action.name() })
            }
            None => Err(Denied::NotPermitted { action: action.name() }),
        }
    }

    /// The same, with what decided it.
    pub(crate) fn explain(&self, subject: &Subject, action: Action, on: &Resource) -> Decision {
        match &self.permissions {
            _ if action.is_own() => Decision { permitted: true, reasons: Vec::new() },
            Some(rules) => rules.decide(subject, action.name(), on),
            None => Decision { permitted: false, reasons: Vec::new() },
        }
    }

    /// Whether there may be anything to which `subject` may do `action`.
    ///
    /// # Errors
    /// Why not.
    pub(crate) fn decide_any(&self, subject: &Subject, action: Action) -> Result<(), Denied> {
        let might = |rules: &::policy::Rules| rules.might(subject, action.name());
        let might = action.is_own() || self.permissions.as_ref().is_some_and(might);
        if might { Ok(()) } else { Err(Denied::NotPermitted { action: action.name() }) }
    }

    /// Whether `subject` may surely do `action` to everything.
    pub(crate) fn decide_all(&self, subject: &Subject, action: Action) -> bool {
        let surely = |rules: &::policy::Rules| rules.surely(subject, action.name());
        action.is_own() || self.permissions.as_ref().is_some_and(surely)
    }

    /// Whether anything needs approval, or a fresh proof.
    pub(super) fn demand_anything(&self) -> bool {
        !self.approvals.is_empty()
    }

    /// What `action` needs besides that it is permitted.
    pub(super) fn demanded(&self, action: Action) -> Option<Demand> {
        approval::demanded(&self.approvals, action)
    }

    /// Whether anything that is declared is about `subject` by its name.
    pub(super) fn names(&self, subject: &Subject) -> bool {
        self.permissions.as_ref().is_some_and(|rules| rules.names(subject))
    }

    /// Whether `subject` has `role` for everything.
    pub(super) fn holds(&self, subject: &Subject, role: Role) -> bool {
        let holds = |rules: &::policy::Rules| rules.holds(subject).any(|held| held == role.name());
        self.permissions.as_ref().is_some_and(holds)
    }
}

impl Default for Rules {
    /// What the roles say, and nothing besides.
    fn default() -> Self {
        // Without a vocabulary nobody may anything.
        Self::compile([], [], []).unwrap_or(Self { permissions: None, approvals: Vec::new() })
    }
}

impl fmt::Debug for Rules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Rules")
    }
}

/// The schema that policies are checked against, in Cedar's own language.
pub(crate) fn schema() -> &'static str {
    VOCABULARY.as_ref().map_or("", |vocabulary| vocabulary.schema_text())
}

/// All actions and which roles include each.
static VOCABULARY: LazyLock<Result<Arc<Vocabulary>, String>> = LazyLock::new(|| {
    let words = Action::ALL.iter().filter(|action| !action.is_own()).map(|action| {
        let roles = Role::ALL.iter().filter(|role| role.includes(*action));
        (action.name(), roles.map(|role| role.name()).collect())
    });
    Vocabulary::new(&words.collect::<Vec<_>>()).map(Arc::new)
});

/// Why something is not done for a caller.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Denied {
    /// No rule permits it.
    #[error("you may not do this ({action}); ask an admin for a role that includes it")]
    NotPermitted {
        /// What was wanted.
        action: &'static str,
    },
    /// It may be done to something, and not to this.
    #[error("you may not do this ({action}) here; it is not in the scope that you have it for")]
    OutOfScope {
        /// What was wanted.
        action: &'static str,
    },
    /// A policy forbids it.
    #[error("policy {policy:?} forbids this ({action})")]
    Forbidden {
        /// What was wanted.
        action: &'static str,
        /// What the policy is called.
        policy: String,
    },
    /// Somebody must agree to it first.
    #[error("this needs the approval of another ({action})")]
    NeedsApproval {
        /// What was wanted.
        action: &'static str,
    },
    /// Whoever asks must prove anew that it is they.
    #[error(
        "this ({action}) needs a fresh proof that it is you: confirm with your passkey, and ask again"
    )]
    StepUp {
        /// What was wanted.
        action: &'static str,
    },
    /// It would give away more than they have.
    #[error("you cannot give or change {what}, which you have not; ask an admin")]
    NotYours {
        /// What it is.
        what: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_make_a_schema_and_roles_mean_what_they_say() {
        assert_eq!(VOCABULARY.as_ref().map(|_| ()), Ok(()));
        let rules = Rules::default();
        for role in Role::ALL {
            let subject = Subject {
                kind: ::policy::Kind::Token,
                name: "t".into(),
                groups: Vec::new(),
                roles: vec![role.name()],
                stepped_up: false,
            };
            for action in Action::ALL {
                let expected = role.includes(*action) || action.is_own();
                let on = Resource::named("any", "thing");
                let name = action.name();
                assert_eq!(rules.decide(&subject, *action, &on).is_ok(), expected, "{role} {name}");
                assert_eq!(rules.decide_all(&subject, *action), expected, "{role} {name}");
                assert_eq!(rules.decide_any(&subject, *action).is_ok(), expected, "{role} {name}");
            }
        }
    }
}
