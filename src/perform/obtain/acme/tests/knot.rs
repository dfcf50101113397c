//! Debian's Knot, with a zone that only a TSIG key may update (RFC 2136, RFC 8945), and one that
//! nobody may, whose challenge names are delegated to the first.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::program::{Daemon, free_port};
use super::scene::installed;

/// A running Knot.
#[derive(Debug)]
pub(super) struct Knot {
    /// Its port on 127.0.0.1 and, if it has a second server, 127.0.0.2.
    pub(super) port: u16,
    home: PathBuf,
    _daemon: Daemon,
}

impl Knot {
    /// Starts it with its files in `home`; its zones name the servers at `addresses`.
    pub(super) fn start(home: &Path, addresses: &[&str]) -> Self {
        Self::at(home, "127.0.0.1", free_port(), addresses)
    }

    /// A server on another address and the same port, that nobody updates.
    pub(super) fn stale(&self, home: &Path, address: &str) -> Self {
        Self::at(home, address, self.port, &["127.0.0.1", address])
    }

    fn at(home: &Path, listen: &str, port: u16, addresses: &[&str]) -> Self {
        let home = home.join(format!("knot-{listen}"));
        fs::create_dir_all(&home).expect("a directory");
        let settings = format!(
            "server:\n    listen: {listen}@{port}\n    rundir: {home}\n    udp-workers: 1\n    \
             tcp-workers: 1\n    background-workers: 1\n\
             log:\n  - target: stdout\n    any: info\n\
             database:\n    storage: {home}\n    journal-db-max-size: 16M\n    \
             timer-db-max-size: 1M\n\
             key:\n  - id: {KEY_NAME}\n    algorithm: hmac-sha256\n    secret: {KEY_SECRET}\n\
             acl:\n  - id: update\n    key: {KEY_NAME}\n    action: update\n\
             template:\n  - id: default\n    storage: {home}\n    zonefile-sync: -1\n    \
             journal-max-usage: 8M\n\
             zone:\n  - domain: open.test\n    file: open\n    acl: update\n  \
             - domain: closed.test\n    file: closed\n",
            home = home.display()
        );
        let file = home.join("knot.conf");
        fs::write(&file, settings).expect("Knot's settings");
        let servers = addresses.iter().enumerate();
        let servers: String =
            servers.map(|(n, address)| format!("@ NS ns{n}\nns{n} A {address}\n")).collect();
        let zone = |name: &str, more: &str| {
            format!(
                "$ORIGIN {name}.\n$TTL 1\n@ SOA ns0 hostmaster 1 3600 600 86400 1\n{servers}{more}"
            )
        };
        let inside =
            "@ A 127.0.0.1\n@ CAA 0 issue \"ca.test\"\n_acme-challenge.www CNAME www.elsewhere\n";
        let delegated = "_acme-challenge.www CNAME www.closed.test.open.test.\n";
        fs::write(home.join("open"), zone("open.test", inside)).expect("a zone");
        fs::write(home.join("closed"), zone("closed.test", delegated)).expect("a zone");
        let program = installed("knotd");
        let mut daemon = Daemon::start(&program, ["-c".as_ref(), file.as_os_str()], &home);
        daemon.wait("its zones", || {
            fs::read_to_string(home.join("knotd.log"))
                .ok()?
                .contains("server started")
                .then_some(())
        });
        Self { port, home, _daemon: daemon }
    }

    /// The secret of the TSIG key, in a file.
    pub(super) fn secret_file(&self) -> PathBuf {
        private(&self.home.join("secret"), KEY_SECRET)
    }

    /// A declaration of dns-01 by updates of this server.
    pub(super) fn challenge(&self, propagation: &str) -> String {
        format!(
            "{}[provider]\nkind = 'rfc2136'\nserver = '127.0.0.1:{}'\nkey_name = '{KEY_NAME}'\n\
             secret_file = '{}'\n",
            self.looking(propagation),
            self.port,
            self.secret_file().display()
        )
    }

    /// The beginning of a declaration of dns-01 that asks this server.
    pub(super) fn looking(&self, propagation: &str) -> String {
        format!(
            "kind = 'dns-01'\npropagation = '{propagation}'\n\
             lookup = {{ resolvers = ['127.0.0.1:{port}'], nameserver_port = {port} }}\n",
            port = self.port
        )
    }

    /// Updates the zone with nsupdate.
    pub(super) fn update(&self, what: &str) {
        let file = self.home.join("by-hand");
        fs::write(&file, self.nsupdate(what)).expect("an update");
        let done = Command::new(installed("nsupdate")).arg(&file).output().expect("nsupdate");
        assert!(done.status.success(), "{done:?}");
    }

    /// A shell script with a function `do_update add|delete NAME VALUE`.
    pub(super) fn script(&self, name: &str, body: &str) -> PathBuf {
        let update = self.nsupdate("update $1 $2 1 TXT $3");
        let text = format!(
            "#!/bin/sh\nset -eu\ndo_update() {{ nsupdate <<END\n{update}\nEND\n}}\n{body}\n"
        );
        let file = self.home.join(name);
        fs::write(&file, text).expect("a script");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o700)).expect("chmod");
        installed("nsupdate");
        file
    }

    /// The TXT records at `name`, as dig writes them.
    pub(super) fn texts(&self, name: &str) -> String {
        texts(self.port, name)
    }

    fn nsupdate(&self, what: &str) -> String {
        format!(
            "server 127.0.0.1 {}\nkey hmac-sha256:{KEY_NAME} {KEY_SECRET}\n{what}\nsend",
            self.port
        )
    }
}

/// The TXT records at `name` of the server on a port of 127.0.0.1, as dig writes them.
pub(super) fn texts(port: u16, name: &str) -> String {
    let server = ["+short", "+tcp", "-p", &port.to_string(), "@127.0.0.1"].map(str::to_owned);
    let done = Command::new(installed("dig")).args(server).args(["TXT", name]).output();
    String::from_utf8(done.expect("dig").stdout).expect("text")
}

/// A file for its owner alone.
pub(super) fn private(file: &Path, text: &str) -> PathBuf {
    fs::write(file, text).expect("a file");
    fs::set_permissions(file, fs::Permissions::from_mode(0o600)).expect("chmod");
    file.to_owned()
}

const KEY_NAME: &str = "tests";
/// Protects nothing: a server on loopback that lives as long as one test.
const KEY_SECRET: &str = "c2VjcmV0LW9mLW9uZS10ZXN0LW9uLWxvb3BiYWNrLW9ubHk=";
