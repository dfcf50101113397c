//! The product from outside: a real server process, real clients, real DNS. Nothing here reaches
//! into the program; what is not visible to a user cannot be tested here. Every test has ports,
//! a DNS server and a data directory of its own, so that all of them run at once.

mod chain;
mod cli;
mod clients;
mod cluster;
mod consumers;
mod crash;
mod dashboard;
mod dns;
mod faults;
mod kubernetes;
mod lifecycle;
mod lint;
mod node;
mod program;
mod scene;
mod server;
mod ui;
mod watching;
mod web;
