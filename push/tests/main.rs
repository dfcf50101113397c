//! Deliveries to real servers: nginx, Apache, HAProxy, Traefik, Caddy, Envoy, mail, LDAP and database servers,
//! hooks; and to moto, which plays AWS.
//!
//! Each test starts what it needs on loopback ports in a directory of its own, and ends it. What is
//! not installed fails the test with the command that installs it. `PUSH_ROTATIONS` sets how many
//! rotations in a row the tests under load make.

mod acm;
mod apache;
mod bundle;
mod caddy;
#[path = "../../tests/cluster.rs"]
mod cluster;
mod discover;
mod dovecot;
mod envoy;
mod exec;
mod files;
mod follow;
mod haproxy;
mod keystore;
mod kubernetes;
mod mariadb;
mod nginx;
mod peer;
mod postfix;
mod postgresql;
mod probe;
mod scan;
mod scene;
mod spec;
mod starttls;
mod traefik;
