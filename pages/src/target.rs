//! Targets: all of them with what drifted, and one with everything that is placed there.

use maud::{Markup, html};
use serde_json::Value;

use crate::field::{Field, segment};
use crate::frame::Frame;
use crate::part::{ALWAYS, Column, Listed, ROOMY, badge, facts, head, or_dash, section, table};
use crate::proof::proof;
use crate::time::when;
use crate::words::line;

/// The list, from the API's `/targets`, and what drifted, from its `/placements`.
#[must_use]
pub fn targets(frame: &Frame<'_>, listed: &Listed<'_>, drifted: &Value) -> Markup {
    let wrong = drifted.list("items");
    let row = |item: &Value| {
        let name = item.text("name");
        let drifts = wrong.iter().filter(|place| place.text("target") == name).count();
        vec![
            html! { a href={ "/targets/" (segment(name)) } { (name) } },
            html! { @if drifts > 0 { (badge("drifted")) " " (drifts) } @else { (badge("good")) } },
            html! { (item.text("kind")) },
            or_dash(&item.joined("probe", ", ")),
        ]
    };
    let rows: Vec<_> = listed.items().iter().map(row).collect();
    let columns = [
        Column("Name", ALWAYS),
        Column("Status", ALWAYS),
        Column("Kind", ALWAYS),
        Column("Looked at by handshake", ROOMY),
    ];
    html! {
        (head("Targets", None, &html! {}))
        @if !wrong.is_empty() {
            (section("drift", "What is served is not what should be", &places(frame, wrong)))
        }
        section id="list" data-part aria-label="Targets" {
            (table("Targets", &columns, &rows, "No target is declared."))
        }
    }
}

/// One of them, from the API's `/targets/NAME` and what is placed there, from its `/placements`.
#[must_use]
pub fn target(frame: &Frame<'_>, shown: &Value, placed: &Listed<'_>) -> Markup {
    let declared = shown.as_object().into_iter().flatten();
    let declared: Vec<_> = declared
        .filter(|(name, value)| *name != "name" && !value.is_null())
        .map(|(name, value)| (name.replace('_', " "), line(value)))
        .collect();
    let declared: Vec<_> =
        declared.iter().map(|(name, value)| (name.as_str(), html! { (value) })).collect();
    let path = format!("/targets/{}", segment(shown.text("name")));
    html! {
        (head(shown.text("name"), None, &html! {}))
        (section("placed", "What it serves", &html! {
            (places(frame, placed.items()))
            (placed.pager(&path))
        }))
        (section("facts", "As declared", &facts(&declared)))
    }
}

/// Placements: what each target serves of each certificate, and should.
fn places(frame: &Frame<'_>, places: &[Value]) -> Markup {
    let row = |place: &Value| {
        let (certificate, target) = (place.text("certificate"), place.text("target"));
        let (serves, should, error) =
            (place.number("serves"), place.number("should"), place.text("error"));
        vec![
            html! { a href={ "/certificates/" (segment(certificate)) } { (certificate) } },
            html! { a href={ "/targets/" (segment(target)) } { (target) } },
            html! {
                @if serves > 0 { "v" (serves) } @else { "nothing" }
                @if serves != should { ", should serve v" (should) }
            },
            html! {
                @if error.is_empty() { (proof(&place["proof"])) } @else { p.alarm { (error) } (proof(&place["proof"])) }
            },
            when(place.moment("looked_at_next"), frame.now),
        ]
    };
    let rows: Vec<_> = places.iter().map(row).collect();
    let columns = [
        Column("Certificate", ALWAYS),
        Column("Target", ALWAYS),
        Column("Serves", ALWAYS),
        Column("Proof by handshake", ROOMY),
        Column("Next look", ROOMY),
    ];
    table("What is served", &columns, &rows, "Nothing is placed there.")
}
