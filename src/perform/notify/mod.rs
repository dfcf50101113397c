//! How messages are delivered: to webhooks signed, to people by mail and chat. A message is a row; the
//! worker sends what is due, and tries again for three days, the later the more often it failed. Receivers
//! know a message by its id: it may come twice. Nothing here knows what an event means.

mod chat;
mod mail;
mod signature;
#[cfg(test)]
pub(super) mod tests;
mod turns;
pub(in crate::perform) mod wire;

use std::sync::Arc;

use data_encoding::HEXLOWER;
use jiff::{SignedDuration, Timestamp};
use notices::Kind;
use renew::jitter;
use serde_json::{Value, json};
use tracing::{error, info, warn};

use signature::Secrets;
pub(crate) use turns::Turns;

use crate::catalog::{Receiver, WebhookSpec};
use crate::node::Node;
use crate::steps::Subject;
use crate::store::{Commit, CommitError, Event, NotificationRow, ReadError, Recorded};
use crate::world::second;

/// What became of an attempt. Whatever is said of it holds no secret.
#[derive(Debug)]
pub(crate) enum Answer {
    /// It was taken.
    Taken,
    /// It was taken, but not for everybody.
    Partly(String),
    /// The receiver wants no more of this: trying again is of no use.
    Refused(String),
    /// Why not, in words.
    Failed(String),
    /// Why not, and for how long it is of no use to try again.
    Later(SignedDuration, String),
}

/// A message to a webhook that tells of an event.
pub(crate) fn row(
    node: &Node,
    receiver: &Receiver,
    message: &str,
    event: &Recorded,
    body: String,
) -> NotificationRow {
    let now = node.world.now();
    NotificationRow {
        id: node.store.id(),
        version: 0,
        receiver: receiver.name().to_owned(),
        message: message.to_owned(),
        kind: event.action.clone(),
        subject: event.subject.clone(),
        body,
        attempts: 0,
        error: None,
        created_at: now,
        delivered_at: None,
        due_at: Some(now),
    }
}

/// What a webhook is sent of an event.
pub(crate) fn body(message: &str, event: &Recorded, kind: &Kind, owner: Option<&str>) -> String {
    let detail = event.detail.as_ref().unwrap_or(&Value::Null);
    // Of a keyset, what a change means for those who use it.
    let data = detail.get("news").unwrap_or(detail);
    let at = second(event.at);
    let mut body = envelope(message, &event.action, &event.subject, data, at);
    body["severity"] = kind.severity.name().into();
    if let Some(owner) = owner {
        body["owner"] = owner.into();
    }
    if let Some(rotation) = event.rotation {
        body["rotation"] = rotation.into();
    }
    body.to_string()
}

/// Starts the delivery of a message, unless it is under way.
pub(crate) fn begin(node: &Arc<Node>, id: i64) {
    node.steps.start(Subject::Notification(id), advance(Arc::clone(node), id));
}

/// Sends a receiver a message that says that it is a test, now.
///
/// # Errors
/// In words, what went wrong.
pub(crate) async fn test(node: &Node, receiver: &Receiver) -> Result<String, String> {
    let (message, now) = (message_id(node), node.world.now());
    let kind = format!("{}.test", receiver.kind());
    let subject = format!("{}/{}", receiver.kind(), receiver.name());
    let text = format!("This is a test of {subject}. Nothing happened.");
    let body = match receiver {
        Receiver::Webhook(_) => envelope(&message, &kind, &subject, &json!({}), now),
        Receiver::Mail(_) => json!({ "subject": format!("[perennial] {kind}"), "text": text }),
        Receiver::Chat(_) => json!({ "text": text }),
    };
    let sent = Sent { message: &message, body: &body.to_string(), created_at: now };
    match send(node, receiver, &sent).await {
        Answer::Taken => Ok(message),
        Answer::Partly(why)
        | Answer::Refused(why)
        | Answer::Failed(why)
        | Answer::Later(_, why) => Err(notices::one_line(&why)),
    }
}

async fn advance(node: Arc<Node>, id: i64) {
    if let Err(error) = deliver(&node, id).await {
        // It is due still.
        error!(notification = id, %error, "what became of a message cannot be stored; it is sent again");
    }
}

