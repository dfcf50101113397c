//! Managed certificates: all of them, and one with its versions, its targets and how it was rotated.

use maud::{Markup, html};
use serde_json::Value;

use crate::bar::bar;
use crate::field::{Field, segment};
use crate::frame::Frame;
use crate::part::{
    ALWAYS, Column, Listed, Powers, ROOMY, WIDE, act, badge, facts, few, head, hex, or_dash,
    section, table,
};
use crate::proof::proof;
use crate::time::{both, full, when};
use crate::timeline;

/// The list, from the API's `/managed`.
#[must_use]
pub fn managed(frame: &Frame<'_>, listed: &Listed<'_>) -> Markup {
    let rows: Vec<_> = listed.items().iter().map(|item| row(frame, item)).collect();
    let columns = [
        Column("Name", ALWAYS),
        Column("Status", ALWAYS),
        Column("Names", WIDE),
        Column("Served", ROOMY),
        Column("Ends", ALWAYS),
        Column("Renews", ROOMY),
        Column("Issuer", WIDE),
        Column("Owner", WIDE),
    ];
    html! {
        (head("Certificates", None, &html! {}))
        section id="list" data-part aria-label="Managed certificates" {
            (table("Managed certificates", &columns, &rows, "No certificate is managed that fits."))
            (listed.pager("/certificates"))
        }
    }
}

fn row(frame: &Frame<'_>, item: &Value) -> Vec<Markup> {
    let name = item.text("name");
    vec![
        html! { a href={ "/certificates/" (segment(name)) } { (name) } },
        badge(item.text("status")),
        few(item.list("names")),
        html! { (item.text("targets")) },
        when(item.moment("not_after"), frame.now),
        when(item.moment("renews_at"), frame.now),
        or_dash(item.text("issuer")),
        or_dash(item.text("owner")),
    ]
}

/// One of them, from the API's `/managed/NAME`.
#[must_use]
pub fn managed_one(frame: &Frame<'_>, powers: &Powers, shown: &Value) -> Markup {
    let name = shown.text("name");
    html! {
        (head(name, Some(shown.text("status")), &acts(name, powers, shown)))
        (section("facts", "What it is", &what(frame, shown)))
        (section("places", "Where it is served", &places(frame, shown)))
        (section("versions", "Versions", &versions(frame, shown)))
        (section("rotations", "Rotations", &html! {
            @if shown.list("rotations").is_empty() { p.none { "It was not rotated yet." } }
            @for rotation in shown.list("rotations") { (timeline::rotation(rotation, frame.now)) }
        }))
    }
}

fn acts(name: &str, powers: &Powers, shown: &Value) -> Markup {
    let path = format!("/certificates/{}", segment(name));
    let declared = shown.text("status") != "undeclared";
    html! {
        @if declared && powers.has("managed.renew") { (act(&format!("{path}/renew"), "Renew", "strong")) }
        @if declared && powers.has("managed.roll-back") { (act(&format!("{path}/rollback"), "Roll back", "")) }
        @if declared && powers.has("managed.renew-emergency") {
            (act(&format!("{path}/emergency"), "Emergency", "danger"))
        }
    }
}

fn what(frame: &Frame<'_>, shown: &Value) -> Markup {
    let current = shown.list("versions").iter().find(|version| version.text("status") == "current");
    let (because, error) = (shown.text("because"), shown.text("error"));
    html! {
        @if !error.is_empty() { p.alarm { (error) } }
        @if let Some(current) = current {
            (bar((current.moment("not_before"), current.moment("not_after")), current.moment("renews_at"), frame.now))
        }
        (facts(&[
            ("Names", html! { (shown.joined("names", ", ")) }),
            ("Version", html! { @if shown.number("version") > 0 { "v" (shown.number("version")) } @else { "none yet" } }),
            ("Issuer", or_dash(shown.text("issuer"))),
            ("Ends", both(shown.moment("not_after"), frame.now)),
            ("Renews", html! {
                (both(shown.moment("renews_at"), frame.now))
                @if !because.is_empty() { " " (because) }
            }),
            ("Owner", or_dash(shown.text("owner"))),
            ("Served by", html! { (shown.text("targets")) " targets" }),
        ]))
    }
}

fn places(frame: &Frame<'_>, shown: &Value) -> Markup {
    let current = shown.number("version");
    let rows: Vec<_> = shown
        .list("placements")
        .iter()
        .map(|place| {
            let (serves, target) = (place.number("serves"), place.text("target"));
            let error = place.text("error");
            let state = match (error.is_empty(), serves > 0 && serves == current) {
                (false, _) => "drifted",
                (true, true) => "served",
                (true, false) => "waiting",
            };
            vec![
                html! { a href={ "/targets/" (segment(target)) } { (target) } },
                badge(state),
                html! {
                    @if serves > 0 { "v" (serves) } @else { "nothing" }
                    @if place.number("given") != serves { ", given v" (place.number("given")) }
                },
                html! { (proof(&place["proof"])) @if !error.is_empty() { p.alarm { (error) } } },
                when(place.moment("looked_at_next"), frame.now),
            ]
        })
        .collect();
    let columns = [
        Column("Target", ALWAYS),
        Column("Status", ALWAYS),
        Column("Serves", ROOMY),
        Column("Proof by handshake", ALWAYS),
        Column("Next look", WIDE),
    ];
    table("Where it is served", &columns, &rows, "It has no targets, or reached none yet.")
}

fn versions(frame: &Frame<'_>, shown: &Value) -> Markup {
    let rows: Vec<_> = shown
        .list("versions")
        .iter()
        .map(|version| {
            let serial = version.text("serial");
            vec![
                html! { "v" (version.number("version")) },
                badge(version.text("status")),
                html! {
                    @if frame.visitor.may.contains("certificate.read") {
                        a href={ "/issued/" (segment(serial)) } { (hex(serial)) }
                    } @else { (hex(serial)) }
                },
                html! { (version.text("issuer")) },
                full(version.moment("obtained_at")),
                full(version.moment("proven_at")),
                both(version.moment("not_after"), frame.now),
            ]
        })
        .collect();
    let columns = [
        Column("Version", ALWAYS),
        Column("Status", ALWAYS),
        Column("Serial", WIDE),
        Column("Issuer", ROOMY),
        Column("Obtained", WIDE),
        Column("Proven", ROOMY),
        Column("Ends", ALWAYS),
    ];
    table("Versions", &columns, &rows, "There is no version yet.")
}
