//! Metrics: what is counted, under which names. Labels come from fixed sets, or name what an operator
//! declares few of (authorities, profiles, directories): never from requests, so that nobody outside
//! can make them grow, and never a certificate or target, of which there may be many thousands.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use axum::http::StatusCode;
use jiff::{SignedDuration, Timestamp};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::keyset_counters::Counters;
use renew::alarm::Level;

use crate::store::ManagedCounts;

/// Everything that is counted.
pub(crate) struct Metrics {
    registry: Registry,
    /// What is counted of keysets.
    pub(crate) keysets: Counters,
    requests: Family<Request, Counter>,
    request_seconds: Family<Route, Histogram>,
    orders: Family<Directory, Counter>,
    certificates: Family<Profile, Counter>,
    revocations: Counter,
    validations: Family<Validation, Counter>,
    bad_nonces: Counter,
    expiring: Family<Within, Gauge>,
    ends_near: Family<Near, Gauge>,
    rotations: Family<Ended, Counter>,
    rotation_seconds: Family<Ended, Histogram>,
    served_seconds: Family<Kind, Histogram>,
    rollbacks: Counter,
    notifications: Family<Told, Counter>,
    tick_seconds: Histogram,
    managed: Family<Status, Gauge>,
    managed_next_end: Gauge,
    not_after: Family<Authority, Gauge<i64>>,
    crl_next_update: Family<Authority, Gauge<i64>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Request {
    route: &'static str,
    status: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Route {
    route: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Directory {
    directory: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Profile {
    profile: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Validation {
    challenge: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Status {
    status: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Ended {
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Told {
    receiver: String,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Kind {
    kind: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Within {
    within: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Near {
    level: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Authority {
    authority: String,
}

impl Metrics {
    /// Metrics at zero, all registered.
    pub(crate) fn new() -> Self {
        let mut registry = Registry::with_prefix("perennial");
        let latency = || Histogram::new(SECONDS);
        let longer = || Histogram::new(LONGER);
        let metrics = Self {
            requests: Family::default(),
            request_seconds: Family::new_with_constructor(latency),
            orders: Family::default(),
            certificates: Family::default(),
            revocations: Counter::default(),
            validations: Family::default(),
            bad_nonces: Counter::default(),
            expiring: Family::default(),
            ends_near: Family::default(),
            rotations: Family::default(),
            rotation_seconds: Family::new_with_constructor(longer),
            served_seconds: Family::new_with_constructor(longer),
            rollbacks: Counter::default(),
            notifications: Family::default(),
            tick_seconds: Histogram::new(TICK_SECONDS),
            managed: Family::default(),
            managed_next_end: Gauge::default(),
            not_after: Family::default(),
            crl_next_update: Family::default(),
            keysets: Counters::default(),
            registry: Registry::default(),
        };
        let r = &mut registry;
        metrics.keysets.register(r);
        r.register("http_requests", "HTTP requests answered", metrics.requests.clone());
        r.register(
            "http_request_seconds",
            "Time to answer an HTTP request",
            metrics.request_seconds.clone(),
        );
        r.register("acme_orders", "ACME orders opened", metrics.orders.clone());
        r.register("certificates_issued", "Certificates issued", metrics.certificates.clone());
        r.register("certificates_revoked", "Certificates revoked", metrics.revocations.clone());
        r.register("acme_validations", "Challenge validations", metrics.validations.clone());
        r.register("acme_bad_nonces", "Requests with a bad nonce", metrics.bad_nonces.clone());
        r.register("rotations", "Rotations that ended or were proven", metrics.rotations.clone());
        r.register(
            "rotation_seconds",
            "Time from the beginning of a rotation to its proof, or its failure",
            metrics.rotation_seconds.clone(),
        );
        r.register(
            "served_seconds",
            "Time from the beginning of a push to the proof that it is served",
            metrics.served_seconds.clone(),
        );
        r.register(
            "managed_certificates",
            "Managed certificates: all, and those that are pending, rotating, failing or drifted",
            metrics.managed.clone(),
        );
        r.register(
            "managed_first_not_after_timestamp_seconds",
            "When the first of the managed certificates that are served expires",
            metrics.managed_next_end.clone(),
        );
        r.register("rollbacks", "Rotations taken back from targets", metrics.rollbacks.clone());
        r.register(
            "notifications",
            "Attempts to deliver a message to a webhook, a mailbox or a chat",
            metrics.notifications.clone(),
        );
        r.register(
            "tick_seconds",
            "Time to find what is due and to begin it",
            metrics.tick_seconds.clone(),
        );
        r.register(
            "certificates_expiring",
            "Issued certificates that expire within a time",
            metrics.expiring.clone(),
        );
        r.register(
            "ends_near",
            "Certificates and authorities in use whose end is near",
            metrics.ends_near.clone(),
        );
        r.register(
            "authority_not_after_timestamp_seconds",
            "When a CA certificate expires",
            metrics.not_after.clone(),
        );
        r.register(
            "crl_next_update_timestamp_seconds",
            "When a CRL lapses",
            metrics.crl_next_update.clone(),
        );
        Self { registry, ..metrics }
    }

    /// A rotation was proven, or failed, `took` after it began.
    pub(crate) fn rotated(&self, outcome: &'static str, took: SignedDuration) {
        self.rotations.get_or_create(&Ended { outcome }).inc();
        self.rotation_seconds.get_or_create(&Ended { outcome }).observe(took.as_secs_f64());
    }

    /// A target of this kind was proven to serve what was pushed to it, `took` after the push began.
    pub(crate) fn placed(&self, kind: &'static str, took: Duration) {
        self.served_seconds.get_or_create(&Kind { kind }).observe(took.as_secs_f64());
    }

    /// How the managed certificates are.
    pub(crate) fn managed(&self, counts: &ManagedCounts) {
        for (status, count) in [
            ("all", counts.all),
            ("pending", counts.pending),
            ("rotating", counts.rotating),
            ("failing", counts.failing),
            ("drifted", counts.drifted),
        ] {
            self.managed.get_or_create(&Status { status }).set(count);
        }
        self.managed_next_end.set(counts.next_end.unwrap_or_default());
    }

    /// Targets were given the version before.
    pub(crate) fn rolled_back(&self) {
        self.rollbacks.inc();
    }

    /// A message to a receiver was delivered, failed or was given up.
    pub(crate) fn notified(&self, receiver: &str, outcome: &'static str) {
        let receiver = receiver.to_owned();
        self.notifications.get_or_create(&Told { receiver, outcome }).inc();
    }

    /// The worker took so long to find what is due and to begin it.
    pub(crate) fn ticked(&self, elapsed: Duration) {
        self.tick_seconds.observe(elapsed.as_secs_f64());
    }

    /// An authority is there no more: what is not watched any longer must raise no alarm.
    pub(crate) fn authority_removed(&self, name: &str) {
        let label = Authority { authority: name.to_owned() };
        self.not_after.remove(&label);
        self.crl_next_update.remove(&label);
    }

    pub(crate) fn served(&self, route: &'static str, status: StatusCode, elapsed: Duration) {
        let status = u32::from(status.as_u16());
        self.requests.get_or_create(&Request { route, status }).inc();
        self.request_seconds.get_or_create(&Route { route }).observe(elapsed.as_secs_f64());
    }

    pub(crate) fn ordered(&self, directory: &str) {
        self.orders.get_or_create(&Directory { directory: directory.to_owned() }).inc();
    }

    pub(crate) fn issued(&self, profile: &str) {
        self.certificates.get_or_create(&Profile { profile: profile.to_owned() }).inc();
    }

    pub(crate) fn revoked(&self) {
        self.revocations.inc();
    }

    pub(crate) fn validated(&self, challenge: &'static str, valid: bool) {
        let outcome = if valid { "valid" } else { "failed" };
        self.validations.get_or_create(&Validation { challenge, outcome }).inc();
    }

    pub(crate) fn bad_nonce(&self) {
        self.bad_nonces.inc();
    }

    pub(crate) fn expiring(&self, counts: &[(&'static str, i64)]) {
        for &(within, count) in counts {
            self.expiring.get_or_create(&Within { within }).set(count);
        }
    }

    /// How many ends are how near.
    pub(crate) fn ends_near(&self, counts: &BTreeMap<Level, i64>) {
        for level in [Level::Notice, Level::Urgent, Level::Expired] {
            let count = counts.get(&level).copied().unwrap_or_default();
            self.ends_near.get_or_create(&Near { level: level.name() }).set(count);
        }
    }

    pub(crate) fn authority_ends(&self, authority: &str, at: Timestamp) {
        let label = Authority { authority: authority.to_owned() };
        self.not_after.get_or_create(&label).set(at.as_second());
    }

    pub(crate) fn crl_ends(&self, authority: &str, at: Timestamp) {
        let label = Authority { authority: authority.to_owned() };
        self.crl_next_update.get_or_create(&label).set(at.as_second());
    }

    /// Everything as OpenMetrics text, with what `more` has.
    pub(crate) fn render(&self, more: &Registry) -> String {
        let mut text = String::new();
        let encoded = encode_registry(&mut text, &self.registry)
            .and_then(|()| encode_registry(&mut text, more))
            .and_then(|()| encode_eof(&mut text));
        if encoded.is_err() {
            let _ = write!(text, "# the metrics cannot be encoded");
        }
        text
    }
}

/// The route a path belongs to, without anything a client chose.
pub(crate) fn route(path: &str) -> &'static str {
    let mut parts = path.trim_start_matches('/').split('/');
    match (parts.next(), parts.nth(1)) {
        (Some("acme"), Some(resource)) => {
            ACME.iter().find(|known| **known == resource).copied().unwrap_or("acme")
        }
        (Some("pki"), _) => "pki",
        (Some("jwks"), _) => "jwks",
        // Some of these wait for minutes on purpose.
        (Some("api"), Some("pull")) => "pull",
        (Some("api"), Some("keysets")) => "keysets",
        (Some("api"), _) => "api",
        (Some("metrics" | "healthz" | "readyz"), _) => "admin",
        _ => "other",
    }
}

const ACME: [&str; 13] = [
    "directory",
    "new-nonce",
    "new-account",
    "new-order",
    "new-authz",
    "revoke-cert",
    "key-change",
    "renewal-info",
    "account",
    "order",
    "authz",
    "challenge",
    "certificate",
];
/// Steps from a push to a socket to the slowest cloud, in seconds.
const LONGER: [f64; 9] = [0.5, 1.0, 2.0, 5.0, 15.0, 60.0, 300.0, 3600.0, 86_400.0];
/// A tick that finds nothing is some reads from indices.
const TICK_SECONDS: [f64; 11] =
    [0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.25, 1.0];
const SECONDS: [f64; 12] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];
