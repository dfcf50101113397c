//! What is asked of the store about certificates that objects of clusters ask for. A discovery bounds
//! how many there are.

use super::error::ReadError;
use super::reads::all;
use super::rows::FoundRow;
use super::sqlite::Store;

impl Store {
    /// What one discovery has found.
    pub(crate) fn found_by(&self, discovery: &str) -> Result<Vec<FoundRow>, ReadError> {
        self.read(|c| all(c, "WHERE discovery = ?1 ORDER BY namespace, secret", [discovery]))
    }

    /// What all discoveries have found.
    pub(crate) fn found(&self) -> Result<Vec<FoundRow>, ReadError> {
        self.read(|c| all(c, "ORDER BY name", []))
    }
}
