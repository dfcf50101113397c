//! Managed certificates by the million, written into the store of a server that does not run, and
//! when each is due. The rows are copies of one that the server made, chain and sealed key included.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};

use crate::error::Error;

/// The store of a server.
pub(crate) struct Store {
    file: PathBuf,
    connection: Connection,
}

impl Store {
    /// Opens the store in `data` to write, which only those may do who know that no server runs.
    pub(crate) fn stopped(data: &Path) -> Result<Self, Error> {
        let store = Self::open(data, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        let settings =
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF; PRAGMA cache_size = -200000;";
        store.connection.execute_batch(settings).map_err(|e| store.failed(&e))?;
        Ok(store)
    }

    /// Opens the store in `data` to read, whoever else uses it.
    pub(crate) fn running(data: &Path) -> Result<Self, Error> {
        Self::open(data, OpenFlags::SQLITE_OPEN_READ_ONLY)
    }

    fn open(data: &Path, flags: OpenFlags) -> Result<Self, Error> {
        let file = data.join("perennial.db");
        let opened = Connection::open_with_flags(&file, flags);
        let connection =
            opened.map_err(|e| Error::Usage(format!("cannot open {}: {e}", file.display())))?;
        Ok(Self { file, connection })
    }

    /// Adds copies of the certificate `model`, each with its one version, until there are `wanted`
    /// certificates. They are due in 9 to 12 hours, which is when a look has the next one follow.
    pub(crate) async fn fill(&self, model: &str, wanted: usize) -> Result<(), Error> {
        let there = self.count("SELECT count(*) FROM managed_certificate")?;
        // A server that starts goes on after the highest id.
        let base = GAP + self.count("SELECT max(id) FROM managed_certificate")?;
        let copy = MODEL.replace("{MODEL}", model);
        self.connection.execute_batch(&copy).map_err(|e| self.failed(&e))?;
        let wanted = i64::try_from(wanted).unwrap_or(i64::MAX);
        for first in (0..wanted - there).step_by(STEP) {
            let last = (first + STEP as i64).min(wanted - there);
            let batch = COPIES
                .replace("{FIRST}", &first.to_string())
                .replace("{LAST}", &last.to_string())
                .replace("{BASE}", &base.to_string());
            self.connection.execute_batch(&batch).map_err(|e| self.failed(&e))?;
            eprintln!("  {} of {wanted} certificates are stored", there + last);
            // An interruption is heard here.
            tokio::task::yield_now().await;
        }
        self.settle()
    }

    /// Makes `number` of the certificates whose names begin with `prefix` due at `at`, in Unix
    /// seconds, and all others much later.
    pub(crate) fn make_due(&self, prefix: &str, number: usize, at: i64) -> Result<(), Error> {
        let batch = format!(
            "BEGIN;
             UPDATE managed_certificate SET due_at = {at} + 36000 WHERE due_at < {at} + 3600;
             UPDATE managed_certificate SET due_at = {at} WHERE id IN
               (SELECT id FROM managed_certificate WHERE name GLOB '{prefix}*' LIMIT {number});
             COMMIT;"
        );
        self.connection.execute_batch(&batch).map_err(|e| self.failed(&e))?;
        self.settle()
    }

    /// How many certificates are due at `at`.
    pub(crate) fn due(&self, at: i64) -> Result<i64, Error> {
        self.count(&format!("SELECT count(*) FROM managed_certificate WHERE due_at <= {at}"))
    }

    /// Makes every keyset due at `at`, in Unix seconds.
    pub(crate) fn make_keysets_due(&self, at: i64) -> Result<(), Error> {
        let all = format!("UPDATE keyset SET due_at = {at}");
        self.connection.execute_batch(&all).map_err(|e| self.failed(&e))?;
        self.settle()
    }

    /// How many keysets are due at `at`.
    pub(crate) fn keysets_due(&self, at: i64) -> Result<i64, Error> {
        self.count(&format!("SELECT count(*) FROM keyset WHERE due_at <= {at}"))
    }

    /// How many keysets have nothing to sign with.
    pub(crate) fn keysets_without_key(&self) -> Result<i64, Error> {
        self.count(
            "SELECT count(*) FROM keyset k WHERE NOT EXISTS
               (SELECT 1 FROM signing_key s WHERE s.keyset = k.id AND s.phase = 'signing')",
        )
    }

    fn count(&self, sql: &str) -> Result<i64, Error> {
        self.connection.query_row(sql, [], |row| row.get(0)).map_err(|e| self.failed(&e))
    }

    fn settle(&self) -> Result<(), Error> {
        let emptied = self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
        emptied.map_err(|e| self.failed(&e))
    }

    fn failed(&self, error: &rusqlite::Error) -> Error {
        Error::Usage(format!("cannot use {}: {error}", self.file.display()))
    }
}

const STEP: usize = 100_000;
const GAP: i64 = 1_000_000;
/// Apart from the tables that are written, or each statement would first collect all it will write.
const MODEL: &str = "
CREATE TEMP TABLE managed_model AS SELECT * FROM managed_certificate WHERE name = '{MODEL}';
CREATE TEMP TABLE version_model AS SELECT v.* FROM certificate_version v JOIN managed_model m
  ON v.managed = m.id AND v.number = m.current;";
const COPIES: &str = "BEGIN;
INSERT INTO managed_certificate
  (id, version, name, declared, current, newest, failures, due_at)
  WITH RECURSIVE n(i) AS (SELECT {FIRST} UNION ALL SELECT i + 1 FROM n WHERE i + 1 < {LAST})
  SELECT {BASE} + 2 * i, version, 'stored-' || i, declared, current, newest, 0,
    unixepoch() + 32400 + i % 10800
  FROM n, managed_model;
INSERT INTO certificate_version
  (id, version, managed, number, issuer, chain, sealed_key, fingerprint, request, not_before,
   not_after, renew_at, suggestion, obtained_at, proven_at)
  WITH RECURSIVE n(i) AS (SELECT {FIRST} UNION ALL SELECT i + 1 FROM n WHERE i + 1 < {LAST})
  SELECT {BASE} + 2 * i + 1, version, {BASE} + 2 * i, number, issuer, chain, sealed_key,
    randomblob(32), request, not_before, not_after, renew_at, suggestion, obtained_at, proven_at
  FROM n, version_model;
COMMIT;";
