//! What the promises to users are measured by: rotations, pushes, revocations. Everything that can be
//! counted is there from the start at 0, or nobody would see it grow from nothing to one. No label names
//! a certificate or a target.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::SignedDuration;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use renew::Cause;

use crate::store::ManagedCounts;

/// What is measured of service levels.
pub(crate) struct ServiceLevels {
    rotations: Family<Ended, Counter>,
    rotation_seconds: Family<Outcome, Histogram>,
    served_seconds: Family<Kind, Histogram>,
    pushes: Family<Outcome, Counter>,
    rollbacks: Counter,
    revocation_seconds: Histogram,
    managed: Family<Status, Gauge>,
    managed_next_end: Gauge,
    endpoints: Family<Status, Gauge>,
    /// When revocations were asked for that no CRL lists yet, by authority, the oldest first.
    unlisted: Mutex<BTreeMap<i64, Vec<Instant>>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Ended {
    outcome: &'static str,
    trigger: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Kind {
    kind: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Status {
    status: &'static str,
}

impl Default for ServiceLevels {
    fn default() -> Self {
        let longer = || Histogram::new(LONGER);
        let levels = Self {
            rotations: Family::default(),
            rotation_seconds: Family::new_with_constructor(longer),
            served_seconds: Family::new_with_constructor(longer),
            pushes: Family::default(),
            rollbacks: Counter::default(),
            revocation_seconds: Histogram::new(REVOCATION),
            managed: Family::default(),
            managed_next_end: Gauge::default(),
            endpoints: Family::default(),
            unlisted: Mutex::default(),
        };
        for outcome in [PROVEN, FAILED, SUPERSEDED] {
            for trigger in Cause::NAMES {
                drop(levels.rotations.get_or_create(&Ended { outcome, trigger }));
            }
        }
        for outcome in [SERVED, REFUTED] {
            drop(levels.pushes.get_or_create(&Outcome { outcome }));
        }
        levels
    }
}

impl ServiceLevels {
    /// Has them shown in `r`.
    pub(super) fn register(&self, r: &mut Registry) {
        let help = "Rotations that were proven, failed, or gave way to another";
        r.register("rotations", help, self.rotations.clone());
        let help = "Time from the beginning of a rotation to its proof, or its failure";
        r.register("rotation_seconds", help, self.rotation_seconds.clone());
        let help = "Time from the beginning of a push to the proof that it is served";
        r.register("served_seconds", help, self.served_seconds.clone());
        r.register("pushes", "Pushes to a target that were proven, or not", self.pushes.clone());
        r.register("rollbacks", "Rotations taken back from targets", self.rollbacks.clone());
        let help = "Time from the wish to revoke to the CRL that lists it";
        r.register("revocation_seconds", help, self.revocation_seconds.clone());
        let help = "Managed certificates: all, and those that are pending, rotating, failing, drifted, \
                    overdue or ending";
        r.register("managed_certificates", help, self.managed.clone());
        let help = "When the first of the managed certificates that are served expires";
        r.register(
            "managed_first_not_after_timestamp_seconds",
            help,
            self.managed_next_end.clone(),
        );
        let help = "Endpoints that are watched: all, and those that clients refuse or do not reach";
        r.register("endpoints", help, self.endpoints.clone());
    }

    /// A rotation was proven, `took` after it began.
    pub(crate) fn proven(&self, cause: &Cause, took: SignedDuration) {
        self.ended(PROVEN, cause, took);
    }

    /// A rotation failed.
    pub(crate) fn failed(&self, cause: &Cause, took: SignedDuration) {
        self.ended(FAILED, cause, took);
    }

    /// A rotation ended because something else is wanted now: nobody's failure.
    pub(crate) fn superseded(&self, cause: &Cause, took: SignedDuration) {
        self.ended(SUPERSEDED, cause, took);
    }

    fn ended(&self, outcome: &'static str, cause: &Cause, took: SignedDuration) {
        self.rotations.get_or_create(&Ended { outcome, trigger: cause.name() }).inc();
        self.rotation_seconds.get_or_create(&Outcome { outcome }).observe(took.as_secs_f64());
    }

    /// A target of this kind was proven to serve what was pushed to it, `took` after the push began.
    pub(crate) fn placed(&self, kind: &'static str, took: Duration) {
        self.pushes.get_or_create(&Outcome { outcome: SERVED }).inc();
        self.served_seconds.get_or_create(&Kind { kind }).observe(took.as_secs_f64());
    }

    /// A target was not proven to serve what was pushed to it.
    pub(crate) fn refuted(&self) {
        self.pushes.get_or_create(&Outcome { outcome: REFUTED }).inc();
    }

    /// A rotation turns round: its targets are given the version before.
    pub(crate) fn rolled_back(&self) {
        self.rollbacks.inc();
    }

    /// How the managed certificates are.
    pub(crate) fn managed(&self, counts: &ManagedCounts) {
        for (status, count) in [
            ("all", counts.all),
            ("pending", counts.pending),
            ("rotating", counts.rotating),
            ("failing", counts.failing),
            ("drifted", counts.drifted),
            ("overdue", counts.overdue),
            ("ending", counts.ending),
        ] {
            self.managed.get_or_create(&Status { status }).set(count);
        }
        self.managed_next_end.set(counts.next_end.unwrap_or_default());
    }

    /// How the endpoints are: all of them, and those with which something is wrong.
    pub(crate) fn endpoints(&self, all: i64, failing: i64) {
        for (status, count) in [("all", all), ("failing", failing)] {
            self.endpoints.get_or_create(&Status { status }).set(count);
        }
    }

    /// A certificate of `authority` was revoked, as was asked for at `asked`.
    pub(crate) fn revoked(&self, authority: i64, asked: Instant) {
        let mut unlisted = self.unlisted();
        let waiting = unlisted.entry(authority).or_default();
        // A flood: those beyond are in the same CRL as these.
        if waiting.len() < MOST_UNLISTED {
            waiting.push(asked);
        }
    }

    /// How many revocations no CRL of `authority` lists; those that come later may be missing from
    /// one that is begun now.
    pub(crate) fn waiting(&self, authority: i64) -> usize {
        self.unlisted().get(&authority).map_or(0, Vec::len)
    }

    /// A CRL was published that lists the first `listed` of them.
    pub(crate) fn published(&self, authority: i64, listed: usize) {
        let mut unlisted = self.unlisted();
        let Some(waiting) = unlisted.get_mut(&authority) else { return };
        for asked in waiting.drain(..listed.min(waiting.len())) {
            self.revocation_seconds.observe(asked.elapsed().as_secs_f64());
        }
        if waiting.is_empty() {
            unlisted.remove(&authority);
        }
    }

    /// There will be no CRL of `authority` any more.
    pub(crate) fn unpublished(&self, authority: i64) {
        self.unlisted().remove(&authority);
    }

    /// For how long the oldest revocation that no CRL lists has waited.
    pub(super) fn longest_wait(&self) -> Duration {
        let unlisted = self.unlisted();
        let oldest = unlisted.values().filter_map(|waiting| waiting.first());
        oldest.map(Instant::elapsed).max().unwrap_or_default()
    }

    fn unlisted(&self) -> MutexGuard<'_, BTreeMap<i64, Vec<Instant>>> {
        // A panic while holding times leaves times.
        self.unlisted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const PROVEN: &str = "proven";
const FAILED: &str = "failed";
const SUPERSEDED: &str = "superseded";
const SERVED: &str = "served";
const REFUTED: &str = "refuted";
const MOST_UNLISTED: usize = 10_000;
/// Steps from a push to a socket to the slowest cloud, in seconds.
const LONGER: [f64; 9] = [0.5, 1.0, 2.0, 5.0, 15.0, 60.0, 300.0, 3600.0, 86_400.0];
/// A CRL is made within seconds; what takes minutes is a fault.
const REVOCATION: [f64; 10] = [0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 3600.0];

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text::encode;

    use super::*;

    fn shown(levels: &ServiceLevels) -> String {
        let (mut registry, mut text) = (Registry::default(), String::new());
        levels.register(&mut registry);
        encode(&mut text, &registry).expect("encoded");
        text
    }

    #[test]
    fn what_never_happened_is_there_at_zero() {
        let text = shown(&ServiceLevels::default());
        let never = "rotations_total{outcome=\"failed\",trigger=\"suggested\"} 0";
        for line in [never, "rollbacks_total 0", "pushes_total{outcome=\"refuted\"} 0"] {
            assert!(text.lines().any(|l| l == line), "{line} in {text}");
        }
    }

    #[test]
    fn a_rotation_counts_by_its_outcome_and_trigger() {
        let levels = ServiceLevels::default();
        levels.failed(&Cause::Lifetime, SignedDuration::from_secs(3));
        levels.superseded(&Cause::Emergency { reason: "x".into() }, SignedDuration::from_secs(3));
        let text = shown(&levels);
        assert!(text.contains("rotations_total{outcome=\"failed\",trigger=\"lifetime\"} 1"));
        assert!(text.contains("rotations_total{outcome=\"superseded\",trigger=\"emergency\"} 1"));
        assert!(text.contains("rotation_seconds_count{outcome=\"failed\"} 1"), "{text}");
    }

    #[test]
    fn a_revocation_that_came_while_a_crl_was_made_waits_for_the_next() {
        let levels = ServiceLevels::default();
        let ago =
            |seconds| Instant::now().checked_sub(Duration::from_secs(seconds)).expect("a time");
        levels.revoked(1, ago(100));
        levels.revoked(2, ago(5));
        let listed = levels.waiting(1);
        levels.revoked(1, ago(50));
        levels.published(1, listed);
        assert!(shown(&levels).contains("revocation_seconds_count 1"));
        let waits = levels.longest_wait().as_secs();
        assert!((50..60).contains(&waits), "{waits}");
        levels.published(1, levels.waiting(1));
        levels.unpublished(2);
        assert_eq!(levels.longest_wait(), Duration::ZERO);
        assert!(shown(&levels).contains("revocation_seconds_count 2"));
    }
}
