//! The routes of the API: each a row that says what it is for, which action it is, and on what. There is
//! no other way to add one, so that none is without a decision.

mod deciding;

use std::sync::Arc;

use axum::handler::Handler;
use axum::routing::{MethodRouter, get, post};

use super::{
    crypto, declare, external_key, found, inventory, issue, issuer, keyset, keyset_status, log,
    managed, person, receiver, session, status, token, wish,
};
use crate::access::Action;
use crate::node::Node;

/// One route.
#[expect(dead_code, reason = "the description of the API is made of it")]
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
    pub(super) handler: MethodRouter<Arc<Node>>,
}

/// What an action of a route is done to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum On {
    /// All things of a kind, or what is of none: whoever may do it to some only is refused.
    Several,
    /// The thing that the path names.
    Named(&'static str),
    /// What the body says; the handler asks once it has read that.
    Body,
    /// Whoever asks, and nobody else.
    Oneself,
}

/// All of them.
pub(super) fn routes() -> Vec<Route> {
    let mut routes = issuing();
    routes.extend(managing());
    routes.extend(finding());
    routes.extend(running());
    routes.extend(people());
    routes.extend(recording());
    routes.extend(deciding::routes());
    routes
}

fn recording() -> Vec<Route> {
    use Action::{CheckpointMake, EventRead as Read};
    use On::Several;
    vec![
        read("/events", "The audit log", Read, Several, inventory::events),
        read("/audit/events", "The audit log as it is hashed", Read, Several, log::lines),
        read("/audit/key", "What verifies checkpoints", Read, Several, log::key),
        read("/audit/checkpoint", "The newest checkpoint, a note", Read, Several, log::checkpoint),
        act("/audit/checkpoint", "Sign what is new", CheckpointMake, Several, log::sign),
        read("/audit/checkpoints/newest", "The same, and its time", Read, Several, log::newest),
        read("/audit/proofs/{id}", "Prove that an event is in it", Read, Several, log::proof),
        read("/audit/consistency", "Prove that it only grew", Read, Several, log::consistency),
        read("/audit/verify", "Check the audit log", Read, Several, log::verify),
    ]
}

fn issuing() -> Vec<Route> {
    use Action::{
        AccountRead, AccountRevoke, AuthorityRead, CertificateIssue, CertificateRead,
        CertificateRevoke, DirectoryRead, ExternalKeyCreate, ExternalKeyRead, ExternalKeyRevoke,
        OrderRead, ProfileRead,
    };
    use On::{Body, Named, Several};
    vec![
        read("/authorities", "List authorities", AuthorityRead, Several, inventory::authorities),
        read(
            "/authorities/{name}",
            "Show an authority",
            AuthorityRead,
            Named("authority"),
            inventory::authority,
        ),
        read("/profiles", "List profiles", ProfileRead, Several, inventory::profiles),
        read(
            "/profiles/{name}",
            "Show a profile",
            ProfileRead,
            Named("profile"),
            inventory::profile,
        ),
        read(
            "/directories",
            "List ACME directories",
            DirectoryRead,
            Several,
            inventory::directories,
        ),
        read(
            "/directories/{name}",
            "Show an ACME directory",
            DirectoryRead,
            Named("directory"),
            inventory::directory,
        ),
        read("/accounts", "List ACME accounts", AccountRead, Several, inventory::accounts),
        read(
            "/accounts/{id}",
            "Show an ACME account",
            AccountRead,
            Named("account"),
            inventory::account,
        ),
        act(
            "/accounts/{id}/revoke",
            "Take an ACME account out of use",
            AccountRevoke,
            Named("account"),
            issue::revoke_account,
        ),
        read("/orders", "List ACME orders", OrderRead, Several, inventory::orders),
        read("/orders/{id}", "Show an ACME order", OrderRead, Named("order"), inventory::order),
        read(
            "/certificates",
            "List issued certificates",
            CertificateRead,
            Several,
            inventory::certificates,
        ),
        act(
            "/certificates",
            "Issue a certificate for a CSR",
            CertificateIssue,
            Body,
            issue::create,
        ),
        read(
            "/certificates/{serial}",
            "Show an issued certificate",
            CertificateRead,
            Named("certificate"),
            inventory::certificate,
        ),
        act(
            "/certificates/{serial}/revoke",
            "Revoke a certificate",
            CertificateRevoke,
            Named("certificate"),
            issue::revoke,
        ),
        read(
            "/external-keys",
            "List external account keys",
            ExternalKeyRead,
            Several,
            external_key::list,
        ),
        act(
            "/external-keys",
            "Make an external account key",
            ExternalKeyCreate,
            Several,
            external_key::create,
        ),
        act(
            "/external-keys/{kid}/revoke",
            "Revoke an external account key",
            ExternalKeyRevoke,
            Named("external-key"),
            external_key::revoke,
        ),
    ]
}

