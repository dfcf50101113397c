//! What a certificate needs, check by check, and which check comes first.

use jiff::{SignedDuration, Timestamp};
use renew::need::{Wish, need};
use renew::{Cause, Facts, Need, Suggestion, Version};

use crate::{DAY, DECLARED, HOUR, OTHER, day, version};

/// What is known, owned; [`Known::default`] is a certificate that needs nothing.
struct Known {
    current: Option<Version>,
    candidate: Option<Version>,
    held: Option<[u8; 32]>,
    request: [u8; 32],
    issuers: Vec<String>,
    unserved: bool,
    wish: Option<Wish>,
    retry_at: Option<Timestamp>,
}

impl Default for Known {
    fn default() -> Self {
        Self {
            current: Some(version(1)),
            candidate: None,
            held: None,
            request: DECLARED,
            issuers: vec!["ca".into()],
            unserved: false,
            wish: None,
            retry_at: None,
        }
    }
}

impl Known {
    fn at(&self, now: Timestamp) -> Need {
        let facts = Facts {
            current: self.current.as_ref(),
            candidate: self.candidate.as_ref(),
            request: self.request,
            held: self.held,
            issuers: &self.issuers,
            unserved: self.unserved,
            wish: self.wish.as_ref(),
            retry_at: self.retry_at,
        };
        need(&facts, now)
    }

    fn current(change: impl FnOnce(&mut Version)) -> Self {
        let mut current = version(1);
        change(&mut current);
        Self { current: Some(current), ..Self::default() }
    }

    fn candidate(change: impl FnOnce(&mut Version)) -> Self {
        let mut candidate = version(2);
        change(&mut candidate);
        Self { candidate: Some(candidate), ..Self::default() }
    }
}

fn rotate(cause: Cause, to: Option<u32>) -> Need {
    Need::Rotate { cause, to }
}

#[test]
fn what_is_served_and_young_needs_nothing_until_the_stored_moment() {
    let known = Known::current(|current| current.renew_at = day(47) + HOUR * 5);
    assert_eq!(known.at(day(10)), Need::Nothing { until: Some(day(47) + HOUR * 5) });
    let last = day(47) + HOUR * 5 - SignedDuration::from_nanos(1);
    assert_eq!(known.at(last), Need::Nothing { until: Some(day(47) + HOUR * 5) });
    assert_eq!(known.at(day(47) + HOUR * 5), rotate(Cause::Lifetime, None));
}

#[test]
fn what_the_ca_suggests_takes_the_place_of_the_share_of_life() {
    let suggested = |start, end| {
        let suggestion = Suggestion::within(day(start), day(end), None, 7);
        let chosen = suggestion.chosen;
        (Known::current(|current| current.suggestion = Some(suggestion)), chosen)
    };
    let (later, chosen) = suggested(70, 72);
    assert_eq!(later.at(day(65)), Need::Nothing { until: Some(chosen) }, "no share of life");
    assert_eq!(later.at(chosen), rotate(Cause::Suggested, None));
    let (now, _) = suggested(2, 2);
    assert_eq!(now.at(day(2)), rotate(Cause::Suggested, None), "a revocation drill");
    let (never, _) = suggested(200, 201);
    let last = day(90) - DAY * 90 / 20;
    assert_eq!(never.at(day(80)), Need::Nothing { until: Some(last) });
    assert_eq!(never.at(last), rotate(Cause::Suggested, None), "no CA may let it lapse");
}

#[test]
fn without_a_version_one_is_obtained_unless_one_was_already() {
    let none = Known { current: None, ..Known::default() };
    assert_eq!(none.at(day(0)), rotate(Cause::First, None));
    let begun = Known { current: None, ..Known::candidate(|_| {}) };
    assert_eq!(begun.at(day(0)), rotate(Cause::First, Some(2)));
    let stale = Known { current: None, ..Known::candidate(|candidate| candidate.revoked = true) };
    assert_eq!(stale.at(day(0)), rotate(Cause::First, None));
}

