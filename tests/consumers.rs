//! Keysets as real consumers meet them: libraries of several languages and two proxies that fetch the
//! sets of a real server by themselves, cache them for a short but real time, and verify the tokens
//! that it signs.

mod crowd;
mod emergencies;
mod flood;
mod keysets;
mod libraries;
mod proxies;
mod rotations;
mod rust;
mod sets;
