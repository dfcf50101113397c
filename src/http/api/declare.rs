//! `plan` and `apply`: declarations against what stands.

use std::sync::Arc;

use acme::{Problem, ProblemType};
use axum::extract::{Request, State};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Answer, body};
use crate::catalog::{self, Change, Declared};
use crate::node::Node;
use crate::perform::removal::{Removal, RemovalError, prune as remove_others};
use crate::perform::{establish, revocation};
use crate::store::Actor;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Files {
    files: Vec<NamedText>,
    /// Whether what stands and is in none of the files goes.
    #[serde(default)]
    prune: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NamedText {
    name: String,
    text: String,
}

/// What is declared, what is to be, and what that changes.
struct Decided {
    standing: Declared,
    wanted: Declared,
    prune: bool,
    changes: Vec<Change>,
}

/// What would change.
pub(super) async fn plan(State(node): State<Arc<Node>>, request: Request) -> Answer {
    let decided = decide(&node, request).await;
    Answer(decided.map(|decided| json!({ "changes": decided.changes })))
}

/// Makes it change, all or nothing.
pub(super) async fn apply(State(node): State<Arc<Node>>, actor: Actor, request: Request) -> Answer {
    Answer(converge(&node, actor, request).await)
}

async fn decide(node: &Node, request: Request) -> Result<Decided, Problem> {
    let files: Files = body(request).await?;
    let texts = files.files.iter().map(|file| (file.name.as_str(), file.text.as_str()));
    let wanted = catalog::parse(texts).map_err(|e| Problem::malformed(e.to_string()))?;
    let standing = establish::declared(node).await.map_err(|e| failed(&e))?;
    let whole = if files.prune { wanted.clone() } else { standing.clone().with(&wanted) };
    whole.check().map_err(Problem::malformed)?;
    let mut changes = catalog::plan(&standing, &wanted).map_err(Problem::malformed)?;
    if files.prune {
        Removal::decide(node, &wanted).await.map_err(refused)?;
        changes.extend(catalog::prune(&standing, &wanted));
    }
    Ok(Decided { standing, wanted, prune: files.prune, changes })
}

async fn converge(node: &Node, actor: Actor, request: Request) -> Result<Value, Problem> {
    // One after the other: each builds on what the one before it left.
    let _turn = APPLYING.lock().await;
    let Decided { standing, wanted, prune, changes } = decide(node, request).await?;
    if prune {
        remove_others(node, actor, &standing, &wanted).await.map_err(refused)?;
    } else {
        let catalog = establish::apply(node, actor, &standing, &wanted).await;
        node.catalog.replace(catalog.map_err(|e| failed(&e))?);
    }
    revocation::ensure_crls(node).await.map_err(|e| failed(&e))?;
    Ok(json!({ "changes": changes }))
}

static APPLYING: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

fn refused(error: RemovalError) -> Problem {
    match error {
        RemovalError::InUse { .. } => Problem::malformed(error.to_string()),
        error => failed(&error),
    }
}

fn failed(error: &dyn std::error::Error) -> Problem {
    tracing::error!(%error, "declarations cannot be made to stand");
    Problem::new(ProblemType::ServerInternal, error.to_string())
}
