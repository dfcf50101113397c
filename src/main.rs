//! The shell of Perennial: the only place with SQL, HTTP serving, the clock and randomness.
#![allow(dead_code)]

mod perform;

fn main() {}
