//! Starting and ending the servers that are measured: each with a fresh data directory, otherwise
//! default settings, and ended by its own process id. Nothing on the machine is changed.

use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, IsCa, KeyPair,
};
use rustix::process::{Pid, Signal, kill_process};
use tokio::time::sleep;

use crate::answers::Answers;
use crate::client;
use crate::error::Error;
use crate::gauge::SYNC_CALLS;
use crate::options::Kind;

/// A place for one server: where its files are, and what it may ask.
#[derive(Clone, Debug)]
pub(crate) struct Site {
    kind: Kind,
    program: PathBuf,
    home: PathBuf,
    answers: Answers,
    /// The port for Envoys, if there are any.
    pub(crate) sds: Option<u16>,
}

/// A server that answers.
pub(crate) struct Running {
    kind: Kind,
    child: Child,
    /// Its ACME directory.
    pub(crate) directory: String,
    /// PEM file with the root of its HTTPS certificate.
    pub(crate) root: PathBuf,
    /// From starting the process to the directory's first answer.
    pub(crate) ready_after: Duration,
}

impl Site {
    /// An empty site below `work`.
    pub(crate) fn clear(
        kind: Kind,
        perennial: &Path,
        work: &Path,
        answers: &Answers,
    ) -> Result<Self, Error> {
        let program = match kind {
            Kind::Perennial => perennial.to_owned(),
            Kind::Pebble | Kind::Caddy => kind.name().into(),
        };
        let home = work.join(format!("{}-{}", kind.name(), std::process::id()));
        let _ = fs::remove_dir_all(&home);
        fs::create_dir_all(home.join("data"))
            .map_err(Error::io(format!("create {}", home.display())))?;
        Ok(Self { kind, program, home, answers: answers.clone(), sds: None })
    }

    /// Where the server keeps what must survive it; Pebble keeps nothing.
    pub(crate) fn data(&self) -> Option<PathBuf> {
        (self.kind != Kind::Pebble).then(|| self.home.join("data"))
    }

    /// Where `strace` would write.
    pub(crate) fn trace(&self) -> PathBuf {
        self.home.join("strace.txt")
    }

    /// Where the server logs.
    pub(crate) fn log(&self) -> PathBuf {
        self.home.join("log.txt")
    }

    /// Forgets the data and the logs.
    pub(crate) fn remove(&self) {
        let _ = fs::remove_dir_all(&self.home);
    }

    /// Starts the server on whatever data is there and waits until its directory answers. With
    /// `traced`, strace notes every sync in [`Self::trace`].
    pub(crate) async fn start(&self, traced: bool) -> Result<Running, Error> {
        let (mut words, mut directory, mut root) = match self.kind {
            Kind::Perennial => self.perennial()?,
            Kind::Pebble => self.pebble()?,
            Kind::Caddy => self.caddy()?,
        };
        if traced {
            words.splice(..0, self.strace());
        }
        if self.kind == Kind::Caddy {
            words.splice(..0, self.own_resolver()?);
        }
        let begun = Instant::now();
        let mut child = self.spawn(&words)?;
        loop {
            if let Some(status) = child.try_wait().map_err(Error::io("wait for the server"))? {
                return Err(self.not_ready(&format!("ended with {status}")));
            }
            if self.kind == Kind::Perennial
                && let Some((url, pem)) = self.ready_line()
            {
                (directory, root) = (url, pem);
            }
            let answer = match client::trust(&root) {
                Ok(tls) => client::answers(&directory, tls).await,
                Err(error) => Err(error),
            };
            match answer {
                Ok(()) => break,
                Err(error) if begun.elapsed() > READY_LIMIT => {
                    let _ = child.kill();
                    return Err(self.not_ready(&error.to_string()));
                }
                Err(_) => sleep(Duration::from_millis(1)).await,
            }
        }
        Ok(Running { kind: self.kind, child, directory, root, ready_after: begun.elapsed() })
    }

