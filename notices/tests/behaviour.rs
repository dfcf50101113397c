//! What one receiver reads over virtual time: nothing lost, nothing twice, never too much.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use notices::{
    Change, Effect, Happening, KINDS, Kind, Message, Notice, Severity, State, flush, for_chat,
    happen, held_until, horizon,
};
use proptest::prelude::*;

/// A receiver, and what it was told.
struct Receiver {
    now: Timestamp,
    /// Since when and until when nothing but emergencies is told.
    quiet: Option<(Timestamp, Timestamp)>,
    notices: BTreeMap<(String, String), Notice>,
    told: Vec<(Timestamp, Message)>,
}

impl Receiver {
    fn new() -> Self {
        Self { now: Timestamp::UNIX_EPOCH, quiet: None, notices: BTreeMap::new(), told: Vec::new() }
    }

    fn event(&mut self, event: &str, subject: &str, text: &str, rotation: Option<i64>) {
        self.event_of(event, subject, None, text, rotation);
    }

    fn event_of(
        &mut self,
        event: &str,
        subject: &str,
        part: Option<&str>,
        text: &str,
        rotation: Option<i64>,
    ) {
        let kind = Kind::of(event).expect("a kind");
        let happening = Happening {
            event: event.to_owned(),
            subject: subject.to_owned(),
            part: part.map(str::to_owned),
            rotation,
            text: text.to_owned(),
            at: self.now,
        };
        let of_subject = self.notices.values().filter(|n| n.subject == subject);
        let of_subject: Vec<_> = of_subject.cloned().collect();
        let told = kind.severity >= Severity::Warning;
        for change in happen(&of_subject, kind, &happening, told, WAIT, REPEAT) {
            match change {
                Change::Put(n) => {
                    self.notices.insert((n.subject.clone(), n.topic.clone()), n);
                }
                Change::Drop(topic) => {
                    self.notices.remove(&(subject.to_owned(), topic));
                }
            }
        }
    }

    fn pass(&mut self, seconds: i64) {
        let until = self.now + SignedDuration::from_secs(seconds);
        while self.now < until {
            let next = self.notices.values().map(|n| n.due_at).min().unwrap_or(until);
            self.now = next.max(self.now + SignedDuration::from_secs(5)).min(until);
            self.work();
        }
    }

    /// What the program does each second.
    fn work(&mut self) {
        if !self.notices.values().any(|n| n.due_at <= self.now) {
            return;
        }
        let quiet = self.quiet.filter(|(from, until)| *from <= self.now && self.now < *until);
        let sent: Vec<_> = self.told.iter().map(|(at, _)| *at).collect();
        let held = held_until(quiet.map(|(_, until)| until), &sent, self.now).is_some();
        let due = |n: &Notice| !held || n.is_urgent();
        if !self.notices.values().any(|n| n.due_at <= self.now && due(n)) {
            return;
        }
        let until = horizon(WAIT, REPEAT, self.now);
        let taken = self.notices.values().filter(|n| n.due_at <= until && due(n));
        let plan = flush(taken.cloned().collect(), WAIT, REPEAT, self.now);
        for notice in plan.put {
            self.notices.insert((notice.subject.clone(), notice.topic.clone()), notice);
        }
        for notice in plan.dropped {
            self.notices.remove(&(notice.subject, notice.topic));
        }
        self.told.extend(plan.messages.into_iter().map(|message| (self.now, message)));
    }

    fn titles(&self) -> Vec<&str> {
        self.told.iter().map(|(_, message)| message.title.as_str()).collect()
    }
}

#[test]
fn what_belongs_to_one_rotation_is_told_in_one_message() {
    let mut ops = Receiver::new();
    ops.event("rotation.revert", "managed/shop", "", Some(7));
    ops.pass(10);
    ops.event("rotation.fail", "managed/shop", "edge-a serves another certificate", Some(7));
    ops.pass(600);
    assert_eq!(ops.titles(), ["managed/shop: a rotation failed, and 1 more"]);
    let text = &ops.told[0].1.text;
    assert!(text.contains("edge-a serves another") && text.contains("rotation 7"), "{text}");
    assert!(ops.told[0].0 <= Timestamp::UNIX_EPOCH + WAIT + SignedDuration::from_secs(10));
}

