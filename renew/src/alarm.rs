//! When somebody is told that a certificate ends soon: levels that follow each other as its life is
//! spent. A time before the end counts as far as the life allows: thirty days are no warning for a
//! certificate that lives for thirty-one.

use std::fmt;
use std::str::FromStr;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// How near an end is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// Far enough.
    #[default]
    Far,
    /// Somebody should plan for it.
    Notice,
    /// Somebody should act.
    Urgent,
    /// It is over.
    Expired,
}

impl Level {
    /// Its word.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Far => "far",
            Self::Notice => "notice",
            Self::Urgent => "urgent",
            Self::Expired => "expired",
        }
    }

    /// The level of this word.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        [Self::Far, Self::Notice, Self::Urgent, Self::Expired]
            .into_iter()
            .find(|l| l.name() == name)
    }
}

/// How long before an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lead {
    /// So long, or the longest share that its use allows.
    Time(SignedDuration),
    /// So many hundredths of the certificate's life.
    Percent(u8),
}

impl Lead {
    /// The time before the end of something that lives for `life`; of a [`Lead::Time`] no more than
    /// one part in `parts`.
    fn of(self, life: SignedDuration, parts: i32) -> SignedDuration {
        match self {
            Self::Time(time) => time.min(life / parts),
            Self::Percent(percent) => life / 100 * i32::from(percent),
        }
    }
}

impl fmt::Display for Lead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Time(time) => f.write_str(&ca::duration::format(*time)),
            Self::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

impl FromStr for Lead {
    type Err = String;

    /// `30d`, or `20%`.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!("{text:?} is no lead: write a time such as 30d, up to ten years, or 1% to 99%")
        };
        if let Some(percent) = text.strip_suffix('%') {
            let percent = percent.parse().ok().filter(|percent| (1..100).contains(percent));
            return percent.map(Self::Percent).ok_or_else(wrong);
        }
        let time = ca::duration::parse(text).map_err(|_| wrong())?;
        if time.is_positive() && time <= LONGEST { Ok(Self::Time(time)) } else { Err(wrong()) }
    }
}

impl Serialize for Lead {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Lead {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}

/// When which level begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leads {
    /// A time counts up to a third of the life.
    pub notice: Lead,
    /// A time counts up to a tenth of the life.
    pub urgent: Lead,
}

impl Leads {
    /// How near the end of what lives from `from` until `until` is.
    #[must_use]
    pub fn level(&self, from: Timestamp, until: Timestamp, now: Timestamp) -> Level {
        let left = until.duration_since(now);
        let life = until.duration_since(from).max(SignedDuration::ZERO);
        if left.is_negative() {
            Level::Expired
        } else if left <= self.urgent.of(life, 10) {
            Level::Urgent
        } else if left <= self.notice.of(life, 3) {
            Level::Notice
        } else {
            Level::Far
        }
    }

    /// How long before an end, at the most, any level but the first begins; none where it depends on
    /// the life.
    #[must_use]
    pub fn longest(&self) -> Option<SignedDuration> {
        match (self.notice, self.urgent) {
            (Lead::Time(notice), Lead::Time(urgent)) => Some(notice.max(urgent)),
            _ => None,
        }
    }
}

impl Default for Leads {
    fn default() -> Self {
        let days = |days: i64| Lead::Time(SignedDuration::from_hours(24 * days));
        Self { notice: days(30), urgent: days(7) }
    }
}

/// Ten years: nobody plans for longer.
const LONGEST: SignedDuration = SignedDuration::from_hours(10 * 366 * 24);

#[cfg(test)]
mod tests {
    use super::*;

    fn day(number: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_hours(24 * number)
    }

    #[test]
    fn levels_follow_each_other_to_the_end() {
        let leads = Leads::default();
        let level = |now| leads.level(day(0), day(398), now);
        for (at, expected) in [
            (0, Level::Far),
            (367, Level::Far),
            (368, Level::Notice),
            (390, Level::Notice),
            (391, Level::Urgent),
            (398, Level::Urgent),
        ] {
            assert_eq!(level(day(at)), expected, "day {at}");
        }
        // The last second is one of validity (RFC 5280 §4.1.2.5).
        assert_eq!(level(day(398) + SignedDuration::from_secs(1)), Level::Expired);
    }

    #[test]
    fn a_short_life_is_not_warned_of_from_its_beginning() {
        let leads = Leads::default();
        let level = |now| leads.level(day(0), day(30), now);
        assert_eq!(level(day(19)), Level::Far);
        assert_eq!(level(day(20)), Level::Notice);
        assert_eq!(level(day(27)), Level::Urgent);
    }

    #[test]
    fn a_share_counts_as_it_is() {
        let leads = Leads { notice: Lead::Percent(50), urgent: Lead::Percent(1) };
        assert_eq!(leads.level(day(0), day(100), day(49)), Level::Far);
        assert_eq!(leads.level(day(0), day(100), day(50)), Level::Notice);
        assert_eq!(leads.level(day(0), day(100), day(99)), Level::Urgent);
        assert_eq!(leads.longest(), None);
    }

    #[test]
    fn what_lives_backwards_has_expired_or_is_urgent() {
        let leads = Leads::default();
        assert_eq!(leads.level(day(9), day(5), day(6)), Level::Expired);
        assert_eq!(leads.level(day(9), day(5), day(5)), Level::Urgent);
    }

    #[test]
    fn leads_read_back_as_they_were_written() {
        for text in ["30d", "12h", "20%"] {
            assert_eq!(text.parse::<Lead>().expect("a lead").to_string(), text);
        }
        for text in ["", "0d", "-1d", "0%", "100%", "x%", "30 moons", "99999d"] {
            assert!(text.parse::<Lead>().is_err(), "{text}");
        }
    }
}
