//! Certificates and CRLs to RFC 5280, without I/O: time, randomness and keys are handed in, and
//! what comes out are bytes. Everything an authority signs goes through prepare, then sign: the
//! intended bytes are linted under a throwaway key before the real one is touched.

pub mod name;

pub use name::{DnsName, Identifier, NamePattern, NamePolicy};
