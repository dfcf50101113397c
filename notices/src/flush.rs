//! When a receiver is told, and of what: what waits goes together, and not more often than people
//! can read.

use jiff::{SignedDuration, Timestamp};

use crate::kind::Severity;
use crate::message::{self, Message};
use crate::notice::{Notice, State};

/// Until when a receiver is told nothing but emergencies; `None`: it may be told now. `quiet` is the
/// end of the quiet time that it is in, `sent` when the latest messages to it were made.
#[must_use]
pub fn held_until(
    quiet: Option<Timestamp>,
    sent: &[Timestamp],
    now: Timestamp,
) -> Option<Timestamp> {
    let recent = || sent.iter().filter(|at| now.duration_since(**at) < HOUR && **at <= now);
    let crowded = recent().count() >= FEW;
    let rested = recent().max().filter(|_| crowded).map(|latest| *latest + PAUSE);
    quiet.into_iter().chain(rested).filter(|until| *until > now).max()
}

/// What a receiver is told now, and what becomes of its notices.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// What is sent.
    pub messages: Vec<Message>,
    /// Notices as they are stored after it.
    pub put: Vec<Notice>,
    /// Notices that are stored no more.
    pub dropped: Vec<Notice>,
}

/// Until when the notices are that may go into a message now: those that are due within `wait`, and the
/// reminders of the next part of `repeat`, so that many of them become one.
#[must_use]
pub fn horizon(wait: SignedDuration, repeat: SignedDuration, now: Timestamp) -> Timestamp {
    now + wait.max(repeat / SLACK)
}

/// What a receiver is told now of these notices, as far as their [`horizon`]. A trouble that lasts is
/// told again after `repeat`.
#[must_use]
pub fn flush(
    notices: Vec<Notice>,
    wait: SignedDuration,
    repeat: SignedDuration,
    now: Timestamp,
) -> Plan {
    let mut plan = Plan::default();
    let mut told = Vec::new();
    // What nobody was told of has its time: it may mend itself.
    let ripe = |notice: &Notice| notice.due_at <= now + wait || notice.told_at.is_some();
    for notice in notices.into_iter().filter(ripe) {
        let reminder = notice.told_at.is_some_and(|at| at + repeat <= now + repeat / SLACK);
        match notice.state {
            State::Open if notice.is_news() || reminder => told.push(notice),
            // It was told as it is now, in the meantime.
            State::Open => {
                let due_at = notice.told_at.unwrap_or(now) + repeat;
                plan.put.push(Notice { due_at, ..notice });
            }
            State::Over | State::Once => told.push(notice),
        }
    }
    plan.messages = message::compose(&told);
    for mut notice in told {
        match notice.state {
            State::Open => {
                let digest = notice.digest();
                if notice.is_news() {
                    notice.told.push(digest);
                }
                plan.put.push(Notice { told_at: Some(now), due_at: now + repeat, ..notice });
            }
            State::Over | State::Once => plan.dropped.push(notice),
        }
    }
    plan
}

impl Notice {
    /// Whether it is told in quiet times too.
    #[must_use]
    pub fn is_urgent(&self) -> bool {
        self.severity == Severity::Emergency
    }
}

/// How long before its time a trouble is told again, as a part of that time, if others are: so
/// many reminders become one.
const SLACK: i32 = 24;
const HOUR: SignedDuration = SignedDuration::from_hours(1);
/// After so many messages within an hour, a receiver is left alone for a while.
const FEW: usize = 6;
const PAUSE: SignedDuration = SignedDuration::from_mins(10);
