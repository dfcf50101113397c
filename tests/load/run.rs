//! Load: so many clients that place one order after another, for so long, and what each order
//! took. Which server stands behind the directory is not known here.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use rcgen::KeyPair;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::answers::Tokens;
use crate::client::{self, Client};
use crate::error::Error;
use crate::gauge::{cpu, memory};
use crate::order::Customer;

/// What to do to a directory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    /// Clients at once, each with a connection and an account of its own.
    pub(crate) clients: usize,
    /// Orders placed before measuring.
    pub(crate) warm_up: Duration,
    /// The measured part.
    pub(crate) measured: Duration,
    /// Orders after which the measured part ends early.
    pub(crate) orders: Option<usize>,
    /// Pause between polls.
    pub(crate) poll_pause: Duration,
    /// Limit of one step.
    pub(crate) step_limit: Duration,
    /// Pause between lines of progress.
    pub(crate) progress: Option<Duration>,
}

/// What came of it. CPU times are those of the measured part.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outcome {
    /// Latencies of the orders that ended in the measured part, sorted.
    pub(crate) latencies: Vec<Duration>,
    /// All orders that ended well, warm-up included.
    pub(crate) total: usize,
    /// Orders that failed, at any time, and the first reason.
    pub(crate) failed: usize,
    /// The first failure, in words.
    pub(crate) failure: Option<String>,
    /// Length of the measured part.
    pub(crate) lasted: Duration,
    /// CPU time of the server.
    pub(crate) server_cpu: Duration,
    /// CPU time of this process.
    pub(crate) own_cpu: Duration,
    /// HTTP requests in all.
    pub(crate) requests: u64,
    /// Every client hangs: the server has stopped answering.
    pub(crate) deadlock: bool,
    /// When the first order began and the last ended.
    pub(crate) span: Option<(SystemTime, SystemTime)>,
}

impl Outcome {
    /// Orders per second in the measured part.
    pub(crate) fn rate(&self) -> f64 {
        count(self.latencies.len()) / self.lasted.as_secs_f64().max(f64::EPSILON)
    }

    /// The latency that `percent` of the orders did not exceed (nearest rank).
    pub(crate) fn percentile(&self, percent: usize) -> Option<Duration> {
        let rank = (self.latencies.len() * percent).div_ceil(100).max(1);
        self.latencies.get(rank - 1).copied()
    }

    /// Server CPU milliseconds per measured order.
    pub(crate) fn cpu_ms(&self) -> f64 {
        self.server_cpu.as_secs_f64() * 1e3 / count(self.latencies.len())
    }

    /// Our own CPU milliseconds per measured order.
    pub(crate) fn own_cpu_ms(&self) -> f64 {
        self.own_cpu.as_secs_f64() * 1e3 / count(self.latencies.len())
    }
}

impl Load {
    /// Puts this load on the directory at `url` and says what happened. `pid` is the server's.
    ///
    /// # Errors
    /// When the clients cannot even register; failed orders are part of the outcome.
    pub(crate) async fn put_on(
        &self,
        url: &str,
        root: &Path,
        pid: Option<u32>,
        tokens: &Tokens,
    ) -> Result<Outcome, Error> {
        let shared = Arc::new(Shared::default());
        let mut clients = JoinSet::new();
        let tls = client::trust(root)?;
        let mut customers = Vec::new();
        for _ in 0..self.clients {
            let client = Client::register(url, tls.clone(), self.step_limit).await?;
            let key = KeyPair::generate().map_err(|_| Error::Crypto("make a certificate key"))?;
            let (tokens, poll_pause) = (tokens.clone(), self.poll_pause);
            customers.push(Customer { client, key, tokens, poll_pause });
        }
        let begun = SystemTime::now();
        for (number, customer) in customers.into_iter().enumerate() {
            clients.spawn(shop(customer, number, Arc::clone(&shared)));
        }
        let watched = self.watch(pid, &shared, &mut clients).await;
        shared.stop.store(true, Ordering::Relaxed);
        let mut stalled = 0;
        let mut requests = 0;
        while let Some(ended) = clients.join_next().await {
            let ended = ended.map_err(|e| Error::Usage(format!("a client broke: {e}")))?;
            stalled += usize::from(ended.stalled);
            requests += ended.requests;
        }
        let mut outcome = shared.outcome(&watched);
        outcome.requests = requests;
        outcome.deadlock = stalled == self.clients;
        outcome.span = Some((begun, SystemTime::now()));
        Ok(outcome)
    }

    /// Waits for the warm-up and the measured part to pass, reading the meters at their ends.
    async fn watch(
        &self,
        pid: Option<u32>,
        shared: &Shared,
        clients: &mut JoinSet<Ended>,
    ) -> Watched {
        let _ = self.pass(self.warm_up, None, shared, clients, pid).await;
        let before = (meter(pid), meter(Some(std::process::id())));
        let from = Instant::now();
        self.pass(self.measured, self.orders, shared, clients, pid).await;
        let to = Instant::now();
        Watched {
            from,
            to,
            server_cpu: meter(pid).saturating_sub(before.0),
            own_cpu: meter(Some(std::process::id())).saturating_sub(before.1),
        }
    }