    fn spawn(&self, words: &[String]) -> Result<Child, Error> {
        let file = |name| {
            let file = self.home.join(name);
            File::create(&file).map_err(Error::io(format!("create {}", file.display())))
        };
        Command::new(&words[0])
            .args(&words[1..])
            .env("PEBBLE_VA_NOSLEEP", "1")
            .env("PEBBLE_WFE_NONCEREJECT", "0")
            .env("PEBBLE_AUTHZREUSE", "0")
            .env("XDG_DATA_HOME", self.home.join("data"))
            .env("XDG_CONFIG_HOME", self.home.join("config"))
            .env("HOME", &self.home)
            .stdin(Stdio::null())
            .stdout(file("stdout.txt")?)
            .stderr(file("log.txt")?)
            .spawn()
            .map_err(Error::io(format!("start {}", words[0])))
    }

    fn not_ready(&self, why: &str) -> Error {
        Error::NotReady { server: self.kind.name(), why: why.to_owned(), log: self.log() }
    }

    fn perennial(&self) -> Result<Start, Error> {
        let config = self.home.join("perennial.toml");
        let sds = self.sds.map(|port| format!("sds = \"127.0.0.1:{port}\"\n"));
        let text = format!(
            "data_dir = {:?}\n\n[listen]\nhttps = \"127.0.0.1:0\"\nhttp = \"127.0.0.1:0\"\n\
             admin = \"127.0.0.1:0\"\nkeysets_over_http = true\n{}\n[validation]\nhttp_port = {}\ntls_port = 443\n\
             resolvers = [\"{}\"]\nallow = [\"127.0.0.0/8\"]\n",
            self.home.join("data"),
            sds.unwrap_or_default(),
            self.answers.http.port(),
            self.answers.dns,
        );
        write(&config, &text)?;
        let words = [path(&self.program), "serve".into(), "--config".into(), path(&config)];
        Ok((words.into(), String::new(), PathBuf::new()))
    }

    /// Directory and root from the line that says `serve` is ready.
    fn ready_line(&self) -> Option<(String, PathBuf)> {
        Some((self.ready_word("directory=")?, self.ready_word("root=")?.into()))
    }

    /// What follows `name` in the line that says Perennial is ready.
    pub(crate) fn ready_word(&self, name: &str) -> Option<String> {
        let output = fs::read_to_string(self.home.join("stdout.txt")).ok()?;
        let (output, _) = output.rsplit_once('\n')?;
        let line = output.lines().find_map(|line| line.strip_prefix("ready "))?;
        line.split(' ').find_map(|word| word.strip_prefix(name)).map(str::to_owned)
    }

    fn pebble(&self) -> Result<Start, Error> {
        let [root, chain, key] =
            ["root.pem", "server.pem", "server.key"].map(|f| self.home.join(f));
        vouch_for_localhost(&root, &chain, &key)?;
        let (port, management) = (free_port()?, free_port()?);
        let config = self.home.join("pebble.json");
        let settings = serde_json::json!({ "pebble": {
            "listenAddress": format!("127.0.0.1:{port}"),
            "managementListenAddress": format!("127.0.0.1:{management}"),
            "certificate": chain,
            "privateKey": key,
            "httpPort": self.answers.http.port(),
            "tlsPort": 443,
        }});
        write(&config, &settings.to_string())?;
        let dns = self.answers.dns.to_string();
        let words =
            [path(&self.program), "-config".into(), path(&config), "-dnsserver".into(), dns];
        Ok((words.into(), format!("https://localhost:{port}/dir"), root))
    }

