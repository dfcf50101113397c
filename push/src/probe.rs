//! What clients are shown, by full TLS handshakes: the only proof that a certificate is served. One
//! handshake is not enough, since old workers, stale replicas and other addresses of the same name
//! answer too; so every address and name must show the new certificate several times in a row.
//! Nothing here judges trust: any certificate is looked at, whoever issued it.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::lookup_host;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};

mod expected;
mod proof;
mod sight;
pub mod starttls;
mod witness;

pub use expected::Expected;
pub use proof::{Found, Proof, Sighting};
pub use sight::{Seen, Unseen, sight};
use starttls::StartTls;

/// Where to look, and how often.
#[derive(Clone, Debug, PartialEq)]
pub struct Probe {
    /// `host:port`; every address of a host is looked at.
    pub hosts: Vec<String>,
    /// The server names to ask for, each at every address; `None` asks without one.
    pub names: Vec<Option<String>>,
    /// What is spoken before TLS.
    pub starttls: Option<StartTls>,
    /// How many handshakes in a row must show what is expected.
    pub matches: u32,
    /// Over how much time, at least, those are spread; with one match this does not count.
    pub over: Duration,
    /// How long one handshake may take, from connecting on.
    pub timeout: Duration,
}

impl Probe {
    /// Whether there is nowhere to look, so that nothing can be proven.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.hosts.is_empty()
    }
}

/// Looks at every address and name, up to 16 at a time, in as many rounds as there are matches to be
/// had. It ends after the first round in which anything else than what is expected was seen.
pub async fn prove(probe: &Probe, expected: &Expected) -> Proof {
    let (mut watched, unresolved) = resolve(probe).await;
    let begun = Instant::now();
    for round in 0..probe.matches.max(1) {
        if round > 0 {
            // Never divides by zero: with one match there is one round.
            sleep_until(begun + probe.over * round / (probe.matches - 1)).await;
        }
        watched = look_at_all(watched, probe, expected, begun).await;
        if !unresolved.is_empty() || watched.iter().any(|seen| seen.found != Found::New) {
            break;
        }
    }
    let mut sightings = unresolved;
    sightings.extend(watched.into_iter().map(Watched::into_sighting));
    sightings.sort_by(|a, b| (&a.address, &a.sni).cmp(&(&b.address, &b.sni)));
    let proven = !sightings.is_empty() && sightings.iter().all(|seen| seen.found == Found::New);
    Proof { sightings, proven }
}

/// Tries to [`prove`] until that succeeds or `window` is over; at least once. An attempt that has
/// begun within the window is finished. Gives the last proof.
pub async fn wait_until_proven(probe: &Probe, expected: &Expected, window: Duration) -> Proof {
    let until = Instant::now() + window;
    let mut pause = FIRST_PAUSE;
    loop {
        let proof = prove(probe, expected).await;
        if proof.proven || Instant::now() + pause >= until {
            return proof;
        }
        sleep(pause).await;
        pause = (pause * 2).min(LAST_PAUSE);
    }
}

/// Reads `host:port`: an address in brackets if it is IPv6.
///
/// # Errors
/// A sentence that says what to write.
pub fn host_and_port(text: &str) -> Result<(&str, u16), String> {
    let bad = || format!("{text:?} is no address to probe: write host:port, or [IPv6]:port");
    let (host, port) = text.rsplit_once(':').ok_or_else(bad)?;
    let port = port.parse().ok().filter(|port| *port > 0).ok_or_else(bad)?;
    let plain = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(address) => {
            address.parse::<std::net::Ipv6Addr>().map(|_| address).map_err(|_| bad())?
        }
        None if host.is_empty() || host.contains([':', ' ', '/']) => return Err(bad()),
        None => host,
    };
    Ok((plain, port))
}

/// Every address of `host:port`; there is one at least.
///
/// # Errors
/// A sentence that says why there is none, also when that takes longer than `limit`.
pub async fn addresses_of(host: &str, limit: Duration) -> Result<Vec<SocketAddr>, String> {
    let resolved = timeout(limit, lookup_host(host_and_port(host)?)).await;
    let found = resolved
        .map_err(|_| "resolving it took too long".to_owned())?
        .map_err(|error| format!("it cannot be resolved: {error}"))?;
    let found: BTreeSet<_> = found.collect();
    if found.is_empty() { Err("it has no address".to_owned()) } else { Ok(Vec::from_iter(found)) }
}

/// One address under one name.
struct Watched {
    address: SocketAddr,
    sni: Option<Arc<str>>,
    found: Found,
    handshakes: u32,
    ended: Duration,
}

impl Watched {
    fn into_sighting(self) -> Sighting {
        Sighting {
            address: self.address.to_string(),
            sni: self.sni.map(|sni| sni.to_string()),
            found: self.found,
            handshakes: self.handshakes,
            millis: u64::try_from(self.ended.as_millis()).unwrap_or(u64::MAX),
        }
    }
}

/// Every address of every host, under every name; and what cannot be resolved.
async fn resolve(probe: &Probe) -> (Vec<Watched>, Vec<Sighting>) {
    let mut addresses = BTreeSet::new();
    let mut unresolved = Vec::new();
    for host in &probe.hosts {
        match addresses_of(host, probe.timeout).await {
            Ok(found) => addresses.extend(found),
            Err(why) => unresolved.push(Sighting {
                address: host.clone(),
                sni: None,
                found: Found::Unreachable(why),
                handshakes: 0,
                millis: 0,
            }),
        }
    }
    let names: Vec<Option<Arc<str>>> =
        probe.names.iter().map(|name| name.as_deref().map(Arc::from)).collect();
    let watched = addresses.into_iter().flat_map(|address| {
        names.iter().map(move |sni| Watched {
            address,
            sni: sni.clone(),
            found: Found::New,
            handshakes: 0,
            ended: Duration::ZERO,
        })
    });
    (watched.collect(), unresolved)
}

/// One round, with bounded concurrency.
async fn look_at_all(
    watched: Vec<Watched>,
    probe: &Probe,
    expected: &Expected,
    begun: Instant,
) -> Vec<Watched> {
    let mut waiting = watched.into_iter();
    let mut under_way = JoinSet::new();
    let mut done = Vec::new();
    loop {
        while under_way.len() < CONCURRENT
            && let Some(mut one) = waiting.next()
        {
            let (expected, starttls, limit) = (expected.clone(), probe.starttls, probe.timeout);
            under_way.spawn(async move {
                one.found = expected.look(one.address, one.sni.as_deref(), starttls, limit).await;
                one.handshakes += 1;
                one.ended = begun.elapsed();
                one
            });
        }
        match under_way.join_next().await {
            Some(Ok(one)) => done.push(one),
            // Tasks here are never aborted, so one that failed has panicked: that is passed on.
            Some(Err(panicked)) => std::panic::resume_unwind(panicked.into_panic()),
            None => return done,
        }
    }
}

const CONCURRENT: usize = 16;
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LAST_PAUSE: Duration = Duration::from_secs(1);
