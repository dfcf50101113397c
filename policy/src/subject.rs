//! Who asks, as far as rules ask about it, and how bindings name them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The ways in which somebody is recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// An API token.
    Token,
    /// Somebody who signed in.
    Person,
    /// A client certificate.
    Certificate,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Token, Self::Person, Self::Certificate];

    /// What bindings and the audit log call it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Person => "person",
            Self::Certificate => "certificate",
        }
    }

    /// What policies call it.
    pub(crate) fn entity(self) -> &'static str {
        match self {
            Self::Token => "Token",
            Self::Person => "Person",
            Self::Certificate => "Certificate",
        }
    }
}

/// Somebody who was recognised, and what came with them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// How they were recognised.
    pub kind: Kind,
    /// As whom.
    pub name: String,
    /// The groups that they are in.
    pub groups: Vec<String>,
    /// The roles that they have for everything, by name.
    pub roles: Vec<&'static str>,
    /// Whether they proved anew, a moment ago, that it is they.
    pub stepped_up: bool,
}

/// To whom a binding gives its role: `token/NAME`, `person/NAME`, `certificate/NAME` or `group/NAME`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Receiver {
    /// None: everybody in the group of this name.
    kind: Option<Kind>,
    name: String,
}

impl Receiver {
    /// Whether `subject` is meant.
    #[must_use]
    pub fn is(&self, subject: &Subject) -> bool {
        match self.kind {
            Some(kind) => kind == subject.kind && self.name == subject.name,
            None => subject.groups.contains(&self.name),
        }
    }

    /// The group that is meant, if it is one.
    #[must_use]
    pub fn group(&self) -> Option<&str> {
        self.kind.is_none().then_some(&*self.name)
    }

    /// The subject that is meant, if it is one, of whom nothing else is known.
    #[must_use]
    pub fn subject(&self) -> Option<Subject> {
        self.kind.map(|kind| Subject {
            kind,
            name: self.name.clone(),
            groups: Vec::new(),
            roles: Vec::new(),
            stepped_up: false,
        })
    }
}

impl FromStr for Receiver {
    type Err = BadSubject;

    fn from_str(text: &str) -> Result<Self, BadSubject> {
        let bad = || BadSubject(text.chars().take(80).collect());
        let (kind, name) = text.split_once('/').ok_or_else(bad)?;
        let known = Kind::ALL.into_iter().find(|known| known.name() == kind);
        if known.is_none() && kind != GROUP {
            return Err(bad());
        }
        // People and groups may come from elsewhere, with the names that they have there.
        if name.is_empty()
            || name.len() > LONGEST
            || name.chars().any(|c| c.is_control() || c == '/')
        {
            return Err(bad());
        }
        Ok(Self { kind: known, name: name.to_owned() })
    }
}

impl TryFrom<String> for Receiver {
    type Error = BadSubject;

    fn try_from(text: String) -> Result<Self, BadSubject> {
        text.parse()
    }
}

impl From<Receiver> for String {
    fn from(receiver: Receiver) -> Self {
        receiver.to_string()
    }
}

impl fmt::Display for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind.map_or(GROUP, Kind::name), self.name)
    }
}

/// Nobody is called so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} names nobody: write token/NAME, person/NAME, certificate/NAME or group/NAME")]
pub struct BadSubject(String);

const GROUP: &str = "group";
const LONGEST: usize = 128;
