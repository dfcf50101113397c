//! A bundle as the keystores of Java and Windows.

use zeroize::Zeroizing;

use crate::bundle::Bundle;
use crate::error::PushError;

impl Bundle {
    /// A PKCS #12 file.
    ///
    /// # Errors
    /// [`PushError::Format`].
    pub fn pkcs12(&self, _password: &str, _alias: &str) -> Result<Zeroizing<Vec<u8>>, PushError> {
        Err(PushError::Format("PKCS #12 is not supported yet".into()))
    }

    /// A JKS file.
    ///
    /// # Errors
    /// [`PushError::Format`].
    pub fn jks(&self, _password: &str, _alias: &str) -> Result<Zeroizing<Vec<u8>>, PushError> {
        Err(PushError::Format("JKS is not supported yet".into()))
    }
}
