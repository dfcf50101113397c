//! Whole rotations, good and bad; every run is held against `rules`.

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use renew::window::Freeze;
use renew::{Calendar, Cause, Phase, Version};

use crate::world::{Crash, Deed, Nature, World};
use crate::{DAY, HOUR, day, version};

const GOOD: [(&str, Nature); 6] = [
    ("a", Nature::Good),
    ("b", Nature::Good),
    ("c", Nature::Good),
    ("d", Nature::Good),
    ("e", Nature::Good),
    ("f", Nature::Good),
];

/// Six targets that serve version 1, two to a wave, of which `bad` are of that nature.
fn six(bad: &str, nature: Nature) -> World {
    let nature = |name: &str| if bad.contains(name) { nature } else { Nature::Good };
    let targets = GOOD.map(|(name, _)| (name, nature(name)));
    World { wave: 2, ..World::new(&targets, Some(version(1)), day(60)) }
}

fn closed(world: World, name: &str, calendar: &Calendar) -> World {
    let placements = world.placements.iter().cloned().map(|mut placement| {
        if placement.target == name {
            placement.calendar = calendar.clone();
        }
        placement
    });
    World { placements: placements.collect(), ..world }
}

fn frozen(until: Timestamp) -> Calendar {
    Calendar { windows: Vec::new(), freezes: vec![Freeze { from: day(-1), until }] }
}

fn weekends() -> Calendar {
    let windows = vec!["Sat,Sun 02:00-04:00".parse().expect("a window")];
    Calendar { windows, freezes: Vec::new() }
}

/// What each target really has, by its number; `-` is nothing.
fn real(world: &World) -> String {
    let of = |have: &Option<u32>| have.map_or_else(|| "-".to_owned(), |number| number.to_string());
    world.real.values().map(of).collect()
}

#[test]
fn the_canary_is_proven_before_the_rest_follows_in_waves() {
    let world = World { canary: vec!["c".into()], ..six("", Nature::Good) }.run();
    assert_eq!((world.phase, world.pushes().as_str()), (Phase::Done, "c ab de f"));
    assert_eq!(real(&world), "222222");
    let unnamed = six("", Nature::Good).run();
    assert_eq!(unnamed.pushes(), "a bc de f");
}

#[test]
fn naming_every_target_a_canary_does_not_touch_all_at_once() {
    let canary = GOOD.map(|(name, _)| name.to_owned()).to_vec();
    assert_eq!(World { canary, ..six("", Nature::Good) }.run().pushes(), "a bc de f");
}

#[test]
fn a_canary_that_breaks_is_the_only_one_that_ever_had_the_new_version() {
    for nature in [Nature::Breaks, Nature::Refuses] {
        let world = six("a", nature).run();
        assert_eq!((world.phase, world.pushes().as_str()), (Phase::Failed, "a"));
        assert_eq!(real(&world), "111111");
    }
}

#[test]
fn what_breaks_late_is_taken_back_everywhere_and_nowhere_else() {
    let world = six("d", Nature::Breaks).run();
    assert_eq!((world.phase, world.pushes().as_str()), (Phase::Failed, "a bc de"));
    let reverted: Vec<_> =
        world.log.iter().filter(|(_, d)| matches!(d, Deed::Reverted(_))).collect();
    let given = ["a", "b", "c", "d", "e"].map(Into::into).to_vec();
    assert_eq!(reverted, [&(world.now, Deed::Reverted(given))], "f was never touched");
    assert_eq!(real(&world), "111111");
}

#[test]
fn a_target_that_cannot_be_brought_back_does_not_keep_the_others() {
    let world = six("d", Nature::Stuck).run();
    assert_eq!((world.phase, real(&world).as_str()), (Phase::Failed, "111211"));
    let tries = world.log.iter().filter(|(_, deed)| matches!(deed, Deed::Reverted(_))).count();
    assert_eq!(tries, 5, "and then it ends");
}

