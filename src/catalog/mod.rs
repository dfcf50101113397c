//! What the node manages: authorities, profiles and directories, as declared and as they stand.
//! A [`Catalog`] is complete and consistent or does not exist; a change makes a new one and leaves
//! requests under way with the one they began with.

mod check;
mod declared;
mod plan;

use std::collections::BTreeMap;
use std::sync::Arc;

use acme::ChallengeType;

pub(crate) use declared::{AuthoritySpec, Declared, DirectorySpec, Trust, defaults, parse};
pub(crate) use plan::{Change, plan, prune};

use crate::perform::validate::Validator;

/// An internal CA, ready to sign.
pub(crate) struct Authority {
    pub(crate) id: i64,
    pub(crate) name: String,
    pub(crate) generation: i64,
    pub(crate) issuer: Option<String>,
    pub(crate) spec: AuthoritySpec,
    pub(crate) ca: ca::Authority,
}

/// An ACME endpoint, ready to serve.
pub(crate) struct Directory {
    pub(crate) spec: DirectorySpec,
    pub(crate) authority: Arc<Authority>,
    /// The profiles on offer; the first is used when an order names none.
    pub(crate) profiles: Vec<Arc<ca::Profile>>,
    pub(crate) validator: Validator,
}

impl Directory {
    /// The profile an order gets: the one it names, else the first.
    pub(crate) fn profile(&self, name: Option<&str>) -> Option<&Arc<ca::Profile>> {
        match name {
            Some(name) => self.profiles.iter().find(|profile| profile.name == name),
            None => self.profiles.first(),
        }
    }

    /// Whether this directory offers challenges of `kind` at all.
    pub(crate) fn offers(&self, kind: ChallengeType) -> bool {
        self.spec.challenges.contains(&kind)
    }
}

/// Everything the node manages at one instant.
#[derive(Default)]
pub(crate) struct Catalog {
    pub(crate) authorities: BTreeMap<String, Arc<Authority>>,
    pub(crate) profiles: BTreeMap<String, Arc<ca::Profile>>,
    pub(crate) directories: BTreeMap<String, Arc<Directory>>,
}

impl Catalog {
    /// The authority whose row is `id`.
    pub(crate) fn authority(&self, id: i64) -> Option<&Arc<Authority>> {
        self.authorities.values().find(|authority| authority.id == id)
    }
}
