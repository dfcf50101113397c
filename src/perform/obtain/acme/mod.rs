//! Certificates from an ACME CA outside (RFC 8555), through the library instant-acme: the account,
//! orders from their opening to the chain, renewal information (RFC 9773), revocation. It keeps
//! nothing: credentials and order URLs are handed out to be stored and handed in again.

pub(crate) mod answers;
mod chain;
mod client;
mod csr;
mod dns;
mod error;
mod heard;
mod order;
mod patience;
mod persist;
mod respond;
pub(crate) mod secret;
pub(crate) mod spec;
#[cfg(test)]
mod tests;
mod wire;

pub(crate) use {
    answers::Answers,
    client::{Client, account},
    csr::csr,
    error::ObtainError,
    order::Wanted,
    spec::AcmeSpec,
};
