//! Speaks with Kubernetes API servers: reads and applies TLS Secrets and ConfigMaps, follows what becomes of
//! them, finds out which objects ask for certificates and which Secrets there are, and answers signing
//! requests. Which cluster it is says a kubeconfig or the service account of the pod this runs in; both are
//! read again all the time, since tokens are short-lived. What should be in an object, and what to do when it
//! is not, is decided by callers.

mod access;
mod asking;
mod config_map;
mod connection;
mod discover;
mod error;
mod events;
mod exec;
mod follow;
mod follow_ours;
mod kubeconfig;
mod pages;
mod scan;
mod secret;
mod signing;

pub use access::Access;
pub use asking::{Asker, Asking};
pub use config_map::{ConfigMap, HeldConfigMap};
pub use connection::Connection;
pub use discover::Askings;
pub use error::ClusterError;
pub use scan::{Keeper, SecretScan, SeenSecret};
pub use secret::{Held, MANAGED_BY, MANAGER, Place, TlsSecret, check_namespace};
pub use signing::SigningRequest;
