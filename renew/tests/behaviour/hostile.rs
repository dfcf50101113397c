//! Input that nobody should hand in: lives that end before they begin, instants at the end of time,
//! durations without end. Nothing panics, and nothing is due in a loop.

use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use renew::forecast::{Outlook, forecast};
use renew::need::need;
use renew::rotation::{course, next, retirement};
use renew::window::{Freeze, Opening, Window, opening};
use renew::{
    Calendar, Cause, Facts, Failure, Need, Phase, Placement, Rotation, Share, Step, Suggestion,
    Version,
};
use renew::{moment, retry as backoff};

use crate::{DAY, DECLARED, day, version};

/// Any instant, often one of the first, the last, or now.
fn instants() -> impl Strategy<Value = Timestamp> {
    let (first, last) = (Timestamp::MIN.as_second(), Timestamp::MAX.as_second());
    prop_oneof![
        Just(Timestamp::MIN),
        Just(Timestamp::MAX),
        Just(Timestamp::UNIX_EPOCH),
        (last - 100_000..=last).prop_map(|at| Timestamp::from_second(at).expect("in range")),
        (first..=last).prop_map(|at| Timestamp::from_second(at).expect("in range")),
        (0..200_i32).prop_map(day),
    ]
}

fn durations() -> impl Strategy<Value = SignedDuration> {
    prop_oneof![
        Just(SignedDuration::MIN),
        Just(SignedDuration::ZERO),
        Just(SignedDuration::MAX),
        any::<i64>().prop_map(SignedDuration::from_secs),
        (-9..9_i64).prop_map(SignedDuration::from_hours),
    ]
}

fn shares() -> impl Strategy<Value = Share> {
    let seconds = prop_oneof![Just(i64::MIN), Just(i64::MAX), any::<i64>(), -9..9_000_000_i64];
    prop_oneof![Just(Share::Usual), seconds.prop_map(Share::Before)]
}

fn calendars() -> impl Strategy<Value = Calendar> {
    let windows =
        ["Sat,Sun 02:00-04:00", "daily 22:00-02:00", "Mon 00:00-24:00", "Wed 23:59-23:59"];
    let window = prop::sample::select(windows.to_vec());
    let window = window.prop_map(|text| text.parse::<Window>().expect(text));
    let freeze = (instants(), instants()).prop_map(|(from, until)| Freeze { from, until });
    (prop::collection::vec(window, 0..3), prop::collection::vec(freeze, 0..4))
        .prop_map(|(windows, freezes)| Calendar { windows, freezes })
}

fn versions() -> impl Strategy<Value = Version> {
    let suggestion = prop::option::of((instants(), instants(), any::<u64>()));
    (1..4_u32, instants(), instants(), instants(), suggestion, any::<bool>()).prop_map(
        |(number, not_before, not_after, renew_at, suggestion, revoked)| Version {
            not_before,
            not_after,
            obtained_at: not_before,
            renew_at,
            revoked,
            suggestion: suggestion
                .map(|(start, end, seed)| Suggestion::within(start, end, None, seed)),
            ..version(number)
        },
    )
}

