//! Scans: looking for certificates where nobody said they are. What is to be looked at is a sequence
//! whose every member has a number, so that an interrupted scan goes on where it was; members are looked at
//! many at once, at no more than a declared rate, and what cannot be looked at is told and passed over.

mod files;
mod network;
mod plan;
mod secrets;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use push::probe::starttls::StartTls;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::finding::Finding;
use plan::Item;
pub(crate) use plan::Plan;

/// What is scanned, and how.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(rename = "ScanRequest")]
#[serde(deny_unknown_fields)]
pub(crate) struct Request {
    /// Hosts, addresses, networks (each with ports of its own, or with `ports`), files or directories,
    /// and clusters, as [`Plan`] reads them.
    pub(crate) targets: Vec<String>,
    /// Ports of what names none: `443,8443,9000-9010`.
    pub(crate) ports: String,
    /// Addresses that are never looked at.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub(crate) exclude: Vec<IpNet>,
    /// The server name to ask for; by default the host that was named.
    #[serde(default)]
    pub(crate) sni: Option<String>,
    /// What is spoken before TLS; by default what the port suggests.
    #[serde(default)]
    #[schemars(with = "String")]
    pub(crate) starttls: Speech,
    /// Places looked at each second, at the most.
    pub(crate) rate: u32,
    /// Places looked at at once, at the most.
    pub(crate) at_once: usize,
    /// How long each may take, in milliseconds.
    pub(crate) timeout: u64,
    /// The kubeconfig that names the clusters; without one, the service account of the pod.
    #[serde(default)]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// Who answers for what is found.
    #[serde(default)]
    pub(crate) owner: Option<String>,
}

/// What is spoken before TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Speech {
    /// What is usual on the port.
    #[default]
    Auto,
    /// Nothing.
    None,
    /// This, on every port.
    #[serde(untagged)]
    Always(StartTls),
}

impl Speech {
    fn on(self, port: u16) -> Option<StartTls> {
        match (self, port) {
            (Self::None, _) => None,
            (Self::Always(starttls), _) => Some(starttls),
            (Self::Auto, 25 | 587) => Some(StartTls::Smtp),
            (Self::Auto, 24) => Some(StartTls::Lmtp),
            (Self::Auto, 143) => Some(StartTls::Imap),
            (Self::Auto, 110) => Some(StartTls::Pop3),
            (Self::Auto, 21) => Some(StartTls::Ftp),
            (Self::Auto, 389) => Some(StartTls::Ldap),
            (Self::Auto, 5222) => Some(StartTls::Xmpp),
            (Self::Auto, 3306) => Some(StartTls::Mysql),
            (Self::Auto, 5432) => Some(StartTls::Postgres),
            (Self::Auto, _) => None,
        }
    }
}

impl Request {
    /// These targets, as is usual.
    pub(crate) fn of(targets: Vec<String>) -> Self {
        Self {
            targets,
            ports: "443".to_owned(),
            exclude: Vec::new(),
            sni: None,
            starttls: Speech::Auto,
            rate: 1000,
            at_once: 128,
            timeout: 5000,
            kubeconfig: None,
            owner: None,
        }
    }

    fn admits(&self, address: IpAddr) -> bool {
        !self.exclude.iter().any(|net| net.contains(&address))
    }

    fn limit(&self) -> Duration {
        Duration::from_millis(self.timeout)
    }
}

/// What became of a part of a scan.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// How many of the sequence are done with all before them.
    pub(crate) done: u64,
    pub(crate) findings: Vec<Finding>,
}

/// Looks at everything from number `from` on, and reports as it goes; ends early where a report fails,
/// or `stop` does. While one part is reported, the next are looked at.
///
/// # Errors
/// That of the report.
pub(crate) async fn run<E>(
    plan: &Plan,
    from: u64,
    stop: impl Future<Output = ()>,
    mut report: impl AsyncFnMut(Progress) -> Result<(), E>,
) -> Result<(), E> {
    let (parts, mut waiting) = channel(WAITING);
    let looking = look(plan, from, stop, parts);
    let reporting = async move {
        while let Some(part) = waiting.recv().await {
            report(part).await?;
        }
        Ok(())
    };
    // A report that fails takes its end of the channel along, which ends the looking.
    let ((), reported) = tokio::join!(looking, reporting);
    reported
}

