//! Checkpoints (<https://c2sp.org/tlog-checkpoint>): how large a log is and what its root is, signed; and
//! proofs that carry one (<https://c2sp.org/tlog-proof>).

use std::fmt::Write;

use crate::note::{Key, NoteError, Verifier};
use crate::proof::{Unproven, verify_inclusion};
use crate::tree::{Hash, leaf};

/// What a checkpoint says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which log.
    pub origin: String,
    /// How many leaves it has.
    pub size: u64,
    /// The root of the tree of them.
    pub root: Hash,
}

/// A checkpoint, or a proof with one, is not to be believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// The note is wrong.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// What was signed is no checkpoint.
    #[error("what is signed is no checkpoint")]
    Malformed,
    /// It is signed, but of another log.
    #[error("it is of the log {origin:?}")]
    Origin {
        /// Of which.
        origin: String,
    },
    /// The text of a proof has another form.
    #[error("it is no proof: that begins with {HEAD}")]
    Proof,
    /// The proof does not lead from the event to the checkpoint.
    #[error("the event is not what was signed, or not in the place that the proof says")]
    Unproven,
}

impl From<Unproven> for CheckpointError {
    fn from(_: Unproven) -> Self {
        Self::Unproven
    }
}

impl Checkpoint {
    /// The checkpoint as a note that `key` signed.
    pub fn sign(&self, key: &Key) -> String {
        key.sign(&format!("{}\n{}\n{}\n", self.origin, self.size, self.root))
    }

    /// Reads the checkpoint of a log from a note that its key signed: the log has the key's name.
    ///
    /// # Errors
    /// When it is none, or not to be believed.
    pub fn open(note: &str, verifier: &Verifier) -> Result<Self, CheckpointError> {
        let text = verifier.open(note)?;
        let mut lines = text.lines();
        let (Some(origin), Some(size), Some(root)) = (lines.next(), lines.next(), lines.next())
        else {
            return Err(CheckpointError::Malformed);
        };
        // What would be written otherwise was not written here: no sign, no leading zeros.
        let number = size.parse::<u64>().ok().filter(|number| number.to_string() == size);
        let size = number.ok_or(CheckpointError::Malformed)?;
        let root = Hash::from_base64(root).ok_or(CheckpointError::Malformed)?;
        if origin != verifier.name() {
            return Err(CheckpointError::Origin { origin: origin.to_owned() });
        }
        Ok(Self { origin: origin.to_owned(), size, root })
    }
}

/// The text that proves that what is at `position` is in the log of a signed checkpoint.
pub fn checkpoint_proof(position: u64, proof: &[Hash], note: &str) -> String {
    let mut out = format!("{HEAD}\nindex {position}\n");
    for hash in proof {
        let _ = writeln!(out, "{hash}");
    }
    out.push('\n');
    out.push_str(note);
    out
}

/// A proof as it was handed over, not verified yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProofText<'a> {
    /// The place of the event in the log.
    pub position: u64,
    hashes: Vec<Hash>,
    note: &'a str,
}

impl<'a> ProofText<'a> {
    /// Reads what [`checkpoint_proof`] writes.
    ///
    /// # Errors
    /// [`CheckpointError::Proof`].
    pub fn parse(text: &'a str) -> Result<Self, CheckpointError> {
        let (proof, note) = text.split_once("\n\n").ok_or(CheckpointError::Proof)?;
        let mut lines = proof.lines();
        if lines.next() != Some(HEAD) {
            return Err(CheckpointError::Proof);
        }
        let index = lines.next().and_then(|line| line.strip_prefix("index "));
        let position = index.and_then(|index| index.parse().ok()).ok_or(CheckpointError::Proof)?;
        // A tree is not deeper than that.
        let hashes: Option<Vec<_>> = lines.take(65).map(Hash::from_base64).collect();
        let hashes = hashes.filter(|hashes| hashes.len() <= 64).ok_or(CheckpointError::Proof)?;
        Ok(Self { position, hashes, note })
    }

    /// Checks that the event of this line is where the proof says, in the log whose key this is.
    ///
    /// # Errors
    /// When it does not show that.
    pub fn verify(&self, line: &str, verifier: &Verifier) -> Result<Checkpoint, CheckpointError> {
        let checkpoint = Checkpoint::open(self.note, verifier)?;
        let tree = (checkpoint.size, checkpoint.root);
        verify_inclusion(leaf(line.as_bytes()), self.position, tree, &self.hashes)?;
        Ok(checkpoint)
    }
}

const HEAD: &str = "c2sp.org/tlog-proof@v1";