#[test]
fn the_same_failure_is_told_once_then_daily_and_once_when_it_is_over() {
    let mut ops = Receiver::new();
    for retry in 0..50 {
        let why = format!("issuer le: connection 127.0.0.1:{} refused", 40_000 + retry);
        ops.event("rotation.fail", "managed/shop", &why, Some(retry));
        ops.pass(3600);
    }
    let told = ["managed/shop: a rotation failed", "managed/shop: still: a rotation failed"];
    assert_eq!(ops.titles(), [told[0], told[1], told[1]], "numbers are no news");
    ops.event("rotation.fail", "managed/shop", "issuer le: unauthorized", Some(60));
    ops.pass(3600);
    assert_eq!(ops.titles().len(), 4, "another reason is");
    ops.event("rotation.prove", "managed/shop", "", Some(61));
    ops.pass(3 * 86_400);
    assert_eq!(ops.titles()[4..], ["managed/shop: resolved: every target is proven to serve it"]);
    assert!(ops.notices.is_empty());
}

#[test]
fn what_mends_itself_before_anybody_was_told_is_not_told() {
    let mut ops = Receiver::new();
    ops.event_of("placement.drift", "managed/shop", Some("edge-a"), "", None);
    ops.event_of("placement.unreachable", "managed/shop", Some("edge-b"), "", None);
    ops.pass(20);
    ops.event_of("placement.restored", "managed/shop", Some("edge-a"), "", None);
    ops.pass(300);
    ops.event_of("placement.restored", "managed/shop", Some("edge-b"), "", None);
    ops.pass(86_400);
    assert!(ops.told.is_empty(), "{:?}", ops.titles());
}

#[test]
fn ten_thousand_failures_are_one_bounded_message() {
    let mut ops = Receiver::new();
    for number in 0..10_000 {
        let name = format!("managed/c-{number}");
        ops.event("rotation.fail", &name, "issuer le: connection refused", Some(number));
    }
    ops.event("placement.drift", "managed/shop", "", None);
    ops.pass(3600);
    assert_eq!(ops.titles(), ["10000 times: a rotation failed, and 1 more"]);
    let text = &ops.told[0].1.text;
    assert!(text.len() < 2000 && text.contains("and 9990 more"), "{text}");
    assert!(text.contains("managed/shop: a target serves or holds something else"), "{text}");
    ops.pass(2 * 86_400);
    assert_eq!(ops.told.len(), 3, "and one reminder a day");
}

#[test]
fn reminders_of_what_failed_one_after_the_other_go_together() {
    let mut ops = Receiver::new();
    for number in 0..200 {
        ops.event("rotation.fail", &format!("managed/c-{number}"), "no answer", None);
        ops.pass(10);
    }
    ops.pass(3600);
    let first = ops.told.len();
    assert!(first <= 12, "{:?}", ops.titles());
    ops.event("placement.unreachable", "managed/shop", "", None);
    ops.pass(86_400);
    let titles = ops.titles();
    let reminders: Vec<_> = titles[first..].iter().filter(|t| t.contains("still")).collect();
    assert_eq!(reminders.len(), 1, "{titles:?}");
    assert!(titles[first].contains("cannot be looked at"), "{titles:?}");
}

#[test]
fn a_quiet_time_holds_up_all_but_emergencies() {
    let mut ops = Receiver::new();
    let end = ops.now + SignedDuration::from_hours(2);
    ops.quiet = Some((ops.now, end));
    ops.event("rotation.fail", "managed/shop", "", None);
    ops.event("placement.drift", "managed/mail", "", None);
    ops.pass(60);
    ops.event("keyset.emergency", "keyset/auth", "", None);
    ops.event("rotation.prove", "managed/shop", "", None);
    ops.pass(3600);
    assert_eq!(ops.titles(), ["keyset/auth: a key was taken out, and a fresh one signs"]);
    ops.pass(3600);
    assert_eq!(ops.titles()[1..], ["managed/mail: a target serves or holds something else"]);
    assert!(ops.told[1].0 >= end);
}

