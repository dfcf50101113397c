//! Public keys that are well-formed but must not be certified: RSA moduli that are easily factored,
//! exponents that invite attacks, and keys known to be compromised. Everything is computed from the
//! public key; there is no list of Debian's weak keys of 2008, since none is kept in a registry.

use crate::bits::Natural;
use crate::key::{PublicKey, RsaPublicKey};

/// Refuses a key that is weak by its numbers or that `blocked` lists.
///
/// # Errors
/// [`WeakKey`] says why.
pub fn check(key: &PublicKey, blocked: &BlockedKeys) -> Result<(), WeakKey> {
    if blocked.contains(&key.spki_sha256()) {
        return Err(WeakKey::Blocked);
    }
    check_numbers(key)
}

/// Refuses a key that is weak by its numbers: for RSA, an exponent that is even, under 65537 or over
/// 256 bits; a modulus that is not whole octets, has a small factor, has the form of Infineon's keys
/// (ROCA, CVE-2017-15361), or whose primes are close together. Costs some 0.2 ms for RSA, nothing
/// for other keys, which `PublicKey` has already checked.
///
/// # Errors
/// [`WeakKey`] says why.
pub fn check_numbers(key: &PublicKey) -> Result<(), WeakKey> {
    let Some(rsa) = key.rsa() else { return Ok(()) };
    check_exponent(rsa)?;
    check_modulus(rsa)
}

/// The SHA-256 hashes of SubjectPublicKeyInfos whose private keys are known to others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BlockedKeys(Vec<[u8; 32]>);

impl BlockedKeys {
    /// From hashes in any order.
    #[must_use]
    pub fn new(mut hashes: Vec<[u8; 32]>) -> Self {
        hashes.sort_unstable();
        hashes.dedup();
        Self(hashes)
    }

    /// Reads a text of one hexadecimal SHA-256 a line; `#` begins a comment, blank lines are passed
    /// over.
    ///
    /// # Errors
    /// [`InvalidBlockedKeys`] with the number of the first line that is neither.
    pub fn parse(text: &str) -> Result<Self, InvalidBlockedKeys> {
        let mut hashes = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or_default().trim();
            if line.is_empty() {
                continue;
            }
            let hash = data_encoding::HEXLOWER_PERMISSIVE
                .decode(line.as_bytes())
                .ok()
                .and_then(|bytes| <[u8; 32]>::try_from(bytes).ok())
                .ok_or(InvalidBlockedKeys { line: index + 1 })?;
            hashes.push(hash);
        }
        Ok(Self::new(hashes))
    }

    /// Whether this SHA-256 of a SubjectPublicKeyInfo is listed.
    #[must_use]
    pub fn contains(&self, spki_sha256: &[u8; 32]) -> bool {
        self.0.binary_search(spki_sha256).is_ok()
    }

    /// How many keys are listed.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A line that is no hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: not a SHA-256 of a public key in hexadecimal (64 digits)")]
pub struct InvalidBlockedKeys {
    /// Counted from one.
    pub line: usize,
}

/// Why a key must not be certified, by fault of whoever made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WeakKey {
    /// Listed among the compromised keys.
    #[error("the key is known to be compromised: make a new one")]
    Blocked,
    /// Even, under 65537 or over 256 bits.
    #[error("the RSA exponent must be odd, at least 65537 and at most 256 bits long")]
    Exponent,
    /// The modulus is not a whole number of octets.
    #[error("the RSA modulus must be a multiple of 8 bits long")]
    ModulusSize,
    /// The modulus has a prime factor under 752, possibly 2.
    #[error("the RSA modulus is divisible by {0}")]
    SmallFactor(u16),
    /// CVE-2017-15361.
    #[error("the RSA key has the ROCA weakness (CVE-2017-15361): make it with other software")]
    Roca,
    /// Fermat's method factors it.
    #[error("the two primes of the RSA key are too close together")]
    ClosePrimes,
}

fn check_exponent(rsa: RsaPublicKey<'_>) -> Result<(), WeakKey> {
    let exponent = rsa.exponent;
    let odd = exponent.last().is_some_and(|byte| byte & 1 == 1);
    let at_least_f4 = exponent.len() > 3 || (exponent.len() == 3 && exponent >= &F4[..]);
    if odd && at_least_f4 && exponent.len() <= MAX_EXPONENT {
        Ok(())
    } else {
        Err(WeakKey::Exponent)
    }
}

fn check_modulus(rsa: RsaPublicKey<'_>) -> Result<(), WeakKey> {
    let modulus = rsa.modulus;
    if modulus.first().is_none_or(|byte| *byte < 0x80) {
        return Err(WeakKey::ModulusSize);
    }
    let factor = primes().find(|prime| remainder(modulus, *prime) == 0);
    if let Some(factor) = factor {
        return Err(WeakKey::SmallFactor(factor));
    }
    if is_roca(modulus) {
        return Err(WeakKey::Roca);
    }
    if has_close_primes(modulus) {
        return Err(WeakKey::ClosePrimes);
    }
    Ok(())
}

/// Infineon's library made primes of the form `k·M + (65537^a mod M)`, M the product of the first
/// primes. Modulo each of those, both primes and so their product are powers of 65537, which few
/// numbers are modulo all of them (Nemec et al., "The Return of Coppersmith's Attack", 2017, §2.3).
/// The primes to 167 are in every variant of M; a random modulus passes once in 2^28.
fn is_roca(modulus: &[u8]) -> bool {
    primes()
        .filter(|prime| (3..=ROCA_LARGEST).contains(prime))
        .all(|prime| is_power_of_f4(remainder(modulus, prime), prime))
}

fn is_power_of_f4(residue: u16, prime: u16) -> bool {
    let (residue, prime) = (u32::from(residue), u32::from(prime));
    let generator = 65_537 % prime;
    let mut power = 1;
    loop {
        if power == residue {
            return true;
        }
        power = power * generator % prime;
        if power == 1 || power == 0 {
            return false;
        }
    }
}

/// Fermat's method: `N = a² − b²` for an `a` just above the root of N when the factors are close.
fn has_close_primes(modulus: &[u8]) -> bool {
    let (mut odd, rest) = Natural::from_be_bytes(modulus).doubled_root();
    if rest.is_zero() {
        return true;
    }
    // With a = root + 1: a² − N = 2·root + 1 − rest; the next a adds 2a + 1.
    odd.add_small(1);
    let mut square = odd.minus(&rest);
    for _ in 0..FERMAT_ROUNDS {
        if square.is_square() {
            return true;
        }
        odd.add_small(2);
        square.add(&odd);
    }
    false
}

fn remainder(number: &[u8], divisor: u16) -> u16 {
    let divisor = u32::from(divisor);
    let rest = number.iter().fold(0, |rest, byte| (rest << 8 | u32::from(*byte)) % divisor);
    // Less than a divisor of 16 bits.
    u16::try_from(rest).unwrap_or_default()
}

fn primes() -> impl Iterator<Item = u16> {
    (2..=LARGEST_FACTOR).filter(|n| (2..*n).take_while(|d| d * d <= *n).all(|d| n % d != 0))
}

const F4: [u8; 3] = [1, 0, 1];
const MAX_EXPONENT: usize = 32;
const LARGEST_FACTOR: u16 = 751;
const ROCA_LARGEST: u16 = 167;
const FERMAT_ROUNDS: usize = 100;
