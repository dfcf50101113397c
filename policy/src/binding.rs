//! Bindings: who has which role, for what. A scope names what is in it in several ways, and only what is
//! in it in all of them is covered; of what is not known to be in it, nothing is.

use serde::{Deserialize, Serialize};

use super::pattern::{NamePattern, Pattern};
use super::resource::Resource;
use super::subject::Receiver;
use super::vocabulary::Vocabulary;

/// Gives somebody a role.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Binding {
    /// What everything else calls it.
    pub name: String,
    /// Who gets the role.
    pub to: Receiver,
    /// The role.
    pub role: String,
    /// For what they have it; nothing said: for everything.
    #[serde(default, skip_serializing_if = "Scope::is_everything")]
    pub scope: Scope,
}

impl Binding {
    /// Whether it could work.
    ///
    /// # Errors
    /// When there is no such role, or it cannot be held for some things only.
    pub fn check(&self, vocabulary: &Vocabulary) -> Result<(), BadBinding> {
        if !vocabulary.has_role(&self.role) {
            return Err(BadBinding::Role(self.role.chars().take(80).collect()));
        }
        if self.role == WHOLE && !self.scope.is_everything() {
            return Err(BadBinding::Admin);
        }
        Ok(())
    }
}

/// Some of all things.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Scope {
    /// What comes from these authorities and issuers alone.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub authorities: Vec<Pattern>,
    /// What follows these profiles.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub profiles: Vec<Pattern>,
    /// What has DNS names and addresses, all of them among these.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<NamePattern>,
    /// These keysets.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub keysets: Vec<Pattern>,
    /// What belongs to these owners.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub owners: Vec<String>,
    /// Where what is declared in this scope may be brought; nothing said: nowhere.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub targets: Vec<Pattern>,
}

impl Scope {
    /// Whether everything is in it.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        *self == Self::default()
    }

    /// Whether `resource` is in it. `declares`: it is to be as it says there, so that where it is brought
    /// counts as well.
    #[must_use]
    pub fn covers(&self, resource: &Resource, declares: bool) -> bool {
        if self.is_everything() {
            return true;
        }
        let name = resource.name.as_deref();
        let is_keyset = resource.kind == "keyset";
        let keyset =
            |name: Option<&str>| is_keyset && name.is_some_and(|name| any(&self.keysets, name));
        let says_something = !(self.authorities.is_empty()
            && self.profiles.is_empty()
            && self.names.is_empty()
            && self.keysets.is_empty()
            && self.owners.is_empty());
        let owned = |owner: &String| self.owners.contains(owner);
        let named = |name: &String| self.names.iter().any(|pattern| pattern.covers(name));
        says_something
            && (self.authorities.is_empty() || all(&self.authorities, &resource.authorities))
            && (self.profiles.is_empty()
                || resource.profile.as_ref().is_some_and(|profile| any(&self.profiles, profile)))
            && (self.names.is_empty()
                || !resource.names.is_empty() && resource.names.iter().all(named))
            && (self.keysets.is_empty() || keyset(name))
            && (self.owners.is_empty() || resource.owner.as_ref().is_some_and(owned))
            && (!declares || resource.targets.iter().all(|target| any(&self.targets, target)))
    }
}

fn any(patterns: &[Pattern], name: &str) -> bool {
    patterns.iter().any(|pattern| pattern.covers(name))
}

/// Of what is nowhere, it is not known that it is here.
fn all(patterns: &[Pattern], names: &[String]) -> bool {
    !names.is_empty() && names.iter().all(|name| any(patterns, name))
}

/// A binding could not work.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadBinding {
    /// There is no such role.
    #[error(
        "there is no role {0:?}: it is one of viewer, auditor, approver, issuer, rotator, operator, admin"
    )]
    Role(String),
    /// Who may change bindings could give themselves the rest.
    #[error("the role admin is for everything; leave the scope out, or give the role operator")]
    Admin,
}

const WHOLE: &str = "admin";
