//! What was decided, and by what.

use std::fmt;

/// Whether something may be done, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Whether it may.
    pub permitted: bool,
    /// What decided; nothing, where nothing permits it.
    pub reasons: Vec<Reason>,
}

impl Decision {
    /// The policies that decided, where policies did.
    pub fn policies(&self) -> impl Iterator<Item = &str> {
        self.reasons.iter().filter_map(|reason| match reason {
            Reason::Policy(name) | Reason::Failed(name) => Some(name.as_str()),
            Reason::Role { .. } => None,
        })
    }
}

/// One thing that decided.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// A role that includes it.
    Role {
        /// Its name.
        role: String,
        /// The binding that gives it; none: it is held for everything.
        binding: Option<String>,
    },
    /// A policy.
    Policy(String),
    /// A policy that could not be evaluated, which denies.
    Failed(String),
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Role { role, binding: None } => write!(f, "role {role}"),
            Self::Role { role, binding: Some(binding) } => {
                write!(f, "role {role} by binding {binding}")
            }
            Self::Policy(name) => write!(f, "policy {name}"),
            Self::Failed(name) => write!(f, "policy {name}, which cannot be evaluated"),
        }
    }
}
