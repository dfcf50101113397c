//! Keysets: all of them, and one with the phases of its keys and who has fetched them.

use maud::{Markup, html};
use serde_json::Value;

use crate::field::{Field, segment};
use crate::frame::Frame;
use crate::part::{
    ALWAYS, Column, Listed, Powers, ROOMY, WIDE, act, badge, facts, head, hex, or_dash, section,
    table,
};
use crate::phases::phases;
use crate::time::{both, when};

/// The list, from the API's `/keysets`.
#[must_use]
pub fn keysets(frame: &Frame<'_>, listed: &Listed<'_>) -> Markup {
    let row = |item: &Value| {
        let name = item.text("name");
        vec![
            html! { a href={ "/keysets/" (segment(name)) } { (name) } },
            badge(item.text("status")),
            html! { (item.text("algorithm")) },
            html! { (item.number("keys")) },
            when(item.moment("rotates_at"), frame.now),
            or_dash(item.text("issuer")),
        ]
    };
    let rows: Vec<_> = listed.items().iter().map(row).collect();
    let columns = [
        Column("Name", ALWAYS),
        Column("Status", ALWAYS),
        Column("Algorithm", ROOMY),
        Column("Keys", ROOMY),
        Column("Rotates", ALWAYS),
        Column("Issuer", WIDE),
    ];
    html! {
        (head("Keysets", None, &html! {}))
        section id="list" data-part aria-label="Keysets" {
            (table("Keysets", &columns, &rows, "No keyset is declared."))
            (listed.pager("/keysets"))
        }
    }
}

/// One of them, from the API's `/keysets/NAME` and `/keysets/NAME/status`.
#[must_use]
pub fn keyset(frame: &Frame<'_>, powers: &Powers, shown: &Value, status: Option<&Value>) -> Markup {
    let name = shown.text("name");
    let keys = merged(shown, status);
    html! {
        (head(name, Some(shown.text("status")), &acts(name, powers, shown)))
        @for line in status.map(|status| status.list("attention")).unwrap_or_default() {
            p.alarm { (line.as_str().unwrap_or_default()) }
        }
        (section("phases", "Keys and their phases", &html! { (phases(&keys, frame.now)) (table_of(frame, &keys)) }))
        @if let Some(status) = status {
            (section("consumers", "Who has fetched", &consumers(frame, status.list("consumers"), true)))
            @if !status.list("others").is_empty() {
                (section("others", "Others who fetched", &consumers(frame, status.list("others"), false)))
            }
        }
        (section("facts", "What it is", &what(frame, shown)))
    }
}

fn acts(name: &str, powers: &Powers, shown: &Value) -> Markup {
    let path = format!("/keysets/{}", segment(name));
    let declared = !matches!(shown.text("status"), "undeclared" | "ending");
    html! {
        @if declared && powers.has("keyset.rotate") { (act(&format!("{path}/rotate"), "Rotate", "strong")) }
        @if declared && powers.has("keyset.roll-back") { (act(&format!("{path}/rollback"), "Withdraw", "")) }
        @if declared && powers.has("keyset.rotate-emergency") {
            (act(&format!("{path}/emergency"), "Emergency", "danger"))
        }
    }
}

/// The keys of a keyset, each with what its status says of what comes next.
fn merged(shown: &Value, status: Option<&Value>) -> Vec<Value> {
    let next = status.map(|status| status.list("keys")).unwrap_or_default();
    let of = |kid: &str| next.iter().find(|key| key.text("kid") == kid);
    let keys = shown.list("keys").iter().cloned().map(|mut key| {
        if let Some(known) = of(key.text("kid")) {
            key["next_at"] = known["next_at"].clone();
            key["waits_for"] = known["waits_for"].clone();
        }
        key
    });
    keys.collect()
}

fn table_of(frame: &Frame<'_>, keys: &[Value]) -> Markup {
    let row = |key: &Value| {
        vec![
            hex(key.text("kid")),
            badge(key.text("phase")),
            html! { (key.text("algorithm")) },
            both(key.moment("announced_at"), frame.now),
            both(key.moment("signing_from"), frame.now),
            html! {
                (when(key.moment("next_at").or(key.moment("gone_at")), frame.now))
                @if !key.list("waits_for").is_empty() { " waits for " (key.joined("waits_for", ", ")) }
            },
        ]
    };
    let rows: Vec<_> = keys.iter().map(row).collect();
    let columns = [
        Column("Key", ALWAYS),
        Column("Phase", ALWAYS),
        Column("Algorithm", WIDE),
        Column("Announced", WIDE),
        Column("Signs from", ROOMY),
        Column("Next", ALWAYS),
    ];
    table("Keys", &columns, &rows, "It has no key yet.")
}

fn consumers(frame: &Frame<'_>, rows: &[Value], declared: bool) -> Markup {
    let row = |seen: &Value| {
        vec![
            html! {
                (seen.text("name"))
                @if seen.is("required") { " " span.dim { "(no key signs before it has it)" } }
            },
            badge(seen.text("seen")),
            when(seen.moment("last_at"), frame.now),
            html! { (seen.number("count")) },
            or_dash(&seen.joined("lacks", ", ")),
            html! { (seen.text("address")) " " span.dim { (seen.text("agent")) } },
        ]
    };
    let rows: Vec<_> = rows.iter().map(row).collect();
    let columns = [
        Column("Consumer", ALWAYS),
        Column("Seen", ALWAYS),
        Column("Last fetch", ALWAYS),
        Column("Fetches", ROOMY),
        Column("Lacks", ROOMY),
        Column("From", WIDE),
    ];
    let caption = if declared { "Declared consumers" } else { "Others who fetched" };
    table(caption, &columns, &rows, "No consumer is declared: then nothing can wait for one.")
}

fn what(frame: &Frame<'_>, shown: &Value) -> Markup {
    html! {
        @if !shown.text("error").is_empty() { p.alarm { (shown.text("error")) } }
        (facts(&[
            ("Issuer", or_dash(shown.text("issuer"))),
            ("Published at", html! { code { (shown.text("url")) } }),
            ("Announced for", or_dash(shown.text("lead"))),
            ("Verifies after its last signature for", or_dash(shown.text("retirement"))),
            ("Changed", both(shown.moment("changed_at"), frame.now)),
            ("Next", both(shown.moment("next_at"), frame.now)),
            ("Signed at", html! {
                @if shown.list("signers").is_empty() { "this node" } @else { (shown.joined("signers", ", ")) }
            }),
            ("Owner", or_dash(shown.text("owner"))),
        ]))
    }
}
