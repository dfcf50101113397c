//! A notice: what one receiver is to be told of one trouble or happening. Events change it; what was
//! told already is remembered, so that the same is not told twice.

use jiff::{SignedDuration, Timestamp};

use crate::kind::{Effect, Kind, Severity};

/// Something that happened, as far as people need to know it.
#[derive(Clone, Debug)]
pub struct Happening {
    /// As the audit log calls it.
    pub event: String,
    /// To what: `managed/shop`, `keyset/auth`.
    pub subject: String,
    /// The part of the subject that it is about: a target. Troubles of parts are apart.
    pub part: Option<String>,
    /// The rotation it is part of.
    pub rotation: Option<i64>,
    /// What was seen, in a line. Not trusted, and no secret.
    pub text: String,
    /// When.
    pub at: Timestamp,
}

/// What one receiver is to be told of one trouble, or was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// To what it happened.
    pub subject: String,
    /// The trouble and its part; of a happening, the event.
    pub topic: String,
    /// The latest event.
    pub event: String,
    /// The latest rotation.
    pub rotation: Option<i64>,
    /// How grave it is.
    pub severity: Severity,
    /// What was seen the last time.
    pub text: String,
    /// Whether it lasts.
    pub state: State,
    /// When it began.
    pub since: Timestamp,
    /// When it was last seen.
    pub seen_at: Timestamp,
    /// How often it was seen.
    pub count: u32,
    /// What was told of it, digested.
    pub told: Vec<u64>,
    /// When something was told of it last.
    pub told_at: Option<Timestamp>,
    /// When it is to be told.
    pub due_at: Timestamp,
}

/// What has become of a trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// It lasts.
    Open,
    /// It is no trouble: it happened.
    Once,
    /// It is over, and whoever was told of it is to know.
    Over,
}

impl State {
    /// How it is stored.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Over => "over",
            Self::Once => "once",
        }
    }

    /// The state of a name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        [Self::Open, Self::Over, Self::Once].into_iter().find(|state| state.name() == name)
    }
}

/// What becomes of a receiver's notices on a subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// It is stored, new or in place of the one before.
    Put(Notice),
    /// The one with this topic is stored no more: nobody was told of it.
    Drop(String),
}

/// What an event changes of the notices on its subject. `told` is whether the receiver wants to be
/// told of it; what it ends ends all the same. Happenings wait for `wait`, so that more of them
/// go together; troubles for the patience of their kind, if that is longer. `repeat` is how often
/// a trouble that lasts is told again.
#[must_use]
pub fn happen(
    notices: &[Notice],
    kind: &Kind,
    happening: &Happening,
    told: bool,
    wait: SignedDuration,
    repeat: SignedDuration,
) -> Vec<Change> {
    let due_at = happening.at + wait.max(kind.patience);
    match kind.effect {
        Effect::Begins(name) => {
            let topic = topic(name, happening);
            match notices.iter().find(|notice| notice.topic == topic) {
                Some(old) => vec![Change::Put(again(old, kind, happening, due_at, repeat))],
                None if told => {
                    vec![Change::Put(fresh(topic, State::Open, kind, happening, due_at))]
                }
                None => Vec::new(),
            }
        }
        Effect::Happens if told => vec![Change::Put(once(notices, kind, happening, due_at))],
        Effect::Happens => Vec::new(),
        Effect::Ends(name) => {
            let topic = topic(name, happening);
            end(notices, kind, happening, told, |old| old.topic == topic, due_at)
        }
        Effect::EndsAll => end(notices, kind, happening, told, |_| true, due_at),
    }
}

/// Troubles end. Whoever is told of that is not told besides that it happened.
fn end(
    notices: &[Notice],
    kind: &Kind,
    happening: &Happening,
    told: bool,
    ends: impl Fn(&Notice) -> bool,
    due_at: Timestamp,
) -> Vec<Change> {
    let ended = notices.iter().filter(|old| ends(old));
    let mut changes: Vec<_> = ended.filter_map(|old| over(old, happening, due_at)).collect();
    let is_told = changes.iter().any(|change| matches!(change, Change::Put(_)));
    if told && !is_told {
        changes.push(Change::Put(once(notices, kind, happening, due_at)));
    }
    changes
}

