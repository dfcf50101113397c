//! The clock and randomness: the two things no pure room may reach for itself. Everything else is
//! handed a [`World`], or better, the values it gave.

use std::sync::Arc;
#[cfg(test)]
use std::sync::atomic::AtomicI64;
use std::sync::atomic::{AtomicU64, Ordering};

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use jiff::Timestamp;

/// Where time and randomness come from.
#[derive(Clone, Debug)]
pub(crate) struct World {
    clock: Clock,
    random: SystemRandom,
    /// How many unique numbers were given, from where chance had it begin.
    given: Arc<AtomicU64>,
}

#[derive(Clone, Debug)]
enum Clock {
    System,
    #[cfg(test)]
    Manual(Arc<AtomicI64>),
}

impl World {
    /// The machine's own clock and generator.
    pub(crate) fn system() -> Self {
        Self::new(Clock::System)
    }

    /// A world whose clock stands at `seconds` of the Unix epoch until the cell is changed.
    #[cfg(test)]
    pub(crate) fn manual(seconds: Arc<AtomicI64>) -> Self {
        Self::new(Clock::Manual(seconds))
    }

    fn new(clock: Clock) -> Self {
        let world = Self { clock, random: SystemRandom::new(), given: Arc::default() };
        world.given.store(u64::from_be_bytes(world.random()), Ordering::Relaxed);
        world
    }

    /// The present instant, in whole seconds: no deadline here is finer, and rows store no more.
    pub(crate) fn now(&self) -> Timestamp {
        match &self.clock {
            Clock::System => second(Timestamp::now().as_second()),
            #[cfg(test)]
            Clock::Manual(seconds) => second(seconds.load(Ordering::SeqCst)),
        }
    }

    /// `N` bytes nobody can guess.
    ///
    /// # Panics
    /// When the operating system has no randomness to give: nothing here is safe then.
    pub(crate) fn random<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.random.fill(&mut bytes).expect("the operating system's random generator answers");
        bytes
    }

    /// A number that this process gives once, and others hardly ever: to name things, and to spread
    /// them. It costs next to nothing, and whoever knows one knows the next.
    pub(crate) fn unique(&self) -> u64 {
        // SplitMix64: every count has a number of its own.
        let count = self.given.fetch_add(1, Ordering::Relaxed);
        let mut bits = count.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }
}

/// The instant `seconds` after the Unix epoch; out of range is clamped.
pub(crate) fn second(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap_or(if seconds < 0 {
        Timestamp::MIN
    } else {
        Timestamp::MAX
    })
}
