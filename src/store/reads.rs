//! What is asked of the store. Each read is answered from an index and bounded; those that list
//! take the id to continue after.

use ca::Serial;
use jiff::Timestamp;
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Params, Row, params, params_from_iter};

use super::error::ReadError;
use super::forget::Kept;
use super::rows::{
    Account, AuthorityRow, Authorization, CertificateRow, Columns, CrlRow, Declaration,
    ExternalKey, Order, Stored,
};
use super::sqlite::Store;

/// A page of a list: at most `limit` rows after `after`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Page {
    pub(crate) after: i64,
    pub(crate) limit: u32,
}

/// A revoked certificate, as a CRL lists it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RevokedSerial {
    pub(crate) serial: Serial,
    pub(crate) at: i64,
    pub(crate) reason: u8,
}

/// Which certificates to list.
#[derive(Clone, Debug, Default)]
pub(crate) struct CertificateFilter {
    pub(crate) name: Option<String>,
    /// The authority's id.
    pub(crate) authority: Option<i64>,
    pub(crate) profile: Option<String>,
    /// Only those that were revoked.
    pub(crate) revoked: bool,
    /// From when until when it expires; the end does not count.
    pub(crate) expires_within: Option<(Timestamp, Timestamp)>,
}

impl Store {
    /// All declarations.
    pub(crate) fn declarations(&self) -> Result<Vec<Declaration>, ReadError> {
        self.read(|c| all(c, "ORDER BY kind, name", []))
    }

    /// Every generation of every authority, oldest first.
    pub(crate) fn authorities(&self) -> Result<Vec<AuthorityRow>, ReadError> {
        self.read(|c| all(c, "ORDER BY id", []))
    }

    /// Whether an authority has issued anything, or meant to. Where it has not, all certificates are
    /// looked at.
    pub(crate) async fn has_issued(&self, authority: i64) -> Result<bool, ReadError> {
        let sql = "SELECT EXISTS (SELECT 1 FROM certificate WHERE authority = ?1)";
        self.scan(move |c| c.query_row(sql, [authority], |row| row.get(0))).await
    }

    /// The newest CRL of an authority.
    pub(crate) fn crl(&self, authority: i64) -> Result<Option<CrlRow>, ReadError> {
        self.read(|c| one(c, "WHERE authority = ?1", [authority]))
    }

    /// The account `id`.
    pub(crate) fn account(&self, id: i64) -> Result<Option<Account>, ReadError> {
        self.read(|c| one(c, "WHERE id = ?1", [id]))
    }

    /// The account of a directory with the key of this thumbprint.
    pub(crate) fn account_by_key(
        &self,
        directory: &str,
        thumbprint: &[u8; 32],
    ) -> Result<Option<Account>, ReadError> {
        let tail = "WHERE directory = ?1 AND thumbprint = ?2";
        self.read(|c| one(c, tail, params![directory, thumbprint]))
    }

    /// The external key `kid`.
    pub(crate) fn external_key(&self, kid: &str) -> Result<Option<ExternalKey>, ReadError> {
        self.read(|c| one(c, "WHERE kid = ?1", [kid]))
    }

    /// All external keys.
    pub(crate) fn external_keys(&self, page: Page) -> Result<Vec<ExternalKey>, ReadError> {
        self.read(|c| all(c, "WHERE id > ?1 ORDER BY id LIMIT ?2", params![page.after, page.limit]))
    }

