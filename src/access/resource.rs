//! What is acted on, as far as rules ask about it.

/// A thing, or all things of a kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Resource {
    /// `certificate`, `managed`, `keyset`, ...: the first part of its actions' names.
    pub(crate) kind: &'static str,
    /// What it is called; none: all things of its kind, or one that is not there yet.
    pub(crate) name: Option<String>,
    /// The team that answers for it.
    pub(crate) owner: Option<String>,
    /// The authority that it is of, or is to be of.
    pub(crate) authority: Option<String>,
    /// The profile that it follows.
    pub(crate) profile: Option<String>,
    /// The DNS names and addresses that it stands for.
    pub(crate) names: Vec<String>,
}

impl Resource {
    /// All things of a kind.
    pub(crate) fn all(kind: &'static str) -> Self {
        Self { kind, ..Self::default() }
    }

    /// The thing of this kind and name, of which nothing else is known.
    pub(crate) fn named(kind: &'static str, name: impl Into<String>) -> Self {
        Self { kind, name: Some(name.into()), ..Self::default() }
    }
}
