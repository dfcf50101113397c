//! The server side of ACME (RFC 8555) without I/O: what arrives is parsed and judged here, what
//! leaves is shaped here; storing, fetching and signing are the caller's.

pub mod algorithm;
pub mod ari;
pub mod authorization;
pub mod caa;
pub mod challenge;
pub mod eab;
pub mod identifier;
mod json;
pub mod jwk;
pub mod jws;
pub mod key_change;
pub mod limit;
pub mod nonce;
pub mod order;
pub mod problem;
pub mod request;
pub mod resource;

pub use algorithm::Algorithm;
pub use challenge::ChallengeType;
pub use identifier::Identifier;
pub use jwk::Jwk;
pub use jws::{Jws, KeyReference, ProtectedHeader};
pub use nonce::Nonces;
pub use problem::{Problem, ProblemType};
