//! What happened, in order: the events of a rotation, or of the audit log.

use maud::{Markup, html};
use serde_json::Value;

use crate::field::{Field, segment};
use crate::part::badge;
use crate::time::{both, full, length};
use crate::words::line;

/// A rotation, with what happened in it.
pub(crate) fn rotation(rotation: &Value, now: jiff::Timestamp) -> Markup {
    let (from, to) = (rotation.number("from"), rotation.number("to"));
    let took = rotation.moment("started_at").zip(rotation.moment("proven_at"));
    html! {
        article.rotation id={ "rotation-" (rotation.number("id")) } {
            h3 {
                @if from > 0 { "v" (from) " → " }
                @if to > 0 { "v" (to) } @else { "next version" }
                " " (badge(rotation.text("phase")))
            }
            p {
                (both(rotation.moment("started_at"), now)) ": " (rotation.text("because"))
                @if let Some((begun, proven)) = took {
                    "; served after " (length(proven.as_second() - begun.as_second()))
                }
            }
            @for field in ["error", "pause"] {
                @if !rotation.text(field).is_empty() { p.alarm { (rotation.text(field)) } }
            }
            ol.timeline { @for event in rotation.list("timeline") { li { (step(event)) } } }
        }
    }
}

fn step(event: &Value) -> Markup {
    let failed =
        ["fail", "refuted", "revert"].iter().any(|word| event.text("action").contains(word));
    html! {
        span.dot.(if failed { "bad" } else { "good" }) {}
        span.at { (full(event.moment("at"))) }
        b { (event.text("action")) }
        " " span { (line(&event["detail"])) }
    }
}

/// What an event is about, as a way to it where there is one.
pub(crate) fn subject(subject: &str) -> Markup {
    let (kind, name) = subject.split_once('/').unwrap_or((subject, ""));
    let page = match kind {
        "managed" => "/certificates/",
        "certificate" => "/issued/",
        "keyset" => "/keysets/",
        "authority" => "/authorities/",
        "target" => "/targets/",
        "endpoint" => "/endpoints/",
        "found" => "/found/",
        _ => "",
    };
    html! {
        @if page.is_empty() || name.is_empty() { (subject) }
        @else { a href={ (page) (segment(name)) } { (subject) } }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_rotation_says_why_how_long_and_what_failed() {
        let shown = rotation(
            &json!({ "id": 7, "from": 3, "to": 4, "phase": "failed", "because": "an operator asked for it",
                "started_at": "2026-12-01T00:00:00Z", "proven_at": "2026-12-01T00:00:40Z", "error": "no <b>",
                "timeline": [{ "at": "2026-12-01T00:00:00Z", "action": "rotation.fail", "detail": { "why": "x" } }] }),
            "2026-12-01T00:02:00Z".parse().expect("a time"),
        );
        let shown = shown.into_string();
        for part in ["v3 → v4", "served after 40 s", "no &lt;b&gt;", "why: x", "dot bad"] {
            assert!(shown.contains(part), "{part}: {shown}");
        }
    }

    #[test]
    fn subjects_lead_to_their_pages() {
        assert!(subject("managed/shop").into_string().contains("href=\"/certificates/shop\""));
        assert_eq!(subject("order/7").into_string(), "order/7");
        assert!(subject("managed/a/../b").into_string().contains("a%2F..%2Fb"));
    }
}
