//! The routes of people and their sessions.

use super::super::listing::Listing;
use super::super::shape::{self, List};
use super::super::{passkey, person, session};
use super::{On, Route, act, read};
use crate::access::Action;
use crate::http::admitted::Admitted;
use crate::http::passkey::{NewPasskey, ShownPasskey};

/// All of them.
pub(super) fn routes() -> Vec<Route> {
    let mut routes = others();
    routes.extend(own());
    routes
}

fn others() -> Vec<Route> {
    use Action::{PersonChange, PersonInvite, PersonRead, SessionRead, SessionRevoke};
    use On::{Body, Named, Several};
    vec![
        read("/sessions", "List sessions", SessionRead, Several, session::list)
            .asks::<Listing>()
            .gives::<List<shape::Session>>(),
        act(
            "/sessions/{id}/revoke",
            "End a session",
            SessionRevoke,
            Named("session"),
            session::revoke,
        )
        .gives::<shape::Session>(),
        read("/people", "List people", PersonRead, Several, person::list)
            .asks::<Listing>()
            .gives::<List<shape::Person>>(),
        act("/people", "Invite a person", PersonInvite, Body, person::invite)
            .takes::<person::Invited>()
            .gives::<shape::Person>(),
        read("/people/{name}", "Show a person", PersonRead, Named("person"), person::show)
            .gives::<shape::Person>(),
        act(
            "/people/{name}/disable",
            "Take a person out of use",
            PersonChange,
            Named("person"),
            person::disable,
        )
        .gives::<shape::Person>(),
        act(
            "/people/{name}/enable",
            "Let a person sign in again",
            PersonChange,
            Named("person"),
            person::enable,
        )
        .gives::<shape::Person>(),
        act(
            "/people/{name}/roles",
            "Give a person other roles",
            PersonChange,
            Named("person"),
            person::roles,
        )
        .takes::<person::Given>()
        .gives::<shape::Person>(),
        act(
            "/people/{name}/passkeys/remove",
            "Remove the passkeys of a person",
            PersonChange,
            Named("person"),
            person::remove_passkeys,
        )
        .gives::<shape::Person>(),
    ]
}

fn own() -> Vec<Route> {
    use Action::{
        OwnPasskeyChange, OwnPasskeyRead, OwnSessionEnd, OwnSessionRead, OwnSessionStepUp,
    };
    use On::Oneself;
    vec![
        read("/session", "Show who asks", OwnSessionRead, Oneself, session::own)
            .gives::<shape::OwnSession>(),
        act("/session/end", "Sign out", OwnSessionEnd, Oneself, session::end)
            .gives::<shape::Session>(),
        read("/session/passkeys", "List own passkeys", OwnPasskeyRead, Oneself, passkey::list)
            .gives::<shape::Passkeys>(),
        act(
            "/session/passkeys/options",
            "Begin to make a passkey",
            OwnPasskeyChange,
            Oneself,
            passkey::creation_options,
        )
        .gives::<shape::PasskeyOptions>(),
        act(
            "/session/passkeys",
            "Register a passkey",
            OwnPasskeyChange,
            Oneself,
            passkey::register,
        )
        .takes::<NewPasskey>()
        .gives::<Admitted>(),
        act(
            "/session/passkeys/{id}/remove",
            "Remove an own passkey",
            OwnPasskeyChange,
            Oneself,
            passkey::remove,
        )
        .gives::<shape::RemovedPasskey>(),
        act(
            "/session/step-up/options",
            "Begin to step up",
            OwnSessionStepUp,
            Oneself,
            passkey::request_options,
        )
        .gives::<shape::PasskeyOptions>(),
        act(
            "/session/step-up",
            "Prove by a passkey who one is",
            OwnSessionStepUp,
            Oneself,
            passkey::step_up,
        )
        .takes::<ShownPasskey>()
        .gives::<Admitted>(),
    ]
}
