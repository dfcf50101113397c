//! The command line as its users meet it: every test runs the program against a real server, and
//! judges files, output and exit status.

mod access;
mod audit;
mod external_key;
mod issue;
mod keyset;
mod mail;
mod node;
mod publication;
mod pull;
mod remote;
mod scan;
mod signers;
mod start;
