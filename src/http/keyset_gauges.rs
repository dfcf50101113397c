//! How keysets stand, for who watches: looked up when it is asked for, so that one that is not
//! declared any more is not shown. Labels name keysets, phases, algorithms and declared consumers.

use std::sync::Arc;

use jiff::Timestamp;
use jwks::Phase;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::keyset_counters::{Consumer, Keyset};
use crate::node::Node;
use crate::perform::keyset::{Live, absent};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct InPhase {
    keyset: String,
    phase: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Signing {
    keyset: String,
    algorithm: &'static str,
}

/// How keysets stand.
#[derive(Default)]
struct Gauges {
    keys: Family<InPhase, Gauge>,
    rotates_at: Family<Keyset, Gauge>,
    ages: Family<Signing, Gauge>,
    sequence: Family<Keyset, Gauge>,
    failing: Family<Keyset, Gauge>,
    exposure: Family<Keyset, Gauge>,
    absent: Family<Keyset, Gauge>,
    since_fetch: Family<Consumer, Gauge>,
}

/// How every keyset stands now.
pub(super) fn standing(node: &Node) -> Registry {
    let (gauges, now) = (Gauges::default(), node.world.now());
    for (name, live) in &*node.keysets.load() {
        gauges.set(node, name, live, now);
    }
    let mut registry = Registry::with_prefix("perennial");
    gauges.register(&mut registry);
    registry
}

impl Gauges {
    fn register(&self, registry: &mut Registry) {
        for (name, help, gauge) in [
            (
                "keyset_next_rotation_timestamp_seconds",
                "When the next key is to sign",
                &self.rotates_at,
            ),
            ("keyset_sequence", "Grows with each change of the published set", &self.sequence),
            ("keyset_failing", "1 if the last step of a keyset failed", &self.failing),
            (
                "keyset_exposure_seconds",
                "For how long a consumer may trust a key that was taken out in an emergency",
                &self.exposure,
            ),
            (
                "keyset_consumers_absent",
                "Consumers that should have fetched a key that signs soon, and were not seen to",
                &self.absent,
            ),
        ] {
            registry.register(name, help, gauge.clone());
        }
        registry.register("keyset_keys", "Published keys", self.keys.clone());
        let help = "How long the key that signs has done so";
        registry.register("keyset_signing_key_age_seconds", help, self.ages.clone());
        let help = "Time since a declared consumer fetched last";
        registry.register("keyset_last_fetch_age_seconds", help, self.since_fetch.clone());
    }

    fn set(&self, node: &Node, name: &str, live: &Arc<Live>, now: Timestamp) {
        let standing = &live.standing;
        let keyset = || Keyset { keyset: name.to_owned() };
        let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        let keys = &standing.set.keys;
        for phase in [Phase::Announced, Phase::Proven, Phase::Signing, Phase::Retiring] {
            let label = InPhase { keyset: name.to_owned(), phase: phase.name() };
            let these = keys.iter().filter(|key| key.phase == phase).count();
            self.keys.get_or_create(&label).set(count(these));
        }
        if let Some(at) = standing.rotates_at(live.policy()) {
            self.rotates_at.get_or_create(&keyset()).set(at.as_second());
        }
        for key in standing.signing() {
            let algorithm = key.algorithm.name();
            // A clock that was set back makes it begin in the future.
            let age = key.signing_from.map(|from| now.duration_since(from).as_secs().max(0));
            let label = Signing { keyset: name.to_owned(), algorithm };
            self.ages.get_or_create(&label).set(age.unwrap_or_default());
        }
        self.sequence.get_or_create(&keyset()).set(standing.sequence);
        self.failing.get_or_create(&keyset()).set(i64::from(standing.error.is_some()));
        self.exposure.get_or_create(&keyset()).set(standing.exposure(now).as_secs());
        self.absent.get_or_create(&keyset()).set(count(absent(node, live, now).len()));
        for consumer in &live.keyset().consumers {
            if let Some(row) = node.fetches.consumer(live.id, &consumer.name) {
                let label = Consumer { keyset: name.to_owned(), consumer: consumer.name.clone() };
                let age = now.duration_since(row.last_at).as_secs().max(0);
                self.since_fetch.get_or_create(&label).set(age);
            }
        }
    }
}
