//! Debian's PowerDNS, whose HTTP interface is one of the services that the DNS library speaks to.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::knot::{private, texts};
use super::program::{Daemon, free_port};
use super::scene::installed;

/// A running PowerDNS with one zone, `open.test`.
#[derive(Debug)]
pub(super) struct PowerDns {
    /// Its port on 127.0.0.1.
    pub(super) port: u16,
    api: u16,
    home: PathBuf,
    _daemon: Daemon,
}

impl PowerDns {
    /// Starts it with its files in `home`.
    pub(super) fn start(home: &Path) -> Self {
        let home = home.join("powerdns");
        fs::create_dir_all(&home).expect("a directory");
        let (port, api) = (free_port(), free_port());
        let settings = format!(
            "launch=gsqlite3\ngsqlite3-database={home}/zones.db\nsocket-dir={home}\n\
             local-address=127.0.0.1\nlocal-port={port}\nreceiver-threads=1\n\
             distributor-threads=1\ncache-ttl=0\nnegquery-cache-ttl=0\nquery-cache-ttl=0\n\
             zone-cache-refresh-interval=0\nversion-string=anonymous\nsecurity-poll-suffix=\n\
             api=yes\napi-key={KEY}\nwebserver=yes\nwebserver-address=127.0.0.1\n\
             webserver-port={api}\nwebserver-allow-from=127.0.0.1\n",
            home = home.display()
        );
        fs::write(home.join("pdns.conf"), settings).expect("PowerDNS' settings");
        let schema = fs::read_to_string(SCHEMA)
            .unwrap_or_else(|error| panic!("{SCHEMA}: {error}; run `tests/run tools`"));
        let mut sqlite = Command::new(installed("sqlite3"));
        let made = sqlite.arg(home.join("zones.db")).arg(schema).output().expect("sqlite3");
        assert!(made.status.success(), "{made:?}");
        for record in [
            &["create-zone", "open.test", "ns0.open.test"][..],
            &["add-record", "open.test", "ns0", "A", "127.0.0.1"],
        ] {
            let done = Command::new(installed("pdnsutil"))
                .arg(format!("--config-dir={}", home.display()))
                .args(record)
                .output()
                .expect("pdnsutil");
            assert!(done.status.success(), "{done:?}");
        }
        let directory = format!("--config-dir={}", home.display());
        let program = installed("pdns_server");
        let mut daemon = Daemon::start(&program, [directory.as_str()], &home);
        daemon.wait("its HTTP interface", || {
            std::net::TcpStream::connect(("127.0.0.1", api)).ok().map(drop)
        });
        Self { port, api, home, _daemon: daemon }
    }

    /// A declaration of dns-01 by its HTTP interface.
    pub(super) fn challenge(&self) -> String {
        let url = format!("http://127.0.0.1:{}", self.api);
        let credentials = format!("key = \"{KEY}\"\nurl = \"{url}\"\n");
        format!(
            "kind = 'dns-01'\npropagation = '20s'\n\
             lookup = {{ resolvers = ['127.0.0.1:{port}'], nameserver_port = {port} }}\n\
             [provider]\nkind = 'library'\nname = 'powerdns'\ncredentials_file = '{file}'\n",
            port = self.port,
            file = private(&self.home.join("credentials"), &credentials).display()
        )
    }

    /// The TXT records at `name`, as dig writes them.
    pub(super) fn texts(&self, name: &str) -> String {
        texts(self.port, name)
    }
}

const SCHEMA: &str = "/usr/share/pdns-backend-sqlite3/schema/schema.sqlite3.sql";
/// Protects nothing: a server on loopback that lives as long as one test.
const KEY: &str = "key-of-one-test";