    /// The order `id` with its authorizations, in the order they were asked for.
    pub(crate) fn order(&self, id: i64) -> Result<Option<(Order, Vec<Authorization>)>, ReadError> {
        self.read(|c| {
            let Some(order) = one::<Order>(c, "WHERE id = ?1", [id])? else { return Ok(None) };
            let tail = "WHERE id IN (SELECT authorization FROM order_authorization
                        WHERE acme_order = ?1) ORDER BY id";
            Ok(Some((order, all(c, tail, [id])?)))
        })
    }

    /// The ids of the orders of an account that are not invalid (RFC 8555 §7.1.2.1).
    pub(crate) fn orders_of(
        &self,
        account: i64,
        page: Page,
        now: Timestamp,
    ) -> Result<Vec<i64>, ReadError> {
        let sql = "SELECT id FROM acme_order o WHERE account = ?1 AND id > ?2 AND phase <> 'failed'
                   AND (phase <> 'open' OR expires_at > ?4 AND NOT EXISTS (
                     SELECT 1 FROM order_authorization l JOIN authorization a
                       ON a.id = l.authorization
                     WHERE l.acme_order = o.id AND (a.expires_at <= ?4
                       OR a.phase IN ('invalid', 'deactivated', 'revoked'))))
                   ORDER BY id LIMIT ?3";
        self.read(|c| {
            let mut statement = c.prepare_cached(sql)?;
            let params = params![account, page.after, page.limit, now.as_second()];
            statement.query_map(params, |r| r.get(0))?.collect()
        })
    }

    /// Orders of every account.
    pub(crate) fn orders(&self, page: Page) -> Result<Vec<Order>, ReadError> {
        self.read(|c| all(c, "WHERE id > ?1 ORDER BY id LIMIT ?2", params![page.after, page.limit]))
    }

    /// Accounts of every directory.
    pub(crate) fn accounts(&self, page: Page) -> Result<Vec<Account>, ReadError> {
        self.read(|c| all(c, "WHERE id > ?1 ORDER BY id LIMIT ?2", params![page.after, page.limit]))
    }

    /// The authorization `id`.
    pub(crate) fn authorization(&self, id: i64) -> Result<Option<Authorization>, ReadError> {
        self.read(|c| one(c, "WHERE id = ?1", [id]))
    }

    /// The newest unexpired authorizations of an account for an identifier.
    pub(crate) fn authorizations_for(
        &self,
        account: i64,
        identifier: &str,
        now: Timestamp,
    ) -> Result<Vec<Authorization>, ReadError> {
        let tail = "WHERE account = ?1 AND identifier = ?2 AND expires_at > ?3
                    ORDER BY id DESC LIMIT 8";
        self.read(|c| all(c, tail, params![account, identifier, now.as_second()]))
    }

    /// Whether the account holds a valid authorization for the identifier now.
    pub(crate) fn is_authorized(
        &self,
        account: i64,
        identifier: &str,
        now: Timestamp,
    ) -> Result<bool, ReadError> {
        let sql = "SELECT count(*) FROM authorization WHERE account = ?1 AND identifier = ?2
                   AND expires_at > ?3 AND phase = 'valid'";
        self.read(|c| {
            let params = params![account, identifier, now.as_second()];
            c.prepare_cached(sql)?.query_row(params, |r| r.get::<_, i64>(0)).map(|n| n > 0)
        })
    }

    /// The certificate `id`.
    pub(crate) fn certificate(&self, id: i64) -> Result<Option<CertificateRow>, ReadError> {
        self.read(|c| one(c, "WHERE id = ?1", [id]))
    }

    /// The certificate with this serial number.
    pub(crate) fn certificate_by_serial(
        &self,
        serial: &Serial,
    ) -> Result<Option<CertificateRow>, ReadError> {
        self.read(|c| one(c, "WHERE serial = ?1", [serial.as_bytes()]))
    }

    /// Issued certificates that pass `filter`, by id, or by expiry if the filter names one.
    pub(crate) async fn certificates(
        &self,
        filter: CertificateFilter,
        page: Page,
    ) -> Result<Vec<CertificateRow>, ReadError> {
        let mut tail = String::from("WHERE phase = 'issued'");
        let mut values: Vec<Value> = vec![page.after.into(), page.limit.into()];
        if let Some(name) = filter.name {
            values.push(name.into());
            let mark = values.len();
            tail += &format!(
                " AND id IN (SELECT certificate FROM certificate_name WHERE name = ?{mark})"
            );
        }
        // The revoked are few, and found first: a plus keeps other indices out.
        let plus = if filter.revoked { "+" } else { "" };
        if let Some(authority) = filter.authority {
            values.push(authority.into());
            tail += &format!(" AND {plus}authority = ?{}", values.len());
        }
        if let Some(profile) = filter.profile {
            values.push(profile.into());
            tail += &format!(" AND {plus}profile = ?{}", values.len());
        }
        if filter.revoked {
            tail += " AND revoked_at IS NOT NULL";
        }
        if let Some((from, until)) = filter.expires_within {
            values.push(from.as_second().into());
            values.push(until.as_second().into());
            let (from, until) = (values.len() - 1, values.len());
            // The page goes on after the last one shown, in the order of expiry.
            tail += &format!(
                " AND revoked_at IS NULL AND not_after >= ?{from} AND not_after < ?{until}
                 AND (not_after, id) > (coalesce((SELECT not_after FROM certificate
                   WHERE id = ?1), 0), ?1) ORDER BY not_after, id LIMIT ?2"
            );
        } else {
            tail += " AND id > ?1 ORDER BY id LIMIT ?2";
        }
        self.scan(move |c| all(c, &tail, params_from_iter(values))).await
    }

    /// Certificates with this key that are out there and count.
    pub(crate) fn certificates_of_key(
        &self,
        key_hash: &[u8; 32],
        now: Timestamp,
    ) -> Result<Vec<CertificateRow>, ReadError> {
        let tail = "WHERE key_hash = ?1 AND not_after >= ?2 AND phase = 'issued'
                    AND revoked_at IS NULL LIMIT 1000";
        self.read(|c| all(c, tail, params![key_hash, now.as_second()]))
    }

    /// A small fact of the node's own.
    pub(crate) fn meta(&self, name: &str) -> Result<Option<Vec<u8>>, ReadError> {
        let sql = "SELECT value FROM meta WHERE name = ?1";
        self.read(|c| c.prepare_cached(sql)?.query_row([name], |r| r.get(0)).optional())
    }

    /// What an authority has revoked and that has not expired before `now`.
    pub(crate) async fn revoked(
        &self,
        authority: i64,
        now: Timestamp,
    ) -> Result<Vec<RevokedSerial>, ReadError> {
        let sql = "SELECT serial, revoked_at, revocation_reason FROM certificate
                   WHERE authority = ?1 AND revoked_at IS NOT NULL AND not_after >= ?2
                   ORDER BY revoked_at";
        self.scan(move |c| {
            let mut statement = c.prepare_cached(sql)?;
            let rows = statement.query_map(params![authority, now.as_second()], |row| {
                let bytes: Vec<u8> = row.get(0)?;
                let serial = Serial::try_from(bytes.as_slice())
                    .map_err(|_| rusqlite::Error::InvalidQuery)?;
                let reason: Option<u8> = row.get(2)?;
                Ok(RevokedSerial { serial, at: row.get(1)?, reason: reason.unwrap_or(0) })
            })?;
            rows.collect()
        })
        .await
    }

    /// The authorities that revoked something their newest CRL may not list, or whose newest CRL
    /// is from a time that is still to come: the clock was set back since, and neither what is
    /// revoked now nor when the next CRL is due can be told by it.
    pub(crate) fn outdated_crls(&self, now: Timestamp) -> Result<Vec<i64>, ReadError> {
        let sql = "SELECT authority FROM crl c WHERE this_update > ?1 OR EXISTS (
                     SELECT 1 FROM certificate r WHERE r.authority = c.authority
                     AND r.revoked_at IS NOT NULL AND r.revoked_at BETWEEN c.this_update AND ?1)";
        self.read(|c| c.prepare_cached(sql)?.query_map([now.as_second()], |r| r.get(0))?.collect())
    }

    /// The order that claims to replace a certificate, with its authorizations.
    pub(crate) fn order_replacing(
        &self,
        serial: &Serial,
    ) -> Result<Option<(Order, Vec<Authorization>)>, ReadError> {
        let sql = "SELECT id FROM acme_order WHERE replaces = ?1 AND phase <> 'failed'";
        let id: Option<i64> = self.read(|c| {
            c.prepare_cached(sql)?.query_row([serial.as_bytes()], |r| r.get(0)).optional()
        })?;
        id.map_or(Ok(None), |id| self.order(id))
    }

    /// Whether anything is older than it is kept.
    pub(crate) fn any_ended(&self, kept: &Kept) -> Result<bool, ReadError> {
        let sql = "SELECT EXISTS (SELECT 1 FROM acme_order WHERE expires_at < ?1)
                   OR EXISTS (SELECT 1 FROM authorization WHERE expires_at < ?1)
                   OR EXISTS (SELECT 1 FROM certificate WHERE not_after < ?2
                     AND phase = 'issued' AND revoked_at IS NULL)
                   OR EXISTS (SELECT 1 FROM rotation WHERE ended_at < ?3)
                   OR EXISTS (SELECT 1 FROM signing_key WHERE phase = 'gone' AND gone_at < ?3)
                   OR EXISTS (SELECT 1 FROM keyset WHERE closed_at < ?3 AND NOT EXISTS
                     (SELECT 1 FROM signing_key WHERE keyset = keyset.id))
                   OR EXISTS (SELECT 1 FROM notification WHERE created_at < ?3
                     AND due_at IS NULL)
                   OR EXISTS (SELECT 1 FROM sighting WHERE last_at < ?3)
                   OR EXISTS (SELECT 1 FROM scan WHERE changed_at < ?3)
                   OR EXISTS (SELECT 1 FROM found_certificate WHERE last_at < ?3 AND NOT EXISTS
                     (SELECT 1 FROM sighting WHERE found = found_certificate.id))
                   OR coalesce((SELECT at FROM event ORDER BY id LIMIT 1) < ?3, FALSE)";
        let since = kept.seconds();
        self.read(|c| c.prepare_cached(sql)?.query_row(since, |r| r.get(0)))
    }

    /// Whether no certificate may be issued for a key.
    pub(crate) fn is_blocked(&self, key_hash: &[u8; 32]) -> Result<bool, ReadError> {
        let sql = "SELECT count(*) FROM blocked_key WHERE key_hash = ?1";
        self.read(|c| {
            c.prepare_cached(sql)?.query_row([key_hash], |r| r.get::<_, i64>(0)).map(|n| n > 0)
        })
    }

    /// The rows of a table that are due, the longest first: when each was, and its id. A page of at
    /// most `limit`, after the one that ended with `after`.
    pub(crate) fn due<T: Stored>(
        &self,
        now: Timestamp,
        (at, id): (i64, i64),
        limit: u32,
    ) -> Result<Vec<(i64, i64)>, ReadError> {
        let sql = format!(
            "SELECT due_at, id FROM {} WHERE due_at <= ?1 AND (due_at, id) > (?2, ?3)
             ORDER BY due_at, id LIMIT ?4",
            T::TABLE
        );
        self.read(|c| {
            let mut statement = c.prepare_cached(&sql)?;
            let params = params![now.as_second(), at, id, limit];
            statement.query_map(params, |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
        })
    }

    /// The authorities whose CRL is to be made anew.
    pub(crate) fn due_crls(&self, now: Timestamp) -> Result<Vec<i64>, ReadError> {
        let sql = "SELECT authority FROM crl WHERE due_at <= ?1";
        self.read(|c| {
            let mut statement = c.prepare_cached(sql)?;
            statement.query_map([now.as_second()], |row| row.get(0))?.collect()
        })
    }

    /// Where every rate limit stands that still matters.
    pub(crate) fn rate_limits(&self, now: Timestamp) -> Result<Vec<(String, i64)>, ReadError> {
        let sql = "SELECT bucket, arrival FROM rate_limit WHERE arrival > ?1";
        self.read(|c| {
            let mut statement = c.prepare(sql)?;
            let rows =
                statement.query_map([now.as_millisecond()], |r| Ok((r.get(0)?, r.get(1)?)))?;
            rows.collect()
        })
    }

    /// How many certificates are issued and unexpired, and how many of those end within a time.
    pub(crate) async fn expiry_counts(
        &self,
        now: Timestamp,
        horizons: Vec<Timestamp>,
    ) -> Result<Vec<i64>, ReadError> {
        let sql = "SELECT count(*) FROM certificate WHERE not_after >= ?1 AND not_after < ?2
                   AND phase = 'issued' AND revoked_at IS NULL";
        self.scan(move |c| {
            let mut statement = c.prepare_cached(sql)?;
            let mut count = |until: Timestamp| {
                statement.query_row(params![now.as_second(), until.as_second()], |r| r.get(0))
            };
            horizons.into_iter().map(&mut count).collect()
        })
        .await
    }
}

fn select<T: Stored>(tail: &str) -> String {
    format!("SELECT id, version, {} FROM {} {tail}", T::COLUMNS.join(", "), T::TABLE)
}

fn from_row<T: Stored>(row: &Row<'_>) -> rusqlite::Result<T> {
    T::from_columns((row.get(0)?, row.get(1)?), &mut Columns::new(row, 2))
}

pub(super) fn one<T: Stored>(
    c: &Connection,
    tail: &str,
    params: impl Params,
) -> rusqlite::Result<Option<T>> {
    c.prepare_cached(&select::<T>(tail))?.query_row(params, from_row).optional()
}

pub(super) fn all<T: Stored>(
    c: &Connection,
    tail: &str,
    params: impl Params,
) -> rusqlite::Result<Vec<T>> {
    c.prepare_cached(&select::<T>(tail))?.query_map(params, from_row)?.collect()
}
