//! Anti-replay nonces (RFC 8555 §6.5): each is good for one request. None is stored while it is
//! outstanding: a nonce proves by its tag that it was minted here, and one bit tells whether it was
//! redeemed. They live as long as the process; after a restart clients get `badNonce` and a fresh
//! one.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;
use data_encoding::BASE64URL_NOPAD;

use crate::{Problem, ProblemType};

/// Mints and redeems nonces; shared between threads.
///
/// A nonce is `BASE64URL(mask(counter) ‖ tag)`: `tag` is 16 octets of HMAC-SHA-256 over the
/// counter, and the counter is masked with an HMAC over the tag, so that nobody reads from it how
/// busy the server is.
pub struct Nonces {
    key: hmac::Key,
    window: Mutex<Window>,
}

/// The last [`WINDOW`] counters; a set bit is a redeemed nonce.
struct Window {
    /// The next counter to mint.
    next: u64,
    redeemed: Vec<u64>,
}

impl Nonces {
    /// Starts under `key`, which must be random and must not be used twice.
    #[must_use]
    pub fn new(key: &[u8; 32]) -> Self {
        Self {
            key: hmac::Key::new(hmac::HMAC_SHA256, key),
            window: Mutex::new(Window { next: 0, redeemed: vec![0; SLOTS] }),
        }
    }

    /// A nonce never given out before: 32 characters.
    #[must_use]
    pub fn mint(&self) -> String {
        let counter = self.window().advance();
        let tag = self.tag(counter);
        let mut nonce = [0; LENGTH];
        nonce[..8].copy_from_slice(&(counter ^ self.mask(&tag)).to_be_bytes());
        nonce[8..].copy_from_slice(&tag);
        BASE64URL_NOPAD.encode(&nonce)
    }

    /// Uses a nonce up.
    ///
    /// # Errors
    /// [`BadNonce`] if it was not minted here, is older than the last 2^20 minted, or was
    /// redeemed before. Then nothing changes.
    pub fn redeem(&self, nonce: &str) -> Result<(), BadNonce> {
        let mut octets = [0; LENGTH];
        // `decode_mut` panics unless the lengths fit.
        if nonce.len() != TEXT_LENGTH
            || BASE64URL_NOPAD.decode_mut(nonce.as_bytes(), &mut octets).is_err()
        {
            return Err(BadNonce::Unknown);
        }
        let (masked, tag) = octets.split_at(8);
        let masked = masked.iter().fold(0, |sum: u64, octet| sum << 8 | u64::from(*octet));
        let counter = masked ^ self.mask(tag);
        verify_slices_are_equal(&self.tag(counter), tag).map_err(|_| BadNonce::Unknown)?;
        self.window().redeem(counter)
    }

    fn tag(&self, counter: u64) -> [u8; TAG] {
        let mac = hmac::sign(&self.key, &[b"tag".as_slice(), &counter.to_be_bytes()].concat());
        let mut tag = [0; TAG];
        tag.copy_from_slice(&mac.as_ref()[..TAG]);
        tag
    }

    fn mask(&self, tag: &[u8]) -> u64 {
        let mac = hmac::sign(&self.key, &[b"mask".as_slice(), tag].concat());
        mac.as_ref()[..8].iter().fold(0, |sum, octet| sum << 8 | u64::from(*octet))
    }

    fn window(&self) -> MutexGuard<'_, Window> {
        // No step under the lock can leave the window half changed, so a panic elsewhere is no harm.
        self.window.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Nonces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Nonces").finish_non_exhaustive()
    }
}

impl Window {
    fn advance(&mut self) -> u64 {
        let counter = self.next;
        self.next += 1;
        let (slot, bit) = place(counter);
        self.redeemed[slot] &= !bit;
        counter
    }

    fn redeem(&mut self, counter: u64) -> Result<(), BadNonce> {
        if counter >= self.next {
            return Err(BadNonce::Unknown);
        }
        if self.next - counter > WINDOW {
            return Err(BadNonce::Stale);
        }
        let (slot, bit) = place(counter);
        if self.redeemed[slot] & bit != 0 {
            return Err(BadNonce::Redeemed);
        }
        self.redeemed[slot] |= bit;
        Ok(())
    }
}

