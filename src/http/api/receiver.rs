//! Who is told of events: what became of the messages to each, and a message to try one out.

use std::sync::Arc;

use acme::{Problem, ProblemType};
use axum::extract::State;
use jwks::token::Pattern;
use serde_json::{Map, Value};
use url::Url;

use super::extract::Path;
use super::inventory::all;
use super::shape::{self, value};
use super::{Answer, missing};
use crate::catalog::{Catalog, Receiver};
use crate::http::error::unreadable;
use crate::node::Node;
use crate::perform::notify;
use crate::store::NotificationRow;

/// Everybody who is told.
pub(super) async fn list(State(node): State<Arc<Node>>) -> Answer {
    summaries(&node, |_| true)
}

/// Every declared webhook.
pub(super) async fn webhooks(State(node): State<Arc<Node>>) -> Answer {
    summaries(&node, |receiver| matches!(receiver, Receiver::Webhook(_)))
}

fn summaries(node: &Node, which: impl Fn(&Receiver) -> bool) -> Answer {
    let receivers = node.catalog.load().receivers();
    let shown =
        receivers.iter().filter(|one| which(one)).map(|one| Ok(value(&summary(node, one)?)));
    Answer(shown.collect::<Result<Vec<_>, _>>().map(|shown| all(shown.into_iter())))
}

/// One of them, with its latest messages.
pub(super) async fn show(State(node): State<Arc<Node>>, Path(name): Path<String>) -> Answer {
    let receiver = find(&node.catalog.load(), &name);
    Answer(receiver.and_then(|receiver| {
        let rows = node.store.notifications(&name, LATEST).map_err(unreadable)?;
        Ok(value(&shape::ReceiverInFull {
            summary: summary(&node, &receiver)?,
            notifications: rows.iter().map(notification).collect(),
        }))
    }))
}

/// Sends one a test message, and says what it answered.
pub(super) async fn test(State(node): State<Arc<Node>>, Path(name): Path<String>) -> Answer {
    let receiver = match find(&node.catalog.load(), &name) {
        Ok(receiver) => receiver,
        Err(problem) => return Answer(Err(problem)),
    };
    let kind = receiver.kind();
    let failed = |why: String| {
        let why = format!("{kind} {name} did not take the message: {why}");
        Problem::new(ProblemType::ServerInternal, why).with_status(502)
    };
    let sent = notify::test(&node, &receiver).await.map_err(failed);
    Answer(sent.map(|message| value(&shape::Tested { name, kind, message, status: "delivered" })))
}

fn find(catalog: &Catalog, name: &str) -> Result<Receiver, Problem> {
    catalog.receiver(name).ok_or_else(|| missing("webhook, mail or chat", name))
}

/// Who was not told what they should, a line each.
pub(super) fn attention(node: &Node) -> Result<Vec<String>, Problem> {
    let failing = node.store.failing_notifications(MAX_FAILING).map_err(unreadable)?;
    let line = |receiver: &Receiver| {
        let (kind, name) = (receiver.kind(), receiver.name());
        let of: Vec<_> = failing.iter().filter(|row| row.receiver == name).collect();
        let (first, last) = (of.first()?, of.last()?);
        let why = last.error.as_deref().unwrap_or_default();
        if of.len() == 1 && last.delivered_at.is_some() {
            return Some(format!("{kind} {name}: {why}"));
        }
        Some(format!(
            "{kind} {name}: {} not delivered, the first of {}: {why}",
            if of.len() == 1 {
                "a message is".to_owned()
            } else {
                format!("{} messages are", of.len())
            },
            first.created_at
        ))
    };
    Ok(node.catalog.load().receivers().iter().filter_map(line).collect())
}

fn summary(node: &Node, receiver: &Receiver) -> Result<shape::Receiver, Problem> {
    let name = receiver.name();
    let latest = node.store.notifications(name, 1).map_err(unreadable)?;
    let latest = latest.first();
    Ok(shape::Receiver {
        name: name.to_owned(),
        kind: receiver.kind(),
        status: latest.map_or("unused", status),
        latest: latest.map(|row| row.created_at),
        delivered: node.store.last_delivery(name).map_err(unreadable)?,
        error: latest.and_then(|row| row.error.clone()),
        rest: particulars(node, receiver)?,
    })
}

/// What is said of one kind of receiver only.
fn particulars(node: &Node, receiver: &Receiver) -> Result<Map<String, Value>, Problem> {
    let mut shown = Map::new();
    let mut put = |field: &str, value: Value| {
        shown.insert(field.to_owned(), value);
    };
    match receiver {
        Receiver::Webhook(spec) => {
            // Not the whole URL: receivers put secrets there.
            let origin = Url::parse(&spec.url).map(|url| url.origin().ascii_serialization());
            put("origin", origin.unwrap_or_default().into());
            put("events", texts(&spec.events));
            put("subjects", texts(&spec.subjects));
            put("owners", texts(&spec.owners));
            put("severity", spec.severity.map(|severity| severity.name()).into());
        }
        Receiver::Mail(spec) => {
            put("origin", spec.server.clone().into());
            put("to", spec.to.clone().into());
        }
        // What is in it is the secret.
        Receiver::Chat(spec) => put("origin", spec.url_file.display().to_string().into()),
    }
    if let Some(audience) = receiver.audience() {
        let counts = node.store.notice_counts(receiver.name());
        let (open, waiting) = counts.map_err(unreadable)?;
        let quiet = audience.quiet_until(node.world.now());
        put("events", texts(&audience.events));
        put("subjects", texts(&audience.subjects));
        put("owners", texts(&audience.owners));
        put("severity", audience.severity.name().into());
        put("troubles", open.into());
        put("waiting", waiting.into());
        put("quiet_until", quiet.map(|at| at.to_string()).into());
    }
    Ok(shown)
}

fn texts(patterns: &[Pattern]) -> Value {
    patterns.iter().map(ToString::to_string).collect::<Vec<_>>().into()
}

fn status(row: &NotificationRow) -> &'static str {
    match (row.delivered_at, row.due_at, row.attempts) {
        (Some(_), ..) => "delivered",
        (None, None, _) => "abandoned",
        (None, Some(_), 0) => "pending",
        (None, Some(_), _) => "failing",
    }
}

fn notification(row: &NotificationRow) -> shape::Notification {
    shape::Notification {
        message: row.message.clone(),
        kind: row.kind.clone(),
        subject: row.subject.clone(),
        status: status(row),
        attempts: row.attempts,
        created_at: row.created_at,
        delivered_at: row.delivered_at,
        next_at: row.due_at,
        error: row.error.clone(),
    }
}

const LATEST: u32 = 50;
const MAX_FAILING: u32 = 1000;
