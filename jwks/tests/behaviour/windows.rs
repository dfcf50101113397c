//! Windows and the arithmetic they are shown with.

use jiff::SignedDuration;
use jwks::consumer::{BadConsumer, Cache, UnknownKid};
use jwks::emergency::exposure;
use jwks::policy::Impossible;
use jwks::window::{max_age, words};
use jwks::{Algorithm, Consumer, Keyset, Policy, Settings};

use crate::start;

const MINUTE: SignedDuration = SignedDuration::from_mins(1);
const HOUR: SignedDuration = SignedDuration::from_hours(1);

fn settings(names: &[&str]) -> Settings {
    let mut settings = Settings::new(Algorithm::Es256, HOUR * 24 * 30, HOUR);
    settings.consumers =
        names.iter().map(|name| Consumer::named(name, None).expect("in the table")).collect();
    settings
}

fn policy(names: &[&str]) -> Policy {
    Policy::new(settings(names)).expect("a policy that can be kept")
}

#[test]
fn the_lead_adds_up_every_way_a_set_can_be_old() {
    let policy = policy(&["envoy", "aws-api-gateway", "jose"]);
    assert_eq!(policy.lead().total(), (HOUR * 2 + MINUTE * 5) * 5 / 4 + MINUTE * 10);
    assert_eq!(
        policy.lead().to_string(),
        "lead 2 h 46 min 15 s = (2 h (aws-api-gateway caches) + 5 min (max-age)) × 1.25 + 10 min (lag)"
    );
    assert_eq!(
        policy.retirement().to_string(),
        "retirement 1 h 6 min = 1 h (longest token) + 5 min (skew) + 1 min (signer lag)"
    );
}

#[test]
fn a_cache_without_end_counts_for_exposure_and_not_for_lead() {
    let policy = policy(&["go-oidc", "envoy", "microsoft-identitymodel"]);
    assert_eq!(policy.lead().consumer.as_deref(), Some("microsoft-identitymodel"));
    let left = exposure(&Keyset::default(), &policy, start());
    let names: Vec<&str> = left.iter().map(|e| e.consumer.as_str()).collect();
    assert_eq!(names, ["go-oidc", "microsoft-identitymodel", "envoy"]);
    assert_eq!(left[0].until, None);
    assert_eq!(left[1].until, Some(start() + HOUR * 12 + MINUTE * 15));
    assert_eq!(
        left[2].to_string(),
        "envoy may trust it for 25 min more: 10 min (its cache) + 15 min (copies on the way)"
    );
    assert!(left[0].to_string().contains("restart it"));
}

#[test]
fn a_cooldown_can_hold_up_a_consumer_that_caches_for_less() {
    let mut consumer = Consumer::named("go-oidc", None).expect("in the table");
    consumer.unknown_kid = UnknownKid::Cooldown(MINUTE * 7);
    assert_eq!(consumer.staleness(), MINUTE * 7);
    consumer.cache = Cache::For(MINUTE);
    assert_eq!(consumer.staleness(), MINUTE * 7);
}

#[test]
fn what_cannot_be_kept_is_refused_with_what_to_change() {
    let refuse = |change: &dyn Fn(&mut Settings), part: &str| {
        let mut settings = settings(&["aws-api-gateway"]);
        change(&mut settings);
        let error = Policy::new(settings).expect_err(part).to_string();
        assert!(error.contains(part), "{error}");
    };
    refuse(&|s| s.rotate_every = HOUR * 3, "make it at least 3 h 52 min 15 s");
    refuse(&|s| s.rotate_every = HOUR * 3, "2 h (aws-api-gateway caches)");
    refuse(&|s| s.algorithms.clear(), "no algorithm");
    refuse(&|s| s.algorithms.push(Algorithm::Es256), "ES256 twice");
    refuse(&|s| s.algorithms.push(Algorithm::MlDsa44), "keyset of its own");
    refuse(&|s| s.token_lifetime = SignedDuration::ZERO, "token_lifetime");
    refuse(&|s| s.max_age = -MINUTE, "max_age");
    refuse(&|s| s.max_age = SignedDuration::ZERO, "max_age is less than 1 s");
    refuse(&|s| s.lag = SignedDuration::from_secs(3), "lag is less than 4 s");
    refuse(&|s| s.signer_lag = SignedDuration::from_secs(1), "signer_lag is less than 2 s");
    refuse(&|s| s.lag = SignedDuration::MAX, "lag");
    refuse(&|s| s.rotate_every = SignedDuration::MAX, "rotate_every");
    refuse(&|s| s.safety = 99, "safety");
    refuse(&|s| s.consumers[0].cache = Cache::Forever, "how often it is restarted");
    let exact = Settings {
        rotate_every: HOUR * 3 + MINUTE * 52 + SignedDuration::from_secs(15),
        ..settings(&["aws-api-gateway"])
    };
    assert!(Policy::new(exact.clone()).is_ok());
    let less =
        Settings { rotate_every: exact.rotate_every - SignedDuration::from_secs(1), ..exact };
    assert!(matches!(Policy::new(less), Err(Impossible::Short { .. })));
}