#[test]
fn the_first_version_has_nothing_to_go_back_to() {
    let world = World::new(&[("a", Nature::Breaks), ("b", Nature::Good)], None, day(0)).run();
    assert_eq!((world.phase, real(&world).as_str()), (Phase::Failed, "1-"));
}

#[test]
fn a_version_that_ended_or_was_revoked_is_not_pushed_back() {
    let breaks = || six("d", Nature::Breaks);
    let revoked = World { from_revoked_at: Some(day(60)), ..breaks() }.run();
    assert!(revoked.pushes().starts_with("a bc de f d d"), "d holds up nobody");
    assert_eq!((revoked.phase, real(&revoked).as_str()), (Phase::Failed, "222222"));
    let ended = Version { not_after: day(60) + HOUR / 120, ..version(1) };
    let ended = World { from: Some(ended), ..breaks() }.run();
    assert!(ended.pushes().starts_with("a bc de f d d"), "in mid-run");
    assert!(!ended.log.iter().any(|(_, deed)| matches!(deed, Deed::Reverted(_))));
}

#[test]
fn a_target_that_is_away_stops_the_others_only_while_there_is_time() {
    let away =
        |tries, from: Version| World { from: Some(from), ..six("b", Nature::Away(tries)) }.run();
    let early = away(1, version(1));
    assert_eq!((early.phase, early.pushes().as_str()), (Phase::Failed, "a bc"));
    assert_eq!(real(&early), "111111");
    let ends = |at| Version { not_after: at, ..version(1) };
    let late = away(4, ends(day(62)));
    assert_eq!((late.phase, late.pushes().as_str()), (Phase::Done, "a bc de f b b b b"));
    let took = late.log.iter().find(|(_, deed)| *deed == Deed::Proven).expect("proven").0;
    assert!(took < day(62), "as its end comes near it is tried often");
    let long = away(u32::MAX, ends(day(62)));
    assert_eq!(long.phase, Phase::Failed, "once the new version is due, the next is needed");
    let ended = long.log.last().expect("it ended").0;
    assert_eq!(ended.max(day(120)).min(day(121)), ended, "{ended}");
    assert_eq!(real(&long), "212222");
}

#[test]
fn an_emergency_goes_past_a_target_that_is_away_and_back_from_one_that_breaks() {
    let emergency = |nature| {
        let cause = Cause::Emergency { reason: "keyCompromise".into() };
        World { cause, ..six("a", nature) }.run()
    };
    let away = emergency(Nature::Away(3));
    assert_eq!((away.phase, away.pushes().as_str()), (Phase::Done, "a bc de f a a a"));
    let breaks = emergency(Nature::Breaks);
    assert_eq!((breaks.phase, breaks.pushes().as_str()), (Phase::Failed, "a"));
}

#[test]
fn what_is_revoked_in_mid_rollout_is_taken_back() {
    let late = closed(six("", Nature::Good), "d", &frozen(day(70)));
    let world = World { to_revoked_at: Some(day(65)), ..late }.run();
    assert_eq!((world.phase, world.pushes().as_str()), (Phase::Failed, "a bc e"));
    assert_eq!(real(&world), "111111");
}

#[test]
fn a_target_that_lost_its_version_gets_it_back_and_nothing_else_happens() {
    let mut world = World { cause: Cause::Unserved, ..six("", Nature::Good) };
    world.to.clone_from(&world.from);
    world.phase = Phase::Deploying;
    world.placements[3].serves = None;
    world.real.insert("d".into(), None);
    let world = world.run();
    assert_eq!((world.phase, world.pushes().as_str()), (Phase::Done, "d"));
    let retired = world.log.iter().any(|(_, deed)| *deed == Deed::Retired);
    assert!(!retired, "what is served is not retired");
}

#[test]
fn an_issuer_that_is_down_is_asked_less_and_less_often() {
    let world = World { issuer_fails: 6, ..six("", Nature::Good) }.run();
    assert_eq!(world.phase, Phase::Done);
    let obtained = world.log[0].0.duration_since(day(60));
    assert!(obtained > DAY * 2 && obtained < DAY * 4, "{obtained}");
}

