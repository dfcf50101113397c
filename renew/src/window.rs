//! When a target may be touched: maintenance windows that open every week, and freezes. Both in
//! UTC. They hold a rotation up, but not past the point where a certificate would lapse: before
//! that, waiting ends.

use std::fmt;
use std::str::FromStr;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::moment::plus;

/// When a target may be touched. Without windows: always, but for the freezes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Calendar {
    /// It may be touched while one of these is open.
    #[serde(rename = "maintenance", skip_serializing_if = "Vec::is_empty")]
    pub windows: Vec<Window>,
    /// It may not be touched during any of these.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub freezes: Vec<Freeze>,
}

impl Calendar {
    /// Whether there are neither windows nor freezes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.windows.is_empty() && self.freezes.is_empty()
    }

    /// The first instant at `now` or later when the target may be touched; none within a year.
    #[must_use]
    pub fn opens(&self, now: Timestamp) -> Option<Timestamp> {
        let horizon = plus(now, SignedDuration::from_hours(366 * 24));
        let mut at = now;
        while at < horizon {
            let thawed = self.freezes.iter().filter(|f| f.from <= at && at < f.until);
            if let Some(freeze) = thawed.max_by_key(|freeze| freeze.until) {
                at = freeze.until;
                continue;
            }
            let opening = self.windows.iter().map(|window| window.opens(at)).min();
            match opening {
                Some(opening) if opening > at => at = opening,
                _ => return Some(at),
            }
        }
        None
    }
}

/// Some hours of some days of every week: `Sat,Sun 02:00-04:00`, `daily 22:00-02:00` (over
/// midnight, on the days it begins).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// Bit 0 is Monday.
    days: u8,
    /// Seconds after midnight.
    from: i64,
    /// How long it is open.
    length: SignedDuration,
}

impl Window {
    /// When it is open next: `at` itself if it is open then.
    fn opens(&self, at: Timestamp) -> Timestamp {
        // The one that began the day before may still be open.
        let midnight = at.as_second() - at.as_second().rem_euclid(DAY);
        let begins = (-1..=7).filter_map(|day| {
            let start = Timestamp::from_second(midnight + day * DAY + self.from).ok()?;
            let weekday = start.to_zoned(TimeZone::UTC).weekday();
            let bit = weekday.to_monday_zero_offset();
            (self.days >> bit & 1 == 1 && plus(start, self.length) > at).then_some(start)
        });
        begins.min().map_or(at, |start| start.max(at))
    }

    /// When it closes, if it is open at `at`.
    fn closes(&self, at: Timestamp) -> Option<Timestamp> {
        let midnight = at.as_second() - at.as_second().rem_euclid(DAY);
        let ends = (-1..=0).filter_map(|day| {
            let start = Timestamp::from_second(midnight + day * DAY + self.from).ok()?;
            let bit = start.to_zoned(TimeZone::UTC).weekday().to_monday_zero_offset();
            let end = plus(start, self.length);
            (self.days >> bit & 1 == 1 && start <= at && at < end).then_some(end)
        });
        ends.max()
    }
}

/// The first instant at `now` or later when none of the windows is open; none within a month.
#[must_use]
pub fn all_closed(windows: &[Window], now: Timestamp) -> Option<Timestamp> {
    let horizon = plus(now, SignedDuration::from_hours(31 * 24));
    let mut at = now;
    while at < horizon {
        match windows.iter().filter_map(|window| window.closes(at)).max() {
            Some(end) => at = end,
            None => return Some(at),
        }
    }
    None
}

impl FromStr for Window {
    type Err = InvalidWindow;

    fn from_str(text: &str) -> Result<Self, InvalidWindow> {
        let invalid = || InvalidWindow(text.chars().take(64).collect());
        let (days, hours) = text.trim().split_once(' ').ok_or_else(invalid)?;
        let mut bits = 0;
        for day in days.split(',') {
            bits |= match day {
                "daily" => 0x7f,
                name => 1 << NAMES.iter().position(|n| *n == name).ok_or_else(invalid)?,
            };
        }
        let (from, until) = hours.trim().split_once('-').ok_or_else(invalid)?;
        let (from, until) = (clock(from).ok_or_else(invalid)?, clock(until).ok_or_else(invalid)?);
        if from == DAY {
            // The days named are those on which it begins.
            return Err(invalid());
        }
        let length = if until > from { until - from } else { until + DAY - from };
        Ok(Self { days: bits, from, length: SignedDuration::from_secs(length) })
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.days == 0x7f {
            f.write_str("daily")?;
        } else {
            let days = NAMES.iter().enumerate().filter(|(bit, _)| self.days >> bit & 1 == 1);
            f.write_str(&days.map(|(_, name)| *name).collect::<Vec<_>>().join(","))?;
        }
        let clock = |seconds: i64| format!("{:02}:{:02}", seconds / 3600 % 24, seconds / 60 % 60);
        write!(f, " {}-{}", clock(self.from), clock(self.from + self.length.as_secs()))
    }
}

/// Seconds after midnight of `HH:MM`; 24:00 is the end of the day.
fn clock(text: &str) -> Option<i64> {
    let (hours, minutes) = text.split_once(':')?;
    let (hours, minutes): (i64, i64) = (hours.parse().ok()?, minutes.parse().ok()?);
    let valid =
        (0..24).contains(&hours) && (0..60).contains(&minutes) || (hours, minutes) == (24, 0);
    valid.then_some(hours * 3600 + minutes * 60)
}

impl Serialize for Window {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Window {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Text that is no maintenance window.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no maintenance window: write days and hours in UTC, such as \"Sat,Sun 02:00-04:00\" or \"daily 22:00-02:00\""
)]
pub struct InvalidWindow(String);

