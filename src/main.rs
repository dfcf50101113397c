//! The shell of Perennial: the only place with SQL, HTTP serving, the clock and randomness.
fn main() {}
