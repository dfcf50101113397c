//! Properties of the lives of authorizations and orders, whatever happens in whatever order
//! (RFC 8555 §7.1.6).

use acme::authorization::{
    AuthorizationStatus as Status, ChallengeStatus, Next, NotProcessing, Phase, Retries,
};
use acme::order::{self, OrderStatus};
use acme::{ChallengeType, Problem, ProblemType};
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

const EXPIRES: i64 = 1_000;
const OFFERED: &[ChallengeType] = &[ChallengeType::Http01, ChallengeType::Dns01];

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).expect("in range")
}

fn failure() -> Problem {
    Problem::new(ProblemType::Connection, "refused")
}

fn accepted(now: i64) -> Next {
    Phase::Pending.accept(ChallengeType::Http01, at(EXPIRES), at(now)).expect("pending")
}

#[test]
fn a_challenge_is_accepted_retried_and_validated() {
    let next = accepted(10);
    assert_eq!(next.due, Some(at(10)));
    let retries = Retries::default();
    let failed = next.phase.settle(Err(failure()), &retries, 7, at(EXPIRES), at(11));
    let failed = failed.expect("processing");
    assert!(failed.due.expect("again") > at(11));
    assert_eq!(failed.phase.status(at(EXPIRES), at(12)), Status::Pending);
    let shown = failed.phase.challenges(OFFERED);
    assert_eq!(shown[0].status, ChallengeStatus::Processing);
    assert_eq!(shown[0].error, Some(failure()));
    assert_eq!(shown[1].status, ChallengeStatus::Pending);

    // RFC 8555 §8.2: the client asks to try again now.
    let again = failed.phase.accept(ChallengeType::Http01, at(EXPIRES), at(12)).expect("retry");
    assert_eq!((again.due, &again.phase), (Some(at(12)), &failed.phase));

    let valid = again.phase.settle(Ok(()), &retries, 7, at(EXPIRES), at(13)).expect("processing");
    assert_eq!(valid.due, None);
    assert_eq!(valid.phase.status(at(EXPIRES), at(14)), Status::Valid);
    let shown = valid.phase.challenges(OFFERED);
    assert_eq!(shown.len(), 1, "only the validated one (RFC 8555 §7.1.4)");
    assert_eq!((shown[0].status, shown[0].validated), (ChallengeStatus::Valid, Some(at(13))));

    let harmless = valid.phase.accept(ChallengeType::Dns01, at(EXPIRES), at(14)).expect("valid");
    assert_eq!(harmless, Next { phase: valid.phase, due: None });
}

#[test]
fn the_last_failure_is_final() {
    let mut next = accepted(10);
    let retries = Retries { attempts: 3, ..Retries::default() };
    let mut now = 10;
    for _ in 0..2 {
        let settled = next.phase.settle(Err(failure()), &retries, 1, at(EXPIRES), at(now));
        next = settled.expect("processing");
        now = next.due.expect("again").as_second() + 1;
    }
    let last = next.phase.settle(Err(failure()), &retries, 1, at(EXPIRES), at(now));
    let last = last.expect("processing");
    assert_eq!(last.due, None);
    assert_eq!(last.phase.status(at(EXPIRES), at(now)), Status::Invalid);
    let shown = last.phase.challenges(OFFERED);
    assert_eq!(shown.len(), 1);
    assert_eq!((shown[0].status, &shown[0].error), (ChallengeStatus::Invalid, &Some(failure())));
    assert!(last.phase.accept(ChallengeType::Http01, at(EXPIRES), at(now)).is_err());
}

#[test]
fn a_retry_that_would_come_too_late_is_not_waited_for() {
    let next = accepted(EXPIRES - 1);
    let settled =
        next.phase.settle(Err(failure()), &Retries::default(), 1, at(EXPIRES), at(EXPIRES - 1));
    assert!(matches!(settled.expect("processing").phase, Phase::Invalid { .. }));
    let late = next.phase.settle(Ok(()), &Retries::default(), 1, at(EXPIRES), at(EXPIRES));
    assert_eq!(late, Err(NotProcessing), "a validation after the end proves nothing");
}

#[test]
fn only_one_challenge_is_validated_at_a_time() {
    let next = accepted(10);
    let problem = next.phase.accept(ChallengeType::Dns01, at(EXPIRES), at(11));
    assert_eq!(problem.expect_err("busy").kind, ProblemType::Malformed);
}

#[test]
fn at_its_end_an_authorization_is_over_unless_it_was_before() {
    let valid = Phase::Valid { challenge: None, at: at(1) };
    for phase in [Phase::Pending, accepted(10).phase, valid] {
        assert_ne!(phase.status(at(EXPIRES), at(EXPIRES - 1)), Status::Expired);
        assert_eq!(phase.status(at(EXPIRES), at(EXPIRES)), Status::Expired);
        assert!(phase.accept(ChallengeType::Http01, at(EXPIRES), at(EXPIRES)).is_err());
        assert!(phase.deactivate(at(EXPIRES), at(EXPIRES)).is_err());
        assert_eq!(phase.revoke(at(EXPIRES), at(EXPIRES)), None);
    }
    assert_eq!(Phase::Revoked.status(at(EXPIRES), at(EXPIRES)), Status::Revoked);
    assert_eq!(Phase::Deactivated.status(at(EXPIRES), at(EXPIRES)), Status::Deactivated);
    assert_eq!(Phase::Deactivated.deactivate(at(EXPIRES), at(EXPIRES)), Ok(Phase::Deactivated));
}

