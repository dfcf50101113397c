//! Speaks with Kubernetes API servers: reads and applies TLS Secrets, follows what becomes of them, and
//! answers signing requests. Which cluster it is says a kubeconfig or the service account of the pod this runs in; both
//! are read again all the time, since tokens are short-lived. What should be in a Secret, and what
//! to do when it is not, is decided by callers.

mod access;
mod connection;
mod error;
mod exec;
mod follow;
mod kubeconfig;
mod secret;
mod signing;

pub use access::Access;
pub use connection::Connection;
pub use error::ClusterError;
pub use secret::{Held, MANAGER, Place, TlsSecret};
pub use signing::SigningRequest;
