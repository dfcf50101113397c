//! The fleet bench: what it costs to keep many certificates, to rotate them all, and to bring one to
//! many targets; and to publish keysets and sign with them; with the real program driven from outside. `README.md` says how to read the tables.

#[path = "../load/account.rs"]
#[allow(dead_code, reason = "part of the client")]
mod account;
#[path = "../load/answers.rs"]
#[allow(dead_code, reason = "nobody validates anything here")]
mod answers;
mod arguments;
#[path = "../load/client.rs"]
#[allow(dead_code, reason = "no order is placed here, only the directory is waited for")]
mod client;
mod crowd;
mod decisions;
mod edge;
#[path = "../load/error.rs"]
mod error;
mod fleet;
#[path = "../load/gauge.rs"]
#[allow(dead_code, reason = "disk use is not measured here")]
mod gauge;
#[path = "../load/grid.rs"]
mod grid;
mod keysets;
mod node;
#[path = "../load/options.rs"]
#[allow(dead_code, reason = "which servers can be started is said there")]
mod options;
mod presenter;
mod published;
mod scanned;
mod scrape;
#[path = "../load/server.rs"]
#[allow(dead_code, reason = "no client needs the directory here")]
mod server;
mod signed;
mod streams;
mod targets;
mod wrk;

use std::process::ExitCode;

use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};

use arguments::{Arguments, Part};
use error::Error;
use server::installed;

/// One thread is enough to watch, and leaves the other core to what is watched.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // What was started is ended when its owner is dropped, so an interruption is only an early end.
    let done = tokio::select! {
        done = run(&arguments) => done,
        why = interruption() => why,
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &Arguments) -> Result<(), Error> {
    demand_programs(arguments)?;
    std::fs::create_dir_all(&arguments.work)
        .map_err(Error::io(format!("create {}", arguments.work.display())))?;
    if gauge::in_memory(&arguments.work) {
        eprintln!("note: {} is in memory; syncs cost nothing there", arguments.work.display());
    }
    for part in &arguments.part {
        let text = match part {
            Part::Decisions => decisions::measure(arguments).await?,
            Part::Fleet => fleet::measure(arguments).await?,
            Part::Targets => targets::measure(arguments).await?,
            Part::Published => published::measure(arguments).await?,
            Part::Signed => signed::measure(arguments).await?,
            Part::Keysets => keysets::measure(arguments).await?,
            Part::Scanned => scanned::measure(arguments).await?,
            Part::Streams => streams::measure(arguments).await?,
        };
        println!("{text}");
    }
    println!("Probes and decisions alone: cargo bench -p push; cargo bench -p renew.");
    Ok(())
}

async fn interruption() -> Result<(), Error> {
    let listen = |kind| signal(kind).map_err(Error::io("listen for signals"));
    let (mut interrupt, mut terminate) =
        (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?);
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Err(Error::Usage("interrupted".into()))
}

/// Fails before anything starts when a program is missing.
fn demand_programs(arguments: &Arguments) -> Result<(), Error> {
    let parts = &arguments.part;
    let (fleet, targets) = (parts.contains(&Part::Fleet), parts.contains(&Part::Targets));
    let published = parts.contains(&Part::Published);
    let requests = published || parts.contains(&Part::Signed);
    let nginx = published
        || parts.contains(&Part::Scanned)
        || fleet && arguments.edge == arguments::Edge::Nginx
        || targets && arguments.target_kind == edge::Kind::Nginx;
    let haproxy = targets && arguments.target_kind == edge::Kind::Haproxy;
    let programs = [
        ("nginx", "sudo apt-get install nginx-light", nginx),
        ("haproxy", "sudo apt-get install haproxy", haproxy),
        ("wrk", "sudo apt-get install wrk", requests),
        ("strace", "sudo apt-get install strace", fleet && arguments.sync_certificates > 0),
    ];
    for (program, install, needed) in programs {
        if needed && !installed(program) {
            return Err(Error::Missing { program, install });
        }
    }
    Ok(())
}
