//! What is asked of the store about certificates that objects of clusters ask for. A discovery bounds
//! how many there are.

use super::error::ReadError;
use super::reads::all;
use super::rows::AskedRow;
use super::sqlite::Store;

impl Store {
    /// What one discovery has let be asked for.
    pub(crate) fn asked_by(&self, discovery: &str) -> Result<Vec<AskedRow>, ReadError> {
        self.read(|c| all(c, "WHERE discovery = ?1 ORDER BY namespace, secret", [discovery]))
    }

    /// What all discoveries have let be asked for.
    pub(crate) fn asked(&self) -> Result<Vec<AskedRow>, ReadError> {
        self.read(|c| all(c, "ORDER BY name", []))
    }
}