fn managing() -> Vec<Route> {
    use Action::{
        IssuerRead, IssuerRollKey, KeysetRead, KeysetRollBack, KeysetRotate, ManagedRead,
        ManagedRenew, ManagedRollBack, TargetRead,
    };
    use On::{Named, Several};
    vec![
        read("/managed", "List managed certificates", ManagedRead, Several, managed::list),
        read(
            "/managed/{name}",
            "Show a managed certificate",
            ManagedRead,
            Named("managed"),
            managed::show,
        ),
        act(
            "/managed/{name}/renew",
            "Renew a managed certificate now",
            ManagedRenew,
            Named("managed"),
            wish::renew,
        ),
        act(
            "/managed/{name}/rollback",
            "Put an earlier version back",
            ManagedRollBack,
            Named("managed"),
            wish::roll_back,
        ),
        read("/issuers", "List issuers outside", IssuerRead, Several, issuer::list),
        read("/issuers/{name}", "Show an issuer", IssuerRead, Named("issuer"), issuer::show),
        act(
            "/issuers/{name}/roll-key",
            "Give our account at an issuer a new key",
            IssuerRollKey,
            Named("issuer"),
            issuer::roll_key,
        ),
        read("/keysets", "List keysets", KeysetRead, Several, keyset::list),
        read("/keysets/{name}", "Show a keyset", KeysetRead, Named("keyset"), keyset::show),
        read(
            "/keysets/{name}/status",
            "Show who has fetched a keyset",
            KeysetRead,
            Named("keyset"),
            keyset_status::show,
        ),
        act(
            "/keysets/{name}/rotate",
            "Rotate a keyset",
            KeysetRotate,
            Named("keyset"),
            keyset::rotate,
        ),
        act(
            "/keysets/{name}/rollback",
            "Withdraw an announced key",
            KeysetRollBack,
            Named("keyset"),
            keyset::roll_back,
        ),
        read(
            "/rotations/{id}",
            "Show a rotation",
            ManagedRead,
            Named("rotation"),
            managed::rotation,
        ),
        read("/targets", "List targets", TargetRead, Several, managed::targets),
        read("/targets/{name}", "Show a target", TargetRead, Named("target"), managed::target),
    ]
}

fn finding() -> Vec<Route> {
    use Action::{EndpointRead, FoundRead, ScanRead, ScanRun};
    use On::{Named, Several};
    vec![
        read("/found", "List found certificates", FoundRead, Several, found::list),
        read("/found/{id}", "Show a found certificate", FoundRead, Named("found"), found::show),
        read("/endpoints", "List watched endpoints", EndpointRead, Several, found::endpoints),
        read(
            "/endpoints/{name}",
            "Show a watched endpoint",
            EndpointRead,
            Named("endpoint"),
            found::endpoint,
        ),
        read("/crypto", "List the cryptography in use", FoundRead, Several, crypto::list),
        read("/expiring", "List what ends soon", FoundRead, Several, found::expiring),
        read("/scans", "List scans", ScanRead, Several, found::scans),
        act("/scans", "Begin a scan", ScanRun, Several, found::begin),
        read("/scans/{id}", "Show a scan", ScanRead, Named("scan"), found::scan_of),
        act(
            "/scans/{id}/findings",
            "Report what a scan found",
            ScanRun,
            Named("scan"),
            found::tell,
        ),
    ]
}

fn running() -> Vec<Route> {
    use Action::{
        DeclarationApply, DeclarationPlan, NodeRead, ReceiverRead, ReceiverTest, TokenCreate,
        TokenRead, TokenRevoke,
    };
    use On::{Body, Named, Several};
    vec![
        read("/status", "The node at a glance", NodeRead, Several, status::status),
        read("/tokens", "List API tokens", TokenRead, Several, token::list),
        act("/tokens", "Make an API token", TokenCreate, Body, token::create),
        act(
            "/tokens/{name}/revoke",
            "Revoke an API token",
            TokenRevoke,
            Named("token"),
            token::revoke,
        ),
        read("/receivers", "List who is told of events", ReceiverRead, Several, receiver::list),
        read(
            "/receivers/{name}",
            "Show a receiver",
            ReceiverRead,
            Named("receiver"),
            receiver::show,
        ),
        act(
            "/receivers/{name}/test",
            "Send a receiver a test",
            ReceiverTest,
            Named("receiver"),
            receiver::test,
        ),
        read("/webhooks", "List webhooks", ReceiverRead, Several, receiver::webhooks),
        read("/webhooks/{name}", "Show a webhook", ReceiverRead, Named("receiver"), receiver::show),
        act(
            "/webhooks/{name}/test",
            "Send a webhook a test",
            ReceiverTest,
            Named("receiver"),
            receiver::test,
        ),
        act("/plan", "What declarations would change", DeclarationPlan, Body, declare::plan),
        act("/apply", "Make what is declared so", DeclarationApply, Body, declare::apply),
    ]
}

fn people() -> Vec<Route> {
    use Action::{
        OwnSessionEnd, OwnSessionRead, PersonChange, PersonInvite, PersonRead, SessionRead,
        SessionRevoke,
    };
    use On::{Body, Named, Oneself, Several};
    vec![
        read("/session", "Show who asks", OwnSessionRead, Oneself, session::own),
        act("/session/end", "Sign out", OwnSessionEnd, Oneself, session::end),
        read("/sessions", "List sessions", SessionRead, Several, session::list),
        act(
            "/sessions/{id}/revoke",
            "End a session",
            SessionRevoke,
            Named("session"),
            session::revoke,
        ),
        read("/people", "List people", PersonRead, Several, person::list),
        act("/people", "Invite a person", PersonInvite, Body, person::invite),
        read("/people/{name}", "Show a person", PersonRead, Named("person"), person::show),
        act(
            "/people/{name}/disable",
            "Take a person out of use",
            PersonChange,
            Named("person"),
            person::disable,
        ),
        act(
            "/people/{name}/enable",
            "Let a person sign in again",
            PersonChange,
            Named("person"),
            person::enable,
        ),
        act(
            "/people/{name}/roles",
            "Give a person other roles",
            PersonChange,
            Named("person"),
            person::roles,
        ),
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
    Route { method: "GET", path, summary, action, on, handler: get(handler) }
}

/// A route that does something.
fn act<H, T>(path: &'static str, summary: &'static str, action: Action, on: On, handler: H) -> Route
where
    H: Handler<T, Arc<Node>>,
    T: 'static,
{
    Route { method: "POST", path, summary, action, on, handler: post(handler) }
}
