//! Files with private keys that something signs with: written beside their place and renamed, read back,
//! and perhaps a command that makes their reader read them again. Unlike certificates, what was there
//! before is never put back: it may be a key that must not be used any more.

use std::path::{Path, PathBuf};
use std::time::Duration;

use zeroize::Zeroizing;

use crate::Receipt;
use crate::command;
use crate::disk::{self, Access, Staged, blocking};
use crate::error::PushError;
use crate::placement::{Mode, Placement, absolute};

/// A file of private keys, and its reader.
#[derive(Clone, Debug, PartialEq)]
pub struct KeyFile {
    /// The file.
    pub path: PathBuf,
    /// The user who owns it, by name or number.
    pub owner: Option<String>,
    /// Its group, by name or number; it may read, unless `mode` says otherwise.
    pub group: Option<String>,
    /// Permission bits; by default 0600, or 0640 with a `group`.
    pub mode: Option<Mode>,
    /// The argument list of a command to run when the file has changed; none if empty.
    pub reload: Vec<String>,
    /// How long that command may take.
    pub timeout: Duration,
}

/// What is to be in a [`KeyFile`]. It prints nothing of itself.
pub struct KeyFileContent {
    /// In the file itself; `None` leaves what is there.
    pub content: Option<Zeroizing<Vec<u8>>>,
    /// In the file beside it, of the same name and `.next`; `None` removes it.
    pub next: Option<Zeroizing<Vec<u8>>>,
}

impl KeyFile {
    /// Whether it can work at all. Looks at nothing outside the declaration.
    ///
    /// # Errors
    /// A sentence that says which field is wrong and what to write.
    pub fn check(&self) -> Result<(), String> {
        absolute("path", Some(&self.path))?;
        match self.mode {
            Some(mode) if mode.bits() & 0o007 != 0 => Err(format!(
                "mode = \"{mode}\" lets everybody read private keys: write \"0600\" or \"0640\""
            )),
            _ => Ok(()),
        }
    }

    /// Puts keys in place, reads them back, and tells the reader if anything changed or `tell` says
    /// so: whoever wrote it may have been interrupted before telling.
    ///
    /// # Errors
    /// [`PushError`]. What was written stays.
    pub async fn put(&self, keys: KeyFileContent, tell: bool) -> Result<Receipt, PushError> {
        let file = self.clone();
        let changed = blocking(move || file.put_now(&keys)).await?;
        if self.reload.is_empty() || !(changed || tell) {
            return Ok(Receipt { output: String::new(), changed });
        }
        let refused = "the keys are in place, and the reload command failed";
        match command::run(&self.reload, &[], self.timeout, refused).await {
            Ok(output) => Ok(Receipt { output: without_secrets(&output), changed }),
            Err(error) => Err(quiet(error)),
        }
    }

    fn put_now(&self, keys: &KeyFileContent) -> Result<bool, PushError> {
        let access = self.access()?;
        let mut changed = false;
        if let Some(content) = &keys.content {
            changed |= write(&self.path, content, access)?;
        }
        // After the file itself: a key is in one of them at every moment.
        let next = self.next_path();
        match &keys.next {
            Some(content) => changed |= write(&next, content, access)?,
            None if next.exists() => {
                disk::remove(&next)?;
                changed = true;
            }
            None => {}
        }
        Ok(changed)
    }

    /// The file beside it, for the key after this one.
    #[must_use]
    pub fn next_path(&self) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(".next");
        name.into()
    }

    fn access(&self) -> Result<Access, PushError> {
        let owner = Placement {
            owner: self.owner.clone(),
            group: self.group.clone(),
            mode: self.mode,
            ..Placement::default()
        };
        let access = owner.access()?;
        // Not that of the file that is replaced, as with certificates: this is never public.
        Ok(Access { mode: access.mode.or(Some(0o600)), ..access })
    }
}

/// Whether the file had to be written. It holds `content` afterwards, durably.
fn write(path: &Path, content: &Zeroizing<Vec<u8>>, access: Access) -> Result<bool, PushError> {
    let same = disk::read(path)?.as_ref() == Some(content) && access.is_of(path);
    if !same {
        Staged::new(path, content, access)?.take_place()?;
    }
    disk::sync_parent(path)?;
    match disk::read(path)?.as_ref() == Some(content) {
        true => Ok(!same),
        false => Err(PushError::Refused {
            what: format!("{} does not hold what was put there", path.display()),
            output: "somebody else writes it; end that, and it is tried again".to_owned(),
        }),
    }
}

/// The same error; what a program said is in it without what may be a key.
fn quiet(error: PushError) -> PushError {
    match error {
        PushError::Refused { what, output } => {
            PushError::Refused { what, output: without_secrets(&output) }
        }
        PushError::TimedOut { what, after, output } => {
            PushError::TimedOut { what, after, output: without_secrets(&output) }
        }
        other => other,
    }
}

/// Blacks out whatever is long enough to be a member of a private JWK: a reader that fails may print
/// what it read.
fn without_secrets(text: &str) -> String {
    let part_of_one = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let mut clean = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let end = rest.find(|c| part_of_one(c) != part_of_one(first)).unwrap_or(rest.len());
        let (run, more) = rest.split_at(end);
        let hidden = part_of_one(first) && run.len() >= SHORTEST_SECRET;
        clean.push_str(if hidden { "[not shown]" } else { run });
        rest = more;
    }
    clean
}

/// 32 octets take 43 characters in base64url; half of that tells too much already.
const SHORTEST_SECRET: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_a_key_is_not_repeated() {
        let said =
            "bad key {\"d\":\"AVKqSfPTXDYOGyn9T3VZRW1K-wpv0cq5XVU_vKTfqGE\"} in /etc/keys.json";
        let expected = "bad key {\"d\":\"[not shown]\"} in /etc/keys.json";
        assert_eq!(without_secrets(said), expected);
    }

    #[test]
    fn keys_for_everybody_are_refused() {
        let file = |path: &str, mode: &str| KeyFile {
            path: path.into(),
            owner: None,
            group: None,
            mode: Some(mode.parse().expect("a mode")),
            reload: Vec::new(),
            timeout: Duration::from_secs(1),
        };
        assert_eq!(file("/a/keys", "0640").check(), Ok(()));
        assert!(file("/a/keys", "0644").check().is_err());
        assert!(file("keys", "0600").check().is_err());
    }
}