async fn deliver(node: &Node, id: i64) -> Result<(), NotifyError> {
    let row = node.store.notification(id)?;
    let Some(row) = row.filter(|row| row.due_at.is_some_and(|at| at <= node.world.now())) else {
        return Ok(());
    };
    // It is due still, and has its turn when another is done.
    let name = row.receiver.clone();
    let Some(_turn) = node.turns.take(&name) else { return Ok(()) };
    let receiver = node.catalog.load().receiver(&row.receiver);
    let sent = Sent { message: &row.message, body: &row.body, created_at: row.created_at };
    let answer = match &receiver {
        Some(receiver) => Some(send(node, receiver, &sent).await),
        None => None,
    };
    let now = node.world.now();
    let attempts = row.attempts + 1;
    let again = wait(attempts, row.id);
    // Others said it: it is not to do anything to a terminal.
    let cut = |why: String| Some(notices::one_line(&why));
    let (action, after) = match answer {
        // Whoever was to be told is declared no more.
        None => ("notification.abandon", NotificationRow { due_at: None, error: None, ..row }),
        Some(Answer::Taken) => {
            let row = NotificationRow { delivered_at: Some(now), due_at: None, error: None, ..row };
            ("notification.deliver", row)
        }
        Some(Answer::Partly(why)) => {
            let delivered_at = Some(now);
            let row = NotificationRow { delivered_at, due_at: None, error: cut(why), ..row };
            ("notification.deliver", row)
        }
        Some(Answer::Refused(why)) => {
            ("notification.abandon", NotificationRow { due_at: None, error: cut(why), ..row })
        }
        Some(Answer::Failed(why)) => failed(row, again.map(|wait| now + wait), cut(why)),
        Some(Answer::Later(rest, why)) => {
            failed(row, again.map(|wait| now + wait.max(rest)), cut(why))
        }
    };
    let kind = receiver.map_or("receiver", |receiver| receiver.kind());
    record(node, kind, action, NotificationRow { attempts, ..after }, now).await
}

fn failed(
    row: NotificationRow,
    due_at: Option<Timestamp>,
    error: Option<String>,
) -> (&'static str, NotificationRow) {
    let action = if due_at.is_some() { "notification.fail" } else { "notification.abandon" };
    (action, NotificationRow { due_at, error, ..row })
}

async fn record(
    node: &Node,
    kind: &str,
    action: &'static str,
    row: NotificationRow,
    now: Timestamp,
) -> Result<(), NotifyError> {
    let detail = json!({
        "message": row.message, "type": row.kind, "of": row.subject,
        "attempts": row.attempts, "error": row.error,
    });
    let (receiver, message, why) = (row.receiver.clone(), row.message.clone(), row.error.clone());
    let event = Event::new("worker", action, format!("{kind}/{receiver}")).with(detail);
    node.store.commit(Commit::new(event).put(row), now).await?;
    let outcome = match action {
        "notification.deliver" => "delivered",
        "notification.abandon" => "abandoned",
        _ => "failed",
    };
    node.metrics.notified(&receiver, outcome);
    match why {
        None => info!(receiver, message, "{action}"),
        Some(why) => warn!(receiver, message, why, "{action}"),
    }
    Ok(())
}

/// A message as it is sent.
struct Sent<'a> {
    message: &'a str,
    body: &'a str,
    created_at: Timestamp,
}

async fn send(node: &Node, receiver: &Receiver, sent: &Sent<'_>) -> Answer {
    match receiver {
        Receiver::Webhook(spec) => post(node, spec, sent).await,
        Receiver::Chat(spec) => chat::post(node, spec, sent.body).await,
        Receiver::Mail(spec) => mail::send(node, spec, sent).await,
    }
}

/// Posts to a webhook, signed.
async fn post(node: &Node, spec: &WebhookSpec, sent: &Sent<'_>) -> Answer {
    let secrets = match Secrets::of(spec) {
        Ok(secrets) => secrets,
        Err(why) => return Answer::Failed(why),
    };
    // Of this attempt: receivers refuse what is old.
    let second = node.world.now().as_second();
    let headers = [
        ("webhook-id", sent.message.to_owned()),
        ("webhook-timestamp", second.to_string()),
        ("webhook-signature", secrets.sign(sent.message, second, sent.body)),
    ];
    wire::post(node, &spec.url, spec.roots.as_deref(), &headers, sent.body).await
}

/// A name for a message that no other has.
pub(crate) fn message_id(node: &Node) -> String {
    format!("msg_{}", HEXLOWER.encode(&node.world.random::<16>()))
}

fn envelope(id: &str, event: &str, subject: &str, data: &Value, at: Timestamp) -> Value {
    json!({ "id": id, "type": event, "timestamp": at.to_string(), "subject": subject, "data": data })
}

/// How long after so many attempts the next one is; `None` when there is none any more. Each message
/// has a beat of its own, so that a receiver that comes back does not meet them all at once.
fn wait(attempts: u32, id: i64) -> Option<SignedDuration> {
    let place = usize::try_from(attempts).ok()?.checked_sub(1)?;
    let wait = SignedDuration::from_secs(*WAITS.get(place)?);
    Some(wait + jitter::part(wait * 15 / 100, id.unsigned_abs(), attempts.into()))
}

/// What became of a message could not be stored.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotifyError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Commit(#[from] CommitError),
}

/// Seconds between attempts: as Standard Webhooks has it, three days in all.
const WAITS: [i64; 9] = [5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400];
