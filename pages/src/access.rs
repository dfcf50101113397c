//! Who may come in: people, their sessions, API tokens.

use maud::{Markup, html};
use serde_json::Value;

use crate::field::{Field, segment};
use crate::frame::Frame;
use crate::part::{ALWAYS, Column, Powers, ROOMY, WIDE, act, badge, head, or_dash, section, table};
use crate::time::when;

/// What the API answered to who may see it.
#[derive(Debug)]
pub struct Access<'a> {
    /// `/tokens`.
    pub tokens: Option<&'a Value>,
    /// `/people`.
    pub people: Option<&'a Value>,
    /// `/receivers`.
    pub receivers: Option<&'a Value>,
}

/// The page.
#[must_use]
pub fn access(frame: &Frame<'_>, powers: &Powers, of: &Access<'_>) -> Markup {
    html! {
        (head("Access", None, &html! {}))
        @if let Some(people) = of.people { (section("people", "People", &table_of_people(frame, people))) }
        @if let Some(tokens) = of.tokens { (section("tokens", "API tokens", &table_of_tokens(frame, powers, tokens))) }
        @if let Some(receivers) = of.receivers {
            (section("receivers", "Who is told", &table_of_receivers(frame, powers, receivers)))
        }
    }
}

fn table_of_people(frame: &Frame<'_>, people: &Value) -> Markup {
    let row = |person: &Value| {
        vec![
            html! { (person.text("name")) },
            badge(if person.text("status").is_empty() {
                person.text("state")
            } else {
                person.text("status")
            }),
            or_dash(&person.joined("roles", ", ")),
            or_dash(&person.joined("groups", ", ")),
            when(person.moment("entered_at"), frame.now),
        ]
    };
    let rows: Vec<_> = people.list("items").iter().map(row).collect();
    let columns = [
        Column("Name", ALWAYS),
        Column("Status", ALWAYS),
        Column("Roles", ALWAYS),
        Column("Groups", WIDE),
        Column("Signed in", ROOMY),
    ];
    table("People", &columns, &rows, "Nobody was let in yet; perennial invite does.")
}

fn table_of_tokens(frame: &Frame<'_>, powers: &Powers, tokens: &Value) -> Markup {
    let row = |token: &Value| {
        let (name, status) = (token.text("name"), token.text("status"));
        vec![
            html! { (name) },
            badge(status),
            or_dash(&token.joined("scope", ", ")),
            when(token.moment("used_at"), frame.now),
            when(token.moment("expires_at"), frame.now),
            html! {
                @if powers.has("token.revoke") && token.moment("revoked_at").is_none() {
                    a.button.danger data-dialog href={ "/access/tokens/" (segment(name)) "/revoke" } {
                        "Revoke" span.unseen { " " (name) }
                    }
                }
            },
        ]
    };
    let rows: Vec<_> = tokens.list("items").iter().map(row).collect();
    let columns = [
        Column("Name", ALWAYS),
        Column("Status", ALWAYS),
        Column("Good for", ROOMY),
        Column("Last use", ROOMY),
        Column("Expires", WIDE),
        Column("Action", ALWAYS),
    ];
    table("API tokens", &columns, &rows, "No token was made.")
}

fn table_of_receivers(frame: &Frame<'_>, powers: &Powers, receivers: &Value) -> Markup {
    let row = |receiver: &Value| {
        let name = receiver.text("name");
        vec![
            html! { (name) },
            badge(receiver.text("status")),
            html! { (receiver.text("kind")) " " span.dim { (receiver.text("origin")) } },
            when(receiver.moment("delivered"), frame.now),
            or_dash(receiver.text("error")),
            html! {
                @if powers.has("receiver.test") {
                    (act(&format!("/access/receivers/{}/test", segment(name)), &format!("Test {name}"), ""))
                }
            },
        ]
    };
    let rows: Vec<_> = receivers.list("items").iter().map(row).collect();
    let columns = [
        Column("Name", ALWAYS),
        Column("Status", ALWAYS),
        Column("Kind", ROOMY),
        Column("Last message", ROOMY),
        Column("What is wrong", WIDE),
        Column("Action", ALWAYS),
    ];
    table("Who is told of events", &columns, &rows, "No webhook, mail or chat is declared.")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::frame::{Section, Visitor};

    #[test]
    fn who_may_not_revoke_sees_no_way_to() {
        let visitor = Visitor::default();
        let frame = Frame {
            title: "",
            section: Section::Access,
            visitor: &visitor,
            now: jiff::Timestamp::UNIX_EPOCH,
            live: &[],
            done: None,
        };
        let tokens =
            json!({ "items": [{ "name": "ci", "status": "active", "scope": ["role/viewer"] }] });
        let of = Access { tokens: Some(&tokens), people: None, receivers: None };
        let shown = |powers: &Powers| access(&frame, powers, &of).into_string();
        assert!(!shown(&Powers::default()).contains("revoke"));
        assert!(
            shown(&Powers::of(&["token.revoke"], |_| true)).contains("/access/tokens/ci/revoke")
        );
    }
}
