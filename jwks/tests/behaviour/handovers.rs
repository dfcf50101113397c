//! Keys that are given to signer targets, step by step.

use jiff::{SignedDuration, Timestamp};
use jwks::emergency::{emergency, roll_back};
use jwks::handover::{export, not_placed, placed};
use jwks::transition::{Refused, announce, remove, retire, sign};
use jwks::{Algorithm, Key, Keyset, Kid, Phase, Policy, Settings, SignerTarget, Step, next};

use crate::start;
use crate::steps::{kid, phase, policy, settings, signing};

const MINUTE: SignedDuration = SignedDuration::from_mins(1);
const HOUR: SignedDuration = SignedDuration::from_hours(1);
const DAY: SignedDuration = SignedDuration::from_hours(24);

fn target(name: &str) -> SignerTarget {
    SignerTarget { name: name.to_owned(), algorithm: Algorithm::Es256, settle: MINUTE * 2 }
}

/// The usual policy, with these targets.
fn with_targets(names: &[&str]) -> Policy {
    let signers = names.iter().map(|name| target(name)).collect();
    Policy::new(Settings { signers, ..settings() }).expect("a policy")
}

fn fresh(name: &str) -> Vec<(Algorithm, Kid)> {
    vec![(Algorithm::Es256, kid(name))]
}

fn apply(keyset: &mut Keyset, changed: Result<Vec<Key>, Refused>) {
    keyset.apply(&changed.expect("allowed"));
}

/// `one` signs here and at `gateway`.
fn handed(policy: &Policy) -> Keyset {
    let mut keyset = Keyset::default();
    apply(&mut keyset, announce(&Keyset::default(), policy, &fresh("one"), start()));
    hand_over(&mut keyset, policy, "one", start());
    let changed = sign(&keyset, policy, &kid("one"), start());
    apply(&mut keyset, changed);
    let changed = placed(&keyset, policy, "gateway", start());
    apply(&mut keyset, changed);
    keyset
}

fn hand_over(keyset: &mut Keyset, policy: &Policy, name: &str, now: Timestamp) {
    for target in &policy.settings().signers {
        let changed = export(keyset, policy, &kid(name), &target.name, now);
        apply(keyset, changed);
        let changed = placed(keyset, policy, &target.name, now);
        apply(keyset, changed);
    }
}

#[test]
fn a_key_is_given_recorded_and_seen_to_be_there_before_it_signs() {
    let policy = with_targets(&["gateway"]);
    let mut keyset = Keyset::default();
    apply(&mut keyset, announce(&Keyset::default(), &policy, &fresh("one"), start()));
    let one = kid("one");
    let step = Step::Export { kid: one.clone(), target: "gateway".into() };
    assert_eq!(next(&keyset, &policy, start()), step);
    assert_eq!(sign(&keyset, &policy, &one, start()), Err(Refused::Undelivered(one.clone())));
    let changed = export(&keyset, &policy, &one, "gateway", start());
    apply(&mut keyset, changed);
    let place = Step::Place { targets: vec!["gateway".into()] };
    assert_eq!(next(&keyset, &policy, start()), place);
    assert_eq!(sign(&keyset, &policy, &one, start()), Err(Refused::Undelivered(one.clone())));

    let changed = not_placed(&keyset, &policy, "gateway", ("it is away", None), start());
    apply(&mut keyset, changed);
    let Step::Wait(again) = next(&keyset, &policy, start()) else { panic!("it is tried again") };
    assert!(again > start() && again < start() + MINUTE);
    assert_eq!(next(&keyset, &policy, again), place);
    let changed = placed(&keyset, &policy, "gateway", again);
    apply(&mut keyset, changed);
    assert_eq!(next(&keyset, &policy, again), Step::Sign { kid: one.clone() });
    let changed = sign(&keyset, &policy, &one, again);
    apply(&mut keyset, changed);
    assert_eq!(next(&keyset, &policy, again), place, "it is told at once that it is the one");
}

