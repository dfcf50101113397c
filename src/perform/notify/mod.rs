//! Who is told elsewhere of what happens here. A message is a row that is stored with the event it
//! tells of, so none is lost and none is made up; the worker posts what is due, signed, and tries
//! again for three days, the later the more often it failed. Receivers know a message by its id: it
//! may come twice. Nothing here knows what an event means.

mod signature;
#[cfg(test)]
mod tests;
mod wire;

use std::sync::Arc;

use data_encoding::HEXLOWER;
use jiff::{SignedDuration, Timestamp};
use renew::jitter;
use serde_json::{Value, json};
use tracing::{error, info, warn};

use signature::Secrets;
use wire::{Answer, Envelope};

use crate::catalog::WebhookSpec;
use crate::node::Node;
use crate::steps::Subject;
use crate::store::{Commit, CommitError, Event, NotificationRow, ReadError};

/// The messages that tell of an event, one for each webhook that wants to know: to be stored in the
/// commit of the event. `data` is what a receiver needs to act; never a secret.
pub(crate) fn messages(
    node: &Node,
    event: &str,
    subject: &str,
    data: &Value,
) -> Vec<NotificationRow> {
    let (catalog, now) = (node.catalog.load(), node.world.now());
    let wanting = catalog.webhooks.values().filter(|spec| spec.wants(event, subject));
    let id = message_id(node);
    wanting
        .map(|spec| NotificationRow {
            id: node.store.id(),
            version: 0,
            webhook: spec.name.clone(),
            message: id.clone(),
            kind: event.to_owned(),
            subject: subject.to_owned(),
            body: body(&id, event, subject, data, now),
            attempts: 0,
            error: None,
            created_at: now,
            delivered_at: None,
            due_at: Some(now),
        })
        .collect()
}

/// Starts the delivery of a message, unless it is under way.
pub(crate) fn begin(node: &Arc<Node>, id: i64) {
    node.steps.start(Subject::Notification(id), advance(Arc::clone(node), id));
}

/// Posts a message of type `webhook.test` to a webhook, now.
///
/// # Errors
/// In words, what went wrong.
pub(crate) async fn test(node: &Node, spec: &WebhookSpec) -> Result<String, String> {
    let (id, now) = (message_id(node), node.world.now());
    let subject = format!("webhook/{}", spec.name);
    let body = body(&id, "webhook.test", &subject, &json!({}), now);
    match send(node, spec, &id, &body).await {
        Answer::Taken => Ok(id),
        Answer::Gone => Err("it answered that it is gone".into()),
        Answer::Failed(why) => Err(why),
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
    let spec = node.catalog.load().webhooks.get(&row.webhook).map(Arc::clone);
    let answer = match &spec {
        Some(spec) => send(node, spec, &row.message, &row.body).await,
        None => Answer::Gone,
    };
    let now = node.world.now();
    let attempts = row.attempts + 1;
    let again = wait(attempts, row.id).map(|wait| now + wait);
    let (action, after) = match answer {
        Answer::Taken => {
            let row = NotificationRow { delivered_at: Some(now), due_at: None, error: None, ..row };
            ("notification.deliver", row)
        }
        Answer::Gone => {
            let why = if spec.is_some() {
                "it answered that it is gone"
            } else {
                "it is not declared any more"
            };
            let error = spec.is_some().then(|| why.to_owned());
            ("notification.abandon", NotificationRow { due_at: None, error, ..row })
        }
        Answer::Failed(why) => {
            let action = if again.is_some() { "notification.fail" } else { "notification.abandon" };
            let error = Some(why.chars().take(MAX_ERROR).collect());
            (action, NotificationRow { due_at: again, error, ..row })
        }
    };
    record(node, action, NotificationRow { attempts, ..after }, now).await
}

async fn record(
    node: &Node,
    action: &'static str,
    row: NotificationRow,
    now: Timestamp,
) -> Result<(), NotifyError> {
    let detail = json!({
        "message": row.message, "type": row.kind, "of": row.subject,
        "attempts": row.attempts, "error": row.error,
    });
    let (webhook, message, why) = (row.webhook.clone(), row.message.clone(), row.error.clone());
    let event = Event::new("worker", action, format!("webhook/{webhook}")).with(detail);
    node.store.commit(Commit::new(event).put(row), now).await?;
    let outcome = match action {
        "notification.deliver" => "delivered",
        "notification.abandon" => "abandoned",
        _ => "failed",
    };
    node.metrics.notified(&webhook, outcome);
    match why {
        None => info!(webhook, message, "{action}"),
        Some(why) => warn!(webhook, message, why, "{action}"),
    }
    Ok(())
}

async fn send(node: &Node, spec: &WebhookSpec, message: &str, body: &str) -> Answer {
    let secrets = match Secrets::of(spec) {
        Ok(secrets) => secrets,
        Err(why) => return Answer::Failed(why),
    };
    // Of this attempt: receivers refuse what is old.
    let second = node.world.now().as_second();
    let signature = secrets.sign(message, second, body);
    wire::post(node, spec, Envelope { message, second, signature, body }).await
}

fn message_id(node: &Node) -> String {
    format!("msg_{}", HEXLOWER.encode(&node.world.random::<16>()))
}

fn body(id: &str, event: &str, subject: &str, data: &Value, now: Timestamp) -> String {
    let body = json!({
        "id": id, "type": event, "timestamp": now.to_string(), "subject": subject, "data": data,
    });
    body.to_string()
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
const MAX_ERROR: usize = 500;
