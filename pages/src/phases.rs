//! The keys of a keyset as a chart: each key a row, its phases one after the other, so that one sees where they
//! overlap. What is yet to come is drawn as it stands now.

use jiff::Timestamp;
use maud::{Markup, html};
use serde_json::Value;

use crate::field::Field;
use crate::time::day;

/// One phase of a key.
struct Span {
    phase: &'static str,
    from: i64,
    to: i64,
}

/// The chart of `keys`, as the API shows them in `/keysets/NAME`.
pub(crate) fn phases(keys: &[Value], now: Timestamp) -> Markup {
    let rows: Vec<(&str, Vec<Span>)> =
        keys.iter().map(|key| (key.text("kid"), spans(key, now))).collect();
    let ends =
        rows.iter().flat_map(|(_, spans)| spans.iter().flat_map(|span| [span.from, span.to]));
    let ends: Vec<i64> = ends.chain([now.as_second()]).collect();
    let (Some(first), Some(last)) = (ends.iter().min().copied(), ends.iter().max().copied()) else {
        return html! {};
    };
    let whole = (last - first).max(1);
    let at = |second: i64| LEFT + (second - first) * (WIDTH - LEFT) / whole;
    let height = i64::try_from(rows.len()).unwrap_or_default() * ROW + FOOT;
    html! {
        svg.phases viewBox={ "0 0 " (WIDTH) " " (height) } role="img" aria-label="Phases of keys over time; the table below says the same" {
            @for (place, (kid, spans)) in (0..).zip(&rows) {
                text.kid x="0" y=(place * ROW + 17) { (kid.chars().take(12).collect::<String>()) }
                @for span in spans {
                    rect.(span.phase) x=(at(span.from)) y=(place * ROW + 4) height="18" rx="2"
                        width=((at(span.to) - at(span.from)).max(2)) {
                        title { (kid) " " (span.phase) ": " (moment(span.from)) " to " (moment(span.to)) }
                    }
                }
            }
            line.now x1=(at(now.as_second())) x2=(at(now.as_second())) y1="0" y2=(height - FOOT) {}
            text.axis x=(LEFT) y=(height - 6) { (moment(first)) }
            text.axis x=(WIDTH) y=(height - 6) text-anchor="end" { (moment(last)) }
            @let here = at(now.as_second());
            @if here > LEFT + 110 && here < WIDTH - 110 {
                text.axis x=(here) y=(height - 6) text-anchor="middle" { "now" }
            }
        }
        p.legend aria-hidden="true" {
            span.key.announced {} " announced " span.key.signing {} " signs " span.key.retiring {} " verifies only"
        }
    }
}

fn spans(key: &Value, now: Timestamp) -> Vec<Span> {
    let second = |name: &str| key.moment(name).map(Timestamp::as_second);
    let Some(announced) = second("announced_at") else { return Vec::new() };
    let next = second("next_at");
    let gone = second("gone_at");
    let signs = second("signing_from")
        .or(if key.text("phase") == "gone" { None } else { next })
        .or(second("ready_at"));
    let mut spans = Vec::new();
    let until = signs.or(gone).unwrap_or_else(|| now.as_second()).max(announced);
    spans.push(Span { phase: "announced", from: announced, to: until });
    if let Some(from) = second("signing_from") {
        let last = second("last_signature_at").filter(|_| key.text("phase") != "signing");
        let to = last.or(second("rotate_at")).or(gone).unwrap_or_else(|| now.as_second()).max(from);
        spans.push(Span { phase: "signing", from, to });
        let end = gone.or(next).filter(|_| matches!(key.text("phase"), "retiring" | "gone"));
        if let Some(end) = end.filter(|end| *end > to) {
            spans.push(Span { phase: "retiring", from: to, to: end });
        }
    }
    spans
}

fn moment(second: i64) -> String {
    Timestamp::from_second(second).map(day).unwrap_or_default()
}

const WIDTH: i64 = 900;
const LEFT: i64 = 110;
const ROW: i64 = 26;
const FOOT: i64 = 24;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_key_is_drawn_through_the_phases_it_has_had() {
        let now = "2026-12-10T00:00:00Z".parse().expect("a time");
        let retiring = json!({ "kid": "a", "phase": "retiring", "announced_at": "2026-10-01T00:00:00Z",
            "signing_from": "2026-10-02T00:00:00Z", "last_signature_at": "2026-12-01T00:00:00Z",
            "next_at": "2026-12-11T00:00:00Z" });
        let drawn = spans(&retiring, now);
        let names: Vec<_> = drawn.iter().map(|span| span.phase).collect();
        assert_eq!(names, ["announced", "signing", "retiring"]);
        assert!(drawn.windows(2).all(|two| two[0].to == two[1].from), "no gap, no overlap");
        let waiting = json!({ "kid": "b", "phase": "announced", "announced_at": "2026-12-09T00:00:00Z",
            "next_at": "2026-12-12T00:00:00Z" });
        assert_eq!(spans(&waiting, now).len(), 1);
        let chart = phases(&[retiring, waiting], now).into_string();
        assert_eq!(chart.matches("<title>").count(), 4);
        assert!(!chart.contains("width=\"-"));
    }
}
