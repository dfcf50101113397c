//! Many certificates from an authority here, each on a target of its own, all served by one nginx:
//! how fast the first versions are everywhere, and how fast the next.

use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use tokio::time::sleep;

use crate::arguments::Arguments;
use crate::decisions::count;
use crate::edge::Edges;
use crate::error::Error;
use crate::gauge;
use crate::grid::grid;
use crate::node::{Ground, Node};

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

/// What one round took.
struct Round {
    name: &'static str,
    certificates: usize,
    took: Duration,
    cpu: Duration,
    nginx: Duration,
    /// Seconds from push to proof, on average.
    served: f64,
    failed: f64,
    /// From a traced run, in which nothing else means anything.
    syncs: Option<usize>,
}

impl Round {
    fn cells(&self) -> [String; 10] {
        let number = count(self.certificates);
        let rate = number / self.took.as_secs_f64();
        let measured = |text: String| if self.syncs.is_none() { text } else { "–".into() };
        let each = |time: Duration| format!("{:.2}", time.as_secs_f64() * 1e3 / number);
        [
            self.name.into(),
            self.certificates.to_string(),
            measured(format!("{:.1}", self.took.as_secs_f64())),
            measured(format!("{rate:.1}")),
            measured(format!("×{:.0}", rate / CERT_MANAGER)),
            measured(each(self.cpu)),
            measured(each(self.nginx)),
            measured(format!("{:.0}", self.served * 1e3)),
            self.syncs.map_or("–".into(), |syncs| format!("{:.2}", count(syncs) / number)),
            self.failed.to_string(),
        ]
    }
}

async fn rounds(arguments: &Arguments, number: usize, traced: bool) -> Result<Vec<Round>, Error> {
    let ground = Ground::clear(arguments).await?;
    let (nginx, port) = Edges::by_name(&ground.folder).await?;
    let node = ground.start(traced).await?;
    let mut rounds = Vec::new();
    for (name, profile) in [("first", "default"), ("renewal", "again")] {
        eprintln!("fleet: {name} round of {number} certificates");
        // Each is looked at once more after it was proven.
        sleep(BETWEEN).await;
        let declared = declared(number, profile, port, &ground.folder);
        let mut round = round(&node, number, &declared, &nginx).await?;
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
    nginx: &Edges,
) -> Result<(Round, (SystemTime, SystemTime)), Error> {
    let before = node.scrape().await?;
    let cpu = gauge::cpu(node.server.pid())?;
    let nginx_cpu = nginx.cpu();
    let (began, from) = (Instant::now(), SystemTime::now());
    node.apply(declared).await?;
    let limit = Duration::from_secs(60 + u64::try_from(number).unwrap_or(u64::MAX) / 2);
    let wanted = before.proven() + count(number);
    let after = node.until_proven(wanted, Duration::from_millis(20), limit).await?;
    let round = Round {
        name: "",
        certificates: number,
        took: began.elapsed(),
        cpu: gauge::cpu(node.server.pid())?.saturating_sub(cpu),
        nginx: nginx.cpu().saturating_sub(nginx_cpu),
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
const HEADINGS: [&str; 10] = [
    "round",
    "certificates",
    "s",
    "per s",
    "cert-manager",
    "CPU ms",
    "nginx CPU ms",
    "served ms",
    "syncs",
    "failed",
];
