//! Decisions per second over a million versions in memory: what each certificate needs, and what
//! comes next for its rotation. Prints one table.

use std::hint::black_box;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use renew::need::need;
use renew::rotation::next;
use renew::{
    Calendar, Cause, Facts, Need, Phase, Placement, Rotation, Share, Step, Version, moment,
};

fn main() {
    let began = Instant::now();
    let versions: Vec<_> = (0..MANY).map(version).collect();
    let made = began.elapsed();
    let size = size_of::<Version>() + ISSUER.len();
    println!("{MANY} versions of {size} bytes each\n");
    println!("| what | decisions | seconds | per second | ns each |");
    println!("|---|---:|---:|---:|---:|");
    row("moment, at obtaining", MANY, made);
    let now = day(50);
    let (due, took) = timed(|| versions.iter().filter(|version| is_due(version, now)).count());
    row(&format!("need ({}% due)", due * 100 / versions.len()), MANY, took);
    for (targets, windows) in [(1, false), (8, false), (8, true), (1000, false)] {
        let rotations = MANY / targets;
        let places = placements(targets, windows);
        let (deployed, took) = timed(|| {
            let steps = versions.iter().take(rotations as usize);
            steps.filter(|version| is_deployed(version, &places)).count()
        });
        assert!(deployed > 0 || windows, "there was something to decide");
        let with = if windows { ", weekly windows" } else { "" };
        row(&format!("rotation::next, {targets} targets{with}"), rotations, took);
    }
}

fn is_due(version: &Version, now: Timestamp) -> bool {
    let facts = Facts {
        current: Some(version),
        candidate: None,
        request: [1; 32],
        held: None,
        issuers: std::slice::from_ref(&version.issuer),
        unserved: false,
        wish: None,
        retry_at: None,
    };
    matches!(need(black_box(&facts), now), Need::Rotate { .. })
}

/// Whether the last target of a rotation to `version` is the next to get it.
fn is_deployed(version: &Version, placements: &[Placement]) -> bool {
    let rotation = Rotation {
        phase: Phase::Deploying,
        cause: &Cause::Lifetime,
        from: None,
        to: Some(version),
        placements,
        canary: &[],
        wave: 0,
        attempts: 0,
        due_at: day(0),
        superseded: false,
        seed: 1,
    };
    matches!(next(black_box(&rotation), day(1)), Step::Deploy { .. })
}

/// All but the last serve version 1.
fn placements(targets: u32, windows: bool) -> Vec<Placement> {
    let window = || "Sat,Sun 02:00-04:00".parse().expect("a window");
    let placement = |n: u32| Placement {
        target: format!("edge-{n}"),
        serves: (n + 1 < targets).then_some(1),
        given: None,
        failure: None,
        calendar: Calendar {
            windows: windows.then(window).into_iter().collect(),
            freezes: Vec::new(),
        },
    };
    (0..targets).map(placement).collect()
}

/// Obtained some time in the first fifty days, for ninety.
fn version(n: u32) -> Version {
    let from = day(0) + SignedDuration::from_secs(i64::from(n) * 4 % (50 * 86_400));
    let to = from + SignedDuration::from_hours(90 * 24);
    Version {
        number: 1,
        not_before: from,
        not_after: to,
        request: [1; 32],
        issuer: ISSUER.into(),
        revoked: false,
        obtained_at: from,
        renew_at: moment::of_lifetime(Share::Usual, from, to, n.into()),
        suggestion: None,
    }
}

fn day(n: i64) -> Timestamp {
    Timestamp::from_second(1_795_521_600 + n * 86_400).expect("an instant")
}

fn timed<T>(run: impl FnOnce() -> T) -> (T, Duration) {
    let began = Instant::now();
    (run(), began.elapsed())
}

fn row(what: &str, decisions: u32, took: Duration) {
    let each = took.as_secs_f64() / f64::from(decisions);
    println!(
        "| {what} | {decisions} | {:.3} | {:.0} | {:.0} |",
        took.as_secs_f64(),
        1.0 / each,
        each * 1e9
    );
}

const MANY: u32 = 1_000_000;
const ISSUER: &str = "letsencrypt";
