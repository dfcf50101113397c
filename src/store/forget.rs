//! What is older than it is kept, and how it is forgotten: some rows of each table at a time, so that the
//! commits of those who wait go in between.

use jiff::Timestamp;
use rusqlite::{Connection, params};

/// Since when things are kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kept {
    /// Orders and authorizations that expired before are forgotten.
    pub(crate) orders: Timestamp,
    /// Certificates that expired before are forgotten.
    pub(crate) certificates: Timestamp,
    /// Audit events from before are forgotten, signing keys that were gone before, and what was seen
    /// last before.
    pub(crate) events: Timestamp,
}

impl Kept {
    pub(super) fn seconds(&self) -> [i64; 3] {
        [self.orders, self.certificates, self.events].map(Timestamp::as_second)
    }

    /// Forgets what is older, at most so many rows of each table.
    /// Of the log, events up to one that whoever asks has found to be old, so that its own event can say so.
    pub(super) fn forget(
        &self,
        connection: &Connection,
        events_up_to: Option<i64>,
        at_most: u32,
    ) -> rusqlite::Result<()> {
        let [orders, certificates, events] = self.seconds();
        for (statements, before) in
            [(ORDERS, orders), (CERTIFICATES, certificates), (EVENTS, events)]
        {
            for statement in statements {
                connection.prepare_cached(statement)?.execute(params![before, at_most])?;
            }
        }
        let log = "DELETE FROM event WHERE id <= ?1";
        connection.prepare_cached(log)?.execute([events_up_to])?;
        Ok(())
    }
}

/// What ended with an order.
const ORDERS: &[&str] = &[
    "DELETE FROM order_authorization WHERE acme_order IN
        (SELECT id FROM acme_order WHERE expires_at < ?1 ORDER BY expires_at LIMIT ?2)",
    "DELETE FROM acme_order WHERE id IN
        (SELECT id FROM acme_order WHERE expires_at < ?1 ORDER BY expires_at LIMIT ?2)",
    "DELETE FROM authorization WHERE id IN
        (SELECT id FROM authorization WHERE expires_at < ?1 ORDER BY expires_at LIMIT ?2)",
];
/// Certificates, the revoked excepted.
const CERTIFICATES: &[&str] = &[
    "DELETE FROM certificate_name WHERE certificate IN
        (SELECT id FROM certificate WHERE not_after < ?1 AND phase = 'issued'
         AND revoked_at IS NULL ORDER BY not_after LIMIT ?2)",
    "DELETE FROM certificate WHERE id IN
        (SELECT id FROM certificate WHERE not_after < ?1 AND phase = 'issued'
         AND revoked_at IS NULL ORDER BY not_after LIMIT ?2)",
];
/// What was told, seen or signed long ago.
const EVENTS: &[&str] = &[
    "DELETE FROM rotation WHERE id IN
        (SELECT id FROM rotation WHERE ended_at < ?1 ORDER BY ended_at LIMIT ?2)",
    "DELETE FROM signing_key WHERE id IN
        (SELECT id FROM signing_key WHERE phase = 'gone' AND gone_at < ?1
         ORDER BY gone_at LIMIT ?2)",
    "DELETE FROM keyset WHERE id IN
        (SELECT id FROM keyset WHERE closed_at < ?1 AND NOT EXISTS
           (SELECT 1 FROM signing_key WHERE keyset = keyset.id)
         ORDER BY closed_at LIMIT ?2)",
    "DELETE FROM notification WHERE id IN
        (SELECT id FROM notification WHERE created_at < ?1 AND due_at IS NULL
         ORDER BY created_at LIMIT ?2)",
    "DELETE FROM sighting WHERE place IN
        (SELECT place FROM sighting WHERE last_at < ?1 ORDER BY last_at LIMIT ?2)",
    "DELETE FROM scan WHERE id IN
        (SELECT id FROM scan WHERE changed_at < ?1 ORDER BY changed_at LIMIT ?2)",
    "DELETE FROM found_certificate WHERE id IN
        (SELECT id FROM found_certificate WHERE last_at < ?1 AND NOT EXISTS
           (SELECT 1 FROM sighting WHERE found = found_certificate.id) LIMIT ?2)",
    "DELETE FROM session WHERE id IN
        (SELECT id FROM session WHERE expires_at < ?1 ORDER BY expires_at LIMIT ?2)",
    "DELETE FROM audit_checkpoint WHERE size IN
        (SELECT size FROM audit_checkpoint WHERE made_at < ?1 ORDER BY size LIMIT ?2)
        AND size < (SELECT max(size) FROM audit_checkpoint)",
    "DELETE FROM approval WHERE id IN
        (SELECT id FROM approval WHERE expires_at < ?1 ORDER BY expires_at LIMIT ?2)",
];