/// A time in which nothing is touched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Freeze {
    /// It begins, in RFC 3339.
    pub from: Timestamp,
    /// It ends.
    pub until: Timestamp,
}

/// When a target may get what is to be rolled out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening {
    /// Now.
    Open,
    /// Now, although its calendar says no: what it serves would lapse.
    Forced,
    /// Not before then.
    Closed(Timestamp),
}

/// Whether a target with `calendar` may be touched at `now`, while what it serves is valid from
/// `not_before` to `not_after` (none: it serves nothing of ours, and has nothing to lose by waiting).
#[must_use]
pub fn opening(
    calendar: &Calendar,
    served: Option<(Timestamp, Timestamp)>,
    now: Timestamp,
) -> Opening {
    let opens = calendar.opens(now);
    if opens == Some(now) {
        return Opening::Open;
    }
    let last = served.map(|(from, to)| last_part(from, to));
    match (opens, last) {
        (_, Some(last)) if last <= now => Opening::Forced,
        (Some(opens), Some(last)) => Opening::Closed(opens.min(last)),
        (None, Some(last)) => Opening::Closed(last),
        (Some(opens), None) => Opening::Closed(opens),
        (None, None) => Opening::Closed(plus(now, SignedDuration::from_hours(24))),
    }
}

/// When the last part begins of the life of what is valid from `not_before` to `not_after`: from
/// then on, what holds a rotation up must not.
pub(crate) fn last_part(not_before: Timestamp, not_after: Timestamp) -> Timestamp {
    not_after - not_after.duration_since(not_before) / LAST_PART
}

const DAY: i64 = 86_400;
/// With this part of its life left, a certificate waits for no window.
const LAST_PART: i32 = 20;
const NAMES: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("an instant")
    }

    fn weekend() -> Calendar {
        let windows = vec!["Sat,Sun 02:00-04:00".parse().expect("a window")];
        Calendar { windows, freezes: Vec::new() }
    }

    #[test]
    fn windows_read_back_as_written() {
        for text in ["Sat,Sun 02:00-04:00", "daily 22:00-02:00", "Mon 00:00-00:00"] {
            let window: Window = text.parse().expect(text);
            assert_eq!(window.to_string(), text);
        }
        for text in
            ["", "Sat", "Sat 2-4", "Caturday 02:00-04:00", "Sat 25:00-26:00", "Sat 24:00-02:00"]
        {
            assert!(text.parse::<Window>().is_err(), "{text}");
        }
    }

    #[test]
    fn windows_end_when_the_last_of_them_does() {
        let windows = |texts: &[&str]| -> Vec<Window> {
            texts.iter().map(|text| text.parse().expect("a window")).collect()
        };
        let at = |text: &str| text.parse::<Timestamp>().expect("a time");
        let nights = windows(&["daily 22:00-02:00", "Sat 01:00-06:00"]);
        for (now, end) in [
            ("2026-11-27T21:59:59Z", "2026-11-27T21:59:59Z"),
            ("2026-11-27T22:00:00Z", "2026-11-28T06:00:00Z"),
            ("2026-11-28T01:59:59Z", "2026-11-28T06:00:00Z"),
            ("2026-11-28T06:00:00Z", "2026-11-28T06:00:00Z"),
            ("2026-11-29T01:00:00Z", "2026-11-29T02:00:00Z"),
        ] {
            assert_eq!(all_closed(&nights, at(now)), Some(at(end)), "{now}");
        }
        let always = windows(&["daily 00:00-12:00", "daily 12:00-24:00"]);
        assert_eq!(all_closed(&always, at("2026-11-27T21:59:59Z")), None);
    }

    #[test]
    fn a_window_opens_on_its_days() {
        let opens = |now| weekend().opens(at(now)).expect("within a year");
        // 2026-11-24 is a Tuesday.
        assert_eq!(opens("2026-11-24T12:00:00Z"), at("2026-11-28T02:00:00Z"));
        assert_eq!(opens("2026-11-28T03:59:59Z"), at("2026-11-28T03:59:59Z"));
        assert_eq!(opens("2026-11-28T04:00:00Z"), at("2026-11-29T02:00:00Z"));
        let night = Calendar {
            windows: vec!["Fri 22:00-02:00".parse().expect("a window")],
            freezes: Vec::new(),
        };
        let late = at("2026-11-28T01:00:00Z");
        assert_eq!(night.opens(late), Some(late), "it began the day before");
    }

    #[test]
    fn a_freeze_closes_what_is_open() {
        let freeze = Freeze { from: at("2026-11-27T00:00:00Z"), until: at("2026-11-29T03:00:00Z") };
        let calendar = Calendar { freezes: vec![freeze], ..weekend() };
        let opens = calendar.opens(at("2026-11-28T03:00:00Z"));
        assert_eq!(opens, Some(at("2026-11-29T03:00:00Z")));
        let always = Calendar { windows: Vec::new(), ..calendar };
        assert_eq!(always.opens(at("2026-11-26T00:00:00Z")), Some(at("2026-11-26T00:00:00Z")));
    }

    #[test]
    fn waiting_ends_before_a_certificate_lapses() {
        let served = Some((at("2026-11-04T00:00:00Z"), at("2026-11-24T00:00:00Z")));
        let open = |now| opening(&weekend(), served, at(now));
        assert_eq!(open("2026-11-19T00:00:00Z"), Opening::Closed(at("2026-11-21T02:00:00Z")));
        assert_eq!(open("2026-11-22T12:00:00Z"), Opening::Closed(at("2026-11-23T00:00:00Z")));
        assert_eq!(open("2026-11-23T00:00:00Z"), Opening::Forced);
        assert_eq!(open("2026-11-21T02:30:00Z"), Opening::Open);
    }
}
