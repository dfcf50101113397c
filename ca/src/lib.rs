//! Certificates and CRLs to RFC 5280, without I/O: time, randomness and keys are handed in, and
//! what comes out are bytes. Everything an authority signs goes through prepare, then sign: the
//! intended bytes are linted under a throwaway key before the real one is touched.

pub mod algorithm;
pub mod application;
mod asn1;
pub mod authority;
mod bits;
pub mod ceremony;
pub mod certificate;
pub mod constraints;
pub mod crl;
pub mod csr;
pub mod duration;
pub mod intended;
pub mod issue;
pub mod key;
pub mod lint;
pub mod name;
pub mod ocsp;
pub mod pointers;
pub mod profile;
pub mod revocation_list;
pub mod serial;
mod signed;
pub mod signer;
pub mod survey;
mod tbs;
pub mod weak;

pub use algorithm::{KeyAlgorithm, SignatureAlgorithm};
pub use authority::{Authority, Urls};
pub use ceremony::{AuthoritySpec, Subject, create_issuing, create_root};
pub use certificate::{Certificate, pem_chain};
pub use constraints::NameConstraints;
pub use crl::{Crl, RevocationReason, Revoked};
pub use csr::Csr;
pub use intended::Intended;
pub use issue::{IssueError, Prepared, Request};
pub use key::PublicKey;
pub use name::{DnsName, Identifier, NamePattern, NamePolicy};
pub use pointers::Pointers;
pub use profile::{ExtendedKeyUsage, Profile};
pub use revocation_list::RevocationList;
pub use serial::Serial;
pub use signer::{MemorySigner, SignError, Signer};
pub use weak::BlockedKeys;
