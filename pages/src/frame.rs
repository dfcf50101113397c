//! What is around every page: head, way to the other pages, who is signed in; and the pages for who is not,
//! and for what went wrong.

use std::collections::BTreeSet;

use jiff::Timestamp;
use maud::{DOCTYPE, Markup, html};

use crate::asset::address;

/// Who looks at a page.
#[derive(Clone, Debug, Default)]
pub struct Visitor {
    /// What the audit log calls them.
    pub name: String,
    /// What they have been given.
    pub roles: Vec<String>,
    /// What forms must send back; none where it is not asked for.
    pub csrf: Option<String>,
    /// The actions that they may do to something, by name.
    pub may: BTreeSet<&'static str>,
    /// Whether they can sign out.
    pub signed_in: bool,
}

/// The pages that all others lead to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    /// The node at a glance.
    Overview,
    /// Managed certificates.
    Managed,
    /// Certificates that were issued here.
    Issued,
    /// Keysets.
    Keysets,
    /// Authorities.
    Authorities,
    /// Targets.
    Targets,
    /// Certificates that were found.
    Found,
    /// Addresses that are watched.
    Endpoints,
    /// The audit log.
    Audit,
    /// Who may come in.
    Access,
    /// None of them.
    Nowhere,
}

/// A page, without its content.
#[derive(Debug)]
pub struct Frame<'a> {
    /// What it shows.
    pub title: &'a str,
    /// Where it belongs.
    pub section: Section,
    /// Who looks.
    pub visitor: &'a Visitor,
    /// When.
    pub now: Timestamp,
    /// The kinds of things of which it is brought up to date by itself, as subjects of events begin.
    pub live: &'a [&'a str],
    /// What was just done.
    pub done: Option<&'a str>,
}

/// A whole page.
#[must_use]
pub fn page(frame: &Frame<'_>, content: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            (document_head(frame.title))
            body {
                a.skip href="#main" { "Skip to content" }
                (banner(frame))
                div.columns {
                    (navigation(frame))
                    main id="main" tabindex="-1" data-live=(frame.live.join(" ")) {
                        @if let Some(done) = frame.done { p.note role="status" { (done) } }
                        (content)
                    }
                }
                footer.foot {
                    p { "As of " (crate::time::full(Some(frame.now))) }
                    p id="live-state" role="status" {}
                }
                dialog id="dialog" aria-label="Confirm" {}
            }
        }
    }
}

/// What somebody sees who is not signed in.
#[must_use]
pub fn stranger(directories: &[String], roots: &str, way_in: Option<&str>) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            (document_head("Sign in"))
            body.plain {
                main id="main" {
                    h1 { (mark()) " Perennial" }
                    @if let Some(way_in) = way_in {
                        p { a.button.strong href=(way_in) { "Sign in" } }
                    }
                    p {
                        "Who is let in has a link from an admin, made with "
                        code { "perennial invite NAME --role ROLE" }
                        ". It lets in once."
                    }
                    h2 { "ACME directories" }
                    ul { @for directory in directories { li { code { (directory) } } } }
                    h2 { "Roots to trust" }
                    p { a href=(roots) { code { (roots) } } }
                }
            }
        }
    }
}

/// The content of a page that cannot be shown, and why.
#[must_use]
pub fn trouble(title: &str, detail: &str) -> Markup {
    html! {
        h1 { (title) }
        p.alarm role="alert" { (detail) }
        p { a href="/" { "To the overview" } }
    }
}

fn document_head(title: &str) -> Markup {
    html! {
        head {
            meta charset="utf-8";
            meta name="viewport" content="width=device-width, initial-scale=1";
            title { (title) " · Perennial" }
            link rel="icon" href=(address("icon.svg"));
            link rel="stylesheet" href=(address("style.css"));
            script src=(address("theme.js")) {}
            script src=(address("live.js")) defer {}
        }
    }
}