#[test]
fn a_key_is_not_given_before_every_consumer_has_it_nor_to_others_nor_if_it_was_made_to_stay() {
    let policy = with_targets(&["gateway"]);
    let mut keyset = handed(&policy);
    let due = start() + DAY * 30 - policy.lead().total();
    let changed = announce(&keyset, &policy, &fresh("two"), due);
    apply(&mut keyset, changed);
    let early = export(&keyset, &policy, &kid("two"), "gateway", due);
    assert!(matches!(early, Err(Refused::Early(..))), "{early:?}");
    let elsewhere = export(&keyset, &policy, &kid("one"), "moon", due);
    assert!(matches!(elsewhere, Err(Refused::NotExportable(..))), "{elsewhere:?}");

    let stays = signing();
    let refused = export(&stays, &policy, &kid("one"), "gateway", start());
    assert!(matches!(refused, Err(Refused::NotExportable(..))), "{refused:?}");
    let algorithms = vec![Algorithm::Es256];
    assert_eq!(next(&stays, &policy, start() + DAY), Step::Announce { algorithms });
}

#[test]
fn a_key_that_a_target_still_uses_is_not_removed_and_the_last_signature_counts_from_its_leaving() {
    let policy = with_targets(&["gateway"]);
    let mut keyset = handed(&policy);
    let turn = start() + DAY * 30;
    let changed = announce(&keyset, &policy, &fresh("two"), turn - policy.lead().total());
    apply(&mut keyset, changed);
    hand_over(&mut keyset, &policy, "two", turn);
    assert!(keyset.key(&kid("one")).expect("a key").held.in_use().next().is_some());
    let changed = sign(&keyset, &policy, &kid("two"), turn);
    apply(&mut keyset, changed);
    assert_eq!(phase(&keyset, "one"), Phase::Retiring);
    let late = turn + DAY * 5;
    let changed = not_placed(&keyset, &policy, "gateway", ("it is away", None), late);
    apply(&mut keyset, changed);
    assert!(remove(&keyset, &policy, &kid("one"), late).is_err(), "it may be in use");
    assert!(!matches!(next(&keyset, &policy, late), Step::Remove { .. }));
    let changed = placed(&keyset, &policy, "gateway", late);
    apply(&mut keyset, changed);
    // It settles for two minutes; clocks may be wrong by one, twice; an hour and five minutes of skew.
    let end = late + MINUTE * 2 + MINUTE + HOUR + MINUTE * 6;
    assert!(matches!(remove(&keyset, &policy, &kid("one"), end - MINUTE), Err(Refused::Early(..))));
    remove(&keyset, &policy, &kid("one"), end).expect("nobody needs it");
}

#[test]
fn a_target_that_is_seen_to_sign_with_a_key_that_it_had_left_keeps_it() {
    let policy = with_targets(&["gateway"]);
    let mut keyset = handed(&policy);
    let turn = start() + DAY * 30;
    let changed = announce(&keyset, &policy, &fresh("two"), turn - policy.lead().total());
    apply(&mut keyset, changed);
    hand_over(&mut keyset, &policy, "two", turn);
    let changed = sign(&keyset, &policy, &kid("two"), turn);
    apply(&mut keyset, changed);
    let changed = placed(&keyset, &policy, "gateway", turn);
    apply(&mut keyset, changed);
    let one = kid("one");
    let complaint = ("its token is signed by key one", Some(&one));
    let changed = not_placed(&keyset, &policy, "gateway", complaint, turn + MINUTE);
    apply(&mut keyset, changed);
    assert!(remove(&keyset, &policy, &one, turn + DAY).is_err());
}

#[test]
fn removing_a_target_says_that_it_has_stopped_and_replaces_what_it_was_given() {
    let (policy, without) = (with_targets(&["gateway"]), policy());
    let mut keyset = handed(&policy);
    let now = start() + DAY;
    keyset.apply(&keyset.redeclared(&policy, &without, now));
    let one = keyset.key(&kid("one")).expect("a key");
    assert!(one.held.in_use().next().is_none());
    assert!(one.last_expiry >= Some(now + HOUR), "what it signed stays good");
    assert!(matches!(next(&keyset, &without, now), Step::Announce { .. }), "it is out there");
    let moved = with_targets(&["gateway at another place"]);
    assert!(matches!(next(&keyset, &moved, now), Step::Announce { .. }));
}

#[test]
fn tokens_that_a_target_signed_while_they_could_live_longer_are_remembered() {
    let policy = with_targets(&["gateway"]);
    let signers = vec![target("gateway")];
    let short = Settings { token_lifetime: MINUTE, signers, ..settings() };
    let short = Policy::new(short).expect("a policy");
    let mut keyset = handed(&policy);
    let now = start() + DAY;
    keyset.apply(&keyset.redeclared(&policy, &short, now));
    assert!(keyset.key(&kid("one")).expect("a key").last_expiry >= Some(now + HOUR));
}

