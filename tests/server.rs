//! Starting the ACME server under test and saying what a client must know of it. By default that is
//! Perennial, through the line it prints when it is ready; with `PERENNIAL_TEST_SERVER=pebble` it is
//! Pebble, which shows that a client's test works with a server that is not ours.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, IsCa, KeyPair,
};
use rustix::process::Signal;
use serde_json::Value;

use crate::dns::Dns;
use crate::program::{Daemon, free_port, program, run, succeed};

/// A server with an ACME directory.
#[derive(Debug)]
pub(crate) struct Server {
    /// URL of the ACME directory.
    pub(crate) directory: String,
    /// PEM file that a client must trust to speak HTTPS with the server.
    pub(crate) trust: PathBuf,
    /// What vouches for the certificates that it issues.
    pub(crate) issuer: Issuer,
    daemon: Daemon,
    /// Perennial's data directory.
    data: PathBuf,
}

/// Where a relying party begins: the root it trusts, and who says what is revoked.
#[derive(Debug)]
pub(crate) struct Issuer {
    /// PEM file with the root.
    pub(crate) root: PathBuf,
    peer: Option<Peer>,
}

/// Pebble publishes no CRL, but has a management address that knows.
#[derive(Debug)]
struct Peer {
    management: String,
    trust: PathBuf,
}

impl Issuer {
    /// One that publishes CRLs, as Perennial does.
    pub(crate) fn with_crl(root: PathBuf) -> Self {
        Self { root, peer: None }
    }

    /// Whether this is the product itself, so that its own promises can be demanded.
    pub(crate) fn is_ours(&self) -> bool {
        self.peer.is_none()
    }

    /// What Pebble says of a serial (hexadecimal); Perennial speaks through its CRL instead.
    pub(crate) fn peer_status(&self, serial: &str) -> Option<String> {
        let peer = self.peer.as_ref()?;
        Some(peer.fetch(&format!("cert-status-by-serial/{serial}")))
    }
}

impl Peer {
    fn fetch(&self, path: &str) -> String {
        let mut command = program("curl");
        command.args(["-sS", "--fail", "--cacert"]).arg(&self.trust);
        succeed(command.arg(format!("{}/{path}", self.management)))
    }
}

impl Server {
    /// Starts the server on a fresh data directory in `home` and waits until it is ready.
    pub(crate) fn start(home: &Path, dns: &Dns, http_port: u16, tls_port: u16) -> Self {
        match std::env::var("PERENNIAL_TEST_SERVER").as_deref() {
            Err(_) | Ok("" | "perennial") => Self::perennial(home, dns, http_port, tls_port),
            Ok("pebble") => Self::pebble(home, dns, http_port, tls_port),
            Ok(other) => panic!("PERENNIAL_TEST_SERVER={other}: perennial or pebble"),
        }
    }

    /// Starts Perennial, whatever the environment says.
    pub(crate) fn perennial(home: &Path, dns: &Dns, http_port: u16, tls_port: u16) -> Self {
        let validation = format!(
            "http_port = {http_port}\ntls_port = {tls_port}\nresolvers = [\"{}\"]\n\
             allow = [\"127.0.0.0/8\"]\n",
            dns.address()
        );
        Self::with(home, "", &validation)
    }

    /// Starts Perennial with no more than it must be told in order to listen nowhere twice.
    pub(crate) fn bare(home: &Path, http_port: u16) -> Self {
        Self::listening(home, http_port, "")
    }

    /// The same, with more in `[listen]`.
    pub(crate) fn listening(home: &Path, http_port: u16, listen: &str) -> Self {
        Self::with(home, listen, &format!("http_port = {http_port}\n"))
    }

    fn with(home: &Path, listen: &str, validation: &str) -> Self {
        let settings = format!(
            "data_dir = {:?}\n\n[listen]\nhttps = \"127.0.0.1:0\"\nhttp = \"127.0.0.1:0\"\n\
             admin = \"127.0.0.1:0\"\n{listen}\n[validation]\n{validation}",
            home.join("data"),
        );
        fs::write(home.join("perennial.toml"), settings).expect("Perennial's settings");
        let (daemon, directory, root) = serve(home);
        let data = home.join("data");
        Self { directory, trust: root.clone(), issuer: Issuer::with_crl(root), daemon, data }
    }

    /// Directory and root from the line on stdout that says `serve` is ready.
    pub(crate) fn ready_line(log: &Path) -> Option<(String, PathBuf)> {
        let text = fs::read_to_string(log).ok()?;
        let (text, _) = text.rsplit_once('\n')?;
        let line = text.lines().find_map(|line| line.strip_prefix("ready "))?;
        let field = |name| line.split(' ').find_map(|word| word.strip_prefix(name));
        Some((field("directory=")?.into(), field("root=")?.into()))
    }

