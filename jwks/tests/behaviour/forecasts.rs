//! What is foretold is what happens.

use jiff::SignedDuration;
use jwks::forecast::forecast;
use jwks::{Algorithm, Consumer, Keyset, Policy, Settings};

use crate::start;
use crate::steps::{kid, policy, settings, signing};

const DAY: SignedDuration = SignedDuration::from_hours(24);

fn told(keyset: &Keyset, policy: &Policy, days: i32) -> Vec<(&'static str, SignedDuration)> {
    let found = forecast(keyset, policy, start(), start() + DAY * days, 500);
    found.iter().map(|entry| (entry.what, entry.at.duration_since(start()))).collect()
}

#[test]
fn a_rotation_is_told_with_the_lead_before_it_and_the_retirement_after_it() {
    let (lead, retirement) = (policy().lead().total(), policy().retirement().total());
    let turn = DAY * 30;
    let expected = [
        ("announce", turn - lead),
        ("retire", turn),
        ("sign", turn),
        ("remove", turn + retirement),
    ];
    assert_eq!(told(&signing(), &policy(), 31), expected);
    let found = forecast(&signing(), &policy(), start(), start() + DAY * 31, 500);
    assert_eq!(found[1].kid, Some(kid("one")));
    assert_eq!(found[2].kid, None, "it does not exist yet");
}

#[test]
fn a_keyset_that_is_new_begins_at_once_with_each_of_its_algorithms() {
    let both = vec![Algorithm::Es256, Algorithm::Rs256];
    let policy = Policy::new(Settings { algorithms: both, ..settings() }).expect("a policy");
    let now = SignedDuration::ZERO;
    let expected = [("announce", now), ("announce", now), ("sign", now), ("sign", now)];
    assert_eq!(told(&Keyset::default(), &policy, 1), expected);
}

#[test]
fn edges_and_required_consumers_are_taken_to_do_as_declared() {
    let consumers = vec![Consumer { required: true, ..settings().consumers[0].clone() }];
    let edges = vec!["a".to_owned()];
    let policy = Policy::new(Settings { consumers, edges, ..settings() }).expect("a policy");
    let whats: Vec<_> = told(&signing(), &policy, 61).into_iter().map(|(what, _)| what).collect();
    assert_eq!(whats, ["announce", "retire", "sign", "remove"].repeat(2));
}

#[test]
fn no_more_is_told_than_anybody_reads() {
    assert_eq!(told(&signing(), &policy(), 365 * 50).len(), 500);
}
