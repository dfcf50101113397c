//! Perennial keeps every certificate and signing key of an organisation valid, everywhere it is
//! used. This crate is the shell: the only place with SQL, HTTP serving, the clock and randomness;
//! what is decided is decided in the pure crates `ca` and `acme`.

mod catalog;
mod cli;
mod config;
mod http;
mod node;
mod perform;
mod seal;
mod store;
mod worker;
mod world;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run()
}
