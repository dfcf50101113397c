//! From events to messages. What happened is read from the audit log, so none is lost: each event that
//! webhooks want becomes a message to them, and changes the notices of people; notices that are due
//! become messages. How far the log was read is stored with what came of it. What is news and
//! when it is told is decided in `notices`; how messages are delivered is in `notify`.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use jiff::Timestamp;
use notices::{Change, Effect, Happening, Kind, Message, Notice, Plan, State};
use serde_json::{Value, json};
use tracing::{error, info};

use super::notify::{self, NotifyError};
use crate::catalog::{Audience, Catalog, Receiver};
use crate::node::Node;
use crate::store::{Commit, NoticeRow, NotificationRow, Recorded, Row};
use crate::world::second;

/// Tells what has happened, and what is due to be told.
pub(crate) async fn tell(node: Arc<Node>) {
    match tell_all(&node).await {
        Ok(messages) => messages.into_iter().for_each(|id| notify::begin(&node, id)),
        // Nothing of it is lost: the next tick begins where this one did.
        Err(error) => error!(%error, "what happened cannot be told; it will be retried"),
    }
}

/// Gives the messages that were made.
async fn tell_all(node: &Node) -> Result<Vec<i64>, NotifyError> {
    let mut made = Vec::new();
    for _ in 0..MAX_PAGES {
        if !gather(node, &mut made).await? {
            break;
        }
    }
    let now = node.world.now();
    for (receiver, urgent) in node.store.receivers_due(now)? {
        flush(node, &receiver, urgent, now, &mut made).await?;
    }
    made.truncate(MAX_AT_ONCE);
    Ok(made)
}

/// Takes note of the next events; gives whether there may be more.
async fn gather(node: &Node, made: &mut Vec<i64>) -> Result<bool, NotifyError> {
    let from = node.store.told_up_to()?;
    let (events, until) = node.store.events_told(from, MAX_EVENTS).await?;
    if events.is_empty() && until - from < FAR {
        return Ok(false);
    }
    let catalog = node.catalog.load();
    let mut desk = Desk::new(node, &catalog);
    for event in &events {
        desk.take(event)?;
    }
    made.extend(desk.messages.iter().map(|row| row.id));
    let commit = Commit::note_notices(Some(until), desk.rows());
    node.store.commit(commit, node.world.now()).await?;
    Ok(true)
}

/// Where events are sorted, and the notices they change.
struct Desk<'a> {
    node: &'a Node,
    catalog: &'a Catalog,
    receivers: Vec<Receiver>,
    /// By receiver and subject.
    notices: BTreeMap<(String, String), Vec<Kept>>,
    messages: Vec<NotificationRow>,
}

/// A notice while it is on the desk.
struct Kept {
    row: NoticeRow,
    changed: bool,
    gone: bool,
}

impl<'a> Desk<'a> {
    fn new(node: &'a Node, catalog: &'a Catalog) -> Self {
        let (receivers, notices, messages) = (catalog.receivers(), BTreeMap::new(), Vec::new());
        Self { node, catalog, receivers, notices, messages }
    }

    fn take(&mut self, event: &Recorded) -> Result<(), NotifyError> {
        let Some(kind) = Kind::of(&event.action) else { return Ok(()) };
        let subject = &event.subject;
        let owner = owner(self.catalog, event);
        let told = self.catalog.told(&self.receivers, kind.event, subject, owner);
        let told: Vec<_> = told.into_iter().map(|receiver| receiver.name().to_owned()).collect();
        let happening = happening(event);
        // Nobody could end it.
        let is_moot = matches!(kind.effect, Effect::Begins(_)) && !self.catalog.stands(subject);
        let message = notify::message_id(self.node);
        for receiver in self.receivers.clone() {
            let told = told.iter().any(|name| name == receiver.name());
            match receiver.audience() {
                None if told => {
                    let body = notify::body(&message, event, kind, owner);
                    let row = notify::row(self.node, &receiver, &message, event, body);
                    self.messages.push(row);
                }
                None => {}
                Some(_) if is_moot => {}
                Some(audience) => self.change(receiver.name(), kind, &happening, told, audience)?,
            }
        }
        Ok(())
    }

