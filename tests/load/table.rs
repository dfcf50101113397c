//! The table: one row per server and number of clients, then what separates Perennial from its
//! peers, and whether the goals are met. It prints and decides nothing else.

use std::fmt::Write;
use std::time::Duration;

use crate::grid::grid;
use crate::options::Kind;
use crate::run::{Outcome, count};

/// Everything that was measured of one server at one number of clients.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    /// The server; none for one that was already there.
    pub(crate) kind: Option<Kind>,
    /// Clients at once.
    pub(crate) clients: usize,
    /// The load and what came of it.
    pub(crate) outcome: Outcome,
    /// Syncs per order, from the extra run.
    pub(crate) syncs: Option<f64>,
    /// Bytes of disk per certificate, from an empty store, after the server ended.
    pub(crate) disk: Option<f64>,
    /// Resident memory after the load, in bytes.
    pub(crate) memory: Option<u64>,
    /// Start to ready on an empty data directory.
    pub(crate) start: Option<Duration>,
    /// Start to ready on the data directory that the load left.
    pub(crate) restart: Option<Duration>,
}

impl Row {
    fn name(&self) -> &'static str {
        self.kind.map_or("directory", Kind::name)
    }

    fn cells(&self) -> [String; 15] {
        let o = &self.outcome;
        let measured = !o.latencies.is_empty();
        let if_measured = |text: String| if measured { text } else { "–".into() };
        let ms = |time: Option<Duration>| match time {
            Some(time) => format!("{:.1}", time.as_secs_f64() * 1e3),
            None => "–".into(),
        };
        let rounded = |time: Option<Duration>| match time {
            Some(time) => time.as_millis().to_string(),
            None => "–".into(),
        };
        let cpu_known = measured && !o.server_cpu.is_zero();
        let cores = o.server_cpu.as_secs_f64() / o.lasted.as_secs_f64().max(f64::EPSILON);
        let known = |text: String| if cpu_known { text } else { "–".into() };
        let requests = count(usize::try_from(o.requests).unwrap_or(0)) / count(o.total.max(1));
        [
            self.name().into(),
            self.clients.to_string(),
            if o.deadlock { "deadlock".into() } else { if_measured(format!("{:.1}", o.rate())) },
            ms(o.percentile(50)),
            ms(o.percentile(99)),
            known(format!("{:.2}", o.cpu_ms())),
            known(format!("{cores:.2}")),
            if_measured(format!("{:.2}", o.own_cpu_ms())),
            if_measured(format!("{requests:.1}")),
            self.syncs.map_or("–".into(), |n| format!("{n:.2}")),
            self.disk.map_or("–".into(), |n| format!("{n:.0}")),
            self.memory.map_or("–".into(), |n| (n >> 20).to_string()),
            rounded(self.start),
            rounded(self.restart),
            format!("{}/{}", o.failed, o.total),
        ]
    }
}

/// The whole table, failures and ratios below it.
pub(crate) fn render(rows: &[Row]) -> String {
    let mut text = grid(HEADINGS, rows.iter().map(Row::cells));
    for row in rows {
        if let Some(failure) = &row.outcome.failure {
            let _ = writeln!(text, "\n{}, {} clients: {failure}", row.name(), row.clients);
        }
    }
    text + &ratios(rows)
}

/// Perennial's numbers as multiples of each peer's, at the same number of clients.
fn ratios(rows: &[Row]) -> String {
    let mut text = String::new();
    for own in rows.iter().filter(|row| row.kind == Some(Kind::Perennial)) {
        for peer in rows.iter().filter(|row| row.clients == own.clients) {
            if peer.kind == own.kind || peer.outcome.latencies.is_empty() {
                continue;
            }
            let p50 = |row: &Row| row.outcome.percentile(50).unwrap_or_default().as_secs_f64();
            let _ = writeln!(
                text,
                "perennial : {} at {}: orders/s ×{:.2}, p50 ×{:.2}, CPU per order ×{:.2}",
                peer.name(),
                own.clients,
                own.outcome.rate() / peer.outcome.rate(),
                p50(own) / p50(peer),
                own.outcome.cpu_ms() / peer.outcome.cpu_ms(),
            );
        }
    }
    if text.is_empty() { text } else { format!("\n{text}") }
}

/// The goals that Perennial's rows miss, in words. Goals without a measurement do not count.
pub(crate) fn missed(rows: &[Row]) -> Vec<String> {
    let mut missed = Vec::new();
    let mut demand = |what: String, met: bool| {
        if !met {
            missed.push(what);
        }
    };
    for row in rows.iter().filter(|row| row.kind == Some(Kind::Perennial)) {
        let (n, o) = (row.clients, &row.outcome);
        demand(format!("{n} clients: {} failed", o.failed), o.failed == 0);
        if let Some(syncs) = row.syncs {
            let met = if n >= 32 { syncs < 1.0 } else { syncs <= 5.0 };
            demand(format!("{n} clients: {syncs:.2} syncs per order"), met);
        }
        if let Some(disk) = row.disk {
            demand(format!("{n} clients: {disk:.0} bytes per certificate"), disk < 4096.0);
        }
        if let Some(restart) = row.restart {
            demand(format!("restart took {restart:?}"), restart < Duration::from_millis(300));
        }
        if let Some(memory) = row.memory {
            demand(format!("{} MiB of memory", memory >> 20), memory < 100_000_000);
        }
        if n == 1 {
            let p50 = o.percentile(50).unwrap_or(Duration::MAX);
            demand(format!("1 client: p50 {p50:?}"), p50 < Duration::from_millis(4));
        }
        if n == 8 {
            let cpu = o.cpu_ms();
            demand(format!("8 clients: {cpu:.2} CPU ms per order"), cpu <= 1.0);
        }
        for (peer, at, times) in [(Kind::Pebble, 8, 2.0), (Kind::Caddy, 32, 6.0)] {
            let measured = |r: &&Row| r.kind == Some(peer) && !r.outcome.deadlock;
            let other = rows.iter().filter(measured).find(|r| r.clients == n && n == at);
            if let Some(other) = other {
                let ratio = o.rate() / other.outcome.rate();
                demand(format!("{n} clients: {} ×{ratio:.2}", peer.name()), ratio >= times);
            }
        }
    }
    missed
}

const HEADINGS: [&str; 15] = [
    "server", "clients", "orders/s", "p50 ms", "p99 ms", "CPU ms", "cores", "our CPU", "requests",
    "syncs", "disk B", "RSS MiB", "start ms", "again ms", "failed",
];
