//! What was put in place, and how to put back what was there before.

use std::fmt;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::Receipt;
use crate::disk::{self, Access, Staged, blocking};
use crate::error::PushError;

/// Files that were put in place, and how to put the previous ones back.
#[derive(Debug, Default)]
pub(crate) struct Placed {
    /// In the order in which things were done.
    pub(super) undo: Vec<Undo>,
}

impl Placed {
    /// Whether anything was written.
    pub(crate) fn changed(&self) -> bool {
        !self.undo.is_empty()
    }

    /// Renames a file into place that whoever reads it watches, also if it is the same as before.
    ///
    /// # Errors
    /// [`PushError`], one of [`PushError::Untouched`] until it took its place.
    pub(crate) fn renew(
        &mut self,
        path: &Path,
        content: &[u8],
        access: Access,
    ) -> Result<(), PushError> {
        let before = Before::of(path).map_err(PushError::untouched)?;
        let staged = Staged::new(path, content, access).map_err(PushError::untouched)?;
        staged.take_place().map_err(PushError::untouched)?;
        if before.as_ref().is_none_or(|before| *before.content != content) {
            self.undo.push(Undo::File { path: path.to_owned(), before });
        }
        disk::sync_parent(path)
    }

    /// Makes a success a receipt; on failure puts back what was there before.
    pub(crate) async fn keep_if(
        self,
        told: Result<String, PushError>,
    ) -> Result<Receipt, PushError> {
        match told {
            Ok(output) => Ok(Receipt { output, changed: self.changed() }),
            Err(error) => blocking(move || Err(self.restore(error))).await,
        }
    }

    /// Puts back what was there before `error`, and gives it back.
    pub(crate) fn restore(self, error: PushError) -> PushError {
        // Every one is tried, even if another fails.
        let undone = self.undo.into_iter().rev().map(Undo::undo).fold(Ok(()), Result::and);
        match undone {
            Ok(()) => error,
            Err(restoring) => {
                PushError::Unrestored { error: error.into(), restoring: restoring.into() }
            }
        }
    }
}

/// How one change is undone.
pub(crate) enum Undo {
    /// A link goes back to where it pointed; `None`: there was none.
    Link {
        /// The link.
        link: PathBuf,
        /// Where it pointed.
        before: Option<PathBuf>,
    },
    /// A file gets back what it was; `None`: there was none.
    File {
        /// The file.
        path: PathBuf,
        /// What it was.
        before: Option<Before>,
    },
}

/// A file as it was before it was replaced.
pub(crate) struct Before {
    pub(super) content: Zeroizing<Vec<u8>>,
    access: Access,
}

impl Before {
    /// The file at `path`; `None`: there is none.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) fn of(path: &Path) -> Result<Option<Self>, PushError> {
        // Looked at first: whoever takes a right away in between does not get it back.
        let access = Access::of(path);
        Ok(disk::read(path)?.map(|content| Self { content, access }))
    }
}

impl Undo {
    fn undo(self) -> Result<(), PushError> {
        match self {
            Self::Link { link, before: Some(before) } => disk::point(&link, &before),
            Self::File { path, before: Some(before) } => {
                Staged::new(&path, &before.content, before.access)?.take_place()?;
                disk::sync_parent(&path)
            }
            Self::Link { link: path, before: None } | Self::File { path, before: None } => {
                disk::remove(&path)
            }
        }
    }
}

impl fmt::Debug for Undo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Link { link: path, .. } | Self::File { path, .. } => {
                f.debug_tuple("Undo").field(path).finish()
            }
        }
    }
}
