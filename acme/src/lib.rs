//! The server side of ACME (RFC 8555) without I/O: what arrives is parsed and judged here, what
//! leaves is shaped here; storing, fetching and signing are the caller's.

pub mod identifier;
pub mod problem;

pub use identifier::Identifier;
pub use problem::{Problem, ProblemType};
