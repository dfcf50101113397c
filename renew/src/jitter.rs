//! Numbers that look random and are not: derived from what a row is, so that a step that is tried
//! again, or a node that starts again, comes to the same moment (a rerolled one would wander).

use jiff::SignedDuration;

/// A fraction in `[0, 1)` that is the same for the same `seed` and `turn`, and evenly spread over
/// many of them.
#[must_use]
pub fn fraction(seed: u64, turn: u64) -> f64 {
    // SplitMix64's finalizer: each bit of the input moves half of the bits of the output.
    let mut bits = seed.wrapping_add(turn.wrapping_mul(0x9e37_79b9_7f4a_7c15)).wrapping_add(1);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^= bits >> 31;
    // 53 bits are what a double holds exactly.
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
    let top = (bits >> 11) as f64;
    top / 9_007_199_254_740_992.0
}

/// The part of `whole` that [`fraction`] names; whole seconds.
#[must_use]
pub fn part(whole: SignedDuration, seed: u64, turn: u64) -> SignedDuration {
    SignedDuration::from_secs_f64((whole.as_secs_f64() * fraction(seed, turn)).floor())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_row_gives_the_same_number_and_many_rows_spread_evenly() {
        assert_eq!(fraction(7, 1).to_bits(), fraction(7, 1).to_bits());
        assert_ne!(fraction(7, 1).to_bits(), fraction(7, 2).to_bits());
        let mut tenths = [0_u32; 10];
        for seed in 0..10_000 {
            let part = part(SignedDuration::from_secs(10), seed, 0).as_secs();
            tenths[usize::try_from(part).expect("0 to 9")] += 1;
        }
        assert!(tenths.iter().all(|n| (900..1100).contains(n)), "{tenths:?}");
    }
}
