//! The moment of renewal: chosen once for each version, stored, and then kept. A share of the
//! lifetime, unless the CA suggests a window (RFC 9773).

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::jitter;

/// How much of a certificate's life is spent before it is renewed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Share {
    /// Two thirds; a half of lives under ten days.
    #[default]
    Usual,
    /// Whatever is left of it when so many seconds of it are left, if that is later than half of
    /// its life.
    Before(i64),
}

/// When to renew a certificate valid from `not_before` to `not_after`: its share spent, but up to a
/// sixth of its life earlier, by `seed`, so that what was issued together is not renewed together.
///
/// Each row has a beat of its own: instants a little closer to each other than the share is long,
/// so that whoever renews on one can renew on the next, although issuers date back. Until a row
/// can reach one, it comes early by always the same part, which moves it towards one: drawn anew
/// each time, moments would take years to spread, cost orders for ever, and be in no forecast.
#[must_use]
pub fn of_lifetime(
    share: Share,
    not_before: Timestamp,
    not_after: Timestamp,
    seed: u64,
) -> Timestamp {
    let life = not_after.duration_since(not_before).max(SignedDuration::ZERO);
    let spent = match share {
        Share::Usual if life < SHORT => life / 2,
        Share::Usual => life / 3 * 2,
        Share::Before(seconds) => {
            life.saturating_sub(SignedDuration::from_secs(seconds)).clamp(life / 2, life)
        }
    };
    let (room, due) = (life / SPREAD, not_before + spent);
    let apart = spent - life / SLACK;
    let beat = jitter::part(apart, seed, 0).as_secs();
    let past = (due.as_second() - beat).rem_euclid(apart.as_secs().max(1));
    let past = SignedDuration::from_secs(past);
    due - if past <= room { past } else { jitter::part(room, seed, 1) }
}

/// A window in which the CA wishes to see a certificate renewed (RFC 9773 §4.2), and the moment
/// chosen in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suggestion {
    /// The window begins.
    pub start: Timestamp,
    /// The window ends.
    pub end: Timestamp,
    /// When the renewal is to be: somewhere in the window, and never chosen again for this window.
    pub chosen: Timestamp,
    /// Where the CA explains itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub explanation: Option<String>,
}

impl Suggestion {
    /// A moment in a window, by `seed`. The same window gives the same moment, whoever asks and
    /// how often: moments drawn anew at each poll would cluster at the window's beginning.
    #[must_use]
    pub fn within(
        start: Timestamp,
        end: Timestamp,
        explanation: Option<String>,
        seed: u64,
    ) -> Self {
        let width = end.duration_since(start).max(SignedDuration::ZERO);
        let turn =
            start.as_second().unsigned_abs() ^ end.as_second().unsigned_abs().rotate_left(32);
        Self { start, end, chosen: start + jitter::part(width, seed, turn), explanation }
    }

    /// When to renew a certificate that ends at `not_after`: the chosen moment, but no later than
    /// with a twentieth of its life left, whatever the CA says.
    #[must_use]
    pub fn moment(&self, not_before: Timestamp, not_after: Timestamp) -> Timestamp {
        self.chosen.min(not_after - not_after.duration_since(not_before) / 20)
    }
}

/// `wait` after `at`, or the last instant there is.
pub(crate) fn plus(at: Timestamp, wait: SignedDuration) -> Timestamp {
    at.saturating_add(wait).unwrap_or(Timestamp::MAX)
}

/// Lives below this are renewed at half.
const SHORT: SignedDuration = SignedDuration::from_hours(10 * 24);
/// The part of a life over which renewals are spread.
const SPREAD: i32 = 6;
/// The part of a life by which an issuer may date back, or be slow.
const SLACK: i32 = 40;

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: SignedDuration = SignedDuration::from_hours(24);

    fn days(n: i32) -> Timestamp {
        Timestamp::UNIX_EPOCH + DAY * n
    }

    #[test]
    fn two_thirds_of_a_long_life_and_half_of_a_short_one() {
        let long = of_lifetime(Share::Usual, days(0), days(90), 3);
        assert!(long <= days(60) && long >= days(45), "{long}");
        let short = of_lifetime(Share::Usual, days(0), days(6), 3);
        assert!(short <= days(3) && short >= days(2), "{short}");
        let before = of_lifetime(Share::Before(86_400 * 10), days(0), days(100), 3);
        assert!(before <= days(90) && before > days(73), "{before}");
        let greedy = of_lifetime(Share::Before(86_400 * 99), days(0), days(100), 3);
        assert!(greedy > days(33), "never in the first half of its life, but for the spread");
    }

    #[test]
    fn a_row_finds_its_beat_and_keeps_it() {
        for seed in 0..100 {
            let (mut at, mut waits) = (days(0), Vec::new());
            for _ in 0..60 {
                // Dated back by an hour, and a minute late.
                let from = at - SignedDuration::from_mins(59);
                let moment = of_lifetime(Share::Usual, from, from + DAY * 90, seed);
                waits.push(moment.duration_since(at));
                at = moment;
            }
            let apart = DAY * 60 - DAY * 90 / SLACK;
            assert!(waits.iter().all(|wait| (DAY * 44..=DAY * 60).contains(wait)));
            assert!(waits[50..].iter().all(|wait| *wait == apart), "{seed}: {waits:?}");
        }
    }

    #[test]
    fn a_window_keeps_its_moment_until_it_moves() {
        let choose = |start, end| Suggestion::within(days(start), days(end), None, 9);
        assert_eq!(choose(10, 12), choose(10, 12));
        let first = choose(10, 12);
        assert!(first.chosen >= days(10) && first.chosen < days(12));
        assert_eq!(choose(5, 5).chosen, days(5), "a window of no width is a moment");
    }

    #[test]
    fn no_suggestion_lets_a_certificate_lapse() {
        let late = Suggestion::within(days(95), days(99), None, 9);
        assert_eq!(late.moment(days(0), days(100)), days(95));
        let after = Suggestion::within(days(200), days(201), None, 9);
        assert_eq!(after.moment(days(0), days(100)), days(95));
    }
}