#[test]
fn an_emergency_takes_the_key_out_wherever_it_is_and_the_fresh_one_goes_there() {
    let policy = with_targets(&["gateway"]);
    let mut keyset = handed(&policy);
    let now = start() + DAY;
    let changed = emergency(&keyset, &policy, Some(&kid("one")), &fresh("new"), now);
    apply(&mut keyset, changed);
    assert_eq!(phase(&keyset, "one"), Phase::Gone);
    assert_eq!(
        next(&keyset, &policy, now),
        Step::Export { kid: kid("new"), target: "gateway".into() }
    );
    let changed = export(&keyset, &policy, &kid("new"), "gateway", now);
    apply(&mut keyset, changed);
    let changed = placed(&keyset, &policy, "gateway", now);
    apply(&mut keyset, changed);
    let one = keyset.key(&kid("one")).expect("a key");
    assert!(one.held.in_use().next().is_none(), "it has left the bad one");
}

#[test]
fn a_key_that_waits_and_was_given_is_not_withdrawn_it_may_have_been_used() {
    let (policy, now) = (with_targets(&["gateway"]), start() + DAY);
    let mut keyset = handed(&policy);
    let changed = announce(&keyset, &policy, &fresh("two"), now);
    apply(&mut keyset, changed);
    let ready = now + policy.lead().total();
    roll_back(&keyset, &policy, &kid("two"), ready).expect("nobody has it");
    hand_over(&mut keyset, &policy, "two", ready);
    let refused = roll_back(&keyset, &policy, &kid("two"), ready);
    assert_eq!(refused, Err(Refused::Exported(kid("two"))));
    // Nor when its algorithm is not declared any more: it is retired.
    let other = Settings { algorithms: vec![Algorithm::EdDsa], ..settings() };
    let other = Policy::new(other).expect("a policy");
    keyset.apply(&keyset.redeclared(&policy, &other, ready));
    assert!(remove(&keyset, &other, &kid("two"), ready).is_err());
    let changed = announce(&keyset, &other, &[(Algorithm::EdDsa, kid("three"))], ready);
    apply(&mut keyset, changed);
    assert_eq!(next(&keyset, &other, ready), Step::Retire { kid: kid("two") });
    let changed = retire(&keyset, &other, &kid("two"), ready);
    apply(&mut keyset, changed);
    assert_eq!(phase(&keyset, "two"), Phase::Retiring);
    let removal = keyset.key(&kid("two")).expect("a key").removal(&other);
    assert!(removal.is_some_and(|at| at >= ready + HOUR), "{removal:?}");
}

#[test]
fn a_bad_key_that_waits_is_taken_from_its_targets_at_once() {
    let (policy, now) = (with_targets(&["gateway"]), start() + DAY);
    let mut keyset = handed(&policy);
    let changed = announce(&keyset, &policy, &fresh("two"), now);
    apply(&mut keyset, changed);
    let ready = now + policy.lead().total();
    hand_over(&mut keyset, &policy, "two", ready);
    let bad = ready + MINUTE;
    let changed = emergency(&keyset, &policy, Some(&kid("two")), &[], bad);
    apply(&mut keyset, changed);
    let place = Step::Place { targets: vec!["gateway".into()] };
    assert_eq!(next(&keyset, &policy, bad), place);
    let changed = not_placed(&keyset, &policy, "gateway", ("it is away", None), bad);
    apply(&mut keyset, changed);
    assert!(matches!(next(&keyset, &policy, bad), Step::Wait(at) if at < bad + MINUTE));
    let changed = placed(&keyset, &policy, "gateway", bad + MINUTE);
    apply(&mut keyset, changed);
    assert!(matches!(next(&keyset, &policy, bad + MINUTE), Step::Wait(_)));
    assert!(keyset.key(&kid("two")).expect("a key").held.in_use().next().is_none());
}

#[test]
fn targets_that_cannot_be_are_refused() {
    let rsa = SignerTarget { algorithm: Algorithm::Rs256, ..target("gateway") };
    for signers in [vec![rsa], vec![target("gateway"), target("gateway")]] {
        assert!(Policy::new(Settings { signers, ..settings() }).is_err());
    }
}