    /// Changes the notices of people by what happened.
    fn change(
        &mut self,
        receiver: &str,
        kind: &Kind,
        happening: &Happening,
        told: bool,
        audience: &Audience,
    ) -> Result<(), NotifyError> {
        let key = (receiver.to_owned(), happening.subject.clone());
        if !self.notices.contains_key(&key) {
            let rows = self.node.store.notices_on(receiver, &happening.subject)?;
            let kept = |row| Kept { row, changed: false, gone: false };
            self.notices.insert(key.clone(), rows.into_iter().map(kept).collect());
        }
        let all = self.notices.entry(key).or_default();
        let standing: Vec<Notice> =
            all.iter().filter(|kept| !kept.gone).map(|kept| kept.row.notice.clone()).collect();
        let changes =
            notices::happen(&standing, kind, happening, told, audience.wait, audience.repeat);
        for change in changes {
            let topic = match &change {
                Change::Put(notice) => &notice.topic,
                Change::Drop(topic) => topic,
            };
            let old = all.iter_mut().find(|kept| kept.row.notice.topic == *topic);
            match (change, old) {
                (Change::Put(notice), Some(kept)) => {
                    kept.row.notice = notice;
                    (kept.changed, kept.gone) = (true, false);
                }
                (Change::Put(notice), None) => {
                    let (id, receiver) = (self.node.store.id(), receiver.to_owned());
                    let row = NoticeRow { id, version: 0, receiver, notice };
                    all.push(Kept { row, changed: true, gone: false });
                }
                (Change::Drop(_), Some(kept)) => kept.gone = true,
                (Change::Drop(_), None) => {}
            }
        }
        Ok(())
    }

    /// What is stored of it.
    fn rows(self) -> Vec<Row> {
        let mut rows: Vec<Row> = self.messages.into_iter().map(Row::from).collect();
        let mut gone = Vec::new();
        for kept in self.notices.into_values().flatten() {
            match (kept.gone, kept.changed) {
                // One that was never stored goes without a trace.
                (true, _) if kept.row.version > 0 => gone.push(kept.row.id),
                (false, true) => rows.push(kept.row.into()),
                _ => {}
            }
        }
        rows.extend((!gone.is_empty()).then_some(Row::NoNotices(gone)));
        rows
    }
}

/// Makes messages of what a receiver is to be told now.
async fn flush(
    node: &Node,
    name: &str,
    urgent: bool,
    now: Timestamp,
    made: &mut Vec<i64>,
) -> Result<(), NotifyError> {
    let catalog = node.catalog.load();
    let Some(receiver) = catalog.receiver(name) else { return forget(node, name, now).await };
    let Some(audience) = receiver.audience() else { return forget(node, name, now).await };
    let latest = node.store.notifications(name, MAX_LATEST)?;
    let sent: Vec<_> = latest.iter().map(|row| row.created_at).collect();
    let held = notices::held_until(audience.quiet_until(now), &sent, now).is_some();
    if held && !urgent {
        return Ok(());
    }
    let until = notices::horizon(audience.wait, audience.repeat, now);
    let rows = node.store.notices_due(name.to_owned(), until, held, MAX_NOTICES).await?;
    let is_moot =
        |row: &NoticeRow| row.notice.state == State::Open && !catalog.stands(&row.notice.subject);
    let (moot, rows): (Vec<_>, Vec<_>) = rows.into_iter().partition(is_moot);
    let standing = rows.iter().map(|row| row.notice.clone()).collect();
    let plan = notices::flush(standing, audience.wait, audience.repeat, now);
    let messages: Vec<_> =
        plan.messages.iter().map(|message| written(node, &receiver, message)).collect();
    if !messages.is_empty() {
        info!(receiver = name, notices = rows.len(), messages = messages.len(), "telling");
    }
    made.extend(messages.iter().map(|row| row.id));
    let mut stored: Vec<Row> = messages.into_iter().map(Row::from).collect();
    stored.extend(after(plan, rows, moot));
    node.store.commit(Commit::note_notices(None, stored), now).await?;
    Ok(())
}

