//! What is counted of keysets. Labels name keysets and declared consumers: nothing that a stranger can
//! make more of.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

/// What is counted of keysets.
#[derive(Default)]
pub(crate) struct Counters {
    fetches: Family<Consumer, Counter>,
    tokens: Family<Keyset, Counter>,
    emergencies: Family<Keyset, Counter>,
}

/// A keyset.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Keyset {
    pub(super) keyset: String,
}

/// A consumer of a keyset.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Consumer {
    pub(super) keyset: String,
    /// Empty for those that are not declared.
    pub(super) consumer: String,
}

impl Counters {
    /// Has them shown in `registry`.
    pub(super) fn register(&self, registry: &mut Registry) {
        for (name, help, counter) in [
            ("keyset_tokens_signed", "Tokens signed", &self.tokens),
            ("keyset_emergencies", "Keys taken out at once", &self.emergencies),
        ] {
            registry.register(name, help, counter.clone());
        }
        let help = "Fetches of a keyset, by declared consumer; without one: of all others";
        registry.register("keyset_fetches", help, self.fetches.clone());
    }

    /// A keyset was fetched by a declared consumer, or if that is empty by somebody else.
    pub(super) fn fetched(&self, keyset: &str, consumer: &str) {
        let label = Consumer { keyset: keyset.to_owned(), consumer: consumer.to_owned() };
        self.fetches.get_or_create(&label).inc();
    }

    /// So many tokens were signed.
    pub(super) fn signed(&self, keyset: &str, tokens: usize) {
        let label = Keyset { keyset: keyset.to_owned() };
        self.tokens.get_or_create(&label).inc_by(u64::try_from(tokens).unwrap_or(u64::MAX));
    }

    /// A keyset was rotated in an emergency.
    pub(super) fn emergency(&self, keyset: &str) {
        self.emergencies.get_or_create(&Keyset { keyset: keyset.to_owned() }).inc();
    }
}
