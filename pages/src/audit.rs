//! The audit log: who did what to what.

use maud::{Markup, html};
use serde_json::Value;

use crate::field::{Field, segment};
use crate::frame::Frame;
use crate::part::{ALWAYS, Column, Listed, ROOMY, WIDE, facts, head, or_dash, section, table};
use crate::time::both;
use crate::timeline::subject;
use crate::words::line;

/// The log, newest first, from the API's `/events`, which gives the oldest first.
#[must_use]
pub fn audit(frame: &Frame<'_>, listed: &Listed<'_>) -> Markup {
    let rows: Vec<_> = listed.items().iter().rev().map(|item| row(frame, item)).collect();
    let oldest = listed.items().first().map(|event| event.number("id"));
    let older = oldest.filter(|id| *id > 1 && rows.len() >= FULL).map(|id| {
        let about = listed.asked("subject");
        let about =
            if about.is_empty() { String::new() } else { format!("subject={}&", segment(about)) };
        format!("/audit?{about}before={id}")
    });
    let columns = [
        Column("Event", ALWAYS),
        Column("When", ALWAYS),
        Column("Who", ALWAYS),
        Column("What", ALWAYS),
        Column("To what", ROOMY),
        Column("Detail", WIDE),
    ];
    html! {
        (head("Audit", None, &html! {}))
        form.search method="get" action="/audit" role="search" {
            label { "About " input type="search" name="subject" value=(listed.asked("subject")) placeholder="managed/shop"; }
            button type="submit" { "Show" }
        }
        section id="list" data-part aria-label="Events" {
            (table("Events, newest first", &columns, &rows, "No event fits."))
            @if let Some(older) = older {
                nav.pager aria-label="Pages of this list" { a rel="next" href=(older) { "Older" } }
            }
        }
    }
}

fn row(frame: &Frame<'_>, item: &Value) -> Vec<Markup> {
    let id = item.number("id");
    vec![
        html! { a href={ "/audit/" (id) } { (id) } },
        crate::time::when(item.moment("at"), frame.now),
        html! { (item.text("actor")) },
        html! { (item.text("action")) },
        html! { (subject(item.text("subject"))) },
        html! { (line(&item["detail"])) },
    ]
}

/// One event, and the proof that the log has it, where there is one.
#[must_use]
pub fn event(frame: &Frame<'_>, event: &Value, proof: Option<&Value>) -> Markup {
    html! {
        (head(&format!("Event {}", event.number("id")), None, &html! {}))
        (section("facts", "What happened", &facts(&[
            ("When", both(event.moment("at"), frame.now)),
            ("Who", html! { (event.text("actor")) }),
            ("What", html! { (event.text("action")) }),
            ("To what", subject(event.text("subject"))),
            ("Request", or_dash(event.text("request"))),
            ("Rotation", html! { @if event.number("rotation") > 0 { (event.number("rotation")) } @else { "none" } }),
            ("Detail", html! { (line(&event["detail"])) }),
        ])))
        @if let Some(proof) = proof {
            (section("proof", "Proof that the log has it", &html! {
                p { "Keep it, and anybody can check with a signed checkpoint that this event is in the log." }
                pre.pem tabindex="0" role="region" aria-label="Proof of inclusion" {
                    (serde_json::to_string_pretty(proof).unwrap_or_default())
                }
            }))
        }
    }
}

/// A page of the log.
const FULL: usize = 100;
