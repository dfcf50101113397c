//! Who may what, decided: roles that are sets of actions, bindings that give somebody a role for some
//! things, and policies in Cedar that permit or forbid besides. All of it is compiled once into [`Rules`],
//! and those answer. Nothing here knows a store, a request or a clock; the words that rules are made of
//! (actions, roles) are handed in as a [`Vocabulary`].

mod binding;
mod decision;
mod pattern;
mod resource;
mod rules;
mod statement;
mod subject;
mod vocabulary;

pub use binding::{BadBinding, Binding, Scope};
pub use decision::{Decision, Reason};
pub use pattern::{BadPattern, NamePattern, Pattern};
pub use resource::Resource;
pub use rules::{Fault, Policy, Rules};
pub use statement::BadStatement;
pub use subject::{BadSubject, Kind, Receiver, Subject};
pub use vocabulary::Vocabulary;
