//! A DNS server that really answers: Debian's Knot, with the zone `example.test`, where every name
//! has the address 127.0.0.1, and dynamic updates (RFC 2136) signed with TSIG (RFC 8945). What
//! clients need to know of it is here, in the words of each.

use std::fs;
use std::path::{Path, PathBuf};

use crate::program::{Daemon, free_port, program, succeed};

/// A running Knot with one zone.
#[derive(Debug)]
pub(crate) struct Dns {
    /// Its port on 127.0.0.1, for UDP and TCP.
    pub(crate) port: u16,
    home: PathBuf,
    _daemon: Daemon,
}

impl Dns {
    /// Starts Knot with its files in `home`.
    pub(crate) fn start(home: &Path) -> Self {
        let port = free_port();
        let settings = format!(
            "server:\n    listen: 127.0.0.1@{port}\n    rundir: {home}\n    udp-workers: 1\n    \
             tcp-workers: 1\n    background-workers: 1\n\
             log:\n  - target: stdout\n    any: info\n\
             database:\n    storage: {home}\n    journal-db-max-size: 16M\n    \
             timer-db-max-size: 1M\n\
             key:\n  - id: {KEY_NAME}\n    algorithm: hmac-sha256\n    secret: {KEY_SECRET}\n\
             acl:\n  - id: update\n    key: {KEY_NAME}\n    action: update\n\
             template:\n  - id: default\n    storage: {home}\n    zonefile-sync: -1\n    \
             journal-max-usage: 8M\n\
             zone:\n  - domain: {ZONE}\n    file: zone\n    acl: update\n",
            home = home.display()
        );
        fs::write(home.join("knot.conf"), settings).expect("Knot's settings");
        fs::write(home.join("zone"), ZONE_FILE).expect("Knot's zone");
        let settings = home.join("knot.conf");
        let mut daemon = Daemon::start("knotd", ["-c".as_ref(), settings.as_os_str()], home);
        daemon.wait_for_port(port);
        Self { port, home: home.to_owned(), _daemon: daemon }
    }

    /// Its address, as `host:port`.
    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Adds a TXT record.
    pub(crate) fn add_txt(&self, name: &str, value: &str) {
        self.update(&format!("update add {name}. 1 TXT \"{value}\""));
    }

    /// A script that takes `add NAME VALUE` or `delete NAME VALUE`, for clients with hooks.
    pub(crate) fn update_script(&self) -> PathBuf {
        let text = format!(
            "#!/bin/sh\nset -eu\nprintf 'server 127.0.0.1 {port}\\nkey {KEY_ALGORITHM}:{KEY_NAME} \
             {KEY_SECRET}\\nupdate %s %s. 1 TXT \"%s\"\\nsend\\n' \"$1\" \"$2\" \"$3\" | nsupdate\n",
            port = self.port
        );
        script(&self.home.join("update"), &text)
    }

    /// The credentials file of certbot's dns-rfc2136 plugin.
    pub(crate) fn certbot_credentials(&self) -> PathBuf {
        let file = self.home.join("rfc2136.ini");
        let text = format!(
            "dns_rfc2136_server = 127.0.0.1\ndns_rfc2136_port = {}\ndns_rfc2136_name = {KEY_NAME}.\n\
             dns_rfc2136_secret = {KEY_SECRET}\ndns_rfc2136_algorithm = HMAC-SHA256\n",
            self.port
        );
        fs::write(&file, text).expect("certbot's credentials");
        succeed(program("chmod").arg("600").arg(&file));
        file
    }

    /// The environment of lego's rfc2136 provider.
    pub(crate) fn lego_environment(&self) -> [(&'static str, String); 7] {
        [
            ("RFC2136_NAMESERVER", self.address()),
            ("RFC2136_TSIG_ALGORITHM", format!("{KEY_ALGORITHM}.")),
            ("RFC2136_TSIG_KEY", format!("{KEY_NAME}.")),
            ("RFC2136_TSIG_SECRET", KEY_SECRET.into()),
            ("RFC2136_POLLING_INTERVAL", "1".into()),
            ("RFC2136_SEQUENCE_INTERVAL", "1".into()),
            ("RFC2136_TTL", "1".into()),
        ]
    }

    fn update(&self, what: &str) {
        let file = self.home.join(format!("update-{:?}", std::thread::current().id()));
        let text = format!(
            "server 127.0.0.1 {}\nkey {KEY_ALGORITHM}:{KEY_NAME} {KEY_SECRET}\n{what}\nsend\n",
            self.port
        );
        fs::write(&file, text).expect("an update");
        succeed(program("nsupdate").arg(file));
    }
}

/// Writes an executable file.
pub(crate) fn script(file: &Path, text: &str) -> PathBuf {
    fs::write(file, text).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    succeed(program("chmod").arg("700").arg(file));
    file.to_owned()
}

const ZONE: &str = "example.test";
const KEY_NAME: &str = "tests";
const KEY_ALGORITHM: &str = "hmac-sha256";
/// Protects nothing: a server on loopback that lives as long as one test.
const KEY_SECRET: &str = "c2VjcmV0LW9mLW9uZS10ZXN0LW9uLWxvb3BiYWNrLW9ubHk=";
const ZONE_FILE: &str = "\
$ORIGIN example.test.
$TTL 1
@ SOA ns hostmaster 1 3600 600 86400 1
@ NS ns
@ A 127.0.0.1
* A 127.0.0.1
";
