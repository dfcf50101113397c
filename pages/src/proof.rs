//! What was seen at each address of a target when it was last looked at.

use maud::{Markup, html};
use serde_json::Value;

use crate::field::Field;

/// What a proof saw, an address a line.
pub(crate) fn proof(proof: &Value) -> Markup {
    let sightings = proof.list("sightings");
    html! {
        @if sightings.is_empty() {
            span.none { "no address was looked at" }
        } @else {
            ul.proof { @for seen in sightings { li { (sighting(seen)) } } }
        }
    }
}

fn sighting(seen: &Value) -> Markup {
    let (good, what) = found(&seen["found"]);
    let sni = seen.text("sni");
    html! {
        span.dot.(if good { "good" } else { "bad" }) {} " "
        code { (seen.text("address")) }
        @if !sni.is_empty() { " as " code { (sni) } }
        " " (what)
        " " span.dim { "(" (seen.number("handshakes")) " handshakes, " (seen.number("millis")) " ms)" }
    }
}

/// Whether what was found is what should be there, and what it is in words.
fn found(found: &Value) -> (bool, String) {
    if let Some(word) = found.as_str() {
        return match word {
            "new" => (true, "serves what it should".into()),
            "old" => (false, "serves a certificate from before".into()),
            "default" => (false, "has no certificate for this name".into()),
            other => (false, other.to_owned()),
        };
    }
    let (kind, detail) = match found.as_object().and_then(|fields| fields.iter().next()) {
        Some((kind, detail)) => (kind.as_str(), detail),
        None => return (false, "was not seen".into()),
    };
    let said = match kind {
        "chain" => format!(
            "serves {} certificates after its own, and should {}",
            detail.number("served"),
            detail.number("expected")
        ),
        "other" => format!("serves another certificate: {}", detail.text("subject")),
        "alert" => format!("refused the handshake: {}", detail.as_str().unwrap_or_default()),
        "unreachable" => format!("cannot be reached: {}", detail.as_str().unwrap_or_default()),
        other => other.to_owned(),
    };
    (false, said)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_should_be_there_is_good() {
        assert!(found(&json!("new")).0);
        for bad in [
            json!("old"),
            json!("default"),
            json!({ "alert": "x" }),
            json!({ "unreachable": "refused" }),
            json!({ "chain": { "served": 0, "expected": 1 } }),
            json!({ "other": { "fingerprint": "", "subject": "x", "not_after": null } }),
            json!(null),
        ] {
            let (good, said) = found(&bad);
            assert!(!good && !said.is_empty(), "{bad}");
        }
    }
}
