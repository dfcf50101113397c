//! One's own passkeys: registered, listed, removed, and shown again before something dangerous is done.

use std::sync::Arc;

use acme::Problem;
use axum::Extension;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::Response;
use passkeys::Registration;

use super::extract::Path;
use super::{Answer, body, missing, problem, shape, views};
use crate::http::admitted::{self, refused};
use crate::http::error::unreadable;
use crate::http::passkey::{NewPasskey, ShownPasskey};
use crate::node::Node;
use crate::people::{Entered, Secret, passkey};
use crate::store::Actor;

type Shared = State<Arc<Node>>;
type Session = Option<Extension<Entered>>;

/// The passkeys of the person who asks.
pub(super) async fn list(State(node): Shared, session: Session) -> Answer {
    Answer(own(session).and_then(|entered| {
        let rows = node.store.passkeys_of(entered.person.id).map_err(unreadable)?;
        let items = rows.iter().map(views::passkey).collect();
        Ok(shape::value(&shape::Passkeys { items }))
    }))
}

/// What a browser is to make a passkey of.
pub(super) async fn creation_options(State(node): Shared, session: Session) -> Answer {
    let options = own(session);
    Answer(options.and_then(|entered| passkey::creation_options(&node, &entered).map_err(refused)))
}

/// Takes a new passkey.
pub(super) async fn register(
    State(node): Shared,
    actor: Actor,
    session: Session,
    request: Request,
) -> Response<Body> {
    answered(register_one(&node, actor, session, request).await)
}

/// Removes a passkey.
pub(super) async fn remove(
    State(node): Shared,
    Path(id): Path<i64>,
    actor: Actor,
    session: Session,
) -> Answer {
    Answer(match own(session) {
        Err(problem) => Err(problem),
        Ok(entered) => match passkey::remove(&node, actor, &entered, id).await {
            Ok(true) => Ok(shape::value(&shape::RemovedPasskey { id })),
            Ok(false) => Err(missing("passkey", &id.to_string())),
            Err(error) => Err(refused(error)),
        },
    })
}

/// What a browser is to show a passkey for.
pub(super) async fn request_options(State(node): Shared, session: Session) -> Answer {
    Answer(
        own(session)
            .and_then(|entered| passkey::request_options(&node, Some(&entered)).map_err(refused)),
    )
}

/// Takes a proof that who asks is still who they were.
pub(super) async fn step_up(
    State(node): Shared,
    actor: Actor,
    session: Session,
    request: Request,
) -> Response<Body> {
    answered(step_up_one(&node, actor, session, request).await)
}

async fn register_one(
    node: &Node,
    actor: Actor,
    session: Session,
    request: Request,
) -> Result<(Secret, Entered), Problem> {
    let (entered, brought): (_, NewPasskey) = (own(session)?, body(request).await?);
    let (client_data, attestation) = brought.parts()?;
    let registration = Registration { client_data: &client_data, attestation: &attestation };
    let named = (brought.name.as_str(), &registration);
    passkey::register(node, actor, &entered, named).await.map_err(refused)
}

async fn step_up_one(
    node: &Node,
    actor: Actor,
    session: Session,
    request: Request,
) -> Result<(Secret, Entered), Problem> {
    let (entered, brought): (_, ShownPasskey) = (own(session)?, body(request).await?);
    passkey::step_up(node, actor, &entered, &brought.proof()?).await.map_err(refused)
}

fn answered(outcome: Result<(Secret, Entered), Problem>) -> Response<Body> {
    match outcome {
        Ok((secret, entered)) => admitted::response(&secret, &entered),
        Err(problem) => problem::response(&problem),
    }
}

fn own(session: Session) -> Result<Entered, Problem> {
    let why = "only people have passkeys, and this request came without a session";
    session.map(|Extension(entered)| entered).ok_or_else(|| Problem::malformed(why))
}
