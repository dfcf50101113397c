//! Why the store cannot be opened or read, in words that say what to do.

use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;

/// The store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    #[error("{}: it is damaged ({why}); restore a backup, or move the whole directory away to start anew", path.display())]
    Damaged { path: PathBuf, why: String },
    #[error("{}: it cannot be written ({why}); check the permissions of the file and its directory", path.display())]
    NotWritable { path: PathBuf, why: String },
    #[error("{}: no space is left on the device; make room and start again", path.display())]
    Full { path: PathBuf },
    #[error("{}: it was made by a newer version of Perennial (schema {found}, this one knows {known}); run that version", path.display())]
    Newer { path: PathBuf, found: i64, known: i64 },
    #[error("{}: {why}; see whether the disk is full, and in the system's log whether it is broken", path.display())]
    Disk { path: PathBuf, why: String },
    #[error("{}: {why}", path.display())]
    Other { path: PathBuf, why: String },
    #[error("the commit thread does not start: {0}")]
    Thread(String),
}

impl OpenError {
    pub(super) fn from_sqlite(path: &Path, error: rusqlite::Error) -> Self {
        let (path, why) = (path.to_owned(), error.to_string());
        match error.sqlite_error_code() {
            Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
                Self::Damaged { path, why }
            }
            Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
                Self::NotWritable { path, why }
            }
            Some(ErrorCode::DiskFull) => Self::Full { path },
            Some(ErrorCode::SystemIoFailure) => Self::Disk { path, why },
            _ => Self::Other { path, why },
        }
    }
}

/// A read failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    #[error("the store cannot be read: {0}")]
    Sqlite(#[from] rusqlite::Error),
    #[error("the read was interrupted")]
    Interrupted,
}
