//! What somebody must agree to before it is done, and what people must prove anew that it is they for. Whoever
//! may do a thing by the rules is asked for this besides; nobody may more by it.

use std::collections::BTreeSet;

use ::policy::Pattern;
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use super::action::Action;

/// A declared rule of approval.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ApprovalSpec {
    /// What everything else calls it.
    pub(crate) name: String,
    /// Which actions it is for: `keyset.rotate-emergency`, `keyset.*`.
    pub(crate) actions: Vec<Pattern>,
    /// How many must agree, none of them whoever asks.
    #[serde(default = "one")]
    pub(crate) approvals: u8,
    /// How long there is to agree and to do it.
    #[serde(default = "default_validity", with = "ca::duration")]
    pub(crate) valid: SignedDuration,
    /// Whether people must have proven a moment ago that it is they.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) step_up: bool,
}

impl ApprovalSpec {
    /// Whether it could work.
    ///
    /// # Errors
    /// A sentence that says what is wrong with it.
    pub(crate) fn check(&self) -> Result<(), String> {
        if self.actions.is_empty() || self.actions.len() > MOST_ACTIONS {
            return Err(format!("actions must name 1 to {MOST_ACTIONS} of them"));
        }
        for pattern in &self.actions {
            let meant = || Action::ALL.iter().filter(|action| pattern.covers(action.name()));
            if !meant().any(|action| action.can_need_approval()) {
                return Err(format!(
                    "no action that changes something is called {pattern}; docs/authorization.md lists them"
                ));
            }
        }
        if self.approvals > MOST {
            return Err(format!("approvals must be {MOST} at the most"));
        }
        if self.approvals == 0 && !self.step_up {
            return Err("it asks for nothing: say approvals, or step_up = true".into());
        }
        if !(SHORTEST..=LONGEST).contains(&self.valid) {
            let [shortest, longest] = [SHORTEST, LONGEST].map(ca::duration::format);
            return Err(format!("valid must lie between {shortest} and {longest}"));
        }
        Ok(())
    }

    fn covers(&self, action: Action) -> bool {
        action.can_need_approval()
            && self.actions.iter().any(|pattern| pattern.covers(action.name()))
    }
}

/// What is asked of whoever wants to do something, besides that they may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Demand {
    /// How many must agree.
    pub(crate) approvals: u8,
    /// How long there is.
    pub(crate) valid: SignedDuration,
    /// Whether people must have proven a moment ago that it is they.
    pub(crate) step_up: bool,
}

/// What all of `rules` together ask for `action`: the most of each; none: nothing.
pub(super) fn demanded(rules: &[ApprovalSpec], action: Action) -> Option<Demand> {
    let demands = rules.iter().filter(|rule| rule.covers(action)).map(|rule| Demand {
        approvals: rule.approvals,
        valid: rule.valid,
        step_up: rule.step_up,
    });
    demands.reduce(Demand::and)
}

impl Demand {
    /// What both ask for.
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            approvals: self.approvals.max(other.approvals),
            valid: self.valid.min(other.valid),
            step_up: self.step_up || other.step_up,
        }
    }
}

/// What a request needs approval for, gathered while it is decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Needed {
    /// What is asked for all of it together.
    pub(crate) demand: Demand,
    /// The actions, by name.
    pub(crate) actions: BTreeSet<String>,
    /// What they would be done to.
    pub(crate) subjects: BTreeSet<String>,
}

impl Needed {
    /// One action.
    pub(super) fn new(demand: Demand, action: Action, subject: String) -> Self {
        let actions = BTreeSet::from([action.name().to_owned()]);
        Self { demand, actions, subjects: BTreeSet::from([subject]) }
    }

    /// This and another.
    pub(super) fn and(mut self, other: Self) -> Self {
        self.actions.extend(other.actions);
        self.subjects.extend(other.subjects);
        Self { demand: self.demand.and(other.demand), ..self }
    }
}

fn one() -> u8 {
    1
}

fn default_validity() -> SignedDuration {
    SignedDuration::from_hours(4)
}

const MOST_ACTIONS: usize = 50;
const MOST: u8 = 5;
const SHORTEST: SignedDuration = SignedDuration::from_mins(1);
const LONGEST: SignedDuration = SignedDuration::from_hours(7 * 24);

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(text: &str) -> Result<ApprovalSpec, String> {
        let spec: ApprovalSpec = toml::from_str(text).map_err(|e| e.to_string())?;
        spec.check().map(|()| spec)
    }

    #[test]
    fn rules_together_ask_for_the_most_of_each() {
        let rules = [
            rule("name = 'a'\nactions = ['keyset.*']\napprovals = 2\nvalid = '2h'").expect("a"),
            rule("name = 'b'\nactions = ['*-emergency']\nvalid = '1h'\nstep_up = true").expect("b"),
        ];
        let hours = SignedDuration::from_hours;
        let both = Demand { approvals: 2, valid: hours(1), step_up: true };
        assert_eq!(demanded(&rules, Action::KeysetRotateEmergency), Some(both));
        let one = Demand { approvals: 2, valid: hours(2), step_up: false };
        assert_eq!(demanded(&rules, Action::KeysetRotate), Some(one));
        assert_eq!(demanded(&rules, Action::KeysetRead), None, "reading needs none");
        assert_eq!(demanded(&rules, Action::ManagedRenew), None);
    }

    #[test]
    fn a_rule_that_asks_for_nothing_or_of_nothing_is_refused() {
        for bad in [
            "name = 'a'\nactions = []",
            "name = 'a'\nactions = ['keyset.rotat']",
            "name = 'a'\nactions = ['keyset.read']",
            "name = 'a'\nactions = ['approval.*']",
            "name = 'a'\nactions = ['keyset.*']\napprovals = 0",
            "name = 'a'\nactions = ['keyset.*']\napprovals = 6",
            "name = 'a'\nactions = ['keyset.*']\nvalid = '30d'",
            "name = 'a'\nactions = ['keyset.*']\nvalid = '1s'",
        ] {
            assert!(rule(bad).is_err(), "{bad}");
        }
    }
}
