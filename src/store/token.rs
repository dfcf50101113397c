//! What is asked of the store about API tokens.

use jiff::{SignedDuration, Timestamp};
use rusqlite::params;

use super::commit::{Commit, CommitError};
use super::error::ReadError;
use super::reads::{Page, all, one};
use super::rows::ApiToken;
use super::sqlite::Store;

impl Store {
    /// The token whose text has this SHA-256. How far the index compares before it finds nothing may
    /// show in the time it takes, and tells at most how the hash of some token begins; texts with a
    /// hash that begins so can only be found by trying, and lead no nearer to the token itself.
    pub(crate) fn token_by_hash(&self, hash: &[u8; 32]) -> Result<Option<ApiToken>, ReadError> {
        self.read(|c| one(c, "WHERE hash = ?1", [hash]))
    }

    /// The token of this name.
    pub(crate) fn token_by_name(&self, name: &str) -> Result<Option<ApiToken>, ReadError> {
        self.read(|c| one(c, "WHERE name = ?1", [name]))
    }

    /// All tokens, by id.
    pub(crate) fn tokens(&self, page: Page) -> Result<Vec<ApiToken>, ReadError> {
        self.read(|c| all(c, "WHERE id > ?1 ORDER BY id LIMIT ?2", params![page.after, page.limit]))
    }

    /// Stores that a token was used, unless that was stored within the last minute.
    ///
    /// # Errors
    /// As for [`Store::commit`].
    pub(crate) async fn note_use(
        &self,
        token: &ApiToken,
        now: Timestamp,
    ) -> Result<(), CommitError> {
        let recent = |used: Timestamp| now.duration_since(used).abs() < USES_APART;
        if token.used_at.is_some_and(recent) {
            return Ok(());
        }
        self.commit(Commit::note_use("api_token", token.id), now).await
    }
}

/// A write each time would make every look cost as much as a change.
const USES_APART: SignedDuration = SignedDuration::from_mins(1);

#[cfg(test)]
mod tests {
    use crate::store::{ApiToken, Commit, Event};
    use crate::token::{Kind, Token};

    use super::*;

    #[tokio::test]
    async fn a_token_is_found_by_its_hash_and_its_use_is_noted_once_a_minute() {
        let (node, _) = crate::node::tests::node().await;
        let now = node.world.now();
        let token = Token::new(&node.world);
        let row = ApiToken {
            id: node.store.id(),
            version: 0,
            name: "edge".into(),
            hash: token.hash(),
            scope: serde_json::from_str(r#"["certificate/edge-*"]"#).expect("a scope"),
            created_at: now,
            expires_at: Some(now + SignedDuration::from_hours(1)),
            used_at: None,
            revoked_at: None,
        };
        let commit = Commit::new(Event::new("admin", "token.create", "token/edge")).put(row);
        node.store.commit(commit, now).await.expect("stored");
        assert!(node.store.token_by_hash(&[0; 32]).expect("a read").is_none());

        let mut noted = Vec::new();
        for seconds in [0, 59, 60, 61, -1] {
            let found = node.store.token_by_hash(&token.hash()).expect("a read").expect("it");
            assert!(found.scope.covers(Kind::Certificate, "edge-a"));
            let at = now + SignedDuration::from_secs(seconds);
            node.store.note_use(&found, at).await.expect("noted");
            let found = node.store.token_by_name("edge").expect("a read").expect("it");
            noted.push(found.used_at.map(|used| used.duration_since(now).as_secs()));
            assert_eq!(found.version, 1, "who revokes it meanwhile is not in the way");
        }
        assert_eq!(noted, [Some(0), Some(0), Some(60), Some(60), Some(-1)]);
        let events = node.store.events(Some("token/edge".into()), i64::MAX, 10).await;
        assert_eq!(events.expect("a read").len(), 1, "a use is no change");
        let _ = std::fs::remove_dir_all(&node.config.data_dir);
    }

    #[tokio::test]
    async fn a_token_that_is_expired_or_revoked_is_not_valid() {
        let now = Timestamp::UNIX_EPOCH;
        let later = now + SignedDuration::from_secs(1);
        let row = |expires_at, revoked_at| ApiToken {
            id: 1,
            version: 1,
            name: "edge".into(),
            hash: [0; 32],
            scope: serde_json::from_str(r#"["keyset/*"]"#).expect("a scope"),
            created_at: now,
            expires_at,
            used_at: None,
            revoked_at,
        };
        assert_eq!(row(None, None).status(later), "valid");
        assert_eq!(row(Some(later), None).status(now), "valid");
        assert_eq!(row(Some(later), None).status(later), "expired");
        assert_eq!(row(Some(later), Some(now)).status(now), "revoked");
        assert!(!row(None, Some(now)).is_valid(now));
    }
}
