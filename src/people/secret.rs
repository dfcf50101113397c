//! The secrets by which people are recognised: what a link and what a cookie says. Of either, only a hash
//! is ever stored.

use std::fmt;

use aws_lc_rs::{constant_time, digest, hmac};
use data_encoding::BASE64URL_NOPAD;
use zeroize::Zeroizing;

use crate::world::World;

/// 256 bits that nobody can guess.
pub(crate) struct Secret(Zeroizing<[u8; SIZE]>);

impl Secret {
    /// A secret that never was.
    pub(crate) fn new(world: &World) -> Self {
        Self(Zeroizing::new(world.random()))
    }

    /// What has the form of a secret; whether it is one is for the store to say.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut bytes = Zeroizing::new([0; SIZE]);
        // A length that no secret has is refused before anything is decoded.
        if text.len() != LENGTH {
            return None;
        }
        let read = BASE64URL_NOPAD.decode_mut(text.as_bytes(), bytes.as_mut_slice());
        (read == Ok(SIZE)).then_some(Self(bytes))
    }

    /// The text, for the one answer that gives it.
    pub(crate) fn reveal(&self) -> Zeroizing<String> {
        Zeroizing::new(BASE64URL_NOPAD.encode(self.0.as_slice()))
    }

    /// SHA-256: all that is ever stored. Nobody can try out 256 random bits, so no slow hash is needed.
    pub(crate) fn hash(&self) -> [u8; SIZE] {
        let mut hash = [0; SIZE];
        hash.copy_from_slice(digest::digest(&digest::SHA256, self.0.as_slice()).as_ref());
        hash
    }

    /// What pages of the session say with each request that changes something, and no other site can know.
    /// Whoever sees it in a page learns nothing of the secret.
    pub(crate) fn csrf_token(&self) -> CsrfToken {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.0.as_slice());
        let tag = hmac::sign(&key, b"perennial csrf token");
        CsrfToken(BASE64URL_NOPAD.encode(tag.as_ref()).into())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// What a request must bring along that a session is to answer for.
#[derive(Clone)]
pub(crate) struct CsrfToken(Zeroizing<String>);

impl CsrfToken {
    /// The text, for the pages of the session.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }

    /// Whether `text` is it.
    pub(crate) fn is(&self, text: &str) -> bool {
        constant_time::verify_slices_are_equal(self.0.as_bytes(), text.as_bytes()).is_ok()
    }
}

impl fmt::Debug for CsrfToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CsrfToken")
    }
}

const SIZE: usize = 32;
/// Of the text: 32 bytes are 43 characters.
const LENGTH: usize = 43;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_read_as_it_was_shown_and_shows_itself_nowhere_else() {
        let secret = Secret::new(&World::system());
        let text = secret.reveal();
        assert_eq!(text.len(), LENGTH);
        let read = Secret::parse(&text).expect("a secret");
        assert_eq!(read.hash(), secret.hash());
        assert!(read.csrf_token().is(secret.csrf_token().reveal()));
        assert!(!Secret::new(&World::system()).csrf_token().is(secret.csrf_token().reveal()));
        let shown = format!("{secret:?} {:?}", secret.csrf_token());
        assert_eq!(shown, "Secret CsrfToken");
    }

    #[test]
    fn what_has_not_the_form_of_a_secret_is_none() {
        let text = Secret::new(&World::system()).reveal();
        let (short, strange) = (&text[1..], format!("{}=", &text[1..]));
        // The last character carries two bits that must be zero: one text for one secret.
        let loose = format!("{}B", &text[..LENGTH - 1]);
        for bad in ["", short, &strange, &loose, &format!("{}A", *text), &format!(" {short}")] {
            assert!(Secret::parse(bad).is_none(), "{bad:?}");
        }
    }
}
