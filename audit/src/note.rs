//! Signed notes (<https://c2sp.org/signed-note>): a text and who signed it, with Ed25519. What a text says
//! is not known here.

use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use data_encoding::{BASE64, HEXLOWER, HEXLOWER_PERMISSIVE};
use zeroize::Zeroizing;

/// A note, or a key for notes, is not what it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// It has another form.
    #[error("it is no signed note")]
    Malformed,
    /// Nobody who is known signed it.
    #[error("{name} did not sign it with this key")]
    Unsigned {
        /// Who should have.
        name: String,
    },
    /// A signature of somebody known is not theirs.
    #[error("its signature by {name} is wrong: it was changed after it was signed")]
    Wrong {
        /// Whose it pretends to be.
        name: String,
    },
    /// The text of a verifier key is wrong.
    #[error("it is no verifier key: that is NAME+ID+KEY, with ID the hash of the others")]
    Key,
    /// A name that notes cannot carry.
    #[error("a signer's name is not empty, and has neither spaces nor plus signs")]
    Name,
}

/// Who signs notes.
pub struct Key {
    pair: Ed25519KeyPair,
    verifier: Verifier,
}

impl Key {
    /// The signer called `name` whose private key this seed is (RFC 8032 §5.1.5).
    ///
    /// # Errors
    /// [`NoteError::Name`] or [`NoteError::Key`].
    pub fn new(name: &str, seed: &Zeroizing<[u8; 32]>) -> Result<Self, NoteError> {
        let pair =
            Ed25519KeyPair::from_seed_unchecked(seed.as_slice()).map_err(|_| NoteError::Key)?;
        let public = pair.public_key().as_ref().try_into().map_err(|_| NoteError::Key)?;
        Ok(Self { pair, verifier: Verifier::new(name, public)? })
    }

    /// What verifies what it signs.
    pub fn verifier(&self) -> &Verifier {
        &self.verifier
    }

    /// The note of `text`, which ends with a line feed and has no empty line at its end.
    pub fn sign(&self, text: &str) -> String {
        let mut signature = self.verifier.id().to_vec();
        signature.extend_from_slice(self.pair.sign(text.as_bytes()).as_ref());
        let name = &self.verifier.name;
        format!("{text}\n{DASH}{name} {}\n", BASE64.encode(&signature))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.verifier)
    }
}

/// Whose notes are believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verifier {
    name: String,
    public: [u8; 32],
}

impl Verifier {
    fn new(name: &str, public: [u8; 32]) -> Result<Self, NoteError> {
        let odd = |c: char| c.is_whitespace() || c.is_control() || c == '+';
        if name.is_empty() || name.contains(odd) {
            return Err(NoteError::Name);
        }
        Ok(Self { name: name.to_owned(), public })
    }

    /// Reads `NAME+ID+KEY`, as it is displayed.
    ///
    /// # Errors
    /// [`NoteError::Key`] or [`NoteError::Name`].
    pub fn parse(text: &str) -> Result<Self, NoteError> {
        let (name, rest) = text.trim().split_once('+').ok_or(NoteError::Key)?;
        let (id, key) = rest.split_once('+').ok_or(NoteError::Key)?;
        let key = BASE64.decode(key.as_bytes()).map_err(|_| NoteError::Key)?;
        let public = match key.split_first() {
            Some((&ALGORITHM, public)) => public.try_into().map_err(|_| NoteError::Key)?,
            _ => return Err(NoteError::Key),
        };
        let verifier = Self::new(name, public)?;
        let id = HEXLOWER_PERMISSIVE.decode(id.as_bytes()).map_err(|_| NoteError::Key)?;
        if id == verifier.id() { Ok(verifier) } else { Err(NoteError::Key) }
    }

    /// Who signs.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The text of a note that they signed. Signatures of others are not looked at.
    ///
    /// # Errors
    /// When it is no note, or not signed by them.
    pub fn open<'a>(&self, note: &'a str) -> Result<&'a str, NoteError> {
        if note.len() > MAX_NOTE || note.contains(|c: char| c < ' ' && c != '\n') {
            return Err(NoteError::Malformed);
        }
        let end = note.rfind("\n\n").ok_or(NoteError::Malformed)?;
        let (text, signatures) = (&note[..=end], &note[end + 2..]);
        if signatures.is_empty() || !signatures.ends_with('\n') {
            return Err(NoteError::Malformed);
        }
        for line in signatures.lines() {
            let line = line.strip_prefix(DASH).ok_or(NoteError::Malformed)?;
            let (name, signature) = line.split_once(' ').ok_or(NoteError::Malformed)?;
            let signature =
                BASE64.decode(signature.as_bytes()).map_err(|_| NoteError::Malformed)?;
            let (id, signature) = signature.split_at_checked(4).ok_or(NoteError::Malformed)?;
            if name == self.name && id == self.id() {
                let key = UnparsedPublicKey::new(&ED25519, self.public);
                let wrong = |_| NoteError::Wrong { name: self.name.clone() };
                return key.verify(text.as_bytes(), signature).map(|()| text).map_err(wrong);
            }
        }
        Err(NoteError::Unsigned { name: self.name.clone() })
    }

    fn id(&self) -> [u8; 4] {
        let key = [&[ALGORITHM], self.public.as_slice()].concat();
        let hash = digest(&SHA256, &[self.name.as_bytes(), b"\n", &key].concat());
        let mut id = [0; 4];
        id.copy_from_slice(&hash.as_ref()[..4]);
        id
    }
}

impl fmt::Display for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = [&[ALGORITHM], self.public.as_slice()].concat();
        write!(f, "{}+{}+{}", self.name, HEXLOWER.encode(&self.id()), BASE64.encode(&key))
    }
}

const DASH: &str = "\u{2014} ";
/// Ed25519, of the types of signatures.
const ALGORITHM: u8 = 1;
/// More than any note here has, with the signatures of many witnesses.
const MAX_NOTE: usize = 64 * 1024;
