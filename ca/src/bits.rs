//! Just enough arithmetic on large natural numbers to try Fermat's factoring on a public RSA
//! modulus. Not constant-time: never for secrets.

use std::cmp::Ordering;

/// A natural number: 64-bit limbs, least significant first, the last one not zero.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Natural(Vec<u64>);

impl Natural {
    pub(crate) fn from_be_bytes(bytes: &[u8]) -> Self {
        let limbs = bytes
            .rchunks(8)
            .map(|chunk| chunk.iter().fold(0, |limb, byte| limb << 8 | u64::from(*byte)));
        Self(limbs.collect()).trimmed()
    }

    pub(crate) fn is_zero(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn add_small(&mut self, small: u64) {
        self.add(&Self(vec![small]));
    }

    pub(crate) fn add(&mut self, other: &Self) {
        let mut carry = false;
        let length = self.0.len().max(other.0.len());
        self.0.resize(length, 0);
        for (index, limb) in self.0.iter_mut().enumerate() {
            let (sum, first) = limb.overflowing_add(other.0.get(index).copied().unwrap_or(0));
            let (sum, second) = sum.overflowing_add(u64::from(carry));
            *limb = sum;
            carry = first || second;
        }
        if carry {
            self.0.push(1);
        }
    }

    /// The difference, or zero where `other` is the larger.
    pub(crate) fn minus(&self, other: &Self) -> Self {
        let mut difference = self.clone();
        if difference.compare(other) == Ordering::Less {
            return Self(Vec::new());
        }
        difference.subtract(other);
        difference
    }

    /// Twice the largest root whose square is not above this, and what is left over. Digit by digit,
    /// two bits of the number for one of the root.
    pub(crate) fn doubled_root(&self) -> (Self, Self) {
        let mut doubled = Self(Vec::new());
        let mut rest = Self(Vec::new());
        for pair in (0..self.0.len() * 32).rev() {
            rest.shift_left(2);
            rest.flip_low(self.0[pair / 32] >> (pair % 32 * 2) & 3);
            // With r the digits so far, doubled is 2r, always even: the next digit is a one if
            // 4r + 1 fits, and then 2(2r + 1) is next.
            doubled.shift_left(1);
            doubled.flip_low(1);
            if rest.compare(&doubled) == Ordering::Less {
                doubled.flip_low(1);
            } else {
                rest.subtract(&doubled);
                doubled.flip_low(3);
            }
        }
        (doubled, rest)
    }

    pub(crate) fn is_square(&self) -> bool {
        // Squares leave few remainders; most numbers are ruled out here without a root.
        let modulo = |divisor: u64| {
            let divisor = u128::from(divisor);
            self.0.iter().rev().fold(0, |rest, limb| (rest << 64 | u128::from(*limb)) % divisor)
        };
        for divisor in [64, 63, 65, 11, 17, 19, 23, 31] {
            let rest = modulo(divisor);
            if !(0..u128::from(divisor)).any(|n| n * n % u128::from(divisor) == rest) {
                return false;
            }
        }
        self.doubled_root().1.is_zero()
    }

    fn shift_left(&mut self, bits: u32) {
        let mut carry = 0;
        for limb in &mut self.0 {
            let shifted = *limb << bits | carry;
            carry = *limb >> (64 - bits);
            *limb = shifted;
        }
        if carry > 0 {
            self.0.push(carry);
        }
    }

    fn flip_low(&mut self, bits: u64) {
        match self.0.first_mut() {
            Some(limb) => *limb ^= bits,
            None if bits > 0 => self.0.push(bits),
            None => {}
        }
        if self.0 == [0] {
            self.0.clear();
        }
    }

    /// Only where `other` is not the larger.
    fn subtract(&mut self, other: &Self) {
        let mut borrow = false;
        for (index, limb) in self.0.iter_mut().enumerate() {
            let (rest, first) = limb.overflowing_sub(other.0.get(index).copied().unwrap_or(0));
            let (rest, second) = rest.overflowing_sub(u64::from(borrow));
            *limb = rest;
            borrow = first || second;
        }
        while self.0.last() == Some(&0) {
            self.0.pop();
        }
    }

    fn compare(&self, other: &Self) -> Ordering {
        let by_length = self.0.len().cmp(&other.0.len());
        by_length.then_with(|| self.0.iter().rev().cmp(other.0.iter().rev()))
    }

    fn trimmed(mut self) -> Self {
        while self.0.last() == Some(&0) {
            self.0.pop();
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn natural(number: u128) -> Natural {
        Natural::from_be_bytes(&number.to_be_bytes())
    }

    proptest! {
        #[test]
        fn arithmetic_agrees_with_the_machines(a in 0..u128::MAX / 2, b in 0..u128::MAX / 2) {
            let mut sum = natural(a);
            sum.add(&natural(b));
            prop_assert_eq!(sum, natural(a + b));
            prop_assert_eq!(natural(a).minus(&natural(b)), natural(a.saturating_sub(b)));
            let (doubled, rest) = natural(a).doubled_root();
            prop_assert_eq!(doubled, natural(2 * a.isqrt()));
            prop_assert_eq!(rest, natural(a - a.isqrt() * a.isqrt()));
        }

        #[test]
        fn squares_are_recognised(root: u64, off in 1..1000u128) {
            let square = u128::from(root) * u128::from(root);
            prop_assert!(natural(square).is_square());
            let other = square.saturating_add(off);
            prop_assert_eq!(natural(other).is_square(), other.isqrt() * other.isqrt() == other);
        }
    }
}
