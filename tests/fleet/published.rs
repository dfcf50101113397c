//! A keyset as it is fetched: `jwks.json` here and the same bytes as a static file from nginx, in
//! turns, plain and over TLS.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper::client::conn::http1::handshake;
use hyper::header::HOST;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::sleep;

use crate::arguments::Arguments;
use crate::edge::Edges;
use crate::error::Error;
use crate::gauge;
use crate::grid::grid;
use crate::keysets::declared;
use crate::node::Ground;
use crate::wrk::{CONNECTIONS, Request, rate};

/// Takes turns; gives the table of medians.
pub(crate) async fn measure(arguments: &Arguments) -> Result<String, Error> {
    let ground = Ground::clear(arguments).await?;
    let node = ground.start(false).await?;
    node.apply(&declared(0..1)).await?;
    let secure = format!("{}/jwks/k0/jwks.json", node.origin());
    let plain = ground.site.ready_word("http=").ok_or(Error::Nonsense {
        step: "start",
        what: "no address of the HTTP listener in the line that says ready".into(),
    })?;
    let plain = format!("{plain}/jwks/k0/jwks.json");
    let body = first(&plain).await?;
    fs::write(ground.folder.join("jwks.json"), &body)
        .map_err(Error::io("write what nginx serves"))?;
    let (edges, ports) = Edges::of_a_file(&ground.folder).await?;
    let mut rows = Vec::new();
    for (over, ours, port) in [("plain", &plain, ports[0]), ("TLS", &secure, ports[1])] {
        let scheme = if over == "TLS" { "https" } else { "http" };
        let theirs = format!("{scheme}://127.0.0.1:{port}/jwks.json");
        eprintln!("published: {over}");
        let (mut own, mut peer) = (Vec::new(), Vec::new());
        let own_cpu = || gauge::cpu(node.server.pid());
        let seconds = arguments.seconds.max(1);
        for _ in 0..arguments.turns.max(1) {
            own.push(Turn::take(ours, &ground.folder, seconds, own_cpu).await?);
            peer.push(Turn::take(&theirs, &ground.folder, seconds, || Ok(edges.cpu())).await?);
        }
        let ratio = own.iter().zip(&peer).map(|(own, peer)| own.rate / peer.rate).collect();
        rows.push([
            over.to_owned(),
            body.len().to_string(),
            format!("{:.0}", Turn::median(&own, |turn| turn.rate)),
            format!("{:.0}", Turn::median(&peer, |turn| turn.rate)),
            format!("{:.2}", median(ratio)),
            format!("{:.1}", Turn::median(&own, Turn::cpu_each)),
            format!("{:.1}", Turn::median(&peer, Turn::cpu_each)),
        ]);
    }
    node.server.stop().await?;
    Ok(format!(
        "Published\n\n{}\njwks.json on {CONNECTIONS} connections that are kept, in turns, medians; wrk has the \
         same processors.\n",
        grid(HEADINGS, rows)
    ))
}

/// One run of requests against one server.
struct Turn {
    /// Answers per second.
    rate: f64,
    answers: f64,
    cpu: Duration,
}

impl Turn {
    async fn take(
        url: &str,
        folder: &Path,
        seconds: u64,
        cpu: impl Fn() -> Result<Duration, Error>,
    ) -> Result<Self, Error> {
        let before = cpu()?;
        let rate = rate(url, &Request::Get, folder, seconds).await?;
        let answers = rate * Duration::from_secs(seconds).as_secs_f64();
        Ok(Self { rate, answers, cpu: cpu()?.saturating_sub(before) })
    }

    /// Microseconds of CPU time per answer.
    fn cpu_each(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.answers
    }

    fn median(turns: &[Self], of: impl Fn(&Self) -> f64) -> f64 {
        median(turns.iter().map(of).collect())
    }
}

/// The body at a plain URL, as soon as it is there: the first key is made after `apply`.
async fn first(url: &str) -> Result<Bytes, Error> {
    let began = Instant::now();
    loop {
        match fetch(url).await {
            Err(Error::Nonsense { .. }) if began.elapsed() < LIMIT => sleep(PAUSE).await,
            done => return done,
        }
    }
}

async fn fetch(url: &str) -> Result<Bytes, Error> {
    let nonsense = |what: String| Error::Nonsense { step: "fetch", what };
    let at = url.strip_prefix("http://").unwrap_or(url);
    let (host, path) = at.split_once('/').ok_or_else(|| nonsense(url.to_owned()))?;
    let stream = TcpStream::connect(host).await.map_err(Error::io(format!("connect to {host}")))?;
    let failed = |e: hyper::Error| Error::Connection { step: "fetch", why: e.to_string() };
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await.map_err(failed)?;
    tokio::spawn(async move { drop(connection.await) });
    let request = hyper::Request::get(format!("/{path}")).header(HOST, host);
    let request = request.body(Empty::<Bytes>::new()).map_err(|e| nonsense(e.to_string()))?;
    let response = sender.send_request(request).await.map_err(failed)?;
    let status = response.status();
    let body = response.into_body().collect().await.map_err(failed)?.to_bytes();
    match status.is_success() {
        true => Ok(body),
        false => Err(nonsense(format!("{url}: {status}"))),
    }
}

/// The middle one of several figures.
pub(crate) fn median(mut of: Vec<f64>) -> f64 {
    of.sort_by(f64::total_cmp);
    of.get(of.len() / 2).copied().unwrap_or(f64::NAN)
}

const LIMIT: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(20);
const HEADINGS: [&str; 7] =
    ["over", "octets", "GET/s", "nginx GET/s", "ratio", "CPU µs", "nginx CPU µs"];
