//! What waits, per account or on behalf of one: authorizations for their validation, orders for
//! their client. Counted and listed so that no account can make others wait.

use jiff::Timestamp;
use rusqlite::{Row, params};

use super::error::ReadError;
use super::sqlite::Store;

/// An authorization that is due.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DueAuthorization {
    /// Its place among those that are due: since when, in Unix seconds, and its id.
    pub(crate) turn: (i64, i64),
    pub(crate) id: i64,
    pub(crate) account: i64,
}

impl Store {
    /// Authorizations that are due, in the order in which they became so, after `turn`.
    pub(crate) fn due_authorizations(
        &self,
        now: Timestamp,
        turn: (i64, i64),
        limit: u32,
    ) -> Result<Vec<DueAuthorization>, ReadError> {
        let sql = "SELECT due_at, id, account FROM authorization
                   WHERE due_at <= ?1 AND (due_at, id) > (?2, ?3) ORDER BY due_at, id LIMIT ?4";
        self.read(|c| {
            let mut statement = c.prepare_cached(sql)?;
            let params = params![now.as_second(), turn.0, turn.1, limit];
            let due = |row: &Row<'_>| {
                let turn = (row.get(0)?, row.get(1)?);
                Ok(DueAuthorization { turn, id: turn.1, account: row.get(2)? })
            };
            statement.query_map(params, due)?.collect()
        })
    }

    /// How many orders of an account wait for their client: neither finalized nor failed, nor
    /// expired, nor with an authorization that never will be valid. Of the newest ones, so that
    /// it takes no longer the more orders there have been.
    pub(crate) async fn pending_orders(
        &self,
        account: i64,
        now: Timestamp,
    ) -> Result<u32, ReadError> {
        let sql = "SELECT count(*) FROM (SELECT id, phase, expires_at FROM acme_order
                     WHERE account = ?1 ORDER BY id DESC LIMIT ?3) o
                   WHERE phase = 'open' AND expires_at > ?2 AND NOT EXISTS (
                     SELECT 1 FROM order_authorization l JOIN authorization a
                       ON a.id = l.authorization
                     WHERE l.acme_order = o.id AND (a.expires_at <= ?2
                       OR a.phase IN ('invalid', 'deactivated', 'revoked')))";
        let params = (account, now.as_second(), NEWEST);
        self.scan(move |c| c.prepare_cached(sql)?.query_row(params, |row| row.get(0))).await
    }
}

const NEWEST: u32 = 10_000;

#[cfg(test)]
mod tests {
    use acme::authorization::Phase;
    use acme::{ChallengeType, Problem, order};
    use ca::Identifier;
    use jiff::SignedDuration;

    use crate::node::tests::{account, node};
    use crate::store::{Authorization, Commit, Event, Order, Row};

    #[tokio::test]
    async fn only_orders_that_may_still_be_finalized_are_pending() {
        let (node, _) = node().await;
        let (account, now) = (account(&node).await, node.world.now());
        let soon = now + SignedDuration::from_secs(1);
        let failed = Phase::Invalid {
            challenge: ChallengeType::Http01,
            error: Problem::malformed("it failed"),
        };
        let mut commit = Commit::new(Event::new("test", "order.create", "order/1"));
        for (phase, expires_at, authorization) in [
            (order::Phase::Open, soon, Phase::Pending),
            (order::Phase::Open, soon, Phase::Valid { challenge: None, at: now }),
            (order::Phase::Open, soon, failed),
            (order::Phase::Open, soon, Phase::Deactivated),
            (order::Phase::Open, now, Phase::Pending),
            (order::Phase::Processing, soon, Phase::Valid { challenge: None, at: now }),
            (order::Phase::Issued, soon, Phase::Valid { challenge: None, at: now }),
            (order::Phase::Failed, soon, Phase::Valid { challenge: None, at: now }),
        ] {
            let authorization = Authorization {
                id: node.store.id(),
                version: 0,
                account: account.id,
                identifier: Identifier::parse("a.example").expect("a name"),
                token: [0; 32],
                phase: authorization,
                expires_at: soon,
                due_at: None,
            };
            let order = Order {
                id: node.store.id(),
                version: 0,
                account: account.id,
                phase,
                identifiers: vec![(&authorization.identifier).into()],
                profile: "default".into(),
                replaces: None,
                not_before: None,
                not_after: None,
                certificate: None,
                error: None,
                created_at: now,
                expires_at,
                due_at: None,
            };
            let (order_id, authorization_id) = (order.id, authorization.id);
            let link = Row::OrderAuthorization { order: order_id, authorization: authorization_id };
            commit = commit.put(authorization).put(order).put(link);
        }
        node.store.commit(commit, now).await.expect("stored");
        assert_eq!(node.store.pending_orders(account.id, now).await.expect("read"), 2);
        assert_eq!(node.store.pending_orders(account.id + 1, now).await.expect("read"), 0);
        assert_eq!(node.store.pending_orders(account.id, soon).await.expect("read"), 0);
    }
}