#[test]
fn the_version_before_is_kept_for_its_grace_unless_it_is_compromised() {
    let took = |cause| {
        let world = World { cause, grace: DAY * 3, ..six("", Nature::Good) }.run();
        let at = |wanted: &Deed| world.log.iter().find(|(_, deed)| deed == wanted).expect("done").0;
        at(&Deed::Retired).duration_since(at(&Deed::Proven))
    };
    assert_eq!(took(Cause::Lifetime), DAY * 3);
    assert_eq!(took(Cause::Emergency { reason: "keyCompromise".into() }), SignedDuration::ZERO);
}

#[test]
fn a_wave_waits_for_its_window_and_the_next_waits_for_the_wave() {
    let world = closed(six("", Nature::Good), "c", &weekends()).run();
    assert_eq!(world.pushes(), "a b c de f");
    let pushed: Vec<_> =
        world.log.iter().filter(|(_, d)| matches!(d, Deed::Pushed { .. })).collect();
    assert!(pushed[1].0 < day(60) + HOUR, "b does not wait for c");
    assert!(pushed[2].0 > day(60) + HOUR, "c waits for the weekend");
    assert_eq!(world.phase, Phase::Done);
}

#[test]
fn no_freeze_outlasts_a_certificate_and_no_calendar_holds_an_emergency_up() {
    let frozen = |cause| {
        let world = closed(six("", Nature::Good), "a", &frozen(day(1000)));
        World { cause, ..world }.run()
    };
    let pushed = Deed::Pushed { targets: vec!["a".into()], forced: vec!["a".into()] };
    let late = frozen(Cause::Lifetime);
    let push = late.log.iter().find(|(_, deed)| *deed == pushed).expect("a forced push");
    assert_eq!(push.0, day(90) - DAY * 90 / 20 + HOUR / 120, "a twentieth of its life is left");
    for cause in [Cause::Revoked, Cause::Emergency { reason: "keyCompromise".into() }] {
        let world = frozen(cause);
        assert_eq!((world.log[1].0, &world.log[1].1), (day(60) + HOUR / 120, &pushed));
    }
}

#[test]
fn what_is_superseded_ends_at_once_and_touches_nothing_more() {
    let world = World { superseded_at: Some(3), ..six("", Nature::Good) }.run();
    assert_eq!((world.phase, world.pushes().as_str()), (Phase::Failed, "a bc"));
    let waiting = closed(six("", Nature::Good), "a", &frozen(day(80)));
    let waiting = World { superseded_at: Some(2), ..waiting }.run();
    assert_eq!(waiting.phase, Phase::Failed);
}

#[test]
fn an_emergency_waits_for_one_attempt_to_go_back_and_not_for_five() {
    let world = World { superseded_at: Some(2), ..six("a", Nature::Breaks) }.run();
    assert_eq!(real(&world), "111111", "what can be brought back at once is");
    let stuck = World { superseded_at: Some(3), ..six("a", Nature::Stuck) }.run();
    assert_eq!(stuck.phase, Phase::Failed);
    assert!(stuck.now < day(60) + HOUR, "{}", stuck.now);
}

#[test]
fn a_crash_anywhere_changes_nothing() {
    let calm = [
        six("", Nature::Good),
        six("a", Nature::Breaks),
        six("de", Nature::Breaks),
        six("f", Nature::Refuses),
        six("d", Nature::Stuck),
        World { issuer_fails: 2, canary: vec!["e".into()], ..six("b", Nature::Breaks) },
        closed(six("", Nature::Good), "c", &weekends()),
        World::new(&GOOD, None, day(0)),
        World { cause: Cause::Revoked, ..six("ad", Nature::Away(9)) },
    ];
    for world in calm {
        let expected = world.clone().run();
        for at in 0..expected.steps {
            for crash in [Crash::Early, Crash::Lost, Crash::Unrecorded] {
                for again in 0..2 {
                    let crashes = [(at, crash), (at + again, crash)].into();
                    let world = World { crashes, ..world.clone() }.run();
                    let end = (world.phase, real(&world), world.number());
                    let calm = (expected.phase, real(&expected), expected.number());
                    assert_eq!(end, calm, "{crash:?} at step {at}: {:?}", world.log);
                }
            }
        }
    }
}

