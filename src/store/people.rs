//! What is asked of the store about people and their sessions. Secrets are looked for by their hash; see
//! [`Store::token_by_hash`] for why that gives nothing away.

use jiff::{SignedDuration, Timestamp};
use rusqlite::params;

use super::commit::{Commit, CommitError};
use super::error::ReadError;
use super::reads::{Page, all, one};
use super::rows::{IdentityRow, PasskeyRow, PersonRow, SessionRow};
use super::sqlite::Store;

impl Store {
    /// The person of this row.
    pub(crate) fn person(&self, id: i64) -> Result<Option<PersonRow>, ReadError> {
        self.read(|c| one(c, "WHERE id = ?1", [id]))
    }

    /// The person of this name.
    pub(crate) fn person_by_name(&self, name: &str) -> Result<Option<PersonRow>, ReadError> {
        self.read(|c| one(c, "WHERE name = ?1", [name]))
    }

    /// Whom the link lets in whose secret has this SHA-256.
    pub(crate) fn person_by_link(&self, hash: &[u8; 32]) -> Result<Option<PersonRow>, ReadError> {
        self.read(|c| one(c, "WHERE invitation_hash = ?1", [hash]))
    }

    /// All people, by id.
    pub(crate) fn people(&self, page: Page) -> Result<Vec<PersonRow>, ReadError> {
        self.read(|c| all(c, "WHERE id > ?1 ORDER BY id LIMIT ?2", params![page.after, page.limit]))
    }

    /// The session of this row.
    pub(crate) fn session(&self, id: i64) -> Result<Option<SessionRow>, ReadError> {
        self.read(|c| one(c, "WHERE id = ?1", [id]))
    }

    /// The session whose secret has this SHA-256.
    pub(crate) fn session_by_hash(&self, hash: &[u8; 32]) -> Result<Option<SessionRow>, ReadError> {
        self.read(|c| one(c, "WHERE hash = ?1", [hash]))
    }

    /// All sessions that have not been ended, by id.
    pub(crate) fn sessions(&self, page: Page) -> Result<Vec<SessionRow>, ReadError> {
        self.read(|c| all(c, "WHERE id > ?1 ORDER BY id LIMIT ?2", params![page.after, page.limit]))
    }

    /// The sessions of a person, the oldest first.
    pub(crate) fn sessions_of(&self, person: i64) -> Result<Vec<SessionRow>, ReadError> {
        self.read(|c| all(c, "WHERE person = ?1 ORDER BY id", [person]))
    }

    /// Whom an issuer of identities calls so.
    pub(crate) fn identity(
        &self,
        issuer: &str,
        subject: &str,
    ) -> Result<Option<IdentityRow>, ReadError> {
        self.read(|c| one(c, "WHERE issuer = ?1 AND subject = ?2", [issuer, subject]))
    }

    /// The passkey that its authenticator calls so.
    pub(crate) fn passkey_by_credential(&self, id: &[u8]) -> Result<Option<PasskeyRow>, ReadError> {
        self.read(|c| one(c, "WHERE credential = ?1", [id]))
    }

    /// The passkeys of a person, the oldest first.
    pub(crate) fn passkeys_of(&self, person: i64) -> Result<Vec<PasskeyRow>, ReadError> {
        self.read(|c| all(c, "WHERE person = ?1 ORDER BY id", [person]))
    }

    /// Stores that a session was used, unless that was stored within the last minute.
    ///
    /// # Errors
    /// As for [`Store::commit`].
    pub(crate) async fn note_visit(
        &self,
        session: &SessionRow,
        now: Timestamp,
    ) -> Result<(), CommitError> {
        if now.duration_since(session.used_at).abs() < VISITS_APART {
            return Ok(());
        }
        self.commit(Commit::note_use("session", session.id), now).await
    }
}

/// A write each time would make every look cost as much as a change.
const VISITS_APART: SignedDuration = SignedDuration::from_mins(1);
