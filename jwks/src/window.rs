//! The windows of overlap, with the arithmetic they come from: how long a key is announced before it
//! signs, how long it stays published after its last signature, how long a response may be cached.

use std::fmt;

use jiff::{SignedDuration, Timestamp};

use crate::policy::Policy;

/// How long a key is announced before it may sign. Every way a set can be old adds up, since each
/// copy may be taken at the last moment of the copy before it: a consumer that fetched an old set
/// from a cache keeps it for its own time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lead {
    /// The longest that a declared consumer goes without the new key after a fetch.
    pub staleness: SignedDuration,
    /// Which one that is; `None` when none is declared, or none caches.
    pub consumer: Option<String>,
    /// The longest `max-age` that is served.
    pub max_age: SignedDuration,
    /// How old what a CDN serves may be beyond `max-age`.
    pub copy_age: SignedDuration,
    /// Safety, in percent: 125 is a quarter more.
    pub safety: u16,
    /// How long until every node serves what was decided, with reserve: see
    /// [`Settings::lag`](crate::Settings::lag).
    pub lag: SignedDuration,
}

impl Lead {
    /// The sum.
    #[must_use]
    pub fn total(&self) -> SignedDuration {
        let oldest = self.staleness + self.max_age + self.copy_age;
        oldest * i32::from(self.safety) / 100 + self.lag
    }

    /// The sum in words: `28 min 45 s = (10 min (envoy caches) + ...`.
    #[must_use]
    pub fn sum(&self) -> String {
        let consumer = self.consumer.as_ref();
        let staleness = consumer
            .map(|name| format!("{} ({name} caches) + ", words(self.staleness)))
            .unwrap_or_default();
        let copies = match self.copy_age.is_zero() {
            true => String::new(),
            false => format!(" + {} (copies on the way)", words(self.copy_age)),
        };
        let (whole, part) = (self.safety / 100, self.safety % 100);
        format!(
            "{} = ({staleness}{} (max-age){copies}) × {whole}.{part:02} + {} (lag)",
            words(self.total()),
            words(self.max_age),
            words(self.lag)
        )
    }

    /// How old a set may be when a consumer fetches it.
    #[must_use]
    pub fn path(&self) -> SignedDuration {
        self.max_age + self.copy_age + self.lag
    }

    /// How long a key waits after the last edge was proven to serve it. From then on no fetch gives
    /// a set without it, so only what was fetched before counts.
    #[must_use]
    pub fn after_proof(&self) -> SignedDuration {
        self.staleness + self.max_age + self.lag / 2
    }
}

impl fmt::Display for Lead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "lead {}", self.sum())
    }
}

/// How long a key stays published after its last signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retirement {
    /// The longest lifetime of a token.
    pub token_lifetime: SignedDuration,
    /// How far past its expiry a consumer accepts a token.
    pub skew: SignedDuration,
    /// How far nodes' clocks are from the true time, or signers beyond their lease.
    pub signer_lag: SignedDuration,
}

impl Retirement {
    /// The sum.
    #[must_use]
    pub fn total(&self) -> SignedDuration {
        self.token_lifetime + self.after_expiry()
    }

    /// The sum in words: `1 h 6 min = 1 h (longest token) + ...`.
    #[must_use]
    pub fn sum(&self) -> String {
        format!(
            "{} = {} (longest token) + {} (skew) + {} (signer lag)",
            words(self.total()),
            words(self.token_lifetime),
            words(self.skew),
            words(self.signer_lag)
        )
    }

    /// How long the key is needed after the last token expired.
    #[must_use]
    pub fn after_expiry(&self) -> SignedDuration {
        self.skew + self.signer_lag
    }
}

impl fmt::Display for Retirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "retirement {}", self.sum())
    }
}

/// The `max-age` of a response at `now`, whole seconds: at most what is configured, a third of the
/// lead, and the time until `change`, the next planned change of the set. Up to a fifth less by
/// `seed`, so that caches do not all come back in the same second. One second when the change is
/// overdue.
#[must_use]
pub fn max_age(
    policy: &Policy,
    change: Option<Timestamp>,
    now: Timestamp,
    seed: u64,
) -> SignedDuration {
    let third = policy.lead().total() / 3;
    let mut most = policy.settings().max_age.min(third);
    if let Some(change) = change {
        most = most.min(change.duration_since(now));
    }
    let less = most.as_secs_f64() * 0.2 * fraction(seed);
    let seconds = most.as_secs_f64() - less;
    SignedDuration::from_secs_f64(seconds.floor()).max(SignedDuration::from_secs(1))
}

/// A fraction in `[0, 1)` that is the same for the same seed: SplitMix64's finalizer.
fn fraction(seed: u64) -> f64 {
    let mut bits = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^= bits >> 31;
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
    let top = (bits >> 11) as f64;
    top / 9_007_199_254_740_992.0
}

/// A duration as people say it: `2 h 40 min`.
#[must_use]
pub fn words(duration: SignedDuration) -> String {
    let mut seconds = duration.as_secs().max(0);
    let mut text = Vec::new();
    for (unit, length) in [("d", 86_400), ("h", 3600), ("min", 60), ("s", 1)] {
        if seconds >= length {
            text.push(format!("{} {unit}", seconds / length));
        }
        seconds %= length;
    }
    if text.is_empty() { "0 s".to_owned() } else { text.join(" ") }
}

/// `at` and `duration` later; the last instant there is, if there is no such.
pub(crate) fn plus(at: Timestamp, duration: SignedDuration) -> Timestamp {
    at.checked_add(duration).unwrap_or(Timestamp::MAX)
}

/// `at` and `duration` before; the first instant there is, if there is no such.
pub(crate) fn minus(at: Timestamp, duration: SignedDuration) -> Timestamp {
    at.checked_sub(duration).unwrap_or(Timestamp::MIN)
}
