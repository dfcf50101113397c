//! One certificate on many targets: how long from the wish for a new version until every target is
//! proven to serve it, the canary first, then all others in one wave.

use std::time::{Duration, Instant};

use tokio::time::sleep;

use crate::arguments::Arguments;
use crate::decisions::count;
use crate::edge::Edges;
use crate::error::Error;
use crate::gauge;
use crate::grid::grid;
use crate::node::{Ground, Node};

/// Renews it again and again; gives the table.
pub(crate) async fn measure(arguments: &Arguments) -> Result<String, Error> {
    let (number, kind) = (arguments.targets.max(1), arguments.target_kind);
    let ground = Ground::clear(arguments).await?;
    eprintln!("targets: {number} instances of {} are started", kind.name());
    let (edges, targets) = Edges::alike(kind, number, NAME, &ground.folder).await?;
    let node = ground.start(false).await?;
    let before = node.scrape().await?;
    node.apply(&(certificate(number) + &targets)).await?;
    // The first time they show something else that is not known here either.
    node.until_proven(before.proven() + 1.0, POLL, LIMIT).await?;
    let before = node.scrape().await?;
    let (cpu, edges_cpu) = (gauge::cpu(node.server.pid())?, edges.cpu());
    let mut took = Vec::new();
    for renewal in 1..=arguments.renewals.max(1) {
        took.push(renew(&node).await?);
        eprintln!("  {renewal} of {} renewals are proven", arguments.renewals.max(1));
    }
    let cpu = gauge::cpu(node.server.pid())?.saturating_sub(cpu);
    let edges_cpu = edges.cpu().saturating_sub(edges_cpu);
    let after = node.scrape().await?;
    node.server.stop().await?;
    took.sort();
    let ms = |time: Duration| format!("{:.0}", time.as_secs_f64() * 1e3);
    let each = |time: Duration| format!("{:.1}", time.as_secs_f64() * 1e3 / count(took.len()));
    let row = [
        kind.name().to_owned(),
        number.to_string(),
        took.len().to_string(),
        ms(percentile(&took, 50)),
        ms(percentile(&took, 99)),
        format!("{:.0}", after.served_since(&before).1 * 1e3),
        each(cpu),
        each(edges_cpu),
        (after.failed() - before.failed()).to_string(),
    ];
    Ok(format!(
        "Targets\n\n{}\nFrom the wish until every target was proven by two handshakes: one canary, then \
         all others at once.\n",
        grid(HEADINGS, [row])
    ))
}

/// From the wish to the proof.
async fn renew(node: &Node<'_>) -> Result<Duration, Error> {
    // What the end of the rotation before has to be looked at again for is done by then.
    sleep(BETWEEN).await;
    let wanted = node.scrape().await?.proven() + 1.0;
    let began = Instant::now();
    node.renew(CERTIFICATE).await?;
    node.until_proven(wanted, POLL, LIMIT).await?;
    Ok(began.elapsed())
}

fn certificate(targets: usize) -> String {
    let names: Vec<_> = (0..targets).map(|i| format!("edge-{i}")).collect();
    format!(
        "[[certificate]]\nname = {CERTIFICATE:?}\nnames = [{NAME:?}]\ntargets = {names:?}\n\
         canary = [\"edge-0\"]\nwave = {}\n",
        targets.saturating_sub(1).max(1)
    )
}

/// By nearest rank.
pub(crate) fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or_default()
}

const CERTIFICATE: &str = "shop";
const NAME: &str = "shop.fleet.test";
const POLL: Duration = Duration::from_millis(5);
/// A tick and some.
const BETWEEN: Duration = Duration::from_millis(1500);
const LIMIT: Duration = Duration::from_secs(120);
const HEADINGS: [&str; 9] = [
    "kind",
    "targets",
    "renewals",
    "p50 ms",
    "p99 ms",
    "served ms",
    "CPU ms",
    "targets' CPU ms",
    "failed",
];
