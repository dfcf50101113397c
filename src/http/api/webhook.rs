//! Webhooks: what became of the messages to each, and a message to try one out.

use std::sync::Arc;

use acme::{Problem, ProblemType};
use axum::extract::{Path, State};
use serde_json::{Value, json};
use url::Url;

use super::inventory::all;
use super::{Answer, missing};
use crate::catalog::WebhookSpec;
use crate::http::error::unreadable;
use crate::node::Node;
use crate::perform::notify;
use crate::store::NotificationRow;

/// Every declared webhook.
pub(super) async fn list(State(node): State<Arc<Node>>) -> Answer {
    let catalog = node.catalog.load();
    let shown = catalog.webhooks.values().map(|spec| summary(&node, spec));
    Answer(shown.collect::<Result<Vec<_>, _>>().map(|shown| all(shown.into_iter())))
}

/// One of them, with its latest messages.
pub(super) async fn show(State(node): State<Arc<Node>>, Path(name): Path<String>) -> Answer {
    let catalog = node.catalog.load();
    let spec = catalog.webhooks.get(&name).ok_or_else(|| missing("webhook", &name));
    Answer(spec.and_then(|spec| {
        let mut shown = summary(&node, spec)?;
        let rows = node.store.notifications(&name, LATEST).map_err(unreadable)?;
        shown["notifications"] = rows.iter().map(notification).collect();
        Ok(shown)
    }))
}

/// Posts a test message to a webhook, and says what it answered.
pub(super) async fn test(State(node): State<Arc<Node>>, Path(name): Path<String>) -> Answer {
    let Some(spec) = node.catalog.load().webhooks.get(&name).map(Arc::clone) else {
        return Answer(Err(missing("webhook", &name)));
    };
    let failed = |why: String| {
        let why = format!("webhook {name} did not take the message: {why}");
        Problem::new(ProblemType::ServerInternal, why).with_status(502)
    };
    let sent = notify::test(&node, &spec).await.map_err(failed);
    Answer(sent.map(|message| json!({ "name": name, "message": message, "status": "delivered" })))
}

/// Which webhooks were not told what they should, a line each.
pub(super) fn attention(node: &Node) -> Result<Vec<String>, Problem> {
    let failing = node.store.failing_notifications(MAX_FAILING).map_err(unreadable)?;
    let line = |name: &String| {
        let of: Vec<_> = failing.iter().filter(|row| row.webhook == *name).collect();
        let (first, last) = (of.first()?, of.last()?);
        let why = last.error.as_deref().unwrap_or_default();
        Some(format!(
            "webhook {name}: {} not delivered, the first of {}: {why}",
            if of.len() == 1 {
                "a message is".to_owned()
            } else {
                format!("{} messages are", of.len())
            },
            first.created_at
        ))
    };
    Ok(node.catalog.load().webhooks.keys().filter_map(line).collect())
}

fn summary(node: &Node, spec: &WebhookSpec) -> Result<Value, Problem> {
    let latest = node.store.notifications(&spec.name, 1).map_err(unreadable)?;
    let latest = latest.first();
    // Not the whole URL: receivers put secrets there.
    let origin = Url::parse(&spec.url).map(|url| url.origin().ascii_serialization());
    Ok(json!({
        "name": spec.name,
        "origin": origin.unwrap_or_default(),
        "events": spec.events.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "subjects": spec.subjects.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "status": latest.map_or("unused", status),
        "latest": latest.map(|row| row.created_at.to_string()),
        "error": latest.and_then(|row| row.error.clone()),
    }))
}

fn status(row: &NotificationRow) -> &'static str {
    match (row.delivered_at, row.due_at, row.attempts) {
        (Some(_), ..) => "delivered",
        (None, None, _) => "abandoned",
        (None, Some(_), 0) => "pending",
        (None, Some(_), _) => "failing",
    }
}

fn notification(row: &NotificationRow) -> Value {
    json!({
        "message": row.message,
        "type": row.kind,
        "subject": row.subject,
        "status": status(row),
        "attempts": row.attempts,
        "created_at": row.created_at.to_string(),
        "delivered_at": row.delivered_at.map(|at| at.to_string()),
        "next_at": row.due_at.map(|at| at.to_string()),
        "error": row.error,
    })
}

const LATEST: u32 = 50;
const MAX_FAILING: u32 = 1000;
