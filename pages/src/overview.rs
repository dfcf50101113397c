//! The node at a glance: what asks for attention, what ends when, how rotations went.

use maud::{Markup, html};
use serde_json::Value;

use crate::field::Field;
use crate::frame::Frame;
use crate::heat::heat;
use crate::part::section;
use crate::time::{length, when};

/// The page, from the API's `/status` and `/overview`.
#[must_use]
pub fn overview(frame: &Frame<'_>, status: &Value, figures: &Value) -> Markup {
    let attention = status.list("attention");
    let days = figures.list("ends");
    html! {
        h1.unseen { "Overview" }
        section id="attention" data-part aria-labelledby="attention-title" {
            h2 id="attention-title" {
                @if attention.is_empty() { "Nothing asks for attention" }
                @else { "Asks for attention" " " span.count { (attention.len()) } }
            }
            @if !attention.is_empty() {
                ul.attention { @for line in attention { li { (attention_line(line.as_str().unwrap_or_default())) } } }
            }
        }
        (tiles(frame, status, figures))
        (section("ends", "Ends in the next 90 days", &html! {
            div.maps {
                (heat("Issued here, by day of expiry", days, "issued"))
                (heat("Managed, as served, by day of expiry", days, "managed"))
            }
            p.legend aria-hidden="true" {
                "none " span.key.h0 {} span.key.h1 {} span.key.h2 {} span.key.h3 {} span.key.h4 {} span.key.h5 {} " most"
            }
        }))
        (section("node", "This node", &node(status)))
    }
}

fn attention_line(line: &str) -> Markup {
    let named =
        |begin: &str| line.strip_prefix(begin).and_then(|rest| rest.split([' ', ':']).next());
    let ways = [
        ("managed certificate ", "/certificates/"),
        ("keyset ", "/keysets/"),
        ("endpoint ", "/endpoints/"),
        ("authority ", "/authorities/"),
    ];
    let way = ways.iter().find_map(|(begin, path)| Some((*begin, *path, named(begin)?)));
    html! {
        @match way {
            Some((begin, path, name)) => {
                (begin) a href={ (path) (crate::field::segment(name)) } { (name) } (line[begin.len() + name.len()..])
            }
            None => (line)
        }
    }
}

fn tiles(frame: &Frame<'_>, status: &Value, figures: &Value) -> Markup {
    let rotations = &figures["rotations"];
    let managed = &figures["managed"];
    let (done, failed) = (rotations.number("succeeded"), rotations.number("failed"));
    let within = status["certificates_expiring_within"].number("7d");
    let proof = |field: &str| match rotations["seconds_to_proof"][field].as_i64() {
        Some(seconds) => length(seconds),
        None => "–".into(),
    };
    html! {
        section id="figures" data-part aria-labelledby="figures-title" {
            h2 id="figures-title" { "Rotations of the last 30 days" }
            dl.tiles {
                (tile("Success rate", &rate(done, failed), &format!("{done} of {}", done + failed)))
                (tile("Time to served", &proof("median"), &format!("95 % within {}", proof("p95"))))
                (tile("Failed", &rotations.number("failed").to_string(), "rolled back, or not begun"))
                (tile("Emergencies", &rotations.number("emergencies").to_string(), "asked for by people"))
                (tile("Under way", &managed.number("rotating").to_string(), "rotations"))
                (tile("Managed", &managed.number("all").to_string(),
                    &format!("{} failing, {} drifted", managed.number("failing"), managed.number("drifted"))))
                (tile("Ends in 7 days", &within.to_string(), "issued here"))
                div {
                    dt { "Next end" }
                    dd { (when(figures.moment("next_end"), frame.now)) }
                    dd.dim { "of what is served" }
                }
            }
        }
    }
}

fn tile(name: &str, value: &str, more: &str) -> Markup {
    html! { div { dt { (name) } dd { (value) } dd.dim { (more) } } }
}

/// Of those that ended, how many ended well, in per cent; cut, so that 100 % is all of them.
fn rate(done: i64, failed: i64) -> String {
    match done + failed {
        0 => "–".into(),
        all => {
            let tenths = done * 1000 / all;
            if tenths % 10 == 0 {
                format!("{} %", tenths / 10)
            } else {
                format!("{}.{} %", tenths / 10, tenths % 10)
            }
        }
    }
}

fn node(status: &Value) -> Markup {
    crate::part::facts(&[
        ("Version", html! { (status.text("version")) }),
        ("HTTPS", html! { code { (status.text("https")) } }),
        ("HTTP", html! { code { (status.text("http")) } }),
        ("Directories", html! { (status.joined("directories", ", ")) }),
        ("Counted", html! { (crate::time::full(status.moment("counted_at"))) }),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_of_all_is_only_said_of_all() {
        assert_eq!(rate(0, 0), "–");
        assert_eq!(rate(9999, 1), "99.9 %");
        assert_eq!(rate(7, 0), "100 %");
        assert_eq!(rate(1, 1), "50 %");
    }

    #[test]
    fn what_asks_for_attention_leads_to_where_it_is() {
        let shown = attention_line("managed certificate shop is failing; see <x>").into_string();
        assert!(
            shown.contains("<a href=\"/certificates/shop\">shop</a> is failing; see &lt;x&gt;")
        );
        assert!(attention_line("endpoint a: no").into_string().contains("/endpoints/a\""));
        assert_eq!(attention_line("the CRL lapsed").into_string(), "the CRL lapsed");
    }
}
