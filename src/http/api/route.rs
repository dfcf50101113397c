//! The routes of the API: each a row that says what it is for, which action it is, and on what. There is
//! no other way to add one, so that none is without a decision.

mod deciding;
mod finding;
mod issuing;
mod managing;
mod people;
mod recording;

use std::sync::Arc;

use axum::handler::Handler;
use axum::routing::{MethodRouter, get, post};
use schemars::JsonSchema;

use super::describe::{Described, schema_of};
use super::listing::Listing;
use super::shape::{self, List};
use super::{declare, figures, receiver, status, token};
use crate::access::Action;
use crate::node::Node;

/// One route.
pub(crate) struct Route {
    /// `GET` or `POST`.
    pub(crate) method: &'static str,
    /// Under `/api/v1`.
    pub(crate) path: &'static str,
    /// What it does, in a line.
    pub(crate) summary: &'static str,
    /// What whoever asks must be permitted.
    pub(crate) action: Action,
    /// On what.
    pub(crate) on: On,
    /// Its query.
    pub(super) asked: Option<Described>,
    /// Its body.
    pub(super) taken: Option<Described>,
    /// Its answer.
    pub(super) given: Option<Described>,
    /// The type of its answer.
    pub(super) form: &'static str,
    pub(super) handler: MethodRouter<Arc<Node>>,
}

impl Route {
    /// The same, whose query is a `T`.
    fn asks<T: JsonSchema>(self) -> Self {
        Self { asked: Some(schema_of::<T>), ..self }
    }

    /// The same, whose body is a `T`.
    fn takes<T: JsonSchema>(self) -> Self {
        Self { taken: Some(schema_of::<T>), ..self }
    }

    /// The same, whose answer is a `T`.
    fn gives<T: JsonSchema>(self) -> Self {
        Self { given: Some(schema_of::<T>), ..self }
    }

    /// The same, whose answer is plain text.
    fn gives_text(self) -> Self {
        Self { given: Some(schema_of::<String>), form: "text/plain", ..self }
    }
}

/// What an action of a route is done to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum On {
    /// All things of a kind, or what is of none: whoever may do it to some only is refused.
    Several,
    /// Things of a kind; the handler shows those that the caller may see.
    Listed,
    /// The thing that the path names.
    Named(&'static str),
    /// What the body says; the handler asks once it has read that.
    Body,
    /// Whoever asks, and nobody else.
    Oneself,
}

/// All of them.
pub(super) fn routes() -> Vec<Route> {
    let mut routes = issuing::routes();
    routes.extend(managing::routes());
    routes.extend(finding::routes());
    routes.extend(running());
    routes.extend(people::routes());
    routes.extend(recording::routes());
    routes.extend(deciding::routes());
    routes
}

fn running() -> Vec<Route> {
    use Action::{
        DeclarationApply, DeclarationPlan, NodeRead, ReceiverRead, ReceiverTest, TokenCreate,
        TokenRead, TokenRevoke,
    };
    use On::{Body, Named, Several};
    vec![
        read("/status", "The node at a glance", NodeRead, Several, status::status)
            .gives::<shape::Status>(),
        read("/overview", "Ends by day and rotations", NodeRead, Several, figures::overview)
            .gives::<shape::Overview>(),
        read("/tokens", "List API tokens", TokenRead, Several, token::list)
            .asks::<Listing>()
            .gives::<List<shape::Token>>(),
        act("/tokens", "Make an API token", TokenCreate, Body, token::create)
            .takes::<token::Wanted>()
            .gives::<shape::Token>(),
        act(
            "/tokens/{name}/revoke",
            "Revoke an API token",
            TokenRevoke,
            Named("token"),
            token::revoke,
        )
        .gives::<shape::Token>(),
        read("/receivers", "List who is told of events", ReceiverRead, Several, receiver::list)
            .gives::<List<shape::Receiver>>(),
        read(
            "/receivers/{name}",
            "Show a receiver",
            ReceiverRead,
            Named("receiver"),
            receiver::show,
        )
        .gives::<shape::ReceiverInFull>(),
        act(
            "/receivers/{name}/test",
            "Send a receiver a test",
            ReceiverTest,
            Named("receiver"),
            receiver::test,
        )
        .gives::<shape::Tested>(),
        read("/webhooks", "List webhooks", ReceiverRead, Several, receiver::webhooks)
            .gives::<List<shape::Receiver>>(),
        read("/webhooks/{name}", "Show a webhook", ReceiverRead, Named("receiver"), receiver::show)
            .gives::<shape::ReceiverInFull>(),
        act(
            "/webhooks/{name}/test",
            "Send a webhook a test",
            ReceiverTest,
            Named("receiver"),
            receiver::test,
        )
        .gives::<shape::Tested>(),
        act("/plan", "What declarations would change", DeclarationPlan, Body, declare::plan)
            .takes::<declare::Files>()
            .gives::<shape::Plan>(),
        act("/apply", "Make what is declared so", DeclarationApply, Body, declare::apply)
            .takes::<declare::Files>()
            .gives::<shape::Applied>(),
    ]
}

/// A route that shows something.
fn read<H, T>(
    path: &'static str,
    summary: &'static str,
    action: Action,
    on: On,
    handler: H,
) -> Route
where
    H: Handler<T, Arc<Node>>,
    T: 'static,
{
    row("GET", (path, summary), (action, on), get(handler))
}

/// A route that does something.
fn act<H, T>(path: &'static str, summary: &'static str, action: Action, on: On, handler: H) -> Route
where
    H: Handler<T, Arc<Node>>,
    T: 'static,
{
    row("POST", (path, summary), (action, on), post(handler))
}

fn row(
    method: &'static str,
    (path, summary): (&'static str, &'static str),
    (action, on): (Action, On),
    handler: MethodRouter<Arc<Node>>,
) -> Route {
    let (asked, taken, given, form) = (None, None, None, "application/json");
    Route { method, path, summary, action, on, asked, taken, given, form, handler }
}
