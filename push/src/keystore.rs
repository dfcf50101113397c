//! A bundle as one file under a password, for what does not read PEM: PKCS #12 and Java's JKS. The
//! same bundle and password give the same bytes, so that it shows whether a file is there already:
//! salts are drawn from what is protected, not from chance.

use aws_lc_rs::hmac;
use zeroize::Zeroizing;

use crate::bundle::Bundle;
use crate::error::PushError;

mod jks;
mod pkcs12;

impl Bundle {
    /// A PKCS #12 file (RFC 7292) with the key and all certificates: PBES2 with AES-256-CBC, and a
    /// MAC with SHA-256. OpenSSL 1.1.1, Java 8u301 and Windows Server 2019 and later read it.
    /// `alias` is the friendlyName. Java reads it only under a password of ASCII characters.
    ///
    /// # Errors
    /// [`PushError::Declaration`] when the key is kept elsewhere, [`PushError::Format`] when it
    /// cannot be encoded.
    pub fn pkcs12(&self, password: &str, alias: &str) -> Result<Zeroizing<Vec<u8>>, PushError> {
        pkcs12::encode(&self.contents(password, alias)?)
    }

    /// A Java keystore of the old format (JKS), whose protection is weak: keep it as safe as the key
    /// itself. Java reads PKCS #12 since version 8. `alias` is in lower case there.
    ///
    /// # Errors
    /// [`PushError::Declaration`] when the key is kept elsewhere, [`PushError::Format`] when it
    /// cannot be encoded.
    pub fn jks(&self, password: &str, alias: &str) -> Result<Zeroizing<Vec<u8>>, PushError> {
        jks::encode(&self.contents(password, alias)?)
    }

    fn contents<'a>(
        &'a self,
        password: &'a str,
        alias: &'a str,
    ) -> Result<Contents<'a>, PushError> {
        let key = self.key_pkcs8().ok_or_else(|| PushError::no_key("a keystore holds the key"))?;
        let leaf = std::iter::once(self.leaf());
        let certificates = leaf.chain(self.chain()).map(ca::Certificate::der).collect();
        Ok(Contents { key, certificates, password, alias, made: self.leaf().not_before() })
    }
}

/// What goes into a keystore.
struct Contents<'a> {
    /// PKCS #8 DER.
    key: &'a [u8],
    /// DER, leaf first.
    certificates: Vec<&'a [u8]>,
    password: &'a str,
    alias: &'a str,
    made: jiff::Timestamp,
}

impl Contents<'_> {
    /// Octets nobody can foretell without the key, and that differ for every purpose and content.
    fn salt(&self, purpose: &str) -> [u8; 32] {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.key);
        let mut context = hmac::Context::with_key(&key);
        let parts = [purpose.as_bytes(), self.password.as_bytes(), self.alias.as_bytes()];
        for part in parts.into_iter().chain(self.certificates.iter().copied()) {
            context.update(&part.len().to_be_bytes());
            context.update(part);
        }
        let mut salt = [0; 32];
        salt.copy_from_slice(context.sign().as_ref());
        salt
    }

    /// The password as Java and PKCS #12 hash it: UTF-16, big-endian.
    fn password_utf16(&self) -> Zeroizing<Vec<u8>> {
        let mut octets = Zeroizing::new(Vec::with_capacity(self.password.len() * 2 + 2));
        for unit in self.password.encode_utf16() {
            octets.extend_from_slice(&unit.to_be_bytes());
        }
        octets
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn salts_differ_by_purpose_password_and_content_and_are_the_same_again() {
        let contents = |password, alias| Contents {
            key: b"key",
            certificates: vec![b"certificate"],
            password,
            alias,
            made: jiff::Timestamp::UNIX_EPOCH,
        };
        let salt = contents("ab", "c").salt("x");
        assert_eq!(salt, contents("ab", "c").salt("x"));
        assert_ne!(salt, contents("ab", "c").salt("y"));
        assert_ne!(salt, contents("a", "bc").salt("x"));
    }
}
