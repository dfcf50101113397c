//! Everything Perennial must not forget. Reads run on pooled connections; writes are [`Commit`]s:
//! rows with the version they were read at, plus the audit event of the change. One thread applies
//! them, and commits that arrive together share one sync. Nothing is acknowledged before it is
//! durable, and a write without an event does not compile.

mod alarm;
mod approval;
mod asked;
mod audit;
mod batch;
mod commit;
#[cfg(test)]
mod crash;
mod damage;
mod ends;
mod error;
mod events;
mod fetch;
mod figures;
mod forget;
mod found;
mod keyset;
mod log;
mod managed;
mod notification;
mod people;
mod proofs;
mod reads;
mod repeat;
pub(crate) mod rows;
mod sqlite;
mod tally;
mod token;
mod waiting;

pub(crate) use alarm::{Alarm, Placed};
pub(crate) use audit::{Actor, Event, Recorded};
pub(crate) use commit::{Commit, CommitError, Row};
pub(crate) use ends::{ManagedEnd, PlaceEnd, Use};
pub(crate) use error::ReadError;
pub(crate) use fetch::{FetchRow, KnownBy};
pub(crate) use figures::{Ended, PlacementFilter};
pub(crate) use forget::Kept;
pub(crate) use found::{Found, FoundFilter, Sighted, Sighting};
pub(crate) use managed::ManagedCounts;
pub(crate) use proofs::{CheckpointRow, VERIFIER, check_file};
pub(crate) use reads::{CertificateFilter, Page};
pub(crate) use repeat::{Claim, KEPT as CLAIM_KEPT, Repeatable};
pub(crate) use rows::*;
pub(crate) use sqlite::Store;
#[cfg(test)]
pub(crate) use sqlite::tests::break_thread;
