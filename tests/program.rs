//! Running other people's programs: found or named with the command that installs them, bounded in
//! time, and quoted in full when they fail. It knows nothing of certificates.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// A command for `program` that ends after two minutes at the latest.
///
/// # Panics
/// When it is not installed; the message says how to install it.
pub(crate) fn program(name: &str) -> Command {
    let found = find(name).unwrap_or_else(|| panic!("{}", advice(name)));
    let mut command = Command::new("timeout");
    command.args(["--kill-after=5", "120"]).arg(found).stdin(Stdio::null());
    command
}

/// Runs `command` and returns what it wrote to stdout.
///
/// # Panics
/// Unless it ends with 0; the message has the command and all it wrote.
pub(crate) fn succeed(command: &mut Command) -> String {
    let (output, text) = run(command);
    assert!(output.status.success(), "{text}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Runs `command` whatever becomes of it, and describes it in words.
pub(crate) fn run(command: &mut Command) -> (Output, String) {
    let output = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    let text = format!(
        "{command:?}\n{}\nstdout: {}\nstderr: {}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    (output, text)
}

/// A program that keeps running until dropped, and is ended by its process id.
#[derive(Debug)]
pub(crate) struct Daemon {
    child: Child,
    /// Where it writes.
    pub(crate) log: PathBuf,
}

impl Daemon {
    /// Starts `name` with `arguments` in `home`; stdout and stderr go to `home/name.log`.
    pub(crate) fn start<I, S>(name: &str, arguments: I, home: &Path) -> Self
    where
        I: IntoIterator<Item = S>,
        S: AsRef<OsStr>,
    {
        let found = find(name).unwrap_or_else(|| panic!("{}", advice(name)));
        let stem = found.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        let log = home.join(stem).with_extension("log");
        let open = || File::options().create(true).append(true).open(&log);
        let (out, err) = (open().expect("a log file"), open().expect("a log file"));
        let child = Command::new(found)
            .args(arguments)
            .current_dir(home)
            .env("HOME", home)
            .env("XDG_DATA_HOME", home)
            .env("XDG_CONFIG_HOME", home)
            .env("PEBBLE_VA_NOSLEEP", "1")
            .env("PEBBLE_WFE_NONCEREJECT", "0")
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            .spawn()
            .unwrap_or_else(|e| panic!("{name}: {e}"));
        Self { child, log }
    }

    /// Waits until `condition` gives something.
    ///
    /// # Panics
    /// After 30 seconds, or when the program ends first; the message has its log.
    pub(crate) fn wait<T>(&mut self, what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
        let begun = Instant::now();
        loop {
            if let Some(value) = condition() {
                return value;
            }
            let ended = self.child.try_wait().expect("a child can be waited for");
            assert!(
                ended.is_none() && begun.elapsed() < Duration::from_secs(30),
                "waiting for {what} ({ended:?}):\n{}",
                self.wrote()
            );
            sleep(Duration::from_millis(10));
        }
    }

    /// Waits until something listens on `port`.
    pub(crate) fn wait_for_port(&mut self, port: u16) {
        let connect = || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok();
        self.wait("its port", || connect().map(drop));
    }

    /// Sends `signal` and waits for the end, at most 30 seconds.
    pub(crate) fn end(&mut self, signal: Signal) -> ExitStatus {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).expect("a pid");
        kill_process(pid, signal).expect("it still runs");
        let asked = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("a child can be waited for") {
                return status;
            }
            assert!(asked.elapsed() < Duration::from_secs(30), "no end:\n{}", self.wrote());
            sleep(Duration::from_millis(5));
        }
    }

    /// Ends it with SIGKILL, as a crash would, and waits until it is gone.
    pub(crate) fn kill(mut self) {
        self.end(Signal::KILL);
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Everything it has written so far.
    pub(crate) fn wrote(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) else { return };
        if !matches!(self.child.try_wait(), Ok(None)) {
            return;
        }
        let _ = kill_process(pid, Signal::TERM);
        let asked = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) {
            if asked.elapsed() > Duration::from_secs(10) {
                let _ = self.child.kill();
                let _ = self.child.wait();
            }
            sleep(Duration::from_millis(5));
        }
    }
}

/// A port that nobody listens on. They are counted up from a start that depends on the process,
/// below the range that the kernel hands out itself, so that no two tests are given the same one.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    loop {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let block = std::process::id() % 100;
        let start = 10_000 + u16::try_from(block).unwrap_or(0) * 200;
        let port = start + step % 2_000;
        if TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok() {
            return port;
        }
    }
}

/// Where `name` is: as given, if it is a path, or on the path, or where Debian keeps daemons.
fn find(name: &str) -> Option<PathBuf> {
    let direct = PathBuf::from(name);
    if direct.components().count() > 1 {
        return direct.is_file().then_some(direct);
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let daemons = ["/usr/sbin", "/sbin"].map(PathBuf::from);
    std::env::split_paths(&path).chain(daemons).map(|dir| dir.join(name)).find(|f| f.is_file())
}

fn advice(name: &str) -> String {
    let package = match name {
        "certtool" => "gnutls-bin",
        "knotd" => "knot",
        "nsupdate" => "bind9-dnsutils",
        "ualpn" => "uacme",
        "nsenter" | "unshare" => "util-linux",
        other if other.contains("/venv/") || other.contains("/tools/") => {
            return format!("{other} is not there: run `tests/run tools`");
        }
        other => other,
    };
    format!("{name} is not installed: run `tests/run tools`, or `sudo apt-get install {package}`")
}
