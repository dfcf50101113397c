//! Places elsewhere that are given private keys and sign with them: signer targets, and what each was
//! given of a key. When a key is given away, and when it has come back, is decided in `handover`.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::algorithm::Algorithm;

/// A place that is given private keys, as declared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignerTarget {
    /// What it is called and where it is: another place is another target, since what the old one
    /// was given stays there.
    pub name: String,
    /// With what it signs.
    pub algorithm: Algorithm,
    /// How long it may go on with the key before, after it was proven to have the new one.
    pub settle: SignedDuration,
}

/// What a signer target was given of a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holding {
    /// The target's name.
    pub target: String,
    /// Since when it may have it. Stored before it is brought there.
    pub since: Timestamp,
    /// When it was first seen to be there.
    pub held_at: Option<Timestamp>,
    /// When the target was first proven to sign with it.
    pub used_at: Option<Timestamp>,
    /// It signs nothing with it after this; `None` while it may.
    pub left_at: Option<Timestamp>,
    /// When the target is looked at next.
    pub look_at: Timestamp,
    /// What was wrong the last time.
    pub complaint: Option<String>,
}

/// The signer targets that were given a key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Held(pub(crate) Vec<Holding>);

impl Held {
    /// Whether no target was ever given it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them, those that have left it included.
    pub fn iter(&self) -> impl Iterator<Item = &Holding> {
        self.0.iter()
    }

    /// Those that may use it.
    pub fn in_use(&self) -> impl Iterator<Item = &Holding> {
        self.0.iter().filter(|holding| holding.left_at.is_none())
    }

    /// What a target has that may use it.
    pub(crate) fn at(&self, target: &str) -> Option<&Holding> {
        self.in_use().find(|holding| holding.target == target)
    }

    pub(crate) fn at_mut(&mut self, target: &str) -> Option<&mut Holding> {
        self.0.iter_mut().find(|holding| holding.target == target)
    }

    /// Whether each of these was seen to have it.
    pub(crate) fn covers<'a>(&self, mut targets: impl Iterator<Item = &'a SignerTarget>) -> bool {
        let has = |holding: &Holding| holding.held_at.is_some();
        targets.all(|target| self.at(&target.name).is_some_and(has))
    }

    /// Says that every target is to be looked at now.
    pub(crate) fn look(&mut self, now: Timestamp) {
        self.0.iter_mut().for_each(|holding| holding.look_at = now);
    }
}
