//! How far a key has come, and what follows from that alone.

/// How far a key has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Published, and not yet seen on every edge and at every required consumer.
    Announced,
    /// Seen wherever it must be, and not signing.
    Proven,
    /// It signs.
    Signing,
    /// It verifies only; its private half is destroyed, unless it is kept for a while to roll back to.
    Retiring,
    /// Not published any more; its private half is destroyed.
    Gone,
}

impl Phase {
    /// Its name, as it is stored and shown.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Announced => "announced",
            Self::Proven => "proven",
            Self::Signing => "signing",
            Self::Retiring => "retiring",
            Self::Gone => "gone",
        }
    }

    /// The phase of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        use Phase::{Announced, Gone, Proven, Retiring, Signing};
        let all = [Announced, Proven, Signing, Retiring, Gone];
        all.into_iter().find(|phase| phase.name() == name)
    }

    /// Whether a key in this phase is in the published set.
    #[must_use]
    pub fn is_published(self) -> bool {
        self != Self::Gone
    }

    /// Whether a key in this phase signs, or may yet.
    #[must_use]
    pub fn is_private_kept(self) -> bool {
        matches!(self, Self::Announced | Self::Proven | Self::Signing)
    }

    /// Whether it is published and has never signed.
    pub(crate) fn is_waiting(self) -> bool {
        matches!(self, Self::Announced | Self::Proven)
    }
}
