//! One `perennial serve` on a data directory that outlives it: started, killed, started again, or
//! refused. Its ports stay the same, since account and order URLs have them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::program::{Daemon, free_port, program, run};
use crate::server::Server;

/// Where a node lives and how it is reached, whether it runs or not.
#[derive(Debug)]
pub(crate) struct Site {
    home: PathBuf,
    /// The data directory.
    pub(crate) data: PathBuf,
    /// Ports of the https, http and admin listeners.
    pub(crate) ports: [u16; 3],
    settings: PathBuf,
}

/// A node that runs.
#[derive(Debug)]
pub(crate) struct Node {
    /// URL of the ACME directory.
    pub(crate) directory: String,
    /// PEM file with the root.
    pub(crate) root: PathBuf,
    pub(crate) daemon: Daemon,
}

impl Site {
    /// A site below `home`, which validates at `http_port` and asks the DNS server `resolver`.
    pub(crate) fn new(home: &Path, http_port: u16, resolver: &str) -> Self {
        let (data, settings) = (home.join("data"), home.join("perennial.toml"));
        let ports = [free_port(), free_port(), free_port()];
        let [https, http, admin] = ports;
        let text = format!(
            "data_dir = {data:?}\n\n[listen]\nhttps = \"127.0.0.1:{https}\"\n\
             http = \"127.0.0.1:{http}\"\nadmin = \"127.0.0.1:{admin}\"\n\n[validation]\n\
             http_port = {http_port}\nresolvers = [\"{resolver}\"]\nallow = [\"127.0.0.0/8\"]\n"
        );
        fs::write(&settings, text).expect("the node's settings");
        Self { home: home.to_owned(), data, ports, settings }
    }

    /// A site that nobody will order from.
    pub(crate) fn alone(home: &Path) -> Self {
        Self::new(home, 80, "127.0.0.1:53")
    }

    /// Starts the node and waits until it is ready.
    pub(crate) fn start(&self) -> Node {
        // Its log is that of this run only.
        let _ = fs::remove_file(self.home.join("perennial.log"));
        let arguments = ["serve".as_ref(), "--config".as_ref(), self.settings.as_os_str()];
        let mut daemon = Daemon::start(PROGRAM, arguments, &self.home);
        let log = daemon.log.clone();
        let (directory, root) = daemon.wait("the ready line", || Server::ready_line(&log));
        Node { directory, root, daemon }
    }

    /// Demands that the node does not start, but ends with 1 and says why, in at most three lines;
    /// returns what it said.
    pub(crate) fn refused(&self) -> String {
        refused(program(PROGRAM).args(["serve", "--config"]).arg(&self.settings))
    }

    /// What `path` of the admin listener answers: status and body.
    pub(crate) fn admin(&self, path: &str) -> (u16, String) {
        let url = format!("http://127.0.0.1:{}{path}", self.ports[2]);
        let (output, text) = run(program("curl").args(["-sS", "-w", "\n%{http_code}"]).arg(url));
        let answer = String::from_utf8_lossy(&output.stdout).into_owned();
        let (body, status) = answer.rsplit_once('\n').unwrap_or_else(|| panic!("{text}"));
        (status.parse().unwrap_or_else(|_| panic!("{text}")), body.to_owned())
    }

    /// The store's file.
    pub(crate) fn store(&self) -> PathBuf {
        self.data.join("perennial.db")
    }
}

/// Demands that `command` ends with 1 and says why in at most three lines; returns them.
pub(crate) fn refused(command: &mut Command) -> String {
    let (output, text) = run(command);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(output.stdout.is_empty(), "nothing is ready: {text}");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!((1..=3).contains(&said.lines().count()), "short and clear: {text}");
    assert!(said.starts_with("perennial: ") && !said.contains("panicked"), "{text}");
    said
}

const PROGRAM: &str = env!("CARGO_BIN_EXE_perennial");
