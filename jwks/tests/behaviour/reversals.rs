//! Going back behind a switch, and the end of a keyset.

use jiff::{SignedDuration, Timestamp};
use jwks::emergency::{emergency, needed, reinstate};
use jwks::transition::{Refused, announce, ask, close, destroy, lease, remove, sign};
use jwks::{Algorithm, Keyset, Kid, Phase, Policy, Settings, Step, next};

use crate::start;
use crate::steps::{kid, phase, policy, settings, signing};

const HOUR: SignedDuration = SignedDuration::from_hours(1);
const DAY: SignedDuration = SignedDuration::from_hours(24);

fn fresh(name: &str) -> Vec<(Algorithm, Kid)> {
    vec![(Algorithm::Es256, kid(name))]
}

/// With three hours of grace.
fn forgiving() -> Policy {
    Policy::new(Settings { grace: HOUR * 3, ..settings() }).expect("a policy")
}

/// `name` takes the place of what signs, at `now`, a day after it was announced.
fn switch(keyset: &mut Keyset, policy: &Policy, name: &str, now: Timestamp) {
    keyset.apply(&ask(keyset, now - DAY).expect("allowed"));
    keyset.apply(&announce(keyset, policy, &fresh(name), now - DAY).expect("allowed"));
    let signer = keyset.signer(Algorithm::Es256).expect("a signer").kid.clone();
    keyset.apply(&lease(keyset, policy, &signer, now).expect("it signs"));
    keyset.apply(&sign(keyset, policy, &kid(name), now).expect("allowed"));
}

#[test]
fn a_key_that_was_replaced_signs_again_while_it_is_kept_for_that() {
    let (policy, mut keyset, now) = (forgiving(), signing(), start() + DAY * 9);
    switch(&mut keyset, &policy, "two", now);
    let one = keyset.key(&kid("one")).expect("a key").clone();
    assert_eq!((one.phase, one.kept_until), (Phase::Retiring, Some(now + HOUR * 3)));
    assert!(one.is_private_kept());
    let later = now + HOUR * 2;
    keyset.apply(&reinstate(&keyset, &policy, &kid("one"), later).expect("it is kept"));
    assert_eq!(phase(&keyset, "one"), Phase::Signing);
    assert_eq!(keyset.key(&kid("one")).expect("a key").gone_at, None);
    let two = keyset.key(&kid("two")).expect("a key");
    assert_eq!(two.phase, Phase::Retiring);
    assert!(!two.is_private_kept(), "what failed does not sign again");
    let published: Vec<&str> = keyset.published().iter().map(|key| key.kid.as_str()).collect();
    assert_eq!(published, ["one", "two"], "tokens by both are out there");
    let lead = policy.lead().total();
    let removal = two.removal(&policy).expect("it retires");
    assert_eq!(next(&keyset, &policy, removal), Step::Remove { kid: kid("two") });
    keyset.apply(&remove(&keyset, &policy, &kid("two"), removal).expect("allowed"));
    let again = later + DAY * 30 - lead;
    assert_eq!(next(&keyset, &policy, removal), Step::Wait(again), "it signs for another interval");
}

#[test]
fn what_is_kept_is_destroyed_in_time_and_stays_published_until_then() {
    let (policy, mut keyset, now) = (forgiving(), signing(), start() + DAY * 9);
    switch(&mut keyset, &policy, "two", now);
    let (one, end) = (kid("one"), now + HOUR * 3);
    let needed = now + policy.retirement().total();
    assert!(needed < end);
    assert_eq!(next(&keyset, &policy, needed), Step::Wait(end));
    assert_eq!(destroy(&keyset, &one, needed), Err(Refused::Early(one.clone(), end)));
    assert_eq!(next(&keyset, &policy, end), Step::Destroy { kid: one.clone() });
    assert_eq!(reinstate(&keyset, &policy, &one, end), Err(Refused::Destroyed(one.clone())));
    keyset.apply(&destroy(&keyset, &one, end).expect("it is time"));
    assert!(!keyset.key(&one).expect("a key").is_private_kept());
    assert_eq!(next(&keyset, &policy, end), Step::Remove { kid: one });
}

#[test]
fn without_grace_nothing_is_kept_and_no_more_than_one_key_ever_is() {
    let (mut keyset, now) = (signing(), start() + DAY * 9);
    switch(&mut keyset, &policy(), "two", now);
    let one = kid("one");
    assert!(!keyset.key(&one).expect("a key").is_private_kept());
    let refused = reinstate(&keyset, &policy(), &one, now);
    assert_eq!(refused, Err(Refused::Destroyed(one)));

    let (policy, mut keyset) = (forgiving(), signing());
    switch(&mut keyset, &policy, "two", now);
    switch(&mut keyset, &policy, "three", now + HOUR);
    assert_eq!(keyset.predecessor(Algorithm::Es256).expect("one").kid, kid("two"));
    assert!(!keyset.key(&kid("one")).expect("a key").is_private_kept());
}

#[test]
fn a_compromised_key_is_not_gone_back_to() {
    let (policy, mut keyset, now) = (forgiving(), signing(), start() + DAY * 9);
    switch(&mut keyset, &policy, "two", now);
    let one = kid("one");
    assert_eq!(needed(&keyset, &policy, Some(&one)), Ok(Vec::new()));
    keyset.apply(&emergency(&keyset, &policy, Some(&one), &[], now).expect("allowed"));
    assert!(!keyset.key(&one).expect("a key").is_private_kept());
    let refused = reinstate(&keyset, &policy, &one, now);
    assert!(matches!(refused, Err(Refused::Phase(..))));
}

#[test]
fn a_keyset_declared_no_more_verifies_until_its_last_token_is_over() {
    let (policy, mut keyset, now) = (policy(), signing(), start() + DAY * 9);
    keyset.apply(&ask(&keyset, now).expect("allowed"));
    keyset.apply(&announce(&keyset, &policy, &fresh("two"), now).expect("allowed"));
    keyset.apply(&lease(&keyset, &policy, &kid("one"), now + HOUR).expect("it signs"));
    assert!(matches!(close(&keyset, &policy, now), Err(Refused::Needed(_))));
    keyset.closed = true;
    assert_eq!(next(&keyset, &policy, now), Step::Close);
    keyset.apply(&close(&keyset, &policy, now).expect("it is closed"));
    assert_eq!(phase(&keyset, "two"), Phase::Gone, "nobody has a token by it");
    let one = keyset.key(&kid("one")).expect("a key");
    assert_eq!((one.phase, one.is_private_kept()), (Phase::Retiring, false));
    let end = now + HOUR + policy.retirement().total();
    assert_eq!(next(&keyset, &policy, now), Step::Wait(end));
    keyset.apply(&remove(&keyset, &policy, &kid("one"), end).expect("it is time"));
    assert_eq!(next(&keyset, &policy, end), Step::Wait(Timestamp::MAX));
    assert_eq!(close(&keyset, &policy, end), Err(Refused::Nothing));

    keyset.closed = false;
    let all = Step::Announce { algorithms: vec![Algorithm::Es256] };
    assert_eq!(next(&keyset, &policy, end), all);
    keyset.apply(&announce(&keyset, &policy, &fresh("three"), end).expect("allowed"));
    let lead = policy.lead().total();
    assert_eq!(next(&keyset, &policy, end), Step::Wait(end + lead), "old sets are about");
}
