//! Deliveries to real servers: nginx, Apache, HAProxy, mail, LDAP and database servers, hooks.
//!
//! Each test starts what it needs on loopback ports in a directory of its own, and ends it. What is
//! not installed fails the test with the command that installs it. `PUSH_ROTATIONS` sets how many
//! rotations in a row the tests under load make.

mod apache;
mod bundle;
#[path = "../../tests/cluster.rs"]
mod cluster;
mod discover;
mod exec;
mod files;
mod follow;
mod haproxy;
mod keystore;
mod kubernetes;
mod nginx;
mod peer;
mod probe;
mod scan;
mod scene;
mod spec;
mod starttls;