    fn caddy(&self) -> Result<Start, Error> {
        let port = free_port()?;
        let config = self.home.join("Caddyfile");
        let text = format!(
            "{{\n  admin off\n  skip_install_trust\n  auto_https disable_redirects\n}}\n\
             https://localhost:{port} {{\n  bind 127.0.0.1\n  tls internal\n  acme_server\n}}\n"
        );
        write(&config, &text)?;
        let words = [path(&self.program), "run".into(), "--config".into(), path(&config)];
        let directory = format!("https://localhost:{port}/acme/local/directory");
        let root = self.home.join("data/caddy/pki/authorities/local/root.crt");
        Ok((words.into(), directory, root))
    }

    /// Caddy asks whom `/etc/resolv.conf` names, so it gets one of its own, in a mount namespace
    /// that ends with it.
    fn own_resolver(&self) -> Result<Vec<String>, Error> {
        let file = self.home.join("resolv.conf");
        write(&file, &format!("nameserver {}\n", self.answers.address))?;
        let script = "mount --bind \"$0\" /etc/resolv.conf && exec \"$@\"";
        Ok(["unshare", "--mount", "sh", "-c", script, &path(&file)].map(str::to_owned).into())
    }

    /// `-D` keeps the server the direct child; `--seccomp-bpf` leaves all other calls at speed.
    fn strace(&self) -> Vec<String> {
        let calls = format!("trace={}", SYNC_CALLS.join(","));
        let trace = path(&self.trace());
        ["strace", "-D", "-f", "-ttt", "--seccomp-bpf", "-e", &calls, "-o", &trace]
            .map(str::to_owned)
            .into()
    }
}

impl Running {
    /// The server's process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Asks it to end, and makes it end after ten seconds.
    pub(crate) async fn stop(mut self) -> Result<(), Error> {
        let pid = i32::try_from(self.pid()).ok().and_then(Pid::from_raw);
        if let Some(pid) = pid {
            let _ = kill_process(pid, Signal::TERM);
        }
        let asked = Instant::now();
        while asked.elapsed() < Duration::from_secs(10) {
            let ended = self.child.try_wait().map_err(Error::io("wait for the server"))?;
            let Some(status) = ended else {
                sleep(Duration::from_millis(5)).await;
                continue;
            };
            // Only Perennial promises to end with 0 when asked to.
            return match self.kind {
                Kind::Perennial if !status.success() => {
                    Err(Error::Ended { program: "perennial", status })
                }
                _ => Ok(()),
            };
        }
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Command words, directory URL and root; Perennial names the last two itself.
type Start = (Vec<String>, String, PathBuf);

/// Whether `program` is on the path.
pub(crate) fn installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let executable = |file: PathBuf| {
        fs::metadata(file)
            .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
    };
    std::env::split_paths(&path).any(|dir| executable(dir.join(program)))
}

/// A throwaway root, and a certificate for `localhost` with its key.
fn vouch_for_localhost(root: &Path, chain: &Path, key: &Path) -> Result<(), Error> {
    let cannot = |_| Error::Crypto("make a certificate for localhost");
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer_key = KeyPair::generate().map_err(cannot)?;
    let issuer = CertifiedIssuer::self_signed(params, issuer_key).map_err(cannot)?;
    let server_key = KeyPair::generate().map_err(cannot)?;
    let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    let mut params = CertificateParams::new(names).map_err(cannot)?;
    params.distinguished_name = DistinguishedName::new();
    let server = params.signed_by(&server_key, &issuer).map_err(cannot)?;
    write(root, &issuer.pem())?;
    write(chain, &server.pem())?;
    write(key, &server_key.serialize_pem())
}

/// A port of 127.0.0.1 that nobody listened on a moment ago.
pub(crate) fn free_port() -> Result<u16, Error> {
    let found = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|l| l.local_addr());
    found.map(|at| at.port()).map_err(Error::io("find a free port"))
}

fn write(file: &Path, text: &str) -> Result<(), Error> {
    fs::write(file, text).map_err(Error::io(format!("write {}", file.display())))
}

fn path(of: &Path) -> String {
    of.display().to_string()
}

/// A store of a million rows takes its time on a slow machine.
const READY_LIMIT: Duration = Duration::from_secs(60);
