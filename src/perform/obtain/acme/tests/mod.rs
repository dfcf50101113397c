//! Certificates from real CAs: Debian's Pebble, which misbehaves on purpose, and our own server
//! for what Pebble does not have.

mod accounts;
mod alpn;
mod chains;
mod crash;
mod declared;
mod dns;
mod http;
mod knot;
mod own;
mod pebble;
mod persist;
mod powerdns;
#[allow(dead_code, reason = "it is shared with the tests from outside, which use all of it")]
#[path = "../../../../../tests/program.rs"]
mod program;
mod refusals;
mod renewal;
mod scene;
mod storm;
