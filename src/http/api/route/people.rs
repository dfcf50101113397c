//! The routes of people and their sessions.

use super::super::listing::Listing;
use super::super::shape::{self, List};
use super::super::{person, session};
use super::{On, Route, act, read};
use crate::access::Action;

/// All of them.
pub(super) fn routes() -> Vec<Route> {
    use Action::{
        OwnSessionEnd, OwnSessionRead, PersonChange, PersonInvite, PersonRead, SessionRead,
        SessionRevoke,
    };
    use On::{Body, Named, Oneself, Several};
    vec![
        read("/session", "Show who asks", OwnSessionRead, Oneself, session::own)
            .gives::<shape::OwnSession>(),
        act("/session/end", "Sign out", OwnSessionEnd, Oneself, session::end)
            .gives::<shape::Session>(),
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
    ]
}
