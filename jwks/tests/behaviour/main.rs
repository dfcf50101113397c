//! What `jwks` decides, publishes and signs, shown from outside: keys and tokens of every algorithm,
//! sets as they are published and as strangers serve them, windows and single steps, and years of
//! rotations in a small world of consumers with caches, edges that lag and nodes that crash.

mod dice;
mod emergencies;
mod forecasts;
mod handovers;
mod hostile;
mod keys;
mod kubernetes;
mod naming;
mod reversals;
mod sets;
mod sightings;
mod steps;
mod tokens;
mod windows;
mod world;
mod years;

use jiff::Timestamp;

/// When all tests begin: Tuesday, 2026-11-24 at noon.
fn start() -> Timestamp {
    Timestamp::from_second(1_795_521_600).expect("an instant")
}
