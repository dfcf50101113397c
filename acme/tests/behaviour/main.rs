//! The crate from outside, as the server uses it: signed requests, the lives of orders and
//! authorizations, challenges, and what is written to the wire.

mod accounts;
mod challenges;
mod keys;
mod noise;
mod orders;
mod requests;
mod resources;
mod signer;
mod states;
