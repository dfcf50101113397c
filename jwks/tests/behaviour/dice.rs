//! Chance that can be repeated: the same seed, the same world.

/// A small generator: the same seed, the same world (SplitMix64).
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x2545_f491_4f6c_dd1d))
    }

    /// Less than `n`, which is positive.
    pub(crate) fn below(&mut self, n: i64) -> i64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        i64::try_from((bits ^ (bits >> 31)) % n.cast_unsigned()).expect("below n")
    }

    /// With a probability of one in `n`.
    pub(crate) fn one_in(&mut self, n: i64) -> bool {
        self.below(n) == 0
    }

    /// From 0 to `most`, the two ends more often than anything between: there the faults are.
    pub(crate) fn extreme(&mut self, most: i64) -> i64 {
        match self.below(4) {
            0 => 0,
            1 | 2 => most,
            _ => self.below(most + 1),
        }
    }

    pub(crate) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[usize::try_from(self.below(from.len().try_into().expect("few"))).expect("small")]
    }
}
