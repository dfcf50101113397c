//! The server that is measured, as an operator has it: started, told what to manage by the command
//! line, watched through its metrics. It decides nothing about what is measured.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::handshake;
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use rustix::fs::{IFlags, ioctl_getflags, ioctl_setflags};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::{sleep, timeout};

use crate::answers::Answers;
use crate::arguments::Arguments;
use crate::error::Error;
use crate::options::Kind;
use crate::scrape::Scrape;
use crate::server::{Running, Site};

/// A place for the server and for those it serves, removed when it is dropped.
pub(crate) struct Ground {
    /// The server's part.
    pub(crate) site: Site,
    /// Everybody else's part.
    pub(crate) folder: PathBuf,
    program: PathBuf,
}

impl Ground {
    /// An empty place.
    pub(crate) async fn clear(arguments: &Arguments) -> Result<Self, Error> {
        spread(&arguments.work);
        let answers = Answers::begin(0, 0, false).await?;
        let site = Site::clear(Kind::Perennial, &arguments.perennial, &arguments.work, &answers)?;
        let folder = arguments.work.join(format!("edges-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).map_err(Error::io(format!("create {}", folder.display())))?;
        Ok(Self { site, folder, program: arguments.perennial.clone() })
    }

    /// Where the server keeps its store.
    pub(crate) fn data(&self) -> Result<PathBuf, Error> {
        self.site.data().ok_or(Error::Usage("the server keeps no data".into()))
    }

    /// Starts the server on whatever is there and waits until it is ready.
    pub(crate) async fn start(&self, traced: bool) -> Result<Node<'_>, Error> {
        let server = self.site.start(traced).await?;
        let admin = self.site.ready_word("admin=http://").and_then(|at| at.parse().ok());
        let admin = admin.ok_or(Error::Nonsense {
            step: "start",
            what: "no address of the admin listener in the line that says ready".into(),
        })?;
        Ok(Node { ground: self, server, admin })
    }

    /// The end of the server's log, to be shown when something went wrong.
    fn show_log(&self) {
        let log = fs::read_to_string(self.site.log()).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        for line in &lines[lines.len().saturating_sub(10)..] {
            eprintln!("  {line}");
        }
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        self.site.remove();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Has every folder in `work` begin in a part of the disk of its own, as a folder of the root does
/// (`chattr +T`). An ext4 without a journal goes through all files that were removed in the last
/// minutes near the place of a new one, which after a run are ten thousand. Elsewhere it is not
/// needed, and where it cannot be had it is done without.
fn spread(work: &Path) {
    if let Ok(directory) = fs::File::open(work)
        && let Ok(flags) = ioctl_getflags(&directory)
    {
        let _ = ioctl_setflags(&directory, flags | IFlags::TOPDIR);
    }
}

/// A server that answers.
pub(crate) struct Node<'a> {
    ground: &'a Ground,
    /// Its process, and how long it took to become ready.
    pub(crate) server: Running,
    admin: SocketAddr,
}

impl Node<'_> {
    /// Has it do as `text` declares, with `perennial apply`.
    pub(crate) async fn apply(&self, text: &str) -> Result<(), Error> {
        let file = self.ground.folder.join("declared.toml");
        fs::write(&file, text).map_err(Error::io(format!("write {}", file.display())))?;
        for attempt in 1.. {
            match self.run(&["apply", &file.display().to_string()]).await {
                Ok(_) => break,
                // The worker may have written a row between; whoever applies can only do so again.
                Err(Error::Nonsense { what, .. })
                    if attempt < APPLY_ATTEMPTS && what.contains("at the same time") =>
                {
                    eprintln!("  apply is repeated: {what}");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// What it says of itself to clients: `https://host:port`.
    pub(crate) fn origin(&self) -> &str {
        self.server.directory.split("/acme/").next().unwrap_or_default()
    }

    /// What `perennial` prints when it is told `words`.
    pub(crate) async fn run(&self, words: &[&str]) -> Result<String, Error> {
        let mut command = tokio::process::Command::new(&self.ground.program);
        command.arg("--data-dir").arg(self.ground.data()?).args(words);
        let output = timeout(APPLY_LIMIT, command.kill_on_drop(true).output()).await;
        let output = output.map_err(|_| Error::Stalled("a command"))?;
        let output = output.map_err(Error::io("run perennial"))?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        // 3 says that there is something to do.
        match matches!(output.status.code(), Some(0 | 3)) {
            true => Ok(text(&output.stdout)),
            false => Err(Error::Nonsense { step: "a command", what: text(&output.stderr) }),
        }
    }

    /// Renews a certificate now, as `perennial renew` asks for it.
    pub(crate) async fn renew(&self, name: &str) -> Result<(), Error> {
        let socket = self.ground.data()?.join("admin.sock");
        let stream = UnixStream::connect(&socket).await;
        let stream = stream.map_err(Error::io(format!("connect to {}", socket.display())))?;
        let path = format!("/api/v1/managed/{name}/renew");
        exchange("renew", stream, Method::POST, &path, "{}").await.map(drop)
    }

    /// Its metrics now.
    pub(crate) async fn scrape(&self) -> Result<Scrape, Error> {
        let stream = TcpStream::connect(self.admin).await;
        let stream = stream.map_err(Error::io(format!("connect to {}", self.admin)))?;
        exchange("metrics", stream, Method::GET, "/metrics", "").await.map(Scrape)
    }

    /// Waits until so many rotations were proven since the start, at most for `limit`; looks after
    /// each `pause`.
    pub(crate) async fn until_proven(
        &self,
        wanted: f64,
        pause: Duration,
        limit: Duration,
    ) -> Result<Scrape, Error> {
        let began = Instant::now();
        let mut told = began;
        loop {
            let seen = self.scrape().await?;
            if seen.proven() >= wanted {
                return Ok(seen);
            }
            if began.elapsed() > limit {
                self.ground.show_log();
                let what = format!(
                    "{} of {wanted} rotations were proven, {} failed, in {} s",
                    seen.proven(),
                    seen.failed(),
                    limit.as_secs()
                );
                return Err(Error::Nonsense { step: "rotations", what });
            }
            if told.elapsed() > PROGRESS {
                told = Instant::now();
                eprintln!("  {} of {wanted} proven, {} failed", seen.proven(), seen.failed());
            }
            sleep(pause).await;
        }
    }
}

/// One request over a connection of its own; what came back, unless it is no success.
async fn exchange(
    step: &'static str,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    method: Method,
    path: &str,
    body: &'static str,
) -> Result<String, Error> {
    let failed = |e: hyper::Error| Error::Connection { step, why: e.to_string() };
    let exchanged = async {
        let (mut sender, connection) = handshake(TokioIo::new(stream)).await.map_err(failed)?;
        tokio::spawn(async move { drop(connection.await) });
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, "localhost")
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from_static(body.as_bytes())))
            .map_err(|e| Error::Connection { step, why: e.to_string() })?;
        let response = sender.send_request(request).await.map_err(failed)?;
        let status = response.status();
        let bytes = response.into_body().collect().await.map_err(failed)?.to_bytes();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if status.is_success() {
            return Ok(text);
        }
        Err(Error::Refused { step, status: status.as_u16(), problem: text })
    };
    timeout(ANSWER_LIMIT, exchanged).await.unwrap_or(Err(Error::Stalled(step)))
}

const ANSWER_LIMIT: Duration = Duration::from_secs(30);
const APPLY_ATTEMPTS: u32 = 20;
const APPLY_LIMIT: Duration = Duration::from_secs(120);
const PROGRESS: Duration = Duration::from_secs(5);