/// Why a nonce is refused. Clients are told all the same: `badNonce`, and try the fresh one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadNonce {
    /// Not minted by this process, or not a nonce at all.
    #[error("the nonce is unknown")]
    Unknown,
    /// Too many were minted since.
    #[error("the nonce is too old")]
    Stale,
    /// Redeemed before.
    #[error("the nonce was used before")]
    Redeemed,
}

impl From<BadNonce> for Problem {
    fn from(bad: BadNonce) -> Self {
        Self::new(ProblemType::BadNonce, format!("{bad}: use the one in Replay-Nonce"))
    }
}

/// The word and the bit in it that stand for `counter`.
fn place(counter: u64) -> (usize, u64) {
    let index = counter % WINDOW;
    // The remainder is below 2^20, so it fits.
    (usize::try_from(index / 64).unwrap_or(0), 1 << (index % 64))
}

/// How many of the latest nonces can be redeemed: 2^20, for which 128 KiB of bits are kept.
pub const WINDOW: u64 = 1 << 20;
const SLOTS: usize = 1 << 14;
const TAG: usize = 16;
const LENGTH: usize = 8 + TAG;
const TEXT_LENGTH: usize = LENGTH / 3 * 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nonce_is_good_once() {
        let nonces = Nonces::new(&[7; 32]);
        let (a, b) = (nonces.mint(), nonces.mint());
        assert_ne!(a, b);
        assert_eq!(a.len(), TEXT_LENGTH);
        assert_eq!(nonces.redeem(&b), Ok(()));
        assert_eq!(nonces.redeem(&a), Ok(()));
        assert_eq!(nonces.redeem(&a), Err(BadNonce::Redeemed));
        assert_eq!(nonces.redeem(&b), Err(BadNonce::Redeemed));
    }

    #[test]
    fn what_was_not_minted_here_is_unknown() {
        let nonces = Nonces::new(&[7; 32]);
        let foreign = Nonces::new(&[8; 32]).mint();
        let minted = nonces.mint();
        let flipped: String =
            minted.chars().rev().map(|c| if c == 'A' { 'B' } else { c }).collect();
        for bad in ["", "A", &foreign, &flipped, &format!("{minted}A"), &minted[1..], "é"] {
            assert_eq!(nonces.redeem(bad), Err(BadNonce::Unknown), "{bad:?}");
        }
        assert_eq!(nonces.redeem(&minted), Ok(()));
    }

    #[test]
    fn every_bit_of_a_nonce_counts() {
        let nonces = Nonces::new(&[7; 32]);
        let minted = nonces.mint();
        let octets = BASE64URL_NOPAD.decode(minted.as_bytes()).expect("base64url");
        for bit in 0..octets.len() * 8 {
            let mut other = octets.clone();
            other[bit / 8] ^= 1 << (bit % 8);
            let other = BASE64URL_NOPAD.encode(&other);
            assert_eq!(nonces.redeem(&other), Err(BadNonce::Unknown));
        }
    }

    #[test]
    fn an_old_nonce_is_stale_and_its_bit_is_free_again() {
        let nonces = Nonces::new(&[7; 32]);
        let (old, last) = (nonces.mint(), nonces.mint());
        nonces.redeem(&old).expect("fresh");
        for _ in 0..WINDOW - 1 {
            nonces.window().advance();
        }
        assert_eq!(nonces.redeem(&old), Err(BadNonce::Stale));
        assert_eq!(nonces.redeem(&last), Ok(()));
        let reuses_the_bit_of_last = nonces.mint();
        assert_eq!(nonces.redeem(&last), Err(BadNonce::Stale));
        assert_eq!(nonces.redeem(&reuses_the_bit_of_last), Ok(()));
    }

    #[test]
    fn threads_racing_for_one_nonce_have_one_winner() {
        let nonces = Nonces::new(&[7; 32]);
        for _ in 0..200 {
            let nonce = nonces.mint();
            let wins: usize = std::thread::scope(|scope| {
                let racers: Vec<_> = (0..4)
                    .map(|_| scope.spawn(|| usize::from(nonces.redeem(&nonce).is_ok())))
                    .collect();
                racers.into_iter().map(|racer| racer.join().expect("no panic")).sum()
            });
            assert_eq!(wins, 1);
        }
    }
}