/// What is stored of notices after they were told.
fn after(plan: Plan, rows: Vec<NoticeRow>, moot: Vec<NoticeRow>) -> Vec<Row> {
    let key = |notice: &Notice| (notice.subject.clone(), notice.topic.clone());
    let mut rows: HashMap<_, _> = rows.into_iter().map(|row| (key(&row.notice), row)).collect();
    let mut stored: Vec<Row> = Vec::new();
    for notice in plan.put {
        if let Some(row) = rows.remove(&key(&notice)) {
            stored.push(NoticeRow { notice, ..row }.into());
        }
    }
    let dropped = plan.dropped.iter().filter_map(|notice| rows.remove(&key(notice)));
    stored.push(Row::NoNotices(dropped.chain(moot).map(|row| row.id).collect()));
    stored
}

/// Drops what nobody is told any more: who was, is declared no more.
async fn forget(node: &Node, name: &str, now: Timestamp) -> Result<(), NotifyError> {
    let rows = node.store.notices_due(name.to_owned(), Timestamp::MAX, false, MAX_NOTICES).await?;
    let gone = rows.into_iter().map(|row| row.id).collect();
    let commit = Commit::note_notices(None, vec![Row::NoNotices(gone)]);
    Ok(node.store.commit(commit, now).await?)
}

/// A message as it is stored, to be sent.
fn written(node: &Node, receiver: &Receiver, message: &Message) -> NotificationRow {
    let body = match receiver {
        Receiver::Chat(_) => json!({ "text": notices::for_chat(message) }),
        _ => json!({
            "subject": format!("[perennial] {}", message.title),
            "text": format!("{}\n-- \nPerennial at {}\n", message.text, node.https_url),
        }),
    };
    let now = node.world.now();
    NotificationRow {
        id: node.store.id(),
        version: 0,
        receiver: receiver.name().to_owned(),
        message: notify::message_id(node),
        kind: format!("notice.{}", message.severity),
        subject: message.title.clone(),
        body: body.to_string(),
        attempts: 0,
        error: None,
        created_at: now,
        delivered_at: None,
        due_at: Some(now),
    }
}

/// An event, as far as people need to know it.
fn happening(event: &Recorded) -> Happening {
    let detail = event.detail.as_ref().unwrap_or(&Value::Null);
    let part = detail["target"].as_str().map(str::to_owned);
    Happening {
        event: event.action.clone(),
        subject: event.subject.clone(),
        part,
        rotation: event.rotation,
        text: text(detail),
        at: second(event.at),
    }
}

/// Who answers for what an event happens to: by what is declared, else by the event.
fn owner<'a>(catalog: &'a Catalog, event: &'a Recorded) -> Option<&'a str> {
    let told = || event.detail.as_ref()?["owner"].as_str();
    catalog.owner_of(&event.subject).or_else(told)
}

/// What was seen, as events tell it.
fn text(detail: &Value) -> String {
    for of in [detail, &detail["detail"]] {
        if let Some(text) = ["why", "seen", "error"].iter().find_map(|key| of[*key].as_str()) {
            return text.to_owned();
        }
        if let Some(failed) = of["failed"].as_object() {
            let each = failed
                .iter()
                .map(|(target, why)| format!("{target}: {}", why.as_str().unwrap_or_default()));
            return each.take(MAX_NAMED).collect::<Vec<_>>().join("; ");
        }
        if let Some(exposure) = of["exposure"].as_array() {
            let each = exposure.iter().filter_map(Value::as_str).take(MAX_NAMED);
            return each.collect::<Vec<_>>().join("; ");
        }
    }
    String::new()
}

/// Events sorted in one commit, and how often in one step.
const MAX_EVENTS: u32 = 500;
const MAX_PAGES: usize = 40;
/// After so many events that nobody is told of, it is noted that they were read.
const FAR: i64 = 1000;
/// Notices told at once; what is more is told with the next.
const MAX_NOTICES: u32 = 20_000;
/// Messages whose delivery begins at once; the others are due with the next tick.
const MAX_AT_ONCE: usize = 64;
/// More than are sent within an hour.
const MAX_LATEST: u32 = 64;
const MAX_NAMED: usize = 5;

#[cfg(test)]
mod tests;
