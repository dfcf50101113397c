//! The load bench: complete ACME orders from outside, against Perennial and its peers, on the
//! same machine in the same run. `README.md` says how to run it and how to read the table.

mod account;
mod answers;
mod client;
mod error;
mod fill;
mod gauge;
mod grid;
mod options;
mod order;
mod run;
mod server;
mod table;

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;

use answers::Answers;
use error::Error;
use options::{Kind, Options};
use run::{Load, Outcome, count};
use server::{Site, installed};
use table::Row;

/// One thread is enough for the load, and leaves the other core to the server.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let options = Options::parse();
    let done = match &options.directory {
        Some(url) => drive(url, &options).await,
        None => compare(&options).await,
    };
    match done {
        Ok(rows) => {
            println!("{}", table::render(&rows));
            let missed = if options.check { table::missed(&rows) } else { Vec::new() };
            missed.iter().for_each(|goal| eprintln!("goal missed: {goal}"));
            ExitCode::from(u8::from(!missed.is_empty()))
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Measures a server that somebody else started.
async fn drive(url: &str, options: &Options) -> Result<Vec<Row>, Error> {
    let answers = Answers::begin(options.http_port, options.dns_port, false).await?;
    eprintln!("http-01 is answered on {}, DNS on {}", answers.http, answers.dns);
    let root = options.root.as_deref().ok_or(Error::Usage("--root is missing".into()))?;
    let mut rows = Vec::new();
    for &clients in &options.clients {
        let load = load(options, clients);
        let outcome = load.put_on(url, root, options.pid, &answers.tokens).await?;
        let memory = options.pid.and_then(|pid| gauge::memory(pid).ok());
        let (syncs, disk, start, restart) = (None, None, None, None);
        rows.push(Row { kind: None, clients, outcome, syncs, disk, memory, start, restart });
    }
    Ok(rows)
}

/// Measures every server at every number of clients, taking turns, so that whatever else happens
/// on the machine meets all of them.
async fn compare(options: &Options) -> Result<Vec<Row>, Error> {
    demand_programs(options)?;
    std::fs::create_dir_all(&options.work)
        .map_err(Error::io(format!("create {}", options.work.display())))?;
    if gauge::in_memory(&options.work) {
        eprintln!("note: {} is in memory; syncs cost nothing there", options.work.display());
    }
    let caddy = options.servers.contains(&Kind::Caddy);
    let answers = Answers::begin(options.http_port, options.dns_port, caddy).await?;
    let mut rows = Vec::new();
    for &clients in &options.clients {
        for &kind in &options.servers {
            let mut tries = Vec::new();
            for number in 1..=options.repeat.max(1) {
                eprintln!("{}, {clients} clients, run {number}", kind.name());
                tries.push(measure(kind, clients, options, &answers).await?);
            }
            tries.sort_by(|a, b| a.outcome.rate().total_cmp(&b.outcome.rate()));
            let mut row = tries.swap_remove(tries.len() / 2);
            row.syncs = count_syncs(kind, clients, options, &answers).await?;
            rows.push(row);
        }
    }
    Ok(rows)
}

/// One run on an empty store, and a restart on what it left.
async fn measure(
    kind: Kind,
    clients: usize,
    options: &Options,
    answers: &Answers,
) -> Result<Row, Error> {
    let site = Site::clear(kind, &options.perennial, &options.work, answers)?;
    let mut server = site.start(false).await?;
    if let (Kind::Perennial, 1.., Some(data)) = (kind, options.stored, site.data()) {
        server.stop().await?;
        fill::fill(&data, options.stored)?;
        server = site.start(false).await?;
    }
    let start = Some(server.ready_after);
    let disk = || site.data().map(|data| gauge::disk(&data)).transpose();
    let empty = disk()?;
    let load = load(options, clients);
    let pid = Some(server.pid());
    let outcome = load.put_on(&server.directory, &server.root, pid, &answers.tokens).await?;
    let memory = Some(gauge::memory(server.pid())?);
    server.stop().await?;
    let grown = disk()?.zip(empty).map(|(full, empty)| full.saturating_sub(empty));
    let mut restart = None;
    if site.data().is_some() {
        let again = site.start(false).await?;
        restart = Some(again.ready_after);
        again.stop().await?;
    }
    site.remove();
    Ok(Row {
        kind: Some(kind),
        clients,
        syncs: None,
        disk: grown.map(|bytes| per_order(usize::try_from(bytes).unwrap_or(usize::MAX), &outcome)),
        outcome,
        memory,
        start,
        restart,
    })
}

/// Syncs per order, from a short run of its own, since being traced makes a server slow.
async fn count_syncs(
    kind: Kind,
    clients: usize,
    options: &Options,
    answers: &Answers,
) -> Result<Option<f64>, Error> {
    let Some(measured) = options.sync_run().filter(|_| kind != Kind::Pebble) else {
        return Ok(None);
    };
    let site = Site::clear(kind, &options.perennial, &options.work, answers)?;
    let server = site.start(true).await?;
    let load = Load { warm_up: Duration::ZERO, measured, ..load(options, clients) };
    let pid = Some(server.pid());
    let outcome = load.put_on(&server.directory, &server.root, pid, &answers.tokens).await?;
    server.stop().await?;
    let syncs = match outcome.span {
        Some(span) => gauge::syncs(&site.trace(), span)?,
        None => 0,
    };
    site.remove();
    Ok(Some(per_order(syncs, &outcome)))
}

fn load(options: &Options, clients: usize) -> Load {
    Load {
        clients,
        warm_up: options.warm_up(),
        measured: options.measured(),
        orders: options.orders,
        poll_pause: options.poll_pause(),
        step_limit: options.step_limit(),
        progress: options.progress(),
    }
}

fn per_order(quantity: usize, outcome: &Outcome) -> f64 {
    count(quantity) / count(outcome.total)
}

/// Fails before anything starts when a program is missing.
fn demand_programs(options: &Options) -> Result<(), Error> {
    let wanted = |kind| options.servers.contains(&kind);
    let durable = wanted(Kind::Perennial) || wanted(Kind::Caddy);
    let programs = [
        ("pebble", "sudo apt-get install pebble", wanted(Kind::Pebble)),
        ("caddy", "sudo apt-get install caddy", wanted(Kind::Caddy)),
        ("unshare", "sudo apt-get install util-linux", wanted(Kind::Caddy)),
        ("strace", "sudo apt-get install strace", durable && options.sync_run().is_some()),
    ];
    for (program, install, needed) in programs {
        if needed && !installed(program) {
            return Err(Error::Missing { program, install });
        }
    }
    if wanted(Kind::Caddy) && !rustix::process::geteuid().is_root() {
        let why = "Caddy validates on port 80 and asks DNS on port 53: run as root, \
                   or leave it out with --servers perennial,pebble";
        return Err(Error::Usage(why.into()));
    }
    Ok(())
}
