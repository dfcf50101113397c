//! What the bench can be told on its command line. Nothing here acts.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};

/// Drives complete ACME orders against Perennial and its peers, one after another on this
/// machine, and prints one table.
#[derive(Clone, Debug, Parser)]
#[command(name = "orders")]
pub(crate) struct Options {
    /// How many clients order at once; every number is a run of its own.
    #[arg(long, value_delimiter = ',', default_value = "1,8,32")]
    pub(crate) clients: Vec<usize>,
    /// Length of the measured part of a run.
    #[arg(long, default_value_t = 15.0)]
    pub(crate) seconds: f64,
    /// Orders before the measured part begins.
    #[arg(long, default_value_t = 2.0)]
    pub(crate) warmup: f64,
    /// End the measured part early, after this many orders.
    #[arg(long)]
    pub(crate) orders: Option<usize>,
    /// Begin Perennial's runs with this many certificates in the store, each with its order.
    #[arg(long, default_value_t = 0)]
    pub(crate) stored: u64,
    /// Runs of each cell; the one with the median rate is printed.
    #[arg(long, default_value_t = 1)]
    pub(crate) repeat: usize,
    /// Whom to measure.
    #[arg(long, value_delimiter = ',', default_value = "perennial,pebble,caddy")]
    pub(crate) servers: Vec<Kind>,
    /// Pause between two polls of the same order, after a first one at once.
    #[arg(long, default_value_t = 5)]
    pub(crate) poll_ms: u64,
    /// A request, or the polling for one state, that takes longer has stalled.
    #[arg(long, default_value_t = 5.0)]
    pub(crate) step_timeout: f64,
    /// Length of the extra run under strace that counts disk syncs; 0 leaves it out.
    #[arg(long, default_value_t = 3.0)]
    pub(crate) sync_seconds: f64,
    /// Print a line of progress to stderr after every so many seconds.
    #[arg(long)]
    pub(crate) every: Option<f64>,
    /// Fail when a goal in `tests/load/README.md` is missed.
    #[arg(long)]
    pub(crate) check: bool,
    /// The program to measure as `perennial`.
    #[arg(long, default_value = env!("CARGO_BIN_EXE_perennial"))]
    pub(crate) perennial: PathBuf,
    /// Where servers keep their data and logs. Put it on a real disk.
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/target/load"))]
    pub(crate) work: PathBuf,
    /// Drive this directory instead of starting servers.
    #[arg(long, requires = "root")]
    pub(crate) directory: Option<String>,
    /// PEM file with the root that vouches for `--directory`.
    #[arg(long)]
    pub(crate) root: Option<PathBuf>,
    /// Process behind `--directory`, for its CPU time and memory.
    #[arg(long, requires = "directory")]
    pub(crate) pid: Option<u32>,
    /// Where http-01 is answered; by default a free port.
    #[arg(long, default_value_t = 0)]
    pub(crate) http_port: u16,
    /// Where DNS is answered; by default a free port.
    #[arg(long, default_value_t = 0)]
    pub(crate) dns_port: u16,
    /// Passed by `cargo bench`; means nothing here.
    #[arg(long, hide = true)]
    bench: bool,
}

impl Options {
    /// Length of the measured part.
    pub(crate) fn measured(&self) -> Duration {
        seconds(self.seconds)
    }

    /// Length of the part that is not measured.
    pub(crate) fn warm_up(&self) -> Duration {
        seconds(self.warmup)
    }

    /// Limit of one step of an order.
    pub(crate) fn step_limit(&self) -> Duration {
        seconds(self.step_timeout)
    }

    /// Pause between polls.
    pub(crate) fn poll_pause(&self) -> Duration {
        Duration::from_millis(self.poll_ms)
    }

    /// Length of the run that counts syncs, if there is one.
    pub(crate) fn sync_run(&self) -> Option<Duration> {
        (self.sync_seconds > 0.0).then(|| seconds(self.sync_seconds))
    }

    /// Pause between lines of progress.
    pub(crate) fn progress(&self) -> Option<Duration> {
        self.every.map(seconds).filter(|pause| !pause.is_zero())
    }
}

/// A server that the bench can start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// This product, with its store on disk.
    Perennial,
    /// Let's Encrypt's test server: everything in memory, nothing durable.
    Pebble,
    /// Caddy's `acme_server`: the step-ca library on bbolt.
    Caddy,
}

impl Kind {
    /// The name in the table.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Perennial => "perennial",
            Self::Pebble => "pebble",
            Self::Caddy => "caddy",
        }
    }
}

fn seconds(value: f64) -> Duration {
    Duration::try_from_secs_f64(value).unwrap_or_default()
}