/// All causes at once; each is taken away as soon as it was seen to come first.
#[test]
fn causes_are_found_in_their_order() {
    let mut known = Known {
        wish: Some(Wish::Emergency { reason: "keyCompromise".into() }),
        candidate: Some(version(2)),
        request: OTHER,
        unserved: true,
        ..Known::current(|current| {
            current.revoked = true;
            current.not_after = day(20);
            current.renew_at = day(10);
        })
    };
    known.candidate.as_mut().expect("a candidate").request = OTHER;
    let now = day(30);
    let emergency = Cause::Emergency { reason: "keyCompromise".into() };
    assert_eq!(known.at(now), rotate(emergency, None), "with a new key");
    known.wish = None;
    assert_eq!(known.at(now), rotate(Cause::Revoked, Some(2)));
    known.current.as_mut().expect("a current one").revoked = false;
    assert_eq!(known.at(now), rotate(Cause::Changed, Some(2)));
    known.current.as_mut().expect("a current one").request = OTHER;
    assert_eq!(known.at(now), rotate(Cause::Unproven, Some(2)));
    known.candidate = None;
    assert_eq!(known.at(now), rotate(Cause::Expired, None));
    known.current.as_mut().expect("a current one").not_after = day(90);
    assert_eq!(known.at(now), rotate(Cause::Lifetime, None));
    known.current.as_mut().expect("a current one").renew_at = day(60);
    assert_eq!(known.at(now), rotate(Cause::Unserved, Some(1)));
    known.unserved = false;
    assert_eq!(known.at(now), Need::Nothing { until: Some(day(60)) });
}

#[test]
fn each_cause_that_was_rotated_away_is_found_no_second_time() {
    let trouble = [
        Known::current(|current| current.revoked = true),
        Known::current(|current| current.request = OTHER),
        Known::current(|current| current.issuer = "left".into()),
        Known::current(|current| current.not_after = day(1)),
        Known::current(|current| current.renew_at = day(1)),
        Known::current(|current| {
            current.suggestion = Some(Suggestion::within(day(0), day(0), None, 1));
        }),
        Known::candidate(|_| {}),
        Known { unserved: true, ..Known::default() },
        Known { current: None, ..Known::default() },
        Known { wish: Some(Wish::Renew), ..Known::default() },
    ];
    for known in trouble {
        let Need::Rotate { cause, to } = known.at(day(3)) else { panic!("a cause") };
        // What the shell stores when the rotation is proven.
        let fresh = Version { not_before: day(3), not_after: day(93), ..version(2) };
        let proven = if to == Some(1) { version(1) } else { fresh };
        let after = Known { current: Some(proven), ..Known::default() };
        assert!(matches!(after.at(day(3)), Need::Nothing { .. }), "{cause} again");
    }
}

#[test]
fn an_issuer_that_is_no_longer_declared_is_left_but_not_for_being_second() {
    let declared = |issuers: &[&str]| Known {
        issuers: issuers.iter().map(|name| (*name).to_owned()).collect(),
        ..Known::default()
    };
    assert_eq!(declared(&["other"]).at(day(1)), rotate(Cause::Changed, None));
    assert!(matches!(declared(&["other", "ca"]).at(day(1)), Need::Nothing { .. }));
}

#[test]
fn a_candidate_that_is_not_worth_it_is_not_rolled_out() {
    type Spoil = fn(&mut Version);
    let spoilt: [(&str, Spoil); 6] = [
        ("expired", |candidate| candidate.not_after = day(5)),
        ("revoked", |candidate| candidate.revoked = true),
        ("due itself", |candidate| candidate.renew_at = day(5)),
        ("of another request", |candidate| candidate.request = OTHER),
        ("of an issuer that was left", |candidate| candidate.issuer = "left".into()),
        ("to be replaced, says its CA", |candidate| {
            candidate.suggestion = Some(Suggestion::within(day(4), day(4), None, 1));
        }),
    ];
    assert_eq!(Known::candidate(|_| {}).at(day(5)), rotate(Cause::Unproven, Some(2)));
    for (why, spoil) in spoilt {
        let quiet = Known::candidate(spoil);
        assert!(matches!(quiet.at(day(5)), Need::Nothing { .. }), "{why}");
        let mut due = Known::candidate(spoil);
        due.current.as_mut().expect("a current one").renew_at = day(5);
        assert_eq!(due.at(day(5)), rotate(Cause::Lifetime, None), "{why}: a new one");
    }
}