    /// Perennial's command line, speaking to this server.
    pub(crate) fn command<S: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = S>,
    ) -> Command {
        let mut command = program(env!("CARGO_BIN_EXE_perennial"));
        command.arg("--data-dir").arg(&self.data).args(arguments);
        command
    }

    /// What Perennial's command line says in JSON.
    pub(crate) fn json<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Value {
        let text = succeed(self.command(arguments).arg("--json"));
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}"))
    }

    /// Has Perennial do as `text` declares; the directory `name` in it is then where clients go.
    pub(crate) fn declare(&mut self, name: &str, text: &str) {
        let file = self.data.with_file_name("declared.toml");
        fs::write(&file, text).expect("declarations");
        succeed(&mut self.command(["apply".as_ref(), file.as_os_str()]));
        let shown = self.json(["get", "directory", name]);
        self.directory = shown["url"].as_str().expect("a URL").into();
    }

    /// What Perennial shows at `path` to who watches it.
    pub(crate) fn watched(&self, path: &str) -> String {
        let wrote = self.wrote();
        let admin = wrote.split(" admin=").nth(1).and_then(|rest| rest.split(' ').next());
        let url = format!("{}{path}", admin.expect("a URL"));
        succeed(program("curl").args(["--silent", "--show-error", "--fail", &url]))
    }

    /// Everything the server has written so far.
    pub(crate) fn wrote(&self) -> String {
        self.daemon.wrote()
    }

    /// Where a file of its data directory is.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.data.join(name)
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.daemon.id()
    }

    /// Ends Perennial with `signal`.
    pub(crate) fn stop(&mut self, signal: Signal) -> ExitStatus {
        self.daemon.end(signal)
    }

    /// Starts Perennial again on the same data.
    pub(crate) fn resume(&mut self) {
        let home = self.data.parent().expect("a home");
        // Or the ready line of before would be taken for that of now.
        fs::remove_file(&self.daemon.log).expect("the old log");
        (self.daemon, self.directory, _) = serve(home);
    }

    fn pebble(home: &Path, dns: &Dns, http_port: u16, tls_port: u16) -> Self {
        let [trust, chain, key] = ["trust.pem", "server.pem", "server.key"].map(|f| home.join(f));
        vouch_for_localhost(&trust, &chain, &key);
        let (port, management) = (free_port(), free_port());
        let settings = serde_json::json!({ "pebble": {
            "listenAddress": format!("127.0.0.1:{port}"),
            "managementListenAddress": format!("127.0.0.1:{management}"),
            "certificate": chain,
            "privateKey": key,
            "httpPort": http_port,
            "tlsPort": tls_port,
        }});
        let file = home.join("pebble.json");
        fs::write(&file, settings.to_string()).expect("Pebble's settings");
        let dns = dns.address();
        let arguments = ["-config".as_ref(), file.as_os_str(), "-dnsserver".as_ref(), dns.as_ref()];
        let mut daemon = Daemon::start("pebble", arguments, home);
        daemon.wait_for_port(management);
        daemon.wait_for_port(port);
        let peer = Peer { management: format!("https://localhost:{management}"), trust };
        let root = home.join("root.pem");
        fs::write(&root, peer.fetch("roots/0")).expect("Pebble's root");
        Self {
            directory: format!("https://localhost:{port}/dir"),
            trust: peer.trust.clone(),
            issuer: Issuer { root, peer: Some(peer) },
            daemon,
            data: PathBuf::new(),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.daemon.wrote();
            let from = log.char_indices().rev().nth(8000).map_or(0, |(at, _)| at);
            eprintln!("the server wrote:\n{}", &log[from..]);
        }
    }
}

/// Downloads `url` without TLS, as relying parties fetch CRLs; none unless the answer is 200.
pub(crate) fn download(url: &str, to: &Path) -> Option<()> {
    let (output, _) = run(program("curl").args(["-sS", "--fail", "-o"]).arg(to).arg(url));
    output.status.success().then_some(())
}

/// Runs Perennial with the settings in `home` until it is ready: with its directory and root.
fn serve(home: &Path) -> (Daemon, String, PathBuf) {
    let file = home.join("perennial.toml");
    let arguments = ["serve".as_ref(), "--config".as_ref(), file.as_os_str()];
    let mut daemon = Daemon::start(env!("CARGO_BIN_EXE_perennial"), arguments, home);
    let log = daemon.log.clone();
    let (directory, root) = daemon.wait("the ready line", || Server::ready_line(&log));
    (daemon, directory, root)
}

/// A throwaway root, and a certificate for `localhost` with its key.
fn vouch_for_localhost(root: &Path, chain: &Path, key: &Path) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer_key = KeyPair::generate().expect("a key");
    let issuer = CertifiedIssuer::self_signed(params, issuer_key).expect("a root");
    let server_key = KeyPair::generate().expect("a key");
    let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    let mut params = CertificateParams::new(names).expect("names");
    params.distinguished_name = DistinguishedName::new();
    let server = params.signed_by(&server_key, &issuer).expect("a certificate");
    fs::write(root, issuer.pem()).expect("the root");
    fs::write(chain, server.pem()).expect("the chain");
    fs::write(key, server_key.serialize_pem()).expect("the key");
}