    /// Lets `time` pass, or `orders` orders, or all clients give up.
    async fn pass(
        &self,
        time: Duration,
        orders: Option<usize>,
        shared: &Shared,
        clients: &JoinSet<Ended>,
        pid: Option<u32>,
    ) {
        let begun = Instant::now();
        let already = shared.orders();
        let mut last = (begun, already);
        while begun.elapsed() < time && shared.working(clients.len()) {
            sleep(TICK.min(time.saturating_sub(begun.elapsed()))).await;
            let done = shared.orders();
            if orders.is_some_and(|orders| done - already >= orders) {
                return;
            }
            let since = last.0.elapsed();
            if self.progress.is_some_and(|pause| since >= pause) {
                let rate = count(done - last.1) / since.as_secs_f64();
                let rss = pid.and_then(|pid| memory(pid).ok()).unwrap_or_default() >> 20;
                eprintln!("  {done:>8} orders  {rate:>8.1} orders/s  {rss:>6} MiB");
                last = (Instant::now(), done);
            }
        }
    }
}

/// One client's life: order after order, until told to stop or nothing works any more.
async fn shop(mut customer: Customer, number: usize, shared: Arc<Shared>) -> Ended {
    let run = std::process::id();
    let start = shared.begun.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |d| d.as_millis());
    let mut failures = 0;
    let mut stalled = false;
    let mut serial = 0;
    while !shared.stop.load(Ordering::Relaxed) && failures < FAILURES_IN_A_ROW {
        serial += 1;
        let name = format!("n{serial}.c{number}.r{run}-{start:x}.example.test");
        let begun = Instant::now();
        match customer.order(&name).await {
            Ok(()) => {
                failures = 0;
                shared.done(Instant::now(), begun.elapsed());
            }
            Err(error) => {
                failures += 1;
                stalled = matches!(error, Error::Stalled(_));
                shared.failed(&error);
                if stalled {
                    break;
                }
            }
        }
    }
    shared.leave();
    Ended { stalled, requests: customer.client.requests() }
}

struct Ended {
    stalled: bool,
    requests: u64,
}

struct Watched {
    from: Instant,
    to: Instant,
    server_cpu: Duration,
    own_cpu: Duration,
}

struct Shared {
    stop: AtomicBool,
    begun: SystemTime,
    ledger: Mutex<Ledger>,
}

#[derive(Default)]
struct Ledger {
    done: Vec<(Instant, Duration)>,
    failed: usize,
    failure: Option<String>,
    left: usize,
}

impl Default for Shared {
    fn default() -> Self {
        let (stop, ledger) = (AtomicBool::new(false), Mutex::default());
        Self { stop, begun: SystemTime::now(), ledger }
    }
}

impl Shared {
    fn with<T>(&self, use_it: impl FnOnce(&mut Ledger) -> T) -> T {
        use_it(&mut self.ledger.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn done(&self, at: Instant, took: Duration) {
        self.with(|ledger| ledger.done.push((at, took)));
    }

    fn failed(&self, error: &Error) {
        self.with(|ledger| {
            ledger.failed += 1;
            ledger.failure.get_or_insert_with(|| error.to_string());
        });
    }

    fn leave(&self) {
        self.with(|ledger| ledger.left += 1);
    }

    fn orders(&self) -> usize {
        self.with(|ledger| ledger.done.len())
    }

    fn working(&self, clients: usize) -> bool {
        self.with(|ledger| ledger.left < clients)
    }

    fn outcome(&self, watched: &Watched) -> Outcome {
        self.with(|ledger| {
            let within = |at: Instant| at >= watched.from && at <= watched.to;
            let measured = ledger.done.iter().filter(|(at, _)| within(*at));
            let mut latencies: Vec<_> = measured.map(|(_, took)| *took).collect();
            latencies.sort_unstable();
            Outcome {
                latencies,
                total: ledger.done.len(),
                failed: ledger.failed,
                failure: ledger.failure.take(),
                lasted: watched.to - watched.from,
                server_cpu: watched.server_cpu,
                own_cpu: watched.own_cpu,
                ..Outcome::default()
            }
        })
    }
}

fn meter(pid: Option<u32>) -> Duration {
    pid.and_then(|pid| cpu(pid).ok()).unwrap_or_default()
}

/// A count as a float; ours are far below where one would lose any.
pub(crate) fn count(of: usize) -> f64 {
    of as f64
}

const TICK: Duration = Duration::from_millis(50);
const FAILURES_IN_A_ROW: usize = 20;
