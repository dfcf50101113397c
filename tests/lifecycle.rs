//! Managed certificates from outside: a real Perennial, real nginx, Apache, HAProxy, Envoy and Traefik. Each test is
//! a story that an operator could tell. What is served is judged by handshakes made here, never by
//! what Perennial says of it; what Perennial says is then compared with that.

mod acm;
mod client;
mod cluster_bundle;
mod cluster_signer;
mod crash;
mod discovery;
mod envoy;
mod fleet;
mod hooks;
mod kubernetes;
mod revoked;
mod rotations;
mod sds;
mod stage;
mod traefik;
mod traps;
mod waves;
