//! What the bench can be told on its command line. Nothing here acts.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};

use crate::edge;

/// Measures managed certificates and keysets at scale, with the real program driven from outside, and
/// prints one table for each part.
#[derive(Clone, Debug, Parser)]
#[command(name = "fleet")]
pub(crate) struct Arguments {
    /// What to measure.
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "decisions,fleet,targets,streams,published,signed,keysets,scanned"
    )]
    pub(crate) part: Vec<Part>,
    /// decisions: managed certificates in the large store.
    #[arg(long, default_value_t = 1_000_000)]
    pub(crate) certificates: usize,
    /// decisions: how many become due in the same second; every number is a run of its own.
    #[arg(long, value_delimiter = ',', default_value = "0,100,10000")]
    pub(crate) due: Vec<usize>,
    /// fleet: certificates, each with a target of its own.
    #[arg(long, default_value_t = 2000)]
    pub(crate) fleet: usize,
    /// fleet: what serves them all.
    #[arg(long, value_enum, default_value_t = Edge::Rustls)]
    pub(crate) edge: Edge,
    /// fleet: certificates in the extra run under strace that counts disk syncs; 0 leaves it out.
    #[arg(long, default_value_t = 200)]
    pub(crate) sync_certificates: usize,
    /// targets: instances that serve the one certificate.
    #[arg(long, default_value_t = 100)]
    pub(crate) targets: usize,
    /// targets: what serves it.
    #[arg(long, value_enum, default_value_t = edge::Kind::Haproxy)]
    pub(crate) target_kind: edge::Kind,
    /// streams: how many are open.
    #[arg(long, default_value_t = 1000)]
    pub(crate) streams: usize,
    /// targets, streams: how often it is renewed.
    #[arg(long, default_value_t = 20)]
    pub(crate) renewals: usize,
    /// published, signed: how long each run of requests lasts.
    #[arg(long, default_value_t = 5)]
    pub(crate) seconds: u64,
    /// published, signed, scanned: how often they take turns; medians are shown.
    #[arg(long, default_value_t = 5)]
    pub(crate) turns: usize,
    /// keysets: how many there are; every number is a run of its own.
    #[arg(long, value_delimiter = ',', default_value = "1000,10000")]
    pub(crate) keysets: Vec<usize>,
    /// scanned: certificates in the inventory.
    #[arg(long, default_value_t = 100_000)]
    pub(crate) found: usize,
    /// The program to measure.
    #[arg(long, default_value = env!("CARGO_BIN_EXE_perennial"))]
    pub(crate) perennial: PathBuf,
    /// Where servers keep their data and logs while they are measured. Put it on a real disk.
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/target/fleet"))]
    pub(crate) work: PathBuf,
    /// Passed by `cargo bench`; means nothing here.
    #[arg(long, hide = true)]
    bench: bool,
}

/// What serves the certificates of the fleet, by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Edge {
    /// A server of the bench's own, which reads a name's files when they change.
    Rustls,
    /// One nginx, which reads and decodes a name's files in each handshake.
    Nginx,
}

/// A part of the bench.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// What the worker's tick costs by how much is stored and how much is due.
    Decisions,
    /// Many certificates, each obtained, put on its target and proven there.
    Fleet,
    /// One certificate on many targets.
    Targets,
    /// `jwks.json`, beside nginx with the same bytes.
    Published,
    /// Tokens, beside the bare library and through the API.
    Signed,
    /// Many keysets.
    Keysets,
    /// Places looked at, beside bare handshakes, and a large inventory.
    Scanned,
    /// One certificate over many streams of SDS.
    Streams,
}
