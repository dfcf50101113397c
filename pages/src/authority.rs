//! Authorities, as the tree that they are: each under the one that signed it.

use maud::{Markup, html};
use serde_json::Value;

use crate::bar::bar;
use crate::field::{Field, segment};
use crate::frame::Frame;
use crate::part::{facts, head, hex, section};
use crate::time::{both, when};

/// The tree, from the API's `/authorities`.
#[must_use]
pub fn authorities(frame: &Frame<'_>, answer: &Value) -> Markup {
    let all = answer.list("items");
    let known = |name: &str| all.iter().any(|one| one.text("name") == name);
    let roots: Vec<_> = all
        .iter()
        .filter(|one| one.text("issuer").is_empty() || !known(one.text("issuer")))
        .collect();
    html! {
        (head("Authorities", None, &html! {}))
        section id="list" data-part aria-label="Authorities" {
            @if roots.is_empty() { p.none { "There is none that you may see." } }
            ul.tree { @for root in roots { (branch(frame, root, all, 0)) } }
        }
    }
}

fn branch(frame: &Frame<'_>, one: &Value, all: &[Value], depth: usize) -> Markup {
    let name = one.text("name");
    let below: Vec<_> = all
        .iter()
        .filter(|other| other.text("issuer") == name && other.text("name") != name)
        .collect();
    html! {
        li {
            div.leaf {
                a href={ "/authorities/" (segment(name)) } { b { (name) } }
                " " span.dim { "generation " (one.number("generation")) ", " (one.text("key")) }
                p { (one.text("subject")) ", ends " (when(one.moment("not_after"), frame.now)) }
                (bar((one.moment("not_before"), one.moment("not_after")), None, frame.now))
            }
            @if !below.is_empty() && depth < DEEPEST {
                ul { @for other in below { (branch(frame, other, all, depth + 1)) } }
            }
        }
    }
}

/// One of them, from the API's `/authorities/NAME`.
#[must_use]
pub fn authority(frame: &Frame<'_>, one: &Value) -> Markup {
    let issuer = one.text("issuer");
    html! {
        (head(one.text("name"), None, &html! {}))
        (section("facts", "What it is", &html! {
            (bar((one.moment("not_before"), one.moment("not_after")), None, frame.now))
            (facts(&[
                ("Subject", html! { (one.text("subject")) }),
                ("Signed by", html! {
                    @if issuer.is_empty() { "itself" }
                    @else { a href={ "/authorities/" (segment(issuer)) } { (issuer) } }
                }),
                ("Generation", html! { (one.number("generation")) }),
                ("Key", html! { (one.text("key")) }),
                ("Serial", hex(one.text("serial"))),
                ("Begins", both(one.moment("not_before"), frame.now)),
                ("Ends", both(one.moment("not_after"), frame.now)),
                ("SHA-256", hex(one.text("fingerprint_sha256"))),
                ("CRL", html! { code { (crl(one)) } }),
            ]))
        }))
        (section("chain", "Certificate and chain", &html! {
            pre.pem tabindex="0" role="region" aria-label="Certificate and chain in PEM" { (one.text("pem")) }
        }))
    }
}

fn crl(one: &Value) -> String {
    match one["crl"].as_str() {
        Some(url) => url.to_owned(),
        None => one.joined("crl", ", "),
    }
}

/// More than any tree of authorities has; one that names itself must not go on for ever.
const DEEPEST: usize = 8;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::frame::{Section, Visitor};

    #[test]
    fn each_stands_under_who_signed_it_and_a_circle_ends() {
        let visitor = Visitor::default();
        let frame = Frame {
            title: "",
            section: Section::Authorities,
            visitor: &visitor,
            now: jiff::Timestamp::UNIX_EPOCH,
            live: &[],
            done: None,
        };
        let answer = json!({ "items": [
            { "name": "root", "issuer": null }, { "name": "internal", "issuer": "root" },
            { "name": "lost", "issuer": "elsewhere" } ] });
        let shown = authorities(&frame, &answer).into_string();
        let (root, internal) = (shown.find("<b>root"), shown.find("<b>internal"));
        assert!(root < internal && shown.contains("<b>lost"));
        let circle = json!({ "items": [ { "name": "a", "issuer": "b" }, { "name": "b", "issuer": "a" },
            { "name": "r", "issuer": "" } ] });
        assert!(authorities(&frame, &circle).into_string().contains("<b>r"));
    }
}
