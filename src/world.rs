//! The clock and randomness: the two things no pure room may reach for itself. Everything else is
//! handed a [`World`], or better, the values it gave.

#[cfg(test)]
use std::sync::Arc;
#[cfg(test)]
use std::sync::atomic::{AtomicI64, Ordering};

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use jiff::Timestamp;

/// Where time and randomness come from.
#[derive(Clone, Debug)]
pub(crate) struct World {
    clock: Clock,
    random: SystemRandom,
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
        Self { clock: Clock::System, random: SystemRandom::new() }
    }

    /// A world whose clock stands at `seconds` of the Unix epoch until the cell is changed.
    #[cfg(test)]
    pub(crate) fn manual(seconds: Arc<AtomicI64>) -> Self {
        Self { clock: Clock::Manual(seconds), random: SystemRandom::new() }
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
}

/// The instant `seconds` after the Unix epoch; out of range is clamped.
pub(crate) fn second(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap_or(if seconds < 0 {
        Timestamp::MIN
    } else {
        Timestamp::MAX
    })
}
