//! Consumers that are seen to fetch a key, and those that must be.

use jiff::SignedDuration;
use jwks::policy::Impossible;
use jwks::sighting::{fetched, is_overdue, signs_at};
use jwks::transition::{Refused, announce, prove, sign};
use jwks::{Algorithm, Consumer, Keyset, Phase, Policy, Settings, Step, next};

use crate::start;
use crate::steps::{kid, phase, settings, signing};

const DAY: SignedDuration = SignedDuration::from_hours(24);

/// `envoy` is required, `istio` is not.
fn required(edges: &[&str]) -> Policy {
    let mut settings = Settings {
        edges: edges.iter().map(|url| (*url).to_owned()).collect(),
        consumers: ["envoy", "istio"].map(|n| Consumer::named(n, None).expect("known")).into(),
        ..settings()
    };
    settings.consumers[0].required = true;
    Policy::new(settings).expect("a policy")
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// `one` signs, and `two` is announced a day before its turn.
fn rotating(policy: &Policy) -> Keyset {
    let mut keyset = signing();
    let fresh = [(Algorithm::Es256, kid("two"))];
    keyset.apply(&announce(&keyset, policy, &fresh, start() + DAY * 29).expect("allowed"));
    keyset
}

#[test]
fn a_key_that_a_required_consumer_did_not_fetch_waits_for_it_however_long() {
    let policy = required(&[]);
    let (mut keyset, two, late) = (rotating(&policy), kid("two"), start() + DAY * 60);
    assert_eq!(phase(&keyset, "two"), Phase::Announced, "nobody came for it");
    assert_eq!(keyset.key(&two).expect("it").unseen(&policy), ["envoy"]);
    assert!(matches!(next(&keyset, &policy, late), Step::Wait(_)));
    let refused = sign(&keyset, &policy, &two, late);
    assert_eq!(refused, Err(Refused::Unseen(two.clone(), "envoy".into())));

    let others = fetched(&keyset, &policy, &two, &names(&["istio", "somebody"]));
    keyset.apply(&others.expect("noted"));
    assert_eq!(phase(&keyset, "two"), Phase::Announced, "it is another that is waited for");
    keyset.apply(&fetched(&keyset, &policy, &two, &names(&["envoy", "envoy"])).expect("noted"));
    assert_eq!(phase(&keyset, "two"), Phase::Proven);
    assert_eq!(keyset.key(&two).expect("it").fetched, ["envoy"]);
    assert_eq!(next(&keyset, &policy, late), Step::Sign { kid: two });
    let turn = start() + DAY * 30;
    assert_eq!(next(&keyset, &policy, start() + DAY * 29), Step::Wait(turn), "not before its turn");
}

#[test]
fn a_key_is_proven_when_edges_and_required_consumers_have_it_in_either_order() {
    let policy = required(&["a"]);
    let (two, at) = (kid("two"), start() + DAY * 30);
    let seen = |keyset: &Keyset| fetched(keyset, &policy, &two, &names(&["envoy"])).expect("noted");
    let served = |keyset: &Keyset| prove(keyset, &policy, &two, &names(&["a"]), at).expect("noted");
    for order in [true, false] {
        let mut keyset = rotating(&policy);
        keyset.apply(&if order { seen(&keyset) } else { served(&keyset) });
        assert_eq!(phase(&keyset, "two"), Phase::Announced);
        keyset.apply(&if order { served(&keyset) } else { seen(&keyset) });
        assert_eq!(phase(&keyset, "two"), Phase::Proven);
    }
}

#[test]
fn the_first_key_signs_although_nobody_has_come() {
    let policy = required(&[]);
    let mut keyset = Keyset::default();
    let fresh = [(Algorithm::Es256, kid("one"))];
    keyset.apply(&announce(&keyset, &policy, &fresh, start()).expect("allowed"));
    assert_eq!(phase(&keyset, "one"), Phase::Proven);
    assert_eq!(next(&keyset, &policy, start()), Step::Sign { kid: kid("one") });
}

#[test]
fn a_consumer_that_fetches_no_key_before_it_signs_cannot_be_required() {
    let mut lazy = Consumer::named("go-oidc", None).expect("in the table");
    lazy.required = true;
    let refused = Policy::new(Settings { consumers: vec![lazy], ..settings() });
    assert_eq!(refused, Err(Impossible::Unseen("go-oidc".into())));
    let lazy = Consumer { required: true, ..Consumer::named("go-oidc", Some(DAY)).expect("known") };
    assert!(Policy::new(Settings { consumers: vec![lazy], ..settings() }).is_ok());
}

#[test]
fn a_consumer_is_overdue_when_only_the_safety_of_the_lead_is_left() {
    let policy = required(&[]);
    let keyset = rotating(&policy);
    let two = keyset.key(&kid("two")).expect("it");
    let turn = start() + DAY * 30;
    assert_eq!(signs_at(&keyset, &policy, two), turn);
    let fifth = policy.lead().total() / 5;
    assert!(is_overdue(&keyset, &policy, two, turn - fifth));
    assert!(is_overdue(&keyset, &policy, two, turn + DAY));
    assert!(!is_overdue(&keyset, &policy, two, turn - fifth - SignedDuration::from_secs(1)));
    let one = keyset.key(&kid("one")).expect("it");
    assert!(!is_overdue(&keyset, &policy, one, turn), "the first was waited for by nobody");
}
