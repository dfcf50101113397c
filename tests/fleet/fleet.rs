//! Many certificates from an authority here, each on a target of its own, all served by one server:
//! how fast the first versions are everywhere, and how fast the next.

use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use tokio::time::sleep;

use crate::arguments::{self, Arguments};
use crate::decisions::count;
use crate::edge::Edges;
use crate::error::Error;
use crate::gauge;
use crate::grid::grid;
use crate::node::{Ground, Node};
use crate::presenter::Presenter;

/// Both rounds, and their syncs from a small run of its own; gives the table.
pub(crate) async fn measure(arguments: &Arguments) -> Result<String, Error> {
    let mut rows = rounds(arguments, arguments.fleet, false).await?;
    if arguments.sync_certificates > 0 {
        // Being traced makes a server slow.
        rows.extend(rounds(arguments, arguments.sync_certificates, true).await?);
    }
    let text = format!(
        "Fleet\n\n{}\nFrom apply until every target was proven by two handshakes. cert-manager's own \
         design document has 1.2\ncertificates/s: 500 in 417 s.\n",
        grid(HEADINGS, rows.iter().map(Round::cells))
    );
    Ok(text)
}

/// What serves them all.
enum Edge {
    Rustls(Presenter),
    Nginx(Edges, u16),
}

impl Edge {
    async fn start(kind: arguments::Edge, folder: &Path) -> Result<Self, Error> {
        Ok(match kind {
            arguments::Edge::Rustls => Self::Rustls(Presenter::start(&folder.join("tls")).await?),
            arguments::Edge::Nginx => {
                let (edges, port) = Edges::by_name(folder).await?;
                Self::Nginx(edges, port)
            }
        })
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Rustls(_) => "rustls",
            Self::Nginx(..) => "nginx",
        }
    }

    fn port(&self) -> u16 {
        match self {
            Self::Rustls(presenter) => presenter.port,
            Self::Nginx(_, port) => *port,
        }
    }

    fn cpu(&self) -> Duration {
        match self {
            Self::Rustls(presenter) => presenter.cpu(),
            Self::Nginx(edges, _) => edges.cpu(),
        }
    }
}

/// What one round took.
struct Round {
    name: &'static str,
    edge: &'static str,
    certificates: usize,
    took: Duration,
    cpu: Duration,
    edge_cpu: Duration,
    /// Seconds from push to proof, on average.
    served: f64,
    failed: f64,
    /// From a traced run, in which nothing else means anything.
    syncs: Option<usize>,
}

impl Round {
    fn cells(&self) -> [String; 11] {
        let number = count(self.certificates);
        let rate = number / self.took.as_secs_f64();
        let measured = |text: String| if self.syncs.is_none() { text } else { "–".into() };
        let each = |time: Duration| format!("{:.2}", time.as_secs_f64() * 1e3 / number);
        [
            self.name.into(),
            self.certificates.to_string(),
            self.edge.into(),
            measured(format!("{:.1}", self.took.as_secs_f64())),
            measured(format!("{rate:.1}")),
            measured(format!("×{:.0}", rate / CERT_MANAGER)),
            measured(each(self.cpu)),
            measured(each(self.edge_cpu)),
            measured(format!("{:.0}", self.served * 1e3)),
            self.syncs.map_or("–".into(), |syncs| format!("{:.2}", count(syncs) / number)),
            self.failed.to_string(),
        ]
    }
}

async fn rounds(arguments: &Arguments, number: usize, traced: bool) -> Result<Vec<Round>, Error> {
    let ground = Ground::clear(arguments).await?;
    let edge = Edge::start(arguments.edge, &ground.folder).await?;
    let node = ground.start(traced).await?;
    let mut rounds = Vec::new();
    for (name, profile) in [("first", "default"), ("renewal", "again")] {
        eprintln!("fleet: {name} round of {number} certificates");
        // Each is looked at once more after it was proven.
        sleep(BETWEEN).await;
        let declared = declared(number, profile, edge.port(), &ground.folder);
        let mut round = round(&node, number, &declared, &edge).await?;
        round.0.name = name;
        rounds.push(round);
    }
    node.server.stop().await?;
    let counted = rounds.into_iter().map(|(round, span)| {
        let syncs = traced.then(|| gauge::syncs(&ground.site.trace(), span)).transpose()?;
        Ok(Round { syncs, ..round })
    });
    counted.collect()
}

/// Declares, and waits until all that is declared is proven. Gives its beginning and end too.
async fn round(
    node: &Node<'_>,
    number: usize,
    declared: &str,
    edge: &Edge,
) -> Result<(Round, (SystemTime, SystemTime)), Error> {
    let before = node.scrape().await?;
    let cpu = gauge::cpu(node.server.pid())?;
    let edge_cpu = edge.cpu();
    let (began, from) = (Instant::now(), SystemTime::now());
    node.apply(declared).await?;
    let limit = Duration::from_secs(60 + u64::try_from(number).unwrap_or(u64::MAX) / 2);
    let wanted = before.proven() + count(number);
    let after = node.until_proven(wanted, Duration::from_millis(20), limit).await?;
    let round = Round {
        name: "",
        edge: edge.name(),
        certificates: number,
        took: began.elapsed(),
        cpu: gauge::cpu(node.server.pid())?.saturating_sub(cpu),
        edge_cpu: edge.cpu().saturating_sub(edge_cpu),
        served: after.served_since(&before).1,
        failed: after.failed() - before.failed(),
        syncs: None,
    };
    Ok((round, (from, SystemTime::now())))
}

/// So many certificates under a profile: another one than before means that all are renewed.
fn declared(number: usize, profile: &str, port: u16, folder: &Path) -> String {
    let mut text = String::new();
    if profile != "default" {
        text += &format!("[[profile]]\nname = {profile:?}\n");
    }
    for i in 0..number {
        let name = format!("c{i}.fleet.test");
        let directory = folder.join("tls").join(&name);
        text += &format!(
            "[[certificate]]\nname = \"c{i}\"\nnames = [{name:?}]\nprofile = {profile:?}\n\
             targets = [\"t{i}\"]\n[[target]]\nname = \"t{i}\"\nkind = \"files\"\n\
             directory = {directory:?}\nprobe = [\"127.0.0.1:{port}\"]\nmatches = 2\nover = \"0s\"\n\
             window = \"60s\"\n"
        );
    }
    text
}

const BETWEEN: Duration = Duration::from_secs(3);
/// Certificates per second.
const CERT_MANAGER: f64 = 1.2;
const HEADINGS: [&str; 11] = [
    "round",
    "certificates",
    "edge",
    "s",
    "per s",
    "cert-manager",
    "CPU ms",
    "edge CPU ms",
    "served ms",
    "syncs",
    "failed",
];