fn natures() -> impl Strategy<Value = Nature> {
    prop_oneof![
        6 => Just(Nature::Good),
        1 => Just(Nature::Refuses),
        1 => Just(Nature::Breaks),
        1 => Just(Nature::Stuck),
        1 => Just(Nature::Moody),
        1 => (0..9_u32).prop_map(Nature::Away),
        1 => Just(Nature::Away(u32::MAX)),
    ]
}

fn calendars() -> impl Strategy<Value = Calendar> {
    prop_oneof![
        4 => Just(Calendar::default()),
        1 => Just(weekends()),
        1 => (0..60_i32).prop_map(|until| frozen(day(until))),
        1 => (0..9_i32).prop_map(|until| Calendar { freezes: frozen(day(until)).freezes, ..weekends() }),
    ]
}

fn causes() -> impl Strategy<Value = Cause> {
    prop_oneof![
        4 => Just(Cause::Lifetime),
        1 => Just(Cause::Revoked),
        1 => Just(Cause::Emergency { reason: "keyCompromise".into() }),
        1 => Just(Cause::Unserved),
    ]
}

fn crashes() -> impl Strategy<Value = Vec<(usize, Crash)>> {
    let crash = prop_oneof![Just(Crash::Early), Just(Crash::Lost), Just(Crash::Unrecorded)];
    prop::collection::vec((0..30_usize, crash), 0..6)
}

/// Minutes, from a few to weeks.
fn minutes() -> impl Strategy<Value = Option<i32>> {
    prop_oneof![3 => Just(None), 1 => (1..20).prop_map(Some), 1 => (1..30_000).prop_map(Some)]
}

fn worlds() -> impl Strategy<Value = World> {
    let targets = prop::collection::vec((natures(), calendars(), any::<bool>()), 1..9);
    let times = (minutes(), minutes(), minutes(), minutes());
    let run = (causes(), crashes(), prop::option::weighted(0.1, 0..20_usize), any::<u64>());
    (targets, times, run, 0..4_usize, 0..4_u32, any::<bool>()).prop_map(
        |(
            targets,
            (from_ends, from_revoked, to_ends, to_revoked),
            run,
            wave,
            issuer_fails,
            first,
        )| {
            let at = |minutes: Option<i32>| minutes.map(|minutes| day(0) + HOUR / 60 * minutes);
            let from = Version {
                not_before: day(-60),
                not_after: at(from_ends).unwrap_or(day(30)),
                ..version(1)
            };
            let names: Vec<_> = ('a'..).take(targets.len()).map(String::from).collect();
            let natures: Vec<_> =
                names.iter().zip(&targets).map(|(name, t)| (name.as_str(), t.0)).collect();
            let from = (!first).then_some(from);
            let mut world = World::new(&natures, from, day(0));
            for (placement, (_, calendar, is_canary)) in world.placements.iter_mut().zip(&targets) {
                placement.calendar = calendar.clone();
                world.canary.extend(is_canary.then(|| placement.target.clone()));
            }
            (world.from_revoked_at, world.to_revoked_at) = (at(from_revoked), at(to_revoked));
            world.lifetime = to_ends.map_or(DAY * 90, |minutes| HOUR / 60 * minutes);
            (world.wave, world.issuer_fails) = (wave, issuer_fails);
            (world.cause, world.superseded_at, world.seed) = (run.0, run.2, run.3);
            world.crashes = run.1.into_iter().collect();
            if world.cause == Cause::Unserved && !first {
                world.to.clone_from(&world.from);
                world.to_revoked_at = world.from_revoked_at;
                world.phase = Phase::Deploying;
                world.placements[0].serves = None;
            }
            world
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_run_keeps_the_rules_and_ends(world in worlds()) {
        let ended = world.run();
        prop_assert!(ended.phase.is_over());
    }
}
