//! What was found in use: certificates and where they stand, and addresses that are watched.

use maud::{Markup, html};
use serde_json::Value;

use crate::bar::bar;
use crate::field::{Field, segment};
use crate::frame::Frame;
use crate::part::{
    ALWAYS, Column, Listed, ROOMY, WIDE, badge, facts, few, head, hex, or_dash, section, table,
};
use crate::time::{both, when};

/// The list, from the API's `/found`.
#[must_use]
pub fn found(frame: &Frame<'_>, listed: &Listed<'_>) -> Markup {
    let row = |item: &Value| {
        vec![
            html! { a href={ "/found/" (item.number("id")) } { (item.text("called")) } },
            when(item.moment("not_after"), frame.now),
            or_dash(item.text("place")),
            html! { (item.number("places")) },
            or_dash(item.text("issuer")),
            html! { (item.text("key")) },
            or_dash(item.text("owner")),
        ]
    };
    let rows: Vec<_> = listed.items().iter().map(row).collect();
    let columns = [
        Column("Name", ALWAYS),
        Column("Ends", ALWAYS),
        Column("Place", ROOMY),
        Column("Places", WIDE),
        Column("Issuer", WIDE),
        Column("Key", WIDE),
        Column("Owner", ROOMY),
    ];
    html! {
        (head("Found certificates", None, &html! {}))
        form.search method="get" action="/found" role="search" {
            label { "Owner " input type="search" name="owner" value=(listed.asked("owner")); }
            label { "Ends within " input type="text" name="expiring_within" size="6" value=(listed.asked("expiring_within")) placeholder="30d"; }
            button type="submit" { "Show" }
        }
        section id="list" data-part aria-label="Found certificates" {
            (table("Found certificates", &columns, &rows, "Nothing was found that fits; perennial scan looks."))
            (listed.pager("/found"))
        }
    }
}

/// One of them, from the API's `/found/ID`.
#[must_use]
pub fn found_one(frame: &Frame<'_>, one: &Value) -> Markup {
    html! {
        (head(one.text("called"), None, &html! {}))
        (section("facts", "What it is", &html! {
            (bar((one.moment("not_before"), one.moment("not_after")), None, frame.now))
            (facts(&[
                ("Names", html! { (few(one.list("names"))) }),
                ("Subject", or_dash(one.text("subject"))),
                ("Issuer", or_dash(one.text("issuer"))),
                ("Serial", hex(one.text("serial"))),
                ("Begins", both(one.moment("not_before"), frame.now)),
                ("Ends", both(one.moment("not_after"), frame.now)),
                ("Key", or_dash(one.text("key"))),
                ("Signature", or_dash(one.text("signature"))),
                ("SHA-256", hex(one.text("fingerprint_sha256"))),
                ("Owner", or_dash(one.text("owner"))),
            ]))
        }))
        (section("places", "Where it stands", &sightings(frame, one.list("sightings"))))
    }
}

/// Addresses that are watched, from the API's `/endpoints`.
#[must_use]
pub fn endpoints(frame: &Frame<'_>, listed: &Listed<'_>) -> Markup {
    let row = |item: &Value| {
        let name = item.text("name");
        vec![
            html! { a href={ "/endpoints/" (segment(name)) } { (name) } },
            badge(item.text("status")),
            or_dash(item.text("address")),
            or_dash(item.text("error")),
            when(item.moment("looked_at"), frame.now),
            or_dash(item.text("owner")),
        ]
    };
    let rows: Vec<_> = listed.items().iter().map(row).collect();
    let columns = [
        Column("Name", ALWAYS),
        Column("Status", ALWAYS),
        Column("Address", ROOMY),
        Column("What is wrong", ROOMY),
        Column("Looked at", ALWAYS),
        Column("Owner", WIDE),
    ];
    html! {
        (head("Endpoints", None, &html! {}))
        section id="list" data-part aria-label="Endpoints" {
            (table("Endpoints", &columns, &rows, "No endpoint is watched."))
        }
    }
}

/// One of them, from the API's `/endpoints/NAME`.
#[must_use]
pub fn endpoint(frame: &Frame<'_>, one: &Value) -> Markup {
    html! {
        (head(one.text("name"), Some(one.text("status")), &html! {}))
        @if !one.text("error").is_empty() { p.alarm { (one.text("error")) } }
        (section("addresses", "What its addresses show", &sightings(frame, one.list("addresses"))))
        (section("facts", "What it is", &facts(&[
            ("Address", or_dash(one.text("address"))),
            ("Owner", or_dash(one.text("owner"))),
            ("Looked at", both(one.moment("looked_at"), frame.now)),
            ("Changed", both(one.moment("changed_at"), frame.now)),
            ("Next look", both(one.moment("next_at"), frame.now)),
        ])))
    }
}

fn sightings(frame: &Frame<'_>, seen: &[Value]) -> Markup {
    let row = |seen: &Value| {
        vec![
            html! { code { (seen.text("place")) } },
            html! {
                @let (error, flaws) = (seen.text("error"), seen.joined("flaws", ", "));
                @if error.is_empty() && flaws.is_empty() { (badge("good")) }
                @if !flaws.is_empty() { span.badge.warn { (flaws) } }
                @if !error.is_empty() { p.alarm { (error) } }
            },
            or_dash(seen["certificate"].text("called")),
            when(seen.moment("last_seen_at"), frame.now),
            when(seen.moment("first_seen_at"), frame.now),
        ]
    };
    let rows: Vec<_> = seen.iter().map(row).collect();
    let columns = [
        Column("Place", ALWAYS),
        Column("Status", ALWAYS),
        Column("Certificate", ROOMY),
        Column("Last seen", ALWAYS),
        Column("First seen", WIDE),
    ];
    table("Where it stands", &columns, &rows, "It stands nowhere that is known now.")
}
