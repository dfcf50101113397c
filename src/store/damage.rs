//! Damage to the store's file: looked for when it is opened, as far as that is cheap, and noted when
//! it is met later. Nothing is mended here; a backup is what mends it.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use rusqlite::{Connection, ErrorCode};
use tracing::error;

use super::commit::CommitError;
use super::error::OpenError;

/// Set once damage was met: nothing is written any more, for that could only make it worse. Reads
/// go on, as far as they succeed.
#[derive(Debug, Default)]
pub(super) struct Damaged(AtomicBool);

impl Damaged {
    /// Whether damage was met.
    pub(super) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Takes note if `error` means damage.
    pub(super) fn note(&self, error: &rusqlite::Error) {
        let found = matches!(
            error.sqlite_error_code(),
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
        );
        if found {
            self.set();
        }
    }

    /// Damage was met.
    pub(super) fn set(&self) {
        if !self.0.swap(true, Ordering::Relaxed) {
            error!("{}; nothing is written to it any more", CommitError::Damaged);
        }
    }
}

/// Finds the damage that opening alone does not. A small store is read as a whole; of a large one
/// only the schema and, when ids are counted, the edge of each table, so that the start does not
/// take the longer the more is stored. The rest is found when it is read.
///
/// # Errors
/// [`OpenError::Damaged`], or that it cannot be read.
pub(super) fn check(path: &Path, connection: &Connection) -> Result<(), OpenError> {
    let fault = |error| OpenError::from_sqlite(path, error);
    let tables = "SELECT count(*) FROM sqlite_master";
    connection.query_row(tables, [], |row| row.get::<_, i64>(0)).map_err(fault)?;
    let pages: i64 = connection.query_row("PRAGMA page_count", [], |r| r.get(0)).map_err(fault)?;
    if pages > CHECKED_PAGES {
        return Ok(());
    }
    let check = "PRAGMA integrity_check(1)";
    let why: String = connection.query_row(check, [], |row| row.get(0)).map_err(fault)?;
    match why.as_str() {
        "ok" => Ok(()),
        why => Err(OpenError::Damaged { path: path.to_owned(), why: why.replace('\n', " ") }),
    }
}

/// The largest store that is checked as a whole when it is opened (8 MiB).
const CHECKED_PAGES: i64 = 2048;
