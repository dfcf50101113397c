//! Fills Perennial's store, while no server runs on it, with as many orders as a busy year leaves
//! behind, so that the load meets a store of that size. The rows have the size and the spread of
//! real ones; nothing in them is ever served.

use std::path::Path;

use rusqlite::Connection;

use crate::error::Error;

/// Adds `number` certificates to the store in `data`, each with its order, authorization, name and
/// audit events.
pub(crate) fn fill(data: &Path, number: u64) -> Result<(), Error> {
    let store = data.join("perennial.db");
    let failed = |e: rusqlite::Error| Error::Usage(format!("cannot fill {}: {e}", store.display()));
    let connection = Connection::open(&store).map_err(failed)?;
    connection.pragma_update(None, "journal_mode", "WAL").map_err(failed)?;
    connection.pragma_update(None, "synchronous", "OFF").map_err(failed)?;
    for first in (0..number).step_by(STEP) {
        let last = (first + STEP as u64).min(number);
        let rows = format!(
            "WITH RECURSIVE n(i) AS (SELECT {first} UNION ALL SELECT i + 1 FROM n WHERE i + 1 < {last})"
        );
        let mut batch = String::from("BEGIN;");
        for statement in STATEMENTS {
            batch.push_str(&statement.replace("WITH n", &rows));
            batch.push(';');
        }
        batch.push_str("COMMIT;");
        connection.execute_batch(&batch).map_err(failed)?;
    }
    let emptied = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
    emptied.map_err(failed)
}

const STEP: usize = 50_000;
/// Ids begin far above those of a fresh store; times spread over the year before and after now.
const STATEMENTS: [&str; 6] = [
    "INSERT INTO certificate (id, version, serial, authority, phase, account, profile, not_before,
       not_after, key_hash, der)
     WITH n SELECT 1000000 + 4 * i, 2, CAST(printf('S%015d', i) AS BLOB), 6, 'issued', 1000 + i % 100, 'default',
       unixepoch() - 86400 * (i % 60), unixepoch() + 86400 * (i % 90) + i % 86400, randomblob(32),
       randomblob(620) FROM n",
    "INSERT INTO certificate_name (certificate, name)
     WITH n SELECT 1000000 + 4 * i, 'host-' || i || '.stored.example.test' FROM n",
    "INSERT INTO acme_order (id, version, account, phase, identifiers, profile, certificate,
       created_at, expires_at)
     WITH n SELECT 1000001 + 4 * i, 3, 1000 + i % 100, 'issued',
       '[{\"type\":\"dns\",\"value\":\"host-' || i || '.stored.example.test\"}]', 'default',
       1000000 + 4 * i, unixepoch() - 86400, unixepoch() + 86400 * 6 + i % 86400 FROM n",
    "INSERT INTO authorization (id, version, account, identifier, token, phase, challenge, attempts,
       changed_at, expires_at)
     WITH n SELECT 1000002 + 4 * i, 2, 1000 + i % 100, 'host-' || i || '.stored.example.test',
       randomblob(32), 'valid', 'http-01', 0, unixepoch() - 86400,
       unixepoch() + 86400 * 6 + i % 86400 FROM n",
    "INSERT INTO order_authorization (acme_order, authorization)
     WITH n SELECT 1000001 + 4 * i, 1000002 + 4 * i FROM n",
    "INSERT INTO event (at, actor, action, subject, request, detail)
     WITH n SELECT unixepoch() - 86400, 'account/' || (1000 + i % 100), 'order.create',
       'order/' || (1000001 + 4 * i), '0123456789abcdef', '{\"names\":[\"host-' || i ||
       '.stored.example.test\"]}' FROM n UNION ALL SELECT unixepoch() - 86400, 'worker',
       'certificate.issue', 'certificate/' || hex(randomblob(16)), NULL, '{\"profile\":\"default\"}'
       FROM n",
];