#[test]
fn a_chat_is_not_told_to_call_or_link_anybody() {
    let mut ops = Receiver::new();
    ops.event("rotation.fail", "managed/shop", "<!channel> a&b @all\r\nx [y](https://z)", None);
    ops.pass(60);
    let text = for_chat(&ops.told[0].1);
    assert!(text.contains("&lt;!\u{200b}channel&gt; a&amp;b @\u{200b}all  x"), "{text}");
    assert!(!text.contains("](") && !text.contains("://"), "{text}");
    let long = Message { text: "a line\n".repeat(10_000), ..ops.told[0].1.clone() };
    assert!(for_chat(&long).len() < 4000);
}

#[test]
fn each_kind_is_there_once_and_what_begins_can_end() {
    for (place, kind) in KINDS.iter().enumerate() {
        assert!(!KINDS[..place].iter().any(|other| other.event == kind.event), "{}", kind.event);
        let subjects = kind.event.split('.').next();
        if let Effect::Begins(name) = kind.effect {
            let ends = KINDS.iter().any(|other| match other.effect {
                Effect::Ends(ended) => ended == name,
                Effect::EndsAll => subjects != Some("keyset") || other.event.starts_with("keyset"),
                _ => false,
            });
            assert!(ends, "{name}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever happens: troubles that last are told in time, those that do not leave nothing, nobody
    /// is told more than can be read, and a message is always short.
    #[test]
    fn nothing_is_lost_and_nobody_is_flooded(
        steps in prop::collection::vec((0..8_usize, 0..6_u8, 0..4_u8, 1..2000_i64), 1..120)
    ) {
        let mut ops = Receiver::new();
        let events = [
            "rotation.fail", "rotation.prove", "placement.drift", "placement.restored",
            "rotation.revert", "keyset.unplaced", "keyset.place", "rotation.begin",
        ];
        for (event, subject, why, seconds) in steps {
            let (event, why) = (events[event], ["a", "b", "c", "d"][usize::from(why)]);
            let kind = if event.starts_with("keyset") { "keyset" } else { "managed" };
            ops.event(event, &format!("{kind}/s{subject}"), why, Some(i64::from(subject)));
            ops.pass(seconds);
        }
        ops.pass(3600);
        for notice in ops.notices.values() {
            prop_assert_eq!(notice.state, State::Open);
            prop_assert!(!notice.told.is_empty(), "an hour later, it was told");
            prop_assert!(!notice.is_news() || notice.told.len() < 8);
            prop_assert!(notice.due_at > ops.now && notice.due_at <= ops.now + REPEAT);
        }
        for (at, message) in &ops.told {
            let hour = ops.told.iter().filter(|(other, _)| {
                *other >= *at && *other < *at + SignedDuration::from_hours(1)
            });
            prop_assert!(hour.count() <= 24);
            prop_assert!(message.text.len() < 10_000 && message.title.len() < 500);
        }
        // All ends, and is told, and nothing remains.
        for subject in 0..6 {
            ops.event("rotation.prove", &format!("managed/s{subject}"), "", None);
            ops.event("keyset.place", &format!("keyset/s{subject}"), "", None);
            ops.event("keyset.undeclare", &format!("keyset/s{subject}"), "", None);
            for target in [None, Some("x")] {
                ops.event_of("placement.restored", &format!("managed/s{subject}"), target, "", None);
            }
        }
        ops.pass(3600);
        prop_assert!(ops.notices.is_empty(), "{:?}", ops.notices);
    }
}

const WAIT: SignedDuration = SignedDuration::from_secs(30);
const REPEAT: SignedDuration = SignedDuration::from_hours(24);
