//! Certificates that were issued here: the list, and one with its chain and what became of it.

use maud::{Markup, html};
use serde_json::Value;

use crate::bar::bar;
use crate::field::{Field, segment};
use crate::frame::Frame;
use crate::part::{
    ALWAYS, Column, Listed, Powers, ROOMY, WIDE, act, badge, facts, few, head, hex, or_dash,
    section, table,
};
use crate::time::{both, when};
use crate::timeline::subject;
use crate::words::line;

/// The list, from the API's `/certificates`.
#[must_use]
pub fn issued(frame: &Frame<'_>, listed: &Listed<'_>) -> Markup {
    let rows: Vec<_> = listed.items().iter().map(|item| row(frame, item)).collect();
    let columns = [
        Column("Names", ALWAYS),
        Column("Status", ALWAYS),
        Column("Ends", ALWAYS),
        Column("Authority", ROOMY),
        Column("Profile", WIDE),
        Column("Serial", WIDE),
    ];
    html! {
        (head("Issued certificates", None, &html! {}))
        form.search method="get" action="/issued" role="search" {
            label { "Name " input type="search" name="names" value=(listed.asked("names")) placeholder="shop.example.com"; }
            label {
                "Ends within "
                select name="expiring_within" {
                    @for (value, said) in WITHIN {
                        option value=(value) selected[value == listed.asked("expiring_within")] { (said) }
                    }
                }
            }
            button type="submit" { "Show" }
        }
        section id="list" data-part aria-label="Issued certificates" {
            (table("Issued certificates", &columns, &rows, "No certificate fits."))
            (listed.pager("/issued"))
        }
    }
}

fn row(frame: &Frame<'_>, item: &Value) -> Vec<Markup> {
    let serial = item.text("serial");
    let names = item.list("names");
    vec![
        html! {
            a href={ "/issued/" (segment(serial)) } {
                @if names.is_empty() { "without a name" } @else { (few(names)) }
            }
        },
        badge(item.text("status")),
        when(item.moment("not_after"), frame.now),
        or_dash(item.text("authority")),
        or_dash(item.text("profile")),
        hex(serial),
    ]
}

/// One of them, from the API's `/certificates/SERIAL`; `events` are what is recorded of it, where that may be
/// seen.
#[must_use]
pub fn issued_one(
    frame: &Frame<'_>,
    powers: &Powers,
    shown: &Value,
    events: Option<&Value>,
) -> Markup {
    let serial = shown.text("serial");
    let title = match shown.list("names").first().and_then(Value::as_str) {
        Some(name) => name,
        None => serial,
    };
    let revocable = shown.text("status") == "valid" && powers.has("certificate.revoke");
    html! {
        (head(title, Some(shown.text("status")), &html! {
            @if revocable { (act(&format!("/issued/{}/revoke", segment(serial)), "Revoke", "danger")) }
        }))
        (section("facts", "What it is", &what(frame, shown)))
        @if let Some(events) = events { (section("lineage", "What became of it", &lineage(events))) }
        @if !shown.text("pem").is_empty() {
            (section("chain", "Certificate and chain", &html! {
                pre.pem tabindex="0" role="region" aria-label="Certificate and chain in PEM" { (shown.text("pem")) }
            }))
        }
    }
}

fn what(frame: &Frame<'_>, shown: &Value) -> Markup {
    let account = shown.number("account");
    html! {
        (bar((shown.moment("not_before"), shown.moment("not_after")), None, frame.now))
        (facts(&[
            ("Names", html! { (shown.joined("names", ", ")) }),
            ("Serial", hex(shown.text("serial"))),
            ("Authority", html! {
                a href={ "/authorities/" (segment(shown.text("authority"))) } { (shown.text("authority")) }
            }),
            ("Profile", or_dash(shown.text("profile"))),
            ("Begins", both(shown.moment("not_before"), frame.now)),
            ("Ends", both(shown.moment("not_after"), frame.now)),
            ("Key, SHA-256", hex(shown.text("key_sha256"))),
            ("Asked for by", html! { @if account > 0 { "account " (account) } @else { "hand, or this node" } }),
            ("Revoked", html! {
                (both(shown.moment("revoked_at"), frame.now)) " " (shown.text("revocation_reason"))
            }),
        ]))
    }
}

/// Events, oldest first.
pub(crate) fn lineage(events: &Value) -> Markup {
    html! {
        @if events.list("items").is_empty() { p.none { "Nothing is on record any more." } }
        ol.timeline {
            @for event in events.list("items") {
                li {
                    span.dot.calm {}
                    span.at { (crate::time::full(event.moment("at"))) }
                    b { (event.text("action")) }
                    " " (subject(event.text("subject"))) " by " (event.text("actor")) " "
                    span.dim { (line(&event["detail"])) }
                }
            }
        }
    }
}

const WITHIN: [(&str, &str); 6] = [
    ("", "any time"),
    ("1d", "a day"),
    ("7d", "7 days"),
    ("30d", "30 days"),
    ("90d", "90 days"),
    ("365d", "a year"),
];
