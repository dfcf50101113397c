//! The store as its owner can query it, once the node has stopped: it is whole, agrees with what
//! clients wrote down, and has one audit event for each change.

use std::collections::BTreeSet;
use std::path::Path;

use data_encoding::HEXLOWER;
use rusqlite::{Connection, OpenFlags};

use super::ledger::Ledger;

/// Demands all of that.
pub(super) fn check(store: &Path, ledger: &Ledger) {
    let store = Connection::open_with_flags(store, OpenFlags::SQLITE_OPEN_READ_ONLY);
    let store = store.expect("the store");
    assert_eq!(texts(&store, "PRAGMA integrity_check"), ["ok"]);
    for (what, demand) in NONE {
        assert_eq!(texts(&store, demand), Vec::<String>::new(), "{what}");
    }
    let of = |sql: &str| texts(&store, sql).into_iter().collect::<BTreeSet<_>>();
    let serials = texts(&store, "SELECT lower(hex(serial)) FROM certificate");
    let distinct: BTreeSet<_> = serials.iter().collect();
    assert_eq!(distinct.len(), serials.len(), "a serial number was used twice");
    let issued = of("SELECT lower(hex(serial)) FROM certificate WHERE phase = 'issued'");
    let revoked = of("SELECT lower(hex(serial)) FROM certificate WHERE revoked_at IS NOT NULL");
    let mut known = BTreeSet::new();
    for order in ledger.orders() {
        let Some(serial) = order.serial() else { panic!("{order:?} was never finished") };
        assert!(issued.contains(&serial), "{serial} is not in the store");
        assert!(revoked.contains(&serial) || !order.revoked, "{serial} is not revoked");
        assert!(known.insert(serial), "two orders have the same certificate: {order:?}");
    }
    let number = |url: &str| url.rsplit('/').next().unwrap_or_default().to_owned();
    let accounts = of("SELECT CAST(id AS TEXT) FROM account");
    assert!(ledger.accounts().iter().all(|url| accounts.contains(&number(url))));
    let decode = |text: &String| HEXLOWER.decode(text.as_bytes()).is_ok();
    assert!(serials.iter().all(decode), "serial numbers are octets");
}

fn texts(store: &Connection, sql: &str) -> Vec<String> {
    let mut statement = store.prepare(sql).unwrap_or_else(|e| panic!("{sql}: {e}"));
    let rows = statement.query_map([], |row| row.get(0)).expect("an answer");
    rows.collect::<Result<_, _>>().unwrap_or_else(|e| panic!("{sql}: {e}"))
}

/// What must have no row, and why.
const NONE: [(&str, &str); 8] = [
    (
        "an order is stuck",
        "SELECT id || ' ' || phase FROM acme_order WHERE phase = 'processing' OR due_at IS NOT NULL",
    ),
    (
        "an authorization is stuck",
        "SELECT id || ' ' || phase FROM authorization WHERE phase = 'processing'",
    ),
    (
        "an order is issued and its certificate is not",
        "SELECT o.id || '' FROM acme_order o LEFT JOIN certificate c ON c.id = o.certificate
         WHERE o.phase = 'issued' AND c.phase IS NOT 'issued'",
    ),
    (
        "a certificate was intended, and neither issued nor abandoned",
        "SELECT lower(hex(serial)) FROM certificate WHERE phase = 'intended'",
    ),
    (
        "a certificate has not one event of its issuance",
        "SELECT lower(hex(serial)) FROM certificate c WHERE phase = 'issued' AND 1 <>
           (SELECT count(*) FROM event WHERE action = 'certificate.issue'
            AND subject = 'certificate/' || lower(hex(c.serial)))",
    ),
    (
        "an event of an issuance has no certificate",
        "SELECT subject FROM event WHERE action = 'certificate.issue' AND NOT EXISTS
           (SELECT 1 FROM certificate c WHERE phase = 'issued'
            AND subject = 'certificate/' || lower(hex(c.serial)))",
    ),
    (
        "a revocation has not one event",
        "SELECT lower(hex(serial)) FROM certificate c WHERE (revoked_at IS NOT NULL) <>
           (SELECT count(*) FROM event WHERE action = 'certificate.revoke'
            AND subject = 'certificate/' || lower(hex(c.serial)))",
    ),
    (
        "an account or order has not one event of its creation",
        "SELECT 'account/' || id FROM account a WHERE 1 <> (SELECT count(*) FROM event
           WHERE action = 'account.create' AND subject = 'account/' || a.id)
         UNION ALL
         SELECT 'order/' || id FROM acme_order o WHERE 1 <> (SELECT count(*) FROM event
           WHERE action = 'order.create' AND subject = 'order/' || o.id)",
    ),
];
