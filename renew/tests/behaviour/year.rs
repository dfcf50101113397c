//! A year of ten thousand certificates, all obtained at once: the worst case.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use crate::fleet::{Fleet, Weather};
use crate::{DAY, HOUR, day};

/// Seven tenths for 90 days, a quarter for 47, the rest for six.
const MIXED: [(usize, SignedDuration); 3] = [
    (7000, SignedDuration::from_hours(90 * 24)),
    (2500, SignedDuration::from_hours(47 * 24)),
    (500, SignedDuration::from_hours(6 * 24)),
];

/// Orders of the busiest hour from `from` to `until`, and of the mean hour.
fn busiest(fleet: &Fleet, from: Timestamp, until: Timestamp) -> (f64, f64) {
    let mut hours: BTreeMap<i64, u32> = BTreeMap::new();
    let (mut all, span) = (0_u32, until.duration_since(from).as_secs_f64() / 3600.0);
    for (at, _) in fleet.orders.iter().filter(|(at, _)| (from..until).contains(at)) {
        *hours.entry(at.as_second() / 3600).or_default() += 1;
        all += 1;
    }
    (hours.values().max().copied().unwrap_or(0).into(), f64::from(all) / span)
}

fn mixed(weather: Weather) -> Fleet {
    Fleet::new(&MIXED, weather).until(day(365))
}

/// An account of Let's Encrypt: 300 orders in three hours.
fn limited() -> Weather {
    Weather { limit: Some(300), ..Weather::default() }
}

/// Everything that goes wrong in a bad year.
fn bad() -> Weather {
    Weather {
        outage: Some(day(58)..day(65)),
        drill: Some(day(150)),
        storm: Some(day(200)..day(200) + HOUR * 12),
        ..limited()
    }
}

#[test]
fn nothing_lapses_in_a_year_of_outage_drill_and_storm() {
    let fleet = mixed(bad());
    let years = [(7000, 90), (2500, 47), (500, 6)];
    let least: i32 = years.map(|(number, life)| number * 365 / life).iter().sum();
    println!(
        "a bad year: {} orders, {} refused, {} decisions, {:.3} of a life left at the least",
        fleet.orders.len(),
        fleet.refused,
        fleet.decisions,
        fleet.narrowest
    );
    assert!(fleet.orders.len() > usize::try_from(least).expect("some"), "the year was lived");
    assert!(fleet.refused > 1000, "the weather was bad");
    assert!(fleet.narrowest > 0.1, "a tenth of a life is in reserve: {}", fleet.narrowest);
}

#[test]
fn what_is_issued_together_is_renewed_apart() {
    for (lives, most) in [(&[(10_000, DAY * 90)][..], 6.0), (&MIXED, 3.5)] {
        let fleet = Fleet::new(lives, Weather::default()).until(day(365));
        let (max, mean) = busiest(&fleet, day(60), day(365));
        println!("{} lives: {max} orders in the busiest hour, {mean:.1} in the mean", lives.len());
        assert!(max < mean * most, "{max} orders in the busiest hour, {mean:.1} in the mean");
        let (max, _) = busiest(&fleet, day(1), day(365));
        assert!(max < 100.0, "even the first renewals keep to what a CA allows: {max}");
    }
}

#[test]
fn after_a_drill_that_renews_all_at_once_they_drift_apart_again() {
    let fleet = mixed(Weather { drill: Some(day(150)), ..limited() });
    let (during, _) = busiest(&fleet, day(150), day(152));
    assert!(during > 90.0, "a drill goes as fast as the CA allows: {during}");
    let (max, mean) = busiest(&fleet, day(220), day(365));
    println!("after a drill: {max} orders in the busiest hour, {mean:.1} in the mean");
    assert!(max < mean * 4.0, "{max} orders in the busiest hour, {mean:.1} in the mean");
}

#[test]
fn deciding_costs_what_is_due_and_not_what_is_stored() {
    let fleet = mixed(limited());
    // One when it is due, one when its turn has come, one for the new version.
    assert!(fleet.decisions <= 3 * fleet.orders.len(), "{} decisions", fleet.decisions);
    assert!(fleet.woken <= 2 * fleet.orders.len(), "{} rows", fleet.woken);
    let bad = mixed(bad());
    let tries = bad.orders.len() + bad.refused;
    assert!(bad.decisions <= 4 * tries, "{} decisions for {tries} orders", bad.decisions);
}

#[test]
fn the_same_year_again_is_the_same_year() {
    let (first, second) = (mixed(bad()), mixed(bad()));
    assert_eq!(first.decisions, second.decisions);
    assert!(first.orders == second.orders, "to the second, and in the same order");
}
