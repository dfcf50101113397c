//! The dashboard's pages: HTML from what the API answers, for whoever looks. Pure: no sockets, no clock, no
//! store. Nothing here decides who may what; it is told, and shows no button to who may not.

mod access;
mod act;
mod asset;
mod audit;
mod authority;
mod bar;
mod field;
mod found;
mod frame;
mod heat;
mod issued;
mod keyset;
mod managed;
mod overview;
mod part;
mod phases;
mod proof;
mod target;
mod time;
mod timeline;
mod words;

pub use access::{Access, access};
pub use act::{Choice, Deed, confirm};
pub use asset::{Asset, asset};
pub use audit::{audit, event};
pub use authority::{authorities, authority};
pub use field::{Field, segment};
pub use found::{endpoint, endpoints, found, found_one};
pub use frame::{Frame, Section, Visitor, page, stranger, trouble};
pub use issued::{issued, issued_one};
pub use keyset::{keyset, keysets};
pub use managed::{managed, managed_one};
pub use maud::Markup;
pub use overview::overview;
pub use part::{Listed, Powers};
pub use target::{target, targets};
