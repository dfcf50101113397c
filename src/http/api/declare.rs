//! `plan` and `apply`: declarations against what stands.

use std::sync::Arc;

use acme::{Problem, ProblemType};
use axum::extract::{Request, State};
use jiff::SignedDuration;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Answer, body};
use crate::catalog::{self, Change, Declared};
use crate::http::error::unreadable;
use crate::node::Node;
use crate::perform::{calendar, establish, managed, revocation};
use crate::store::Actor;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Files {
    files: Vec<NamedText>,
    /// How far ahead the calendar of a plan looks.
    #[serde(default = "default_horizon", with = "ca::duration")]
    horizon: SignedDuration,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NamedText {
    name: String,
    text: String,
}

/// What would change.
pub(super) async fn plan(State(node): State<Arc<Node>>, request: Request) -> Answer {
    Answer(foresee(&node, request).await)
}

/// Makes it change, all or nothing.
pub(super) async fn apply(State(node): State<Arc<Node>>, actor: Actor, request: Request) -> Answer {
    Answer(converge(&node, actor, request).await)
}

async fn foresee(node: &Node, request: Request) -> Result<Value, Problem> {
    let files: Files = body(request).await?;
    let horizon = files.horizon;
    let (standing, wanted, changes) = decide(node, &files).await?;
    let whole = standing.with(&wanted);
    let calendar = calendar::calendar(node, &whole, &wanted, horizon).map_err(unreadable)?;
    Ok(json!({ "changes": changes, "calendar": calendar }))
}

async fn decide(node: &Node, files: &Files) -> Result<(Declared, Declared, Vec<Change>), Problem> {
    let texts = files.files.iter().map(|file| (file.name.as_str(), file.text.as_str()));
    let wanted = catalog::parse(texts).map_err(|e| Problem::malformed(e.to_string()))?;
    let standing = establish::declared(node).await.map_err(|e| failed(&e))?;
    let whole = standing.clone().with(&wanted);
    whole.check().map_err(Problem::malformed)?;
    let changes = catalog::plan(&standing, &wanted).map_err(Problem::malformed)?;
    Ok((standing, wanted, changes))
}

async fn converge(node: &Node, actor: Actor, request: Request) -> Result<Value, Problem> {
    // One after the other: each builds on what the one before it left.
    let _turn = APPLYING.lock().await;
    let files: Files = body(request).await?;
    let (standing, wanted, changes) = decide(node, &files).await?;
    let catalog = establish::apply(node, actor.clone(), &standing, &wanted).await;
    let catalog = catalog.map_err(|e| failed(&e))?;
    node.catalog.replace(catalog);
    revocation::ensure_crls(node).await.map_err(|e| failed(&e))?;
    managed::enlist(node, actor).await.map_err(|e| failed(&e))?;
    Ok(json!({ "changes": changes }))
}

fn default_horizon() -> SignedDuration {
    SignedDuration::from_hours(90 * 24)
}

static APPLYING: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

fn failed(error: &dyn std::error::Error) -> Problem {
    tracing::error!(%error, "declarations cannot be made to stand");
    Problem::new(ProblemType::ServerInternal, error.to_string())
}