/// Looks at everything, and gives away what it finds in parts; waits where nobody takes them.
async fn look(plan: &Plan, from: u64, stop: impl Future<Output = ()>, parts: Sender<Progress>) {
    let (findings, received) = channel(BATCH);
    let mut scan = Run::new(plan, from, findings, received);
    let mut stop = std::pin::pin!(stop);
    let mut given = Instant::now();
    loop {
        tokio::select! {
            () = &mut stop => break,
            () = sleep_until(scan.turn()), if scan.may_begin() => scan.begin(),
            Some(finding) = scan.received.recv() => scan.batch.push(finding),
            Some(ended) = scan.under_way.join_next() => scan.end(ended),
            () = sleep_until(given + EVERY), if !scan.is_over() => {}
            else => break,
        }
        if scan.batch.len() >= BATCH || given.elapsed() >= EVERY {
            if parts.send(scan.progress()).await.is_err() {
                return;
            }
            given = Instant::now();
        }
        if scan.is_over() {
            break;
        }
    }
    // Nobody takes it where a report failed, which is what is told then.
    let _ = parts.send(scan.progress()).await;
}

struct Run<'a> {
    plan: &'a Plan,
    begun: Instant,
    started: u32,
    next: u64,
    done: u64,
    /// Those that ended before one that began earlier.
    ended: BTreeSet<u64>,
    under_way: JoinSet<u64>,
    findings: Sender<Finding>,
    received: Receiver<Finding>,
    batch: Vec<Finding>,
}

impl<'a> Run<'a> {
    fn new(
        plan: &'a Plan,
        from: u64,
        findings: Sender<Finding>,
        received: Receiver<Finding>,
    ) -> Self {
        Self {
            plan,
            begun: Instant::now(),
            started: 0,
            next: from,
            done: from,
            ended: BTreeSet::new(),
            under_way: JoinSet::new(),
            findings,
            received,
            batch: Vec::new(),
        }
    }

    fn may_begin(&self) -> bool {
        self.next < self.plan.total() && self.under_way.len() < self.plan.request.at_once
    }

    fn is_over(&self) -> bool {
        self.next >= self.plan.total() && self.under_way.is_empty()
    }

    /// When the next may begin.
    fn turn(&self) -> Instant {
        let seconds = f64::from(self.started) / f64::from(self.plan.request.rate.max(1));
        self.begun + Duration::from_secs_f64(seconds)
    }

    fn begin(&mut self) {
        let (number, findings) = (self.next, self.findings.clone());
        self.next += 1;
        let Some(item) = self.plan.item(number) else {
            self.ended.insert(number);
            return;
        };
        self.started = self.started.checked_add(1).unwrap_or_else(|| {
            // After years at a high rate.
            self.begun = Instant::now();
            0
        });
        let request = self.plan.request.clone();
        self.under_way.spawn(async move {
            match item {
                Item::Address(address) => network::look(address, None, &request, &findings).await,
                Item::Host(host, port) => {
                    network::look_at_host(&host, port, &request, &findings).await;
                }
                Item::Path(path) => files::look(path, findings).await,
                Item::Cluster(cluster) => secrets::look(&cluster, &request, &findings).await,
            }
            number
        });
    }

    fn end(&mut self, ended: Result<u64, tokio::task::JoinError>) {
        match ended {
            Ok(number) => self.ended.insert(number),
            // Tasks here are never aborted, so one that failed has panicked: that is passed on.
            Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
        };
        // What it found is in the channel by now, and must be told before it counts as done.
        while let Ok(finding) = self.received.try_recv() {
            self.batch.push(finding);
        }
        while self.ended.remove(&self.done) {
            self.done += 1;
        }
    }

    fn progress(&mut self) -> Progress {
        Progress { done: self.done, findings: std::mem::take(&mut self.batch) }
    }
}

/// Findings told at once.
const BATCH: usize = 256;
/// Parts that may wait while one is reported.
const WAITING: usize = 4;
/// The longest between two reports.
const EVERY: Duration = Duration::from_secs(2);