fn banner(frame: &Frame<'_>) -> Markup {
    let visitor = frame.visitor;
    html! {
        header.banner {
            a.brand href="/" { (mark()) " Perennial" }
            div.who {
                span.name title=(visitor.roles.join(", ")) { (visitor.name) }
                button.quiet id="theme" type="button" hidden { "Dark" }
                @if visitor.signed_in {
                    form method="post" action="/session/end" {
                        (csrf(visitor))
                        button.quiet type="submit" { "Sign out" }
                    }
                }
            }
        }
    }
}

/// What a form sends back, so that it is known to be ours.
pub(crate) fn csrf(visitor: &Visitor) -> Markup {
    html! {
        @if let Some(csrf) = &visitor.csrf { input type="hidden" name="csrf" value=(csrf); }
    }
}

fn navigation(frame: &Frame<'_>) -> Markup {
    let seen = WAYS.iter().filter(|way| way.2.is_empty() || frame.visitor.may.contains(way.2));
    html! {
        nav.ways aria-label="Pages" {
            ul {
                @for (section, href, _, name) in seen {
                    li {
                        a href=(href) aria-current=[(*section == frame.section).then_some("page")] { (name) }
                    }
                }
            }
        }
    }
}

fn mark() -> Markup {
    html! {
        svg.mark viewBox="0 0 24 24" aria-hidden="true" focusable="false" {
            path d="M12 21V9M12 13C12 8 8 5 3 5c0 5 4 8 9 8ZM12 10c0-4 3-7 9-7 0 5-4 8-9 8" {}
        }
    }
}

/// Section, address, the action of whoever may see it, and what it is called.
const WAYS: [(Section, &str, &str, &str); 10] = [
    (Section::Overview, "/", "node.read", "Overview"),
    (Section::Managed, "/certificates", "managed.read", "Certificates"),
    (Section::Issued, "/issued", "certificate.read", "Issued"),
    (Section::Keysets, "/keysets", "keyset.read", "Keysets"),
    (Section::Authorities, "/authorities", "authority.read", "Authorities"),
    (Section::Targets, "/targets", "target.read", "Targets"),
    (Section::Found, "/found", "found.read", "Found"),
    (Section::Endpoints, "/endpoints", "endpoint.read", "Endpoints"),
    (Section::Audit, "/audit", "event.read", "Audit"),
    (Section::Access, "/access", "token.read", "Access"),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn framed(may: &[&'static str], csrf: Option<&str>) -> String {
        let visitor = Visitor {
            name: "person/<ada>".into(),
            may: may.iter().copied().collect(),
            csrf: csrf.map(Into::into),
            signed_in: csrf.is_some(),
            ..Visitor::default()
        };
        let frame = Frame {
            title: "Overview",
            section: Section::Overview,
            visitor: &visitor,
            now: Timestamp::UNIX_EPOCH,
            live: &["managed"],
            done: None,
        };
        page(&frame, &html! { h1 { "Overview" } }).into_string()
    }

    #[test]
    fn only_pages_that_somebody_may_see_are_led_to() {
        let shown = framed(&["node.read", "keyset.read"], None);
        assert!(shown.contains("href=\"/keysets\"") && !shown.contains("href=\"/audit\""));
        assert!(shown.contains("aria-current=\"page\"") && !shown.contains("<ada>"));
    }

    #[test]
    fn who_is_signed_in_can_sign_out_with_what_proves_the_form() {
        let shown = framed(&[], Some("abc"));
        assert!(shown.contains("action=\"/session/end\""));
        assert!(shown.contains("name=\"csrf\" value=\"abc\""));
        assert!(!framed(&[], None).contains("/session/end"));
    }

    #[test]
    fn nothing_is_in_a_page_that_the_policy_of_its_content_forbids() {
        let shown = framed(&["node.read"], Some("abc"));
        assert!(!shown.contains("style=") && !shown.contains("onclick"));
        assert!(!shown.contains("<script>"));
    }
}