/// What only happens, perhaps not for the first time since it was told.
fn once(notices: &[Notice], kind: &Kind, happening: &Happening, due_at: Timestamp) -> Notice {
    match notices.iter().find(|notice| notice.topic == kind.event) {
        Some(old) => again(old, kind, happening, old.due_at, SignedDuration::ZERO),
        None => fresh(kind.event.into(), State::Once, kind, happening, due_at),
    }
}

fn topic(name: &str, happening: &Happening) -> String {
    match &happening.part {
        Some(part) => format!("{name}/{part}"),
        None => name.to_owned(),
    }
}

fn fresh(
    topic: String,
    state: State,
    kind: &Kind,
    happening: &Happening,
    due_at: Timestamp,
) -> Notice {
    Notice {
        subject: happening.subject.clone(),
        topic,
        event: happening.event.clone(),
        rotation: happening.rotation,
        severity: kind.severity,
        text: one_line(&happening.text),
        state,
        since: happening.at,
        seen_at: happening.at,
        count: 1,
        told: Vec::new(),
        told_at: None,
        due_at,
    }
}

/// A trouble that was seen again, perhaps otherwise than before.
fn again(
    old: &Notice,
    kind: &Kind,
    happening: &Happening,
    due_at: Timestamp,
    repeat: SignedDuration,
) -> Notice {
    let was_over = old.state == State::Over;
    let mut notice = Notice {
        event: happening.event.clone(),
        rotation: happening.rotation.or(old.rotation),
        severity: kind.severity,
        text: one_line(&happening.text),
        state: if was_over { State::Open } else { old.state },
        seen_at: happening.at.max(old.seen_at),
        count: old.count.saturating_add(1),
        ..old.clone()
    };
    notice.due_at = match notice.told_at {
        // Nobody heard that it was over: it never was.
        Some(told_at) if was_over && !notice.is_news() => told_at + repeat,
        _ if was_over => due_at,
        _ if notice.is_news() => old.due_at.min(due_at),
        _ => old.due_at,
    };
    notice
}

/// A trouble that has ended.
fn over(old: &Notice, happening: &Happening, due_at: Timestamp) -> Option<Change> {
    match old.state {
        State::Open if old.told.is_empty() => Some(Change::Drop(old.topic.clone())),
        State::Open => Some(Change::Put(Notice {
            event: happening.event.clone(),
            rotation: happening.rotation.or(old.rotation),
            state: State::Over,
            seen_at: happening.at.max(old.seen_at),
            due_at,
            ..old.clone()
        })),
        State::Over | State::Once => None,
    }
}

impl Notice {
    /// Whether nothing like it was told yet. Numbers make no difference: retries count, ports and
    /// times change. After a few changes it is no news any more that something is said otherwise.
    #[must_use]
    pub fn is_news(&self) -> bool {
        self.told.len() < MAX_TOLD && !self.told.contains(&self.digest())
    }

    /// What is told of it, without what makes no difference. Stored: it must not change.
    #[must_use]
    pub fn digest(&self) -> u64 {
        let severity = self.severity.name();
        let text = format!("{severity}\n{}\n{}", self.event, self.essence());
        // FNV-1a.
        text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        })
    }

    /// What was seen, with a mark in place of every word that has a digit.
    #[must_use]
    pub fn essence(&self) -> String {
        let words = self.text.split(|c: char| !c.is_alphanumeric());
        let words = words
            .filter(|word| !word.is_empty())
            .map(|word| if word.bytes().any(|byte| byte.is_ascii_digit()) { "#" } else { word });
        words.collect::<Vec<_>>().join(" ")
    }
}

/// Text as it may stand in a message: one line of bounded length, without what controls a terminal
/// or a mail.
#[must_use]
pub fn one_line(text: &str) -> String {
    // Those that turn the direction of writing show another text than is there.
    let turns = |c: &char| matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let plain = text.chars().filter(|c| !turns(c)).map(|c| if c.is_control() { ' ' } else { c });
    let mut line: String = plain.take(MAX_TEXT).collect();
    if text.chars().count() > MAX_TEXT {
        line.push('…');
    }
    line.trim().to_owned()
}

/// Ways in which one trouble was told.
const MAX_TOLD: usize = 8;
/// Characters of what was seen.
const MAX_TEXT: usize = 300;
