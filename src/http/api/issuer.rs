//! Issuers outside: how each stands with us, and a new key for our account there.

use std::sync::Arc;

use acme::{Problem, ProblemType};
use axum::extract::State;
use serde_json::{Value, json};

use super::extract::Path;
use super::inventory::all;
use super::{Answer, missing};
use crate::http::error::unreadable;
use crate::node::Node;
use crate::perform::issuers;
use crate::perform::obtain::acme::AcmeSpec;

/// Every declared issuer.
pub(super) async fn list(State(node): State<Arc<Node>>) -> Answer {
    let shown = node.catalog.load().issuers.values().map(|spec| shown(&node, spec)).collect();
    Answer(Result::<Vec<_>, Problem>::map(shown, |shown| all(shown.into_iter())))
}

/// One declared issuer.
pub(super) async fn show(State(node): State<Arc<Node>>, Path(name): Path<String>) -> Answer {
    let catalog = node.catalog.load();
    let found = catalog.issuers.get(&name).ok_or_else(|| missing("issuer", &name));
    Answer(found.and_then(|spec| shown(&node, spec)))
}

/// Gives our account at an issuer a new key (RFC 8555 §7.3.5).
pub(super) async fn roll_key(State(node): State<Arc<Node>>, Path(name): Path<String>) -> Answer {
    let catalog = node.catalog.load();
    let Some(spec) = catalog.issuers.get(&name) else {
        return Answer(Err(missing("issuer", &name)));
    };
    let rolled = issuers::roll_key(&node, spec).await;
    let failed = |error: issuers::IssuerError| {
        Problem::new(ProblemType::ServerInternal, format!("the old key stands: {error}"))
            .with_status(502)
    };
    Answer(rolled.map_err(failed).and_then(|()| shown(&node, spec)))
}

fn shown(node: &Node, spec: &AcmeSpec) -> Result<Value, Problem> {
    let account = node.store.client_account(&spec.name).map_err(unreadable)?;
    let resting = node.issuers.resting(&spec.name, node.world.now());
    let mut shown = serde_json::to_value(spec).unwrap_or_default();
    shown["account"] = json!(account.map(|row| row.created_at.to_string()));
    shown["resting_until"] = json!(resting.as_ref().map(|(until, _)| until.to_string()));
    shown["resting_because"] = json!(resting.map(|(_, why)| why));
    Ok(shown)
}
