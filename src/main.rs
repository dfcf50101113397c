//! Perennial keeps every certificate and signing key of an organisation valid, everywhere it is
//! used. This crate is the shell: the only place with SQL, HTTP serving, the clock and randomness;
//! what is decided is decided in the pure crates `ca` and `acme`.

mod access;
mod catalog;
mod cli;
mod config;
mod fetches;
mod found;
mod grpc;
mod http;
mod keys;
mod news;
mod node;
mod people;
mod perform;
mod seal;
mod steps;
mod store;
mod token;
mod worker;
mod world;

use std::process::ExitCode;

/// An order is thousands of small allocations on two threads or more, which this allocator makes
/// in two thirds of the time the C library's takes.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::run()
}
