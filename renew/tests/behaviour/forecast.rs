//! What is forecast, and that it is what happens.

use jiff::{SignedDuration, Timestamp};
use renew::forecast::{Happening, Outlook, forecast};
use renew::need::need;
use renew::window::Freeze;
use renew::{Calendar, Facts, Need, Share, Version, moment};

use crate::world::{Deed, Nature, World};
use crate::{DAY, DECLARED, HOUR, day, version};

/// What is declared of a certificate.
struct Declared {
    current: Option<Version>,
    targets: Vec<(String, Calendar)>,
    canary: Vec<String>,
    wave: usize,
    seed: u64,
}

impl Declared {
    /// Five targets, the third of which is the canary; two to a wave.
    fn new(seed: u64) -> Self {
        let target = |name: &str| (name.to_owned(), Calendar::default());
        let renew_at = moment::of_lifetime(Share::Usual, day(0), day(90), seed);
        Self {
            current: Some(Version { renew_at, ..version(1) }),
            targets: ["a", "b", "c", "d", "e"].map(target).to_vec(),
            canary: vec!["c".into()],
            wave: 2,
            seed,
        }
    }

    fn with(mut self, name: &str, calendar: Calendar) -> Self {
        let target = self.targets.iter_mut().find(|(target, _)| target == name);
        target.expect("a target").1 = calendar;
        self
    }

    fn forecast(&self, now: Timestamp, horizon: Timestamp) -> Vec<Happening> {
        let outlook = Outlook {
            current: self.current.as_ref(),
            lifetime: DAY * 90,
            share: Share::Usual,
            targets: &self.targets,
            canary: &self.canary,
            wave: self.wave,
            grace: DAY * 2,
            seed: self.seed,
        };
        forecast(&outlook, now, horizon)
    }

    /// What really happens, step by step.
    fn lived(&self, mut now: Timestamp, horizon: Timestamp) -> Vec<Happening> {
        let (mut current, mut happened) = (self.current.clone(), Vec::new());
        while now < horizon {
            let facts = Facts {
                current: current.as_ref(),
                candidate: None,
                request: DECLARED,
                held: None,
                issuers: &["ca".into()],
                unserved: false,
                wish: None,
                retry_at: None,
            };
            match need(&facts, now) {
                Need::Nothing { until } => now = until.expect("a moment"),
                Need::Rotate { cause, to: None } => {
                    let names: Vec<_> = self
                        .targets
                        .iter()
                        .map(|(name, _)| (name.as_str(), Nature::Good))
                        .collect();
                    let mut world = World::new(&names, current, now);
                    for (placement, (_, calendar)) in world.placements.iter_mut().zip(&self.targets)
                    {
                        placement.calendar = calendar.clone();
                    }
                    (world.cause, world.canary, world.wave) =
                        (cause, self.canary.clone(), self.wave);
                    (world.grace, world.pace) = (DAY * 2, SignedDuration::ZERO);
                    let world = world.run();
                    let proven = world.log.iter().find(|(_, deed)| *deed == Deed::Proven);
                    now = proven.expect("it is proven").0;
                    happened.extend(world.log.iter().filter_map(happening));
                    let to = world.to.expect("it was obtained");
                    let renew_at =
                        moment::of_lifetime(Share::Usual, to.not_before, to.not_after, self.seed);
                    current = Some(Version { renew_at, ..to });
                }
                other => panic!("{other:?} does not come up"),
            }
        }
        happened.retain(|happening: &Happening| happening.at < horizon);
        happened.sort_by_key(|happening| happening.at);
        happened
    }
}

fn happening((at, deed): &(Timestamp, Deed)) -> Option<Happening> {
    let (what, targets, forced) = match deed {
        Deed::Obtained => ("renew", Vec::new(), false),
        Deed::Pushed { targets, forced } => ("push", targets.clone(), !forced.is_empty()),
        Deed::Retired => ("retire", Vec::new(), false),
        _ => return None,
    };
    Some(Happening { at: *at, what, targets, forced })
}

fn nights() -> Calendar {
    let windows = vec!["Sat,Sun 02:00-04:00".parse().expect("a window")];
    Calendar { windows, freezes: Vec::new() }
}

fn frozen(from: i32, until: i32) -> Calendar {
    let freeze = Freeze { from: day(from), until: day(until) };
    Calendar { windows: Vec::new(), freezes: vec![freeze] }
}

fn of<'a>(what: &str, happenings: &'a [Happening]) -> Vec<&'a Happening> {
    happenings.iter().filter(|happening| happening.what == what).collect()
}