fn phases() -> impl Strategy<Value = Phase> {
    let names = ["obtaining", "deploying", "reverting", "proven", "done", "failed"];
    prop::sample::select(names.to_vec()).prop_map(|name| Phase::named(name).expect(name))
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 2000, failure_persistence: None, ..ProptestConfig::default()
    })]

    #[test]
    fn a_moment_is_in_the_life(
        from in instants(), to in instants(), share in shares(), seed in any::<u64>()
    ) {
        let moment = moment::of_lifetime(share, from, to, seed);
        prop_assert!(moment >= from && moment <= to.max(from), "{moment}");
        prop_assert_eq!(moment, moment::of_lifetime(share, from, to, seed));
    }

    #[test]
    fn a_suggested_moment_is_in_its_window(
        from in instants(), to in instants(), version in versions(), seed in any::<u64>()
    ) {
        let suggestion = Suggestion::within(from, to, None, seed);
        prop_assert!(suggestion.chosen >= from && suggestion.chosen <= to.max(from));
        let (begins, ends) = (version.not_before, version.not_after);
        prop_assert!(begins > ends || suggestion.moment(begins, ends) <= ends);
    }

    #[test]
    fn what_failed_waits_a_minute_to_a_day(
        failures in any::<u32>(), now in instants(), end in prop::option::of(instants()),
        seed in any::<u64>()
    ) {
        let wait = backoff::after(failures, now, end, seed).duration_since(now);
        let rest = Timestamp::MAX.duration_since(now);
        prop_assert!(wait >= SignedDuration::from_mins(1).min(rest), "{wait}");
        prop_assert!(wait <= SignedDuration::from_hours(24), "{wait}");
    }

    #[test]
    fn a_closed_calendar_opens_later(
        calendar in calendars(), now in instants(),
        served in prop::option::of((instants(), instants()))
    ) {
        if let Opening::Closed(at) = opening(&calendar, served, now) {
            prop_assert!(at > now || now >= Timestamp::MAX - SignedDuration::from_hours(1));
        }
    }

    #[test]
    fn every_certificate_needs_something_or_nothing(
        current in prop::option::of(versions()), candidate in prop::option::of(versions()),
        retry_at in prop::option::of(instants()), now in instants(), unserved in any::<bool>()
    ) {
        let candidate = candidate.map(|newer| Version { number: newer.number + 9, ..newer });
        let facts = Facts {
            current: current.as_ref(), candidate: candidate.as_ref(), request: DECLARED,
            held: None, issuers: &["ca".into()], unserved, wish: None, retry_at,
        };
        match need(&facts, now) {
            Need::Nothing { until } => prop_assert!(until > Some(now)),
            Need::Later { at, .. } => prop_assert!(at > now),
            Need::Rotate { to: Some(number), cause } => {
                let known = [&current, &candidate];
                let version = known.into_iter().flatten().find(|v| v.number == number);
                let version = version.expect("a version that there is");
                prop_assert!(version.is_usable(now), "{cause}");
            }
            Need::Rotate { to: None, .. } => {}
        }
    }

    #[test]
    fn every_rotation_has_a_next_step(
        phase in phases(), from in prop::option::of(versions()), to in prop::option::of(versions()),
        calendars in prop::collection::vec(calendars(), 0..5), now in instants(),
        due_at in instants(), wave in prop_oneof![0..3_usize, Just(usize::MAX)],
        attempts in 0..=u32::MAX, superseded in any::<bool>(), grace in durations()
    ) {
        let placements: Vec<_> = calendars.into_iter().zip(0_u32..).map(|(calendar, n)| Placement {
            target: (n % 3).to_string(), serves: Some(n % 4), given: Some(n % 4), calendar,
            failure: [None, Some(Failure::Away), Some(Failure::Refuted)][n as usize % 3],
        }).collect();
        let rotation = Rotation {
            phase, cause: &Cause::Lifetime, from: from.as_ref(), to: to.as_ref(),
            placements: &placements, canary: &["1".into(), "elsewhere".into()], wave, attempts,
            due_at, superseded, seed: 3,
        };
        match next(&rotation, now) {
            Step::Wait(at) => prop_assert!(at > now || at == Timestamp::MAX),
            Step::Deploy { targets, forced } => {
                prop_assert!(!targets.is_empty());
                prop_assert!(forced.iter().all(|name| targets.contains(name)));
            }
            Step::Revert { targets } => prop_assert!(!targets.is_empty()),
            _ => {}
        }
        let targets = ["1".to_owned(), "2".to_owned()];
        let after = course(&rotation, &targets, now);
        prop_assert!(after.due_at >= now && !after.phase.is_over());
        let _ = retirement(&Cause::Lifetime, grace, now);
    }

    #[test]
    fn every_text_is_a_window_or_is_refused(text in "[A-Za-z,]{0,9} ?[0-9:+é-]{0,12}") {
        if let Ok(window) = text.parse::<Window>() {
            prop_assert_eq!(window.to_string().parse::<Window>(), Ok(window));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 100, failure_persistence: None, ..ProptestConfig::default()
    })]

    #[test]
    fn every_future_can_be_told(
        current in prop::option::of(versions()), lifetime in durations(), share in shares(),
        calendars in prop::collection::vec(calendars(), 0..4), now in instants(),
        years in 0..3_i32, grace in durations()
    ) {
        let horizon = now.saturating_add(DAY * 365 * years).expect("a duration");
        let targets: Vec<_> = calendars.into_iter().zip('a'..).map(|(calendar, name)|
            (name.to_string(), calendar)).collect();
        let outlook = Outlook {
            current: current.as_ref(), lifetime, share, targets: &targets, canary: &[], wave: 1,
            grace, seed: 1,
        };
        let told = forecast(&outlook, now, horizon);
        prop_assert!(told.len() <= 1000 && told.is_sorted_by_key(|happening| happening.at));
    }
}

#[test]
fn a_decision_over_ten_thousand_targets_is_quick() {
    let placement = |n: u32| Placement {
        target: format!("a-target-with-a-long-name-{n}"),
        serves: Some(if n == 9_999 { 1 } else { 2 }),
        given: None,
        failure: None,
        calendar: Calendar::default(),
    };
    let placements: Vec<_> = (0..10_000).map(placement).collect();
    let canary: Vec<_> = placements[..5_000].iter().map(|p| p.target.clone()).collect();
    let (from, to) = (version(1), version(2));
    let began = Instant::now();
    for wave in [0, 1] {
        let rotation = Rotation {
            phase: Phase::Deploying,
            cause: &Cause::Lifetime,
            from: Some(&from),
            to: Some(&to),
            placements: &placements,
            canary: &canary,
            wave,
            attempts: 0,
            due_at: day(0),
            superseded: false,
            seed: 1,
        };
        let last = vec![placements[9_999].target.clone()];
        assert_eq!(next(&rotation, day(1)), Step::Deploy { targets: last, forced: Vec::new() });
    }
    assert!(began.elapsed() < Duration::from_millis(500), "{:?}", began.elapsed());
}
