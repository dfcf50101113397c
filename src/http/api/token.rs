//! API tokens: made, listed, revoked.

use std::sync::Arc;

use acme::{Problem, ProblemType};
use axum::extract::{Request, State};
use jiff::SignedDuration;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::extract::{Path, Query};
use super::guard::{denied, permit_giving};
use super::inventory::paged;
use super::listing::Listing;
use super::{Answer, body, missing, views};
use crate::access::{Action, Asker, Resource, Who};
use crate::catalog::check_name;
use crate::http::error::{uncommitted, unreadable};
use crate::node::Node;
use crate::store::{Actor, ApiToken, Commit, Event};
use crate::token::{Grant, Scope, Token};

/// An API token to be made.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "TokenWanted")]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    name: String,
    /// What it is good for: `role/viewer`, `certificate/shop`, `keyset/auth-*`.
    #[schemars(with = "Vec<String>")]
    scope: Vec<Grant>,
    #[serde(default)]
    expires: Option<String>,
}

/// All tokens, a page at a time, without the tokens themselves.
pub(super) async fn list(State(node): State<Arc<Node>>, Query(listing): Query<Listing>) -> Answer {
    let (page, now) = (listing.page(), node.world.now());
    let tokens = node.store.tokens(page).map_err(unreadable);
    let shown = |token: ApiToken| (token.id, views::token(&token, now));
    Answer(tokens.map(|tokens| paged(page, tokens.into_iter().map(shown))))
}

/// Makes a token; this answer is the only place where it is ever shown.
pub(super) async fn create(
    State(node): State<Arc<Node>>,
    asker: Asker,
    request: Request,
) -> Answer {
    Answer(create_one(&node, &asker, request).await)
}

/// Revokes a token.
pub(super) async fn revoke(
    State(node): State<Arc<Node>>,
    Path(name): Path<String>,
    actor: Actor,
) -> Answer {
    Answer(revoke_one(&node, &name, actor).await)
}

async fn create_one(node: &Node, asker: &Asker, request: Request) -> Result<Value, Problem> {
    let wanted: Wanted = body(request).await?;
    check_name(&wanted.name).map_err(Problem::malformed)?;
    let malformed = |error: &dyn std::error::Error| Problem::malformed(error.to_string());
    let scope = Scope::try_from(wanted.scope).map_err(|e| malformed(&e))?;
    let on = Resource::named("token", &wanted.name);
    asker.may(Action::TokenCreate, &on).map_err(denied)?;
    permit_giving(asker, scope.roles(), scope.groups())?;
    asker.may_let_in(Who::Token(wanted.name.clone())).map_err(denied)?;
    if scope.gives_keys() {
        asker.may_govern("the keys of certificates and keysets").map_err(denied)?;
    }
    let lifetime = wanted.expires.as_deref().map(ca::duration::parse).transpose();
    let lifetime = lifetime.map_err(|e| malformed(&e))?;
    if lifetime == Some(SignedDuration::ZERO) {
        return Err(Problem::malformed("a token that expires at once is of no use"));
    }
    if let Some(known) = node.store.token_by_name(&wanted.name).map_err(unreadable)? {
        let now = node.world.now();
        let why = format!(
            "there is a token {:?} already ({}), and the audit log tells them apart by name; \
             choose another",
            known.name,
            known.status(now)
        );
        return Err(Problem::new(ProblemType::Malformed, why).with_status(409));
    }
    let now = node.world.now();
    let token = Token::new(&node.world);
    let row = ApiToken {
        id: node.store.id(),
        version: 0,
        name: wanted.name,
        hash: token.hash(),
        scope,
        created_at: now,
        expires_at: lifetime.map(|lifetime| now + lifetime),
        used_at: None,
        revoked_at: None,
    };
    let mut shown = views::token(&row, now);
    let detail = json!({ "scope": row.scope, "expires_at": shown["expires_at"] });
    let event =
        Event::new(asker.actor(), "token.create", format!("token/{}", row.name)).with(detail);
    node.store.commit(Commit::new(event).put(row), now).await.map_err(uncommitted)?;
    shown["token"] = token.reveal().into();
    Ok(shown)
}

async fn revoke_one(node: &Node, name: &str, actor: Actor) -> Result<Value, Problem> {
    let found = node.store.token_by_name(name).map_err(unreadable)?;
    let token = found.ok_or_else(|| missing("token", name))?;
    if token.revoked_at.is_some() {
        return Err(Problem::new(ProblemType::Malformed, "the token is revoked already"));
    }
    let now = node.world.now();
    let token = ApiToken { revoked_at: Some(now), ..token };
    let shown = views::token(&token, now);
    let event = Event::new(actor, "token.revoke", format!("token/{name}"));
    node.store.commit(Commit::new(event).put(token), now).await.map_err(uncommitted)?;
    Ok(shown)
}
