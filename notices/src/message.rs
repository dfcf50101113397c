//! The words: notices become few messages of bounded length. What is like is told together.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt::Write;

use crate::kind::{Kind, Severity};
use crate::notice::{Notice, State, one_line};

/// What a receiver reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// What it is about, in a line.
    pub title: String,
    /// The rest, in lines.
    pub text: String,
    /// The gravest of what it tells.
    pub severity: Severity,
}

/// The messages that tell these notices: one for each rotation, or for each subject where there is
/// none; of more than a few, one for all.
pub(crate) fn compose(notices: &[Notice]) -> Vec<Message> {
    let mut groups: BTreeMap<String, Vec<&Notice>> = BTreeMap::new();
    for notice in notices {
        let key = match notice.rotation {
            Some(rotation) => format!("rotation/{rotation}"),
            None => notice.subject.clone(),
        };
        groups.entry(key).or_default().push(notice);
    }
    if groups.len() > MAX_APART {
        return vec![message(&notices.iter().collect::<Vec<_>>())];
    }
    let mut messages: Vec<_> = groups.values().map(|group| message(group)).collect();
    messages.sort_by_key(|message| Reverse(message.severity));
    messages
}

/// Notices that say the same of different subjects.
struct Like<'a> {
    first: &'a Notice,
    all: Vec<&'a Notice>,
}

fn message(notices: &[&Notice]) -> Message {
    let mut likes: BTreeMap<(Reverse<Severity>, State, u64), Like<'_>> = BTreeMap::new();
    for notice in notices {
        let key = (Reverse(shown(notice)), notice.state, notice.digest());
        let like = likes.entry(key).or_insert_with(|| Like { first: notice, all: Vec::new() });
        like.all.push(notice);
    }
    let likes: Vec<_> = likes.into_values().collect();
    let mut text = String::new();
    for like in likes.iter().take(MAX_LIKES) {
        describe(&mut text, like);
    }
    let left = likes.iter().skip(MAX_LIKES).map(|like| like.all.len()).sum::<usize>();
    if left > 0 {
        let _ = writeln!(text, "and {left} more of other kinds\n");
    }
    text.push_str("perennial status says what stands now.\n");
    let severity = notices.iter().map(|notice| shown(notice)).max().unwrap_or(Severity::Info);
    Message { title: title(&likes, notices.len()), text, severity }
}

/// How grave it is now: what is over is not.
fn shown(notice: &Notice) -> Severity {
    if notice.state == State::Over { Severity::Info } else { notice.severity }
}

fn title(likes: &[Like<'_>], count: usize) -> String {
    let Some(worst) = likes.first() else { return String::new() };
    let said = said(worst.first);
    let mut subjects: Vec<_> = worst.all.iter().map(|notice| notice.subject.as_str()).collect();
    subjects.dedup();
    let about = match subjects.as_slice() {
        [one] => format!("{one}: {said}"),
        many => format!("{} times: {said}", many.len()),
    };
    match count - worst.all.len() {
        0 => about,
        more => format!("{about}, and {more} more"),
    }
}

/// What a notice says of its subject.
fn said(notice: &Notice) -> String {
    let meaning = Kind::of(&notice.event).map_or(notice.event.as_str(), |kind| kind.meaning);
    match notice.state {
        State::Over => format!("resolved: {meaning}"),
        State::Open if !notice.told.is_empty() && !notice.is_news() => format!("still: {meaning}"),
        _ => meaning.to_owned(),
    }
}

fn describe(text: &mut String, like: &Like<'_>) {
    let notice = like.first;
    let severity = shown(notice);
    let _ = match like.all.as_slice() {
        [one] => writeln!(text, "{severity}: {}: {}", place(one), said(one)),
        all => writeln!(text, "{severity}: {} times: {}", all.len(), said(notice)),
    };
    if notice.state != State::Over && !notice.text.is_empty() {
        let _ = writeln!(text, "  {}", notice.text);
    }
    if let [one] = like.all.as_slice() {
        let _ = match one.count {
            1 => writeln!(text, "  at {}", one.since),
            count => writeln!(text, "  since {}, seen {count} times", one.since),
        };
    } else {
        let since = like.all.iter().map(|notice| notice.since).min().unwrap_or(notice.since);
        let _ = writeln!(text, "  since {since}");
        for one in like.all.iter().take(MAX_NAMED) {
            let _ = writeln!(text, "  - {}", place(one));
        }
        if like.all.len() > MAX_NAMED {
            let _ = writeln!(text, "  and {} more", like.all.len() - MAX_NAMED);
        }
    }
    let _ = match notice.rotation {
        Some(rotation) if like.all.len() == 1 => {
            writeln!(text, "  {}, rotation {rotation}\n", notice.event)
        }
        _ => writeln!(text, "  {}\n", notice.event),
    };
}

/// The subject, and the part of it.
fn place(notice: &Notice) -> String {
    let part = if notice.state == State::Once { None } else { notice.topic.split_once('/') };
    match part {
        Some((_, part)) => one_line(&format!("{} on {part}", notice.subject)),
        None => one_line(&notice.subject),
    }
}

/// A message as a chat takes it (Slack's mrkdwn): what would be a mark-up, a link or a mention is
/// plain text, and not more than a chat shows.
#[must_use]
pub fn for_chat(message: &Message) -> String {
    let mark = match message.severity {
        Severity::Info => "",
        Severity::Warning => ":warning: ",
        Severity::Failure => ":x: ",
        Severity::Emergency => ":rotating_light: ",
    };
    let mut text = format!("{mark}*{}*\n", escape(&message.title));
    for line in message.text.trim_end().lines() {
        let line = escape(line);
        if text.len() + line.len() > MAX_CHAT {
            text.push_str("…\n");
            break;
        }
        text.push_str(&line);
        text.push('\n');
    }
    text
}

/// As Slack has it for text that is no mark-up: these three, and no others. Mattermost and Rocket.Chat read
/// Markdown, and all of them make links of what looks like one, and call people by a bare `@name`: a
/// mark of no width is in between.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.replace("://", ":\u{200b}//").chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '@' | '*' | '_' | '~' | '`' | '[' | ']' | '!' | '\\' => {
                escaped.push(c);
                escaped.push('\u{200b}');
            }
            c => escaped.push(c),
        }
    }
    escaped
}

/// Messages at once, at the most.
const MAX_APART: usize = 3;
/// Different things in a message.
const MAX_LIKES: usize = 10;
/// Subjects named of those that are like.
const MAX_NAMED: usize = 10;
/// Octets of a message in a chat: Mattermost takes 4000 characters in its smallest setting.
const MAX_CHAT: usize = 3500;
