//! The one place that decides. What no rule permits is denied.

use super::action::Action;
use super::caller::{Caller, Who};
use super::resource::Resource;

/// Who may what, as it stands.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rules {}

impl Rules {
    /// Whether `caller` may do `action` to `resource`.
    ///
    /// # Errors
    /// Why not.
    pub(crate) fn decide(
        &self,
        caller: &Caller,
        action: Action,
        _resource: &Resource,
    ) -> Result<(), Denied> {
        self.decide_any(caller, action)
    }

    /// Whether there is anything to which `caller` may do `action`.
    ///
    /// # Errors
    /// Why not.
    pub(crate) fn decide_any(&self, caller: &Caller, action: Action) -> Result<(), Denied> {
        let permitted = caller.who == Who::Local
            || action.is_own()
            || caller.roles.iter().any(|r| r.includes(action));
        if permitted { Ok(()) } else { Err(Denied::NotPermitted { action: action.name() }) }
    }

    /// Whether `caller` may do `action` to everything.
    pub(crate) fn decide_all(&self, caller: &Caller, action: Action) -> bool {
        self.decide_any(caller, action).is_ok()
    }
}

/// Why something is not done for a caller.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Denied {
    /// No rule permits it.
    #[error("you may not do this ({action}); ask an admin for a role that includes it")]
    NotPermitted {
        /// What was wanted.
        action: &'static str,
    },
}
