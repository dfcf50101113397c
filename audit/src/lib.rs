//! A log that proves itself. Its events are the leaves of a Merkle tree (RFC 9162 §2.1, the hashing of
//! RFC 6962), whose root is signed from time to time, as a C2SP checkpoint; who kept a checkpoint can show
//! what became of the log since. All of it is a function of what is handed in: no clock, no store and no
//! socket here, and no randomness but in the making of a key.

mod check;
mod checkpoint;
mod entry;
mod export;
mod finding;
mod note;
mod proof;
mod tree;

pub use check::{Leaf, Report, Signed, StoredEvent, check};
pub use checkpoint::{Checkpoint, CheckpointError, ProofText, checkpoint_proof};
pub use entry::{Entry, line_id, renumbered};
pub use export::{ocsf, syslog};
pub use finding::Finding;
pub use note::{Key, NoteError, Verifier};
pub use proof::{Unproven, consistency, inclusion, verify_consistency, verify_inclusion};
pub use tree::{Frontier, Hash, Node, Source, leaf, node, root};
