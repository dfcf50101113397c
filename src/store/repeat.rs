//! Requests that may be repeated without being done twice: claimed before they are done, answered after.
//! What is in an answer is not known here.

use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, OptionalExtension, params};

use super::commit::{Commit, CommitError, Row};
use super::error::ReadError;
use super::sqlite::Store;
use crate::seal::Sealed;

/// A request that was claimed.
#[derive(Clone, Debug)]
pub(crate) struct Repeatable {
    /// SHA-256 of what was asked.
    pub(crate) digest: [u8; 32],
    pub(crate) claimed_at: Timestamp,
    /// The status and the rest of the answer; none: it is under way, or was interrupted.
    pub(crate) answer: Option<(u16, Sealed)>,
}

/// What is written of a request.
#[derive(Clone)]
pub(crate) enum Claim {
    /// It begins. Whatever is older than answers are kept goes, some at a time.
    Begun { digest: [u8; 32] },
    /// It is answered.
    Answered { status: u16, answer: Sealed },
    /// It was not done, and may be tried again.
    Withdrawn,
}

impl Store {
    /// What is known of the request that `caller` made under `key`.
    pub(crate) fn repeatable(
        &self,
        caller: &str,
        key: &str,
    ) -> Result<Option<Repeatable>, ReadError> {
        let sql = "SELECT digest, claimed_at, status, answer FROM repeatable
                   WHERE caller = ?1 AND key = ?2";
        self.read(|c| {
            c.prepare_cached(sql)?
                .query_row([caller, key], |row| {
                    let status: Option<u16> = row.get(2)?;
                    let answer: Option<Vec<u8>> = row.get(3)?;
                    Ok(Repeatable {
                        digest: row.get(0)?,
                        claimed_at: crate::world::second(row.get(1)?),
                        answer: status.zip(answer.map(Sealed)),
                    })
                })
                .optional()
        })
    }

    /// Whether `caller` has claimed as many requests as are kept of one.
    pub(crate) fn has_many_repeatable(
        &self,
        caller: &str,
        now: Timestamp,
    ) -> Result<bool, ReadError> {
        let sql = "SELECT count(*) FROM
                   (SELECT 1 FROM repeatable WHERE caller = ?1 AND claimed_at >= ?3 LIMIT ?2)";
        let since = (now - KEPT).as_second();
        self.read(|c| {
            let params = params![caller, MOST, since];
            c.prepare_cached(sql)?.query_row(params, |row| row.get::<_, i64>(0)).map(|n| n >= MOST)
        })
    }

    /// Claims the request that `caller` makes under `key`, or says what became of it.
    ///
    /// # Errors
    /// As for [`Store::commit`]; [`CommitError::Conflict`] where another is first to begin it.
    pub(crate) async fn note_claim(
        &self,
        (caller, key): (&str, &str),
        claim: Claim,
        now: Timestamp,
    ) -> Result<(), CommitError> {
        let row = Row::Claim { caller: caller.to_owned(), key: key.to_owned(), claim };
        self.commit(Commit::note_claim(row), now).await
    }
}

impl Claim {
    pub(super) fn write(
        &self,
        connection: &Connection,
        (caller, key): (&str, &str),
        at: Timestamp,
    ) -> rusqlite::Result<()> {
        match self {
            Self::Begun { digest } => {
                let before = (at - KEPT).as_second();
                connection.prepare_cached(FORGET)?.execute(params![before, AT_MOST])?;
                connection.prepare_cached(FORGET_THIS)?.execute(params![caller, key, before])?;
                let begin = "INSERT INTO repeatable (caller, key, digest, claimed_at)
                             VALUES (?1, ?2, ?3, ?4)";
                let params = params![caller, key, digest, at.as_second()];
                connection.prepare_cached(begin)?.execute(params)
            }
            Self::Answered { status, answer } => {
                let end = "UPDATE repeatable SET status = ?3, answer = ?4
                           WHERE caller = ?1 AND key = ?2";
                connection.prepare_cached(end)?.execute(params![caller, key, status, answer.0])
            }
            Self::Withdrawn => {
                let withdraw = "DELETE FROM repeatable WHERE caller = ?1 AND key = ?2";
                connection.prepare_cached(withdraw)?.execute([caller, key])
            }
        }
        .map(drop)
    }
}

const FORGET: &str = "DELETE FROM repeatable WHERE (caller, key) IN
    (SELECT caller, key FROM repeatable WHERE claimed_at < ?1 ORDER BY claimed_at LIMIT ?2)";
const FORGET_THIS: &str =
    "DELETE FROM repeatable WHERE caller = ?1 AND key = ?2 AND claimed_at < ?3";
/// How long an answer is kept.
pub(crate) const KEPT: SignedDuration = SignedDuration::from_hours(24);
/// How many requests of one caller are kept.
const MOST: i64 = 10_000;
const AT_MOST: u32 = 100;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_request_is_claimed_once_and_again_when_its_answer_is_forgotten() {
        let (node, _) = crate::node::tests::node().await;
        let now = node.world.now();
        let begun = || Claim::Begun { digest: [7; 32] };
        let claim = async |of, claim, at| node.store.note_claim(of, claim, at).await;
        claim(("token/a", "1"), begun(), now).await.expect("claimed");
        let again = claim(("token/a", "1"), begun(), now).await;
        assert!(matches!(again, Err(CommitError::Conflict)), "{again:?}");
        claim(("token/b", "1"), begun(), now).await.expect("another's");
        let answer = Claim::Answered { status: 200, answer: Sealed(vec![1]) };
        claim(("token/a", "1"), answer, now).await.expect("answered");
        let known = node.store.repeatable("token/a", "1").expect("a read").expect("a row");
        assert_eq!((known.digest, known.answer), ([7; 32], Some((200, Sealed(vec![1])))));
        claim(("token/b", "1"), Claim::Withdrawn, now).await.expect("withdrawn");
        assert!(node.store.repeatable("token/b", "1").expect("a read").is_none());
        let later = now + KEPT + SignedDuration::from_secs(1);
        claim(("token/a", "1"), begun(), later).await.expect("claimed again");
    }
}