#[test]
fn a_consumer_is_in_the_table_or_says_how_long_it_caches() {
    for name in Consumer::names() {
        let consumer = Consumer::named(name, Some(MINUTE)).expect(name);
        assert_eq!(consumer.cache, Cache::For(MINUTE));
        assert!(consumer.quirk.ends_with('.'), "{name}");
    }
    let named = |name, cache| Consumer::named(name, cache).map(|consumer| consumer.staleness());
    assert_eq!(named("ours", Some(HOUR)), Ok(HOUR));
    assert_eq!(named("ours", None), Err(BadConsumer::Unknown("ours".into())));
    assert_eq!(named("nginx", None), Err(BadConsumer::Needed("nginx".into())));
    assert_eq!(named("envoy", Some(-MINUTE)), Err(BadConsumer::Cache("envoy".into())));
    assert_eq!(named("envoy", Some(SignedDuration::MAX)), Err(BadConsumer::Cache("envoy".into())));
}

#[test]
fn max_age_ends_with_what_is_configured_the_lead_or_the_next_change() {
    let mut settings = settings(&[]);
    settings.max_age = HOUR;
    let policy = Policy::new(settings).expect("a policy");
    let third = policy.lead().total() / 3;
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..1000 {
        let at = |minutes: i32| Some(start() + MINUTE * minutes);
        let free = max_age(&policy, None, start(), seed);
        assert!(free <= third && free >= third * 4 / 5 - MINUTE / 60, "{free:?}");
        assert_eq!(free, max_age(&policy, None, start(), seed), "the same for the same seed");
        assert!(max_age(&policy, at(10), start(), seed) <= MINUTE * 10);
        assert_eq!(max_age(&policy, at(-10), start(), seed), MINUTE / 60, "overdue");
        seen.insert(free);
    }
    assert!(seen.len() > 100, "spread");
}

#[test]
fn a_lease_is_an_eighth_of_the_interval_and_ten_minutes_at_most() {
    let lease = |change: &dyn Fn(&mut Settings)| {
        let mut settings = settings(&[]);
        change(&mut settings);
        Policy::new(settings).expect("a policy that can be kept").lease()
    };
    assert_eq!(lease(&|_| {}), MINUTE * 10);
    assert_eq!(lease(&|s| (s.rotate_every, s.token_lifetime) = (MINUTE * 40, MINUTE)), MINUTE * 5);
    let seconds = SignedDuration::from_secs;
    let short = |s: &mut Settings| {
        (s.rotate_every, s.token_lifetime, s.max_age) = (seconds(15), seconds(4), seconds(1));
        (s.lag, s.skew, s.signer_lag) = (seconds(4), seconds(0), seconds(2));
    };
    assert_eq!(lease(&short), seconds(1));
}

#[test]
fn durations_are_said_as_people_say_them() {
    for (seconds, text) in
        [(0, "0 s"), (61, "1 min 1 s"), (9600, "2 h 40 min"), (90_000, "1 d 1 h")]
    {
        assert_eq!(words(SignedDuration::from_secs(seconds)), text);
    }
}
