//! Metrics: what is counted, under which names. Labels come from fixed sets, or name what an operator
//! declares few of (authorities, profiles, directories): never from requests, so that nobody outside
//! can make them grow, and never a certificate or target, of which there may be many thousands.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use axum::http::StatusCode;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::keyset_counters::Counters;
use super::service_levels::ServiceLevels;
use renew::alarm::Level;

/// Everything that is counted.
pub(crate) struct Metrics {
    registry: Registry,
    /// What is counted of keysets.
    pub(crate) keysets: Counters,
    /// What promises are measured by.
    pub(crate) levels: ServiceLevels,
    requests: Family<Request, Counter>,
    request_seconds: Family<Route, Histogram>,
    orders: Family<Directory, Counter>,
    certificates: Family<Profile, Counter>,
    revocations: Counter,
    validations: Family<Validation, Counter>,
    bad_nonces: Counter,
    expiring: Family<Within, Gauge>,
    ends_near: Family<Near, Gauge>,
    notifications: Family<Told, Counter>,
    tick_seconds: Histogram,
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
struct Told {
    receiver: String,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Within {
    within: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Near {
    level: &'static str,
}

impl Metrics {
    /// Metrics at zero, all registered.
    pub(crate) fn new() -> Self {
        let mut registry = Registry::with_prefix("perennial");
        let latency = || Histogram::new(SECONDS);
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
            notifications: Family::default(),
            tick_seconds: Histogram::new(TICK_SECONDS),
            keysets: Counters::default(),
            levels: ServiceLevels::default(),
            registry: Registry::default(),
        };
        let r = &mut registry;
        metrics.keysets.register(r);
        metrics.levels.register(r);
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
        Self { registry, ..metrics }
    }

    /// A message to a receiver was delivered, failed or was given up.
    pub(crate) fn notified(&self, receiver: &str, outcome: &'static str) {
        for known in ["delivered", "failed", "abandoned", outcome] {
            // At 0 from the first attempt on: nobody sees what grows from nothing to one.
            let label = Told { receiver: receiver.to_owned(), outcome: known };
            drop(self.notifications.get_or_create(&label));
        }
        let receiver = receiver.to_owned();
        self.notifications.get_or_create(&Told { receiver, outcome }).inc();
    }

    /// The worker took so long to find what is due and to begin it.
    pub(crate) fn ticked(&self, elapsed: Duration) {
        self.tick_seconds.observe(elapsed.as_secs_f64());
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

    /// Everything as OpenMetrics text, with what `more` have.
    pub(crate) fn render(&self, more: &[Registry]) -> String {
        let mut text = String::new();
        let encoded = encode_registry(&mut text, &self.registry)
            .and_then(|()| more.iter().try_for_each(|more| encode_registry(&mut text, more)))
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
/// A tick that finds nothing is some reads from indices.
const TICK_SECONDS: [f64; 11] =
    [0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.25, 1.0];
const SECONDS: [f64; 12] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];
