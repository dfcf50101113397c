//! When a key must not be trusted any more, or a rotation must not go on.

use jiff::SignedDuration;
use jwks::emergency::{emergency, needed, roll_back};
use jwks::transition::{Refused, announce, sign};
use jwks::{Algorithm, Keyset, Kid, Phase, Policy, Settings, Step, next};

use crate::start;
use crate::steps::{kid, phase, policy, settings, signing};

const DAY: SignedDuration = SignedDuration::from_hours(24);

fn fresh(name: &str) -> Vec<(Algorithm, Kid)> {
    vec![(Algorithm::Es256, kid(name))]
}

/// `one` signs, `two` is announced.
fn rotating() -> Keyset {
    let mut keyset = signing();
    let changed = announce(&keyset, &policy(), &fresh("two"), start() + DAY).expect("allowed");
    keyset.apply(&changed);
    keyset
}

#[test]
fn a_bad_key_that_signs_is_gone_at_once_and_a_fresh_one_signs() {
    let (mut keyset, now) = (rotating(), start() + DAY * 2);
    for compromised in [Some(kid("one")), None] {
        let needed = needed(&keyset, &policy(), compromised.as_ref());
        assert_eq!(needed, Ok(vec![Algorithm::Es256]));
    }
    let changed = emergency(&keyset, &policy(), Some(&kid("one")), &fresh("new"), now);
    keyset.apply(&changed.expect("allowed"));
    assert_eq!(phase(&keyset, "one"), Phase::Gone);
    assert_eq!(phase(&keyset, "new"), Phase::Signing);
    assert_eq!(phase(&keyset, "two"), Phase::Proven, "it is not compromised");
    let published: Vec<&str> = keyset.published().iter().map(|key| key.kid.as_str()).collect();
    assert_eq!(published, ["two", "new"]);
    assert_eq!(next(&keyset, &policy(), now), Step::Wait(now + DAY * 30), "its turn comes");
}

#[test]
fn a_bad_key_that_does_not_sign_is_gone_and_nothing_else_changes() {
    let mut keyset = rotating();
    let two = kid("two");
    assert_eq!(needed(&keyset, &policy(), Some(&two)), Ok(Vec::new()));
    keyset.apply(&emergency(&keyset, &policy(), Some(&two), &[], start() + DAY).expect("allowed"));
    assert_eq!(phase(&keyset, "two"), Phase::Gone);
    assert_eq!(phase(&keyset, "one"), Phase::Signing);
    let gone = emergency(&keyset, &policy(), Some(&two), &[], start() + DAY);
    assert!(matches!(gone, Err(Refused::Phase(..))));
}

#[test]
fn an_emergency_before_the_first_signature_ends_with_a_key_that_signs() {
    let mut keyset = Keyset::default();
    keyset.apply(&announce(&keyset, &policy(), &fresh("one"), start()).expect("allowed"));
    assert_eq!(needed(&keyset, &policy(), None), Err(Refused::Nothing));
    let bad = kid("one");
    let changed = emergency(&keyset, &policy(), Some(&bad), &fresh("new"), start());
    keyset.apply(&changed.expect("allowed"));
    assert_eq!(phase(&keyset, "new"), Phase::Signing);
}

#[test]
fn an_emergency_while_the_algorithm_changes_signs_with_the_new_one() {
    let other = Settings { algorithms: vec![Algorithm::EdDsa], ..settings() };
    let other = Policy::new(other).expect("a policy");
    assert_eq!(needed(&signing(), &other, Some(&kid("one"))), Ok(vec![Algorithm::EdDsa]));
}

#[test]
fn an_emergency_takes_just_the_fresh_keys_it_needs() {
    let (keyset, one) = (rotating(), kid("one"));
    for wrong in
        [Vec::new(), vec![(Algorithm::Rs256, kid("new"))], [fresh("a"), fresh("b")].concat()]
    {
        let refused = emergency(&keyset, &policy(), Some(&one), &wrong, start());
        assert_eq!(refused, Err(Refused::Fresh));
    }
    let again = emergency(&keyset, &policy(), Some(&one), &fresh("one"), start());
    assert_eq!(again, Err(Refused::Exists(one)), "the bad key must not come back");
    let nobody = emergency(&keyset, &policy(), Some(&kid("nobody")), &[], start());
    assert_eq!(nobody, Err(Refused::Unknown(kid("nobody"))));
}

#[test]
fn a_rotation_that_is_rolled_back_is_not_begun_again_at_once() {
    let (mut keyset, now) = (rotating(), start() + DAY * 29);
    keyset.apply(&roll_back(&keyset, &policy(), &kid("two"), now).expect("allowed"));
    assert_eq!(phase(&keyset, "two"), Phase::Gone);
    assert_eq!(phase(&keyset, "one"), Phase::Signing);
    let lead = policy().lead().total();
    assert_eq!(next(&keyset, &policy(), now), Step::Wait(now + DAY * 30 - lead));
}

#[test]
fn what_has_signed_or_has_nothing_behind_it_is_not_rolled_back() {
    let refused = roll_back(&signing(), &policy(), &kid("one"), start());
    assert!(matches!(refused, Err(Refused::Phase(..))));
    let mut keyset = Keyset::default();
    keyset.apply(&announce(&keyset, &policy(), &fresh("one"), start()).expect("allowed"));
    assert_eq!(roll_back(&keyset, &policy(), &kid("one"), start()), Err(Refused::Nothing));
    keyset.apply(&sign(&keyset, &policy(), &kid("one"), start()).expect("allowed"));
}