#[test]
fn backoff_holds_every_cause_but_the_operators() {
    let wishes = [
        (Wish::Renew, rotate(Cause::Asked, None)),
        (Wish::RollBack { to: 1 }, rotate(Cause::RollBack, Some(1))),
        (
            Wish::Emergency { reason: "keyCompromise".into() },
            rotate(Cause::Emergency { reason: "keyCompromise".into() }, None),
        ),
    ];
    let retry_at = Some(day(71));
    for (wish, granted) in wishes {
        let known = Known { wish: Some(wish), retry_at, ..Known::default() };
        assert_eq!(known.at(day(70)), granted);
    }
    let due = Known { retry_at, ..Known::default() };
    assert_eq!(due.at(day(70)), Need::Later { cause: Cause::Lifetime, at: day(71) });
    assert_eq!(due.at(day(71)), rotate(Cause::Lifetime, None), "backoff ends on the second");
    let quiet = Need::Nothing { until: Some(day(60)) };
    assert_eq!(due.at(day(2)), quiet, "backoff from nothing is no reason to look");
}

#[test]
fn a_rollback_holds_until_the_declaration_changes() {
    let back = Known::current(|current| current.request = OTHER);
    assert_eq!(back.at(day(1)), rotate(Cause::Changed, None), "but for the hold");
    let held = Known { held: Some(DECLARED), ..back };
    assert_eq!(held.at(day(1)), Need::Nothing { until: Some(day(60)) });
    let declared_anew = Known { request: [3; 32], ..held };
    assert_eq!(declared_anew.at(day(1)), rotate(Cause::Changed, None));
}

#[test]
fn a_rollback_holds_against_the_version_that_it_left_unproven() {
    let held = Known { held: Some(DECLARED), ..Known::candidate(|_| {}) };
    assert_eq!(held.at(day(1)), Need::Nothing { until: Some(day(60)) });
    assert_eq!(held.at(day(60)), rotate(Cause::Lifetime, None), "2 is due itself by then");
    let mut due = held;
    due.current.as_mut().expect("a current one").renew_at = day(30);
    assert_eq!(due.at(day(30)), rotate(Cause::Lifetime, Some(2)), "no order for what there is");
    due.current.as_mut().expect("a current one").not_after = day(30);
    assert_eq!(due.at(day(30)), rotate(Cause::Expired, Some(2)));
}

#[test]
fn a_rollback_to_an_issuer_that_was_left_holds_too() {
    let back = Known::current(|current| current.issuer = "left".into());
    let held = Known { held: Some(DECLARED), ..back };
    assert_eq!(held.at(day(1)), Need::Nothing { until: Some(day(60)) });
}

#[test]
fn no_hold_keeps_what_is_revoked_or_over() {
    let revoked = Known::current(|current| current.revoked = true);
    let revoked = Known { held: Some(DECLARED), ..revoked };
    assert_eq!(revoked.at(day(1)), rotate(Cause::Revoked, None));
    let held = Known { held: Some(DECLARED), ..Known::default() };
    assert_eq!(held.at(day(60)), rotate(Cause::Lifetime, None));
}

#[test]
fn a_target_that_serves_something_else_gets_the_current_version() {
    let known = Known { unserved: true, ..Known::default() };
    assert_eq!(known.at(day(1)), rotate(Cause::Unserved, Some(1)));
    let due = known.at(day(60));
    assert_eq!(due, rotate(Cause::Lifetime, None), "not a version that is about to go");
}

#[test]
fn asking_twice_gives_the_same_answer() {
    let known = Known { unserved: true, ..Known::candidate(|_| {}) };
    for now in (-10..120).map(day) {
        assert_eq!(known.at(now), known.at(now));
    }
}

#[test]
fn a_ca_that_always_says_now_is_not_asked_again_and_again() {
    let now = day(10);
    let known = Known::current(|current| {
        current.obtained_at = now;
        current.suggestion = Some(Suggestion::within(day(0), day(1), None, 7));
    });
    assert!(matches!(known.at(now), Need::Nothing { .. }), "it was obtained this moment");
    assert!(matches!(known.at(now + HOUR), Need::Rotate { cause: Cause::Suggested, .. }));
}