#[test]
fn waits_grow_and_are_the_same_each_time() {
    let retries = Retries::default();
    for seed in 0..50 {
        for failures in 1..40 {
            let wait = retries.wait(failures, seed);
            assert_eq!(wait, retries.wait(failures, seed));
            assert!(wait <= retries.longest_wait && wait >= SignedDuration::from_millis(1500));
        }
        assert!(retries.wait(3, seed) > retries.wait(1, seed));
    }
    let waits: std::collections::BTreeSet<_> = (0..50).map(|seed| retries.wait(4, seed)).collect();
    assert!(waits.len() > 25, "jitter spreads the rows");
}

#[derive(Clone, Debug)]
enum Event {
    Accept(ChallengeType),
    Settle(bool),
    Deactivate,
    Revoke,
    Wait(i64),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        3 => prop::sample::select(OFFERED).prop_map(Event::Accept),
        4 => any::<bool>().prop_map(Event::Settle),
        1 => Just(Event::Deactivate),
        1 => Just(Event::Revoke),
        2 => (0_i64..200).prop_map(Event::Wait),
    ]
}

/// What `event` makes of the phase; a refused event changes nothing.
fn apply(phase: &Phase, event: &Event, now: i64) -> Phase {
    let (expires, now) = (at(EXPIRES), at(now));
    let retries = Retries { attempts: 3, ..Retries::default() };
    let next = match event {
        Event::Accept(challenge) => phase.accept(*challenge, expires, now).ok().map(|n| n.phase),
        Event::Settle(good) => {
            let outcome = if *good { Ok(()) } else { Err(failure()) };
            phase.settle(outcome, &retries, 5, expires, now).ok().map(|n| n.phase)
        }
        Event::Deactivate => phase.deactivate(expires, now).ok(),
        Event::Revoke => phase.revoke(expires, now),
        Event::Wait(_) => None,
    };
    next.unwrap_or_else(|| phase.clone())
}

fn allowed(from: Status, to: Status) -> bool {
    from == to
        || match from {
            Status::Pending => true,
            Status::Valid => matches!(to, Status::Deactivated | Status::Expired | Status::Revoked),
            _ => false,
        }
}

proptest! {
    /// Every path follows the arrows of RFC 8555 §7.1.6, leaves no final state, and becomes valid
    /// only by a successful validation.
    #[test]
    fn authorizations_follow_the_arrows(events in prop::collection::vec(event(), 0..40)) {
        let (mut phase, mut now) = (Phase::Pending, 0);
        for event in events {
            let before = phase.status(at(EXPIRES), at(now));
            let next = apply(&phase, &event, now);
            if matches!(next, Phase::Valid { .. }) && !matches!(phase, Phase::Valid { .. }) {
                prop_assert!(matches!(event, Event::Settle(true)));
                let was_processing = matches!(phase, Phase::Processing { .. });
                prop_assert!(was_processing);
            }
            phase = next;
            if let Event::Wait(seconds) = event {
                now += seconds;
            }
            let after = phase.status(at(EXPIRES), at(now));
            prop_assert!(allowed(before, after), "{before:?} -> {after:?} by {event:?}");
            let valid = phase
                .challenges(OFFERED)
                .iter()
                .filter(|one| one.status == ChallengeStatus::Valid)
                .count();
            prop_assert!(valid <= 1 && (after != Status::Valid || valid == 1));
        }
    }

    /// An order is ready only while every authorization is valid, and, as only time passes, never
    /// comes back from invalid.
    #[test]
    fn orders_are_as_good_as_their_authorizations(
        lives in prop::collection::vec(prop::collection::vec(event(), 0..12), 0..4),
        order_expires in 0_i64..2000,
        moments in prop::collection::vec(0_i64..400, 1..12),
    ) {
        let mut phases = Vec::new();
        let mut now = 0;
        for life in lives {
            let mut phase = Phase::Pending;
            for event in life {
                phase = apply(&phase, &event, now);
                if let Event::Wait(seconds) = event {
                    now += seconds;
                }
            }
            phases.push(phase);
        }
        let mut was_invalid = false;
        for wait in moments {
            now += wait;
            let statuses: Vec<_> =
                phases.iter().map(|phase| phase.status(at(EXPIRES), at(now))).collect();
            let status = order::Phase::Open.status(&statuses, at(order_expires), at(now));
            let all_valid = !statuses.is_empty() && statuses.iter().all(|s| *s == Status::Valid);
            prop_assert_eq!(status == OrderStatus::Ready, all_valid && now < order_expires);
            let finalized = order::Phase::Open.finalize(&statuses, at(order_expires), at(now));
            prop_assert_eq!(finalized.is_ok(), status == OrderStatus::Ready);
            prop_assert!(!was_invalid || status == OrderStatus::Invalid);
            was_invalid = status == OrderStatus::Invalid;
        }
    }
}
