//! What every client test stands on: a directory of its own, a DNS server, an ACME server that asks
//! that DNS server, and the two ports that challenges go to. Everything ends with the scene.

use std::fs;
use std::path::{Path, PathBuf};

use crate::dns::Dns;
use crate::program::free_port;
use crate::server::Server;

/// One test's world.
#[derive(Debug)]
pub(crate) struct Scene {
    /// The ACME server under test.
    pub(crate) server: Server,
    /// Answers for `example.test`, and takes updates.
    pub(crate) dns: Dns,
    /// Where http-01 is asked.
    pub(crate) http_port: u16,
    /// Where tls-alpn-01 is asked.
    pub(crate) tls_port: u16,
    /// Kept when the test fails.
    home: Home,
}

impl Scene {
    /// Starts everything; `name` must be the test's own.
    pub(crate) fn set(name: &str) -> Self {
        Self::with(name, Server::start)
    }

    /// As [`set`](Self::set), with Perennial whatever the environment says: what is tested is its
    /// own.
    pub(crate) fn ours(name: &str) -> Self {
        Self::with(name, Server::perennial)
    }

    /// Perennial with nothing told but its ports, as one who tries it for the first time has it: it
    /// does not know of the DNS server here.
    pub(crate) fn bare(name: &str) -> Self {
        Self::with(name, |home, _, http_port, _| Server::bare(home, http_port))
    }

    fn with(name: &str, start: impl FnOnce(&Path, &Dns, u16, u16) -> Server) -> Self {
        let home = Home::clear(name);
        let (http_port, tls_port) = (free_port(), free_port());
        let dns = Dns::start(&home.directory("dns"));
        let server = start(&home.directory("server"), &dns, http_port, tls_port);
        Self { server, dns, http_port, tls_port, home }
    }

    /// An empty directory for the client, or for a part of it.
    pub(crate) fn directory(&self, name: &str) -> PathBuf {
        self.home.directory(name)
    }
}

/// A directory below cargo's own for tests, removed when the test succeeds.
#[derive(Debug)]
pub(crate) struct Home(PathBuf);

impl Home {
    /// An empty one; `name` must be the test's own.
    pub(crate) fn clear(name: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = fs::remove_dir_all(&path);
        Self(path)
    }

    /// A directory in it.
    pub(crate) fn directory(&self, name: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::create_dir_all(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        path
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("left for you to read: {}", self.0.display());
        } else {
            let _ = fs::remove_dir_all(&self.0);
        }
    }
}
