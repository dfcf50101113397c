//! One `perennial serve` on a data directory that outlives it: started, killed, started again, or
//! refused. Its ports stay the same, since account and order URLs have them.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::program::{Daemon, free_port, program, run, succeed};
use crate::server::Server;

/// Where a node lives and how it is reached, whether it runs or not.
#[derive(Debug)]
pub(crate) struct Site {
    home: PathBuf,
    /// The data directory.
    pub(crate) data: PathBuf,
    /// Ports of the https, http and admin listeners.
    pub(crate) ports: [u16; 3],
    /// The settings file.
    pub(crate) settings: PathBuf,
    disk: Option<Disk>,
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
        Self { home: home.to_owned(), data, ports, settings, disk: None }
    }

    /// A site that nobody will order from.
    pub(crate) fn alone(home: &Path) -> Self {
        Self::new(home, 80, "127.0.0.1:53")
    }

    /// A site that nobody will order from, whose data directory is a disk of `size` (as tmpfs takes
    /// it: `4m`).
    pub(crate) fn on_disk(home: &Path, size: &str) -> Self {
        let mut site = Self::alone(home);
        fs::create_dir_all(&site.data).expect("a mount point");
        let disk = Disk::mount(home, &site.data, size);
        // The disk is seen by whoever was there when it was mounted; others look through their eyes.
        site.disk = Some(disk);
        site
    }

    /// Where a file of the data directory is for the test.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        let path = self.data.join(name);
        match &self.disk {
            Some(disk) => disk.seen(&path),
            None => path,
        }
    }

    /// Makes the disk read-only.
    pub(crate) fn write_protect(&self) {
        let disk = self.disk.as_ref().expect("a disk");
        let mut command = disk.enter("mount");
        succeed(command.args(["-o", "remount,ro"]).arg(&self.data));
    }

    /// Starts the node and waits until it is ready.
    pub(crate) fn start(&self) -> Node {
        // Its log is that of this run only.
        for log in ["perennial.log", "nsenter.log"] {
            let _ = fs::remove_file(self.home.join(log));
        }
        let arguments = ["serve".into(), "--config".into(), self.settings.clone().into_os_string()];
        let mut daemon = match &self.disk {
            None => Daemon::start(PROGRAM, arguments, &self.home),
            Some(disk) => {
                let inside = disk.flags().into_iter().chain([PROGRAM.into()]).chain(arguments);
                Daemon::start("nsenter", inside, &self.home)
            }
        };
        let log = daemon.log.clone();
        let (directory, root) = daemon.wait("the ready line", || Server::ready_line(&log));
        let root = self.disk.as_ref().map_or_else(|| root.clone(), |disk| disk.seen(&root));
        Node { directory, root, daemon }
    }

    /// Demands that the node does not start, but ends with 1 and says why, in at most three lines;
    /// returns what it said.
    pub(crate) fn refused(&self) -> String {
        let mut command = match &self.disk {
            None => program(PROGRAM),
            Some(disk) => disk.enter(PROGRAM),
        };
        refused(command.args(["serve", "--config"]).arg(&self.settings))
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
        self.file("perennial.db")
    }

    /// What the program prints when it is called with `arguments` for this site, which must go well.
    pub(crate) fn succeeds(&self, arguments: &[&str]) -> String {
        succeed(program(PROGRAM).arg("--data-dir").arg(&self.data).args(arguments))
    }
}

/// A small disk in memory. It is mounted in a namespace of its own, so that no root is needed, and
/// gone when the process is that holds it.
#[derive(Debug)]
struct Disk {
    holder: Daemon,
}

impl Disk {
    fn mount(home: &Path, at: &Path, size: &str) -> Self {
        let script = "mount -t tmpfs -o size=\"$1\" tmpfs \"$2\" && echo mounted && exec sleep 600";
        let shell = ["-rm", "sh", "-c", script, "sh", size].map(OsString::from);
        let arguments = shell.into_iter().chain([at.as_os_str().to_owned()]);
        let mut holder = Daemon::start("unshare", arguments, home);
        let log = holder.log.clone();
        holder
            .wait("the disk", || fs::read_to_string(&log).ok()?.contains("mounted").then_some(()));
        Self { holder }
    }

    fn flags(&self) -> Vec<OsString> {
        let id = self.holder.id().to_string();
        ["--preserve-credentials", "--user", "--mount", "--target", &id].map(Into::into).into()
    }

    fn enter(&self, name: &str) -> Command {
        let mut command = program("nsenter");
        command.args(self.flags()).arg(name);
        command
    }

    fn seen(&self, path: &Path) -> PathBuf {
        let root = PathBuf::from(format!("/proc/{}/root", self.holder.id()));
        root.join(path.strip_prefix("/").expect("an absolute path"))
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
