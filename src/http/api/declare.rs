//! `plan` and `apply`: declarations against what stands.

use std::sync::Arc;

use acme::{Problem, ProblemType};
use aws_lc_rs::digest::{SHA256, digest};
use axum::extract::{Request, State};
use data_encoding::HEXLOWER;
use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::guard::denied;
use super::shape::{self, value};
use super::{Answer, access, body, declaring};
use crate::access::{Action, Asker};
use crate::catalog::{self, Change, Declared, Wrong};
use crate::grpc::sockets;
use crate::http::error::unreadable;
use crate::node::Node;
use crate::perform::establish::CONVERGING;
use crate::perform::removal::{Removal, RemovalError, prune as remove_others};
use crate::perform::{calendar, endpoint, establish, keyset, managed, revocation};

/// Files that declare.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "Declarations")]
#[serde(deny_unknown_fields)]
pub(super) struct Files {
    files: Vec<NamedText>,
    /// How far ahead the calendar of a plan looks.
    #[serde(default = "default_horizon", with = "ca::duration")]
    #[schemars(with = "String")]
    horizon: SignedDuration,
    /// Whether what stands and is in none of the files goes.
    #[serde(default)]
    prune: bool,
    /// Of a plan: as whom it is looked at; none: as whoever asks.
    #[serde(default, rename = "as")]
    who: Option<String>,
    /// Apply: the `plan` of a plan, which must still be what would be done.
    #[serde(default)]
    plan: Option<String>,
}

/// A file, and what it is called in messages.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "DeclarationFile")]
#[serde(deny_unknown_fields)]
pub(super) struct NamedText {
    name: String,
    text: String,
}

/// What is declared, what is to be, and what that changes.
struct Decided {
    standing: Declared,
    wanted: Declared,
    changes: Vec<Change>,
}

impl Decided {
    /// What a plan is known by: the same as long as the same would change, to the same.
    fn digest(&self) -> String {
        let wanted: Vec<_> = self.wanted.entries().into_iter().map(|entry| entry.spec).collect();
        let text = value(&(&self.changes, wanted)).to_string();
        HEXLOWER.encode(&digest(&SHA256, text.as_bytes()).as_ref()[..16])
    }
}

/// What would change.
pub(super) async fn plan(State(node): State<Arc<Node>>, asker: Asker, request: Request) -> Answer {
    Answer(foresee(&node, asker, request).await)
}

/// Makes it change, all or nothing.
pub(super) async fn apply(State(node): State<Arc<Node>>, asker: Asker, request: Request) -> Answer {
    Answer(converge(&node, &asker, request).await)
}

async fn foresee(node: &Node, asker: Asker, request: Request) -> Result<Value, Problem> {
    let files: Files = body(request).await?;
    let horizon = files.horizon;
    let decided = decide(node, &files).await?;
    let plan = decided.digest();
    let Decided { standing, wanted, changes } = decided;
    let asker = match &files.who {
        Some(who) => {
            asker.may_every(Action::AccessRead).map_err(denied)?;
            asker.standing_in(access::caller(node, who)?, node.world.now())
        }
        None => asker,
    };
    let decisions = declaring::decisions(&asker, (&standing, &wanted), &changes);
    let whole = if files.prune { wanted.clone() } else { standing.with(&wanted) };
    let calendar = calendar::calendar(node, &whole, &wanted, horizon).map_err(unreadable)?;
    let until = node.world.now().checked_add(horizon).unwrap_or(Timestamp::MAX);
    let keysets = keyset::calendar(node, &wanted, until).map_err(unreadable)?;
    Ok(value(&shape::Plan {
        plan,
        changes: changes.iter().map(value).collect(),
        decisions,
        calendar: calendar.iter().map(value).collect(),
        keysets: keysets.iter().map(value).collect(),
    }))
}

async fn decide(node: &Node, files: &Files) -> Result<Decided, Problem> {
    let texts = || files.files.iter().map(|file| (file.name.as_str(), file.text.as_str()));
    let wrong = |wrong: Wrong| Problem::malformed(wrong.placed(texts()));
    let wanted = catalog::parse(texts()).map_err(|e| Problem::malformed(e.to_string()))?;
    let standing = establish::declared(node).await.map_err(|e| failed(&e))?;
    let whole = if files.prune { wanted.clone() } else { standing.clone().with(&wanted) };
    whole.check().map_err(wrong)?;
    let mut changes = catalog::plan(&standing, &wanted).map_err(wrong)?;
    if files.prune {
        Removal::decide(node, &wanted).await.map_err(refused)?;
        changes.extend(catalog::prune(&standing, &wanted));
    }
    Ok(Decided { standing, wanted, changes })
}

async fn converge(node: &Arc<Node>, asker: &Asker, request: Request) -> Result<Value, Problem> {
    let _turn = CONVERGING.lock().await;
    let files: Files = body(request).await?;
    let decided = decide(node, &files).await?;
    if files.plan.as_ref().is_some_and(|plan| *plan != decided.digest()) {
        let why = "what would change is not what was planned any more; plan it again";
        return Err(Problem::malformed(why).with_status(412));
    }
    let Decided { standing, wanted, changes } = decided;
    declaring::permit(asker, (&standing, &wanted), &changes)?;
    let actor = asker.actor();
    if files.prune {
        let removed = remove_others(node, actor.clone(), &standing, &wanted).await;
        removed.map_err(refused)?;
    } else {
        let catalog = establish::apply(node, actor.clone(), &standing, &wanted).await;
        node.catalog.replace(catalog.map_err(|e| failed(&e))?);
    }
    revocation::ensure_crls(node).await.map_err(|e| failed(&e))?;
    managed::enlist(node, actor.clone()).await.map_err(|e| failed(&e))?;
    keyset::enlist(node, actor.clone()).await.map_err(|e| failed(&e))?;
    endpoint::enlist(node, actor).await.map_err(|e| failed(&e))?;
    sockets::converge(node).await;
    Ok(value(&shape::Applied { changes: changes.iter().map(value).collect() }))
}

fn default_horizon() -> SignedDuration {
    SignedDuration::from_hours(90 * 24)
}

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