#[test]
fn a_year_of_a_90_day_certificate_is_told_in_order() {
    let told = Declared::new(7).forecast(day(0), day(365));
    assert!(told.is_sorted_by_key(|happening| happening.at));
    let (renewals, retired) = (of("renew", &told), of("retire", &told));
    assert!((6..=8).contains(&renewals.len()), "{} renewals", renewals.len());
    for pair in renewals.windows(2) {
        let life = pair[1].at.duration_since(pair[0].at);
        assert!(life >= DAY * 42 && life <= DAY * 60, "{life}");
    }
    for (renewal, retired) in renewals.iter().zip(&retired) {
        assert_eq!(retired.at, renewal.at + DAY * 2, "the version before is kept for its grace");
    }
    let waves: Vec<_> = of("push", &told).iter().map(|push| push.targets.join("")).collect();
    assert_eq!(waves[..6], ["c", "ab", "de", "c", "ab", "de"]);
    assert_eq!(waves.len(), 3 * renewals.len());
    assert!(told.iter().all(|happening| !happening.forced));
}

#[test]
fn a_target_with_a_window_is_pushed_to_in_it_and_holds_the_next_wave_up() {
    let told = Declared::new(7).with("a", nights()).forecast(day(0), day(365));
    let pushes = of("push", &told);
    let position = |wanted: &str| pushes.iter().position(|push| push.targets.join("") == wanted);
    let (b, a, de) = (position("b"), position("a"), position("de"));
    assert!(b < a && a < de, "b need not wait: {pushes:?}");
    for push in pushes.iter().filter(|push| push.targets.contains(&"a".to_owned())) {
        assert_eq!(nights().opens(push.at), Some(push.at), "closed at {}", push.at);
        assert!(!push.forced);
    }
    assert_eq!(pushes[b.expect("a push")].at, of("renew", &told)[0].at);
    assert_eq!(pushes[de.expect("a push")].at, pushes[a.expect("a push")].at);
}

#[test]
fn a_push_against_the_calendar_is_told_as_such_and_only_that_one() {
    let told = Declared::new(7).with("a", frozen(30, 200)).forecast(day(0), day(130));
    let forced: Vec<_> = told.iter().filter(|happening| happening.forced).collect();
    assert_eq!(forced.len(), 1, "{told:?}");
    assert_eq!((forced[0].what, forced[0].targets.join("").as_str()), ("push", "a"));
    assert_eq!(forced[0].at, day(90) - DAY * 90 / 20, "with a twentieth of its life left");
}

#[test]
fn the_first_version_replaces_nothing_and_waits_for_the_end_of_a_freeze() {
    let first = Declared { current: None, ..Declared::new(7) };
    let told = first.forecast(day(3), day(20));
    assert_eq!(told[0].at, day(3));
    assert_eq!((of("renew", &told).len(), of("push", &told).len()), (1, 3));
    assert!(of("retire", &told).is_empty());
    let frozen = first.with("c", frozen(0, 500)).forecast(day(3), day(600));
    assert_eq!(of("push", &frozen)[0].at, day(500), "there is nothing that could lapse");
    assert!(!of("push", &frozen)[0].forced);
}

#[test]
fn what_was_revoked_or_has_ended_is_replaced_now() {
    let mut revoked = Declared::new(7).with("c", frozen(0, 500));
    revoked.current.as_mut().expect("a version").revoked = true;
    let told = revoked.forecast(day(5), day(10));
    assert_eq!((told[0].what, told[0].at), ("renew", day(5)));
    assert_eq!((told[1].at, told[1].forced), (day(5), true), "no calendar holds that up");
    let told = Declared::new(7).forecast(day(95), day(100));
    assert_eq!((told[0].what, told[0].at), ("renew", day(95)));
}

#[test]
fn a_forecast_ends_at_its_horizon_or_with_a_thousand_things() {
    let told = Declared::new(7).forecast(day(0), day(80));
    assert!(told.iter().all(|happening| happening.at < day(80)));
    let long = Declared::new(7).forecast(day(0), day(365 * 500));
    assert_eq!(long.len(), 1000);
    let mut short = Declared::new(7);
    let current = short.current.as_mut().expect("a version");
    (current.not_after, current.renew_at) = (day(0), day(0));
    assert_eq!(short.forecast(day(0), day(365)).len(), 1000, "a life of no length");
}

#[test]
fn what_is_told_is_what_happens() {
    for seed in 0..20 {
        let declared = [
            Declared::new(seed),
            Declared::new(seed).with("a", nights()).with("d", nights()),
            Declared::new(seed).with("c", frozen(10, 120)),
            Declared::new(seed).with("b", frozen(10, 75)).with("a", nights()),
            Declared { current: None, wave: 0, ..Declared::new(seed) },
            Declared { current: None, ..Declared::new(seed).with("c", frozen(0, 20)) },
            Declared { targets: Vec::new(), ..Declared::new(seed) },
        ];
        for declared in declared {
            let (from, horizon) = (day(1) + HOUR, day(366));
            let (told, lived) = (declared.forecast(from, horizon), declared.lived(from, horizon));
            assert_eq!(told, lived, "seed {seed}");
        }
    }
}
