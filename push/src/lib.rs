//! Delivers certificates to the servers that use them, and proves by TLS handshake what they serve.
//! A [`Bundle`] exists only if key, certificates, names and dates agree; a [`Target`] brings it to
//! one place; [`probe`] looks at what that place then shows to clients. Exit codes and replies are
//! never taken as proof. When to push, in which order, and what to do on failure is decided by
//! callers; nothing here keeps state between calls, or reads the wall clock but to date what AWS demands a
//! date of.

mod acm;
mod apache;
mod bundle;
mod caddy;
mod command;
mod disk;
mod dovecot;
mod error;
mod exec;
mod files;
mod haproxy;
mod key_file;
mod keystore;
mod kubernetes;
mod mariadb;
mod nginx;
mod pair;
mod placement;
mod postfix;
mod postgresql;
pub mod probe;
mod process;
mod pull;
mod sds;
mod secret_file;
mod server;
mod spec;
mod traefik;

use std::future::Future;
use std::pin::Pin;

pub use acm::Acm;
pub use apache::Apache;
pub use bundle::{Bundle, BundleError};
pub use caddy::Caddy;
pub use dovecot::Dovecot;
pub use error::{Fault, PushError};
pub use exec::Exec;
pub use files::Files;
pub use haproxy::Haproxy;
pub use key_file::{KeyFile, KeyFileContent};
pub use kubernetes::Kubernetes;
pub use mariadb::Mariadb;
pub use nginx::Nginx;
pub use placement::{Format, Mode, Placement, group};
pub use postfix::Postfix;
pub use postgresql::Postgresql;
pub use probe::starttls::StartTls;
pub use pull::Pull;
pub use sds::Sds;
pub use spec::{Kind, Spec};
pub use traefik::{Traefik, dynamic as traefik_configuration};

/// A place that serves certificates.
pub trait Target: Send + Sync {
    /// Brings a bundle there and makes the server take it up. Doing it twice is harmless: what is
    /// there already is not written again, but the server is told again, since whoever wrote it may
    /// have been interrupted before telling. On failure what was there before is put back.
    ///
    /// # Errors
    /// [`PushError`]; its [`fault`](PushError::fault) says whose. Success proves nothing about what
    /// is served: ask [`probe`].
    fn push<'a>(
        &'a self,
        delivery: &'a Delivery<'a>,
    ) -> Pin<Box<dyn Future<Output = Result<Receipt, PushError>> + Send + 'a>>;

    /// What this place holds. What it serves may differ.
    ///
    /// # Errors
    /// [`PushError`] when what is there cannot be read.
    fn observe<'a>(
        &'a self,
    ) -> Pin<Box<dyn Future<Output = Result<Observed, PushError>> + Send + 'a>>;

    /// Calls `changed` whenever what this place holds may have changed, by whomever, until that
    /// cannot be told any longer: then why. `None` if this kind of place never tells.
    fn follow<'a>(&'a self, _changed: &'a (dyn Fn() + Send + Sync)) -> Option<Following<'a>> {
        None
    }
}

/// A place that is followed; gives why it cannot be any longer.
pub type Following<'a> = Pin<Box<dyn Future<Output = PushError> + Send + 'a>>;

/// What is brought to a target.
#[derive(Clone, Copy, Debug)]
pub struct Delivery<'a> {
    /// The name of the managed certificate.
    pub certificate: &'a str,
    /// Its version: 1 for the first.
    pub version: u64,
    /// The rotation this push belongs to, for hooks and logs.
    pub rotation: &'a str,
    /// Key and certificates.
    pub bundle: &'a Bundle,
}

/// What a target did with a delivery.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Receipt {
    /// The last 64 KiB of what programs and servers said, private keys blacked out.
    pub output: String,
    /// Whether what the target held was changed; false if it held exactly this already.
    pub changed: bool,
}

/// What a target holds, whatever its server shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Observed {
    /// It cannot tell.
    Untold,
    /// No certificate that can be read.
    Nothing,
    /// A certificate, and the key of another.
    Torn,
    /// A certificate: the SHA-256 of its leaf's DER.
    Leaf([u8; 32]),
}

impl Observed {
    /// What is wrong with it where the certificate with this fingerprint should be, in words.
    #[must_use]
    pub fn complaint(self, expected: [u8; 32]) -> Option<&'static str> {
        match self {
            Self::Nothing => Some("it holds no certificate"),
            Self::Torn => Some("it holds a key that is not its certificate's"),
            Self::Leaf(leaf) if leaf != expected => {
                Some("it holds another certificate than the one put there")
            }
            Self::Untold | Self::Leaf(_) => None,
        }
    }
}
