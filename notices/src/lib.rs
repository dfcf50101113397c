//! What people are told of events, decided and not done: which event begins a trouble and which ends
//! it, what of it is news, when it is told, and in which few words. Everything is a function of what is
//! stored, of what is declared and of the time handed in; nothing is sent here, and nothing is read.

mod flush;
mod kind;
mod message;
mod notice;

pub use flush::{Plan, flush, held_until, horizon};
pub use kind::{Effect, KINDS, Kind, Severity};
pub use message::{Message, for_chat};
pub use notice::{Change, Happening, Notice, State, happen, one_line};
