//! The parts that pages are made of: words for how something is, tables, pages of lists, lists of facts.
//! Nothing here knows what is shown.

use std::collections::BTreeSet;

use maud::{Markup, html};
use serde_json::Value;

use crate::field::Field;

/// The actions that somebody may do to what a page shows, by name.
#[derive(Clone, Debug, Default)]
pub struct Powers(BTreeSet<&'static str>);

impl Powers {
    /// Those of `actions` that `may` says yes to.
    pub fn of(actions: &[&'static str], may: impl Fn(&str) -> bool) -> Self {
        Self(actions.iter().copied().filter(|action| may(action)).collect())
    }

    /// Whether `action` is one of them.
    #[must_use]
    pub fn has(&self, action: &str) -> bool {
        self.0.contains(action)
    }
}

/// A page of a list, and how it was asked for.
#[derive(Debug)]
pub struct Listed<'a> {
    /// What the API answered.
    pub answer: &'a Value,
    /// The query by which it was asked for, decoded: names and values.
    pub asked: &'a [(String, String)],
}

impl Listed<'_> {
    /// What is on the page.
    pub(crate) fn items(&self) -> &[Value] {
        self.answer.list("items")
    }

    /// What was asked for as `name`.
    pub(crate) fn asked(&self, name: &str) -> &str {
        self.asked.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }

    /// The way to the first page and to the next.
    pub(crate) fn pager(&self, path: &str) -> Markup {
        let kept = |after: Option<String>| {
            let kept =
                self.asked.iter().filter(|(name, value)| name != "after" && !value.is_empty());
            let kept = kept.map(|(name, value)| (name.as_str(), value.clone()));
            let query: Vec<_> = kept
                .chain(after.map(|after| ("after", after)))
                .map(|(name, value)| format!("{name}={}", crate::field::segment(&value)))
                .collect();
            if query.is_empty() { path.to_owned() } else { format!("{path}?{}", query.join("&")) }
        };
        let next = match &self.answer["next"] {
            Value::Number(next) => Some(next.to_string()),
            Value::String(next) => Some(next.clone()),
            _ => None,
        };
        let first = !self.asked("after").is_empty();
        html! {
            @if first || next.is_some() {
                nav.pager aria-label="Pages of this list" {
                    @if first { a href=(kept(None)) { "First page" } }
                    @if let Some(next) = next { a rel="next" href=(kept(Some(next))) { "Next page" } }
                }
            }
        }
    }
}

/// One word for how something is, with its colour.
pub(crate) fn badge(status: &str) -> Markup {
    let tone = match status {
        "served" | "valid" | "good" | "current" | "signing" | "active" | "delivered" | "done"
        | "proven" | "approved" | "enabled" => "good",
        "rotating" | "waiting" | "retiring" | "obtained" | "announced" | "deploying"
        | "obtaining" | "open" | "pending" | "invited" => "busy",
        "failing" | "expired" | "failed" | "abandoned" | "reverting" | "denied" | "behind" => "bad",
        "drifted" | "revoked" | "ending" | "disabled" | "never" => "warn",
        _ => "calm",
    };
    html! { span.badge.(tone) { (status) } }
}

/// A column of a table: its title, and from which width of the window on it is shown.
pub(crate) struct Column(pub(crate) &'static str, pub(crate) &'static str);

/// Shown at every width.
pub(crate) const ALWAYS: &str = "";
/// Not shown on a phone.
pub(crate) const ROOMY: &str = "roomy";
/// Shown where there is much room.
pub(crate) const WIDE: &str = "wide";

/// A table of `rows`, each as many cells as there are columns; the first heads its row.
pub(crate) fn table(caption: &str, columns: &[Column], rows: &[Vec<Markup>], none: &str) -> Markup {
    html! {
        @if rows.is_empty() {
            p.none { (none) }
        } @else {
            div.scroll tabindex="0" role="region" aria-label={ "Table: " (caption) } {
                table {
                    caption.unseen { (caption) }
                    thead { tr { @for Column(title, room) in columns { th scope="col" class=(room) { (title) } } } }
                    tbody {
                        @for row in rows {
                            tr {
                                @for (at, cell) in row.iter().enumerate() {
                                    @if at == 0 { th scope="row" { (cell) } }
                                    @else { td class=(columns.get(at).map_or("", |column| column.1)) { (cell) } }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Facts, each with its name; those without a value are left out by who calls.
pub(crate) fn facts(facts: &[(&str, Markup)]) -> Markup {
    html! {
        dl.facts {
            @for (name, value) in facts {
                div { dt { (name) } dd { (value) } }
            }
        }
    }
}

/// A text, or a dash where there is none.
pub(crate) fn or_dash(text: &str) -> Markup {
    html! { @if text.is_empty() { span.none { "–" } } @else { (text) } }
}

/// A long hexadecimal number, to be read by the eye and copied whole.
pub(crate) fn hex(text: &str) -> Markup {
    html! { code.hex { (text) } }
}

/// A few names, and how many more.
pub(crate) fn few(names: &[Value]) -> Markup {
    let first: Vec<_> = names.iter().filter_map(Value::as_str).take(3).collect();
    html! {
        (first.join(", "))
        @if names.len() > first.len() { " " span.dim { "and " (names.len() - first.len()) " more" } }
    }
}

/// The head of a page: what it shows, how that is, what may be done.
pub(crate) fn head(title: &str, status: Option<&str>, acts: &Markup) -> Markup {
    html! {
        header.head {
            h1 { (title) @if let Some(status) = status { " " (badge(status)) } }
            div.acts { (acts) }
        }
    }
}

/// A way to an action; where scripts run it opens as a dialog.
pub(crate) fn act(href: &str, label: &str, tone: &str) -> Markup {
    html! { a.button.(tone) href=(href) data-dialog { (label) } }
}

/// A named part of a page that is brought up to date by itself.
pub(crate) fn section(id: &str, title: &str, content: &Markup) -> Markup {
    html! {
        section id=(id) data-part aria-labelledby={ (id) "-title" } {
            h2 id={ (id) "-title" } { (title) }
            (content)
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_next_page_keeps_what_was_asked_and_nothing_ends_the_attribute() {
        let answer = json!({ "items": [], "next": 7 });
        let asked =
            [("name".to_owned(), "a&\"<b".to_owned()), ("after".to_owned(), "3".to_owned())];
        let pager = Listed { answer: &answer, asked: &asked }.pager("/issued").into_string();
        assert!(pager.contains("href=\"/issued?name=a%26%22%3Cb&amp;after=7\""), "{pager}");
        assert!(pager.contains("href=\"/issued?name=a%26%22%3Cb\""), "{pager}");
    }

    #[test]
    fn strangers_words_are_text() {
        let hostile = "<script>alert(1)</script>";
        let cells = vec![vec![html! { (hostile) }, or_dash(hostile)]];
        let shown = table(hostile, &[Column("A", ALWAYS), Column("B", WIDE)], &cells, "none");
        assert!(!shown.into_string().contains("<script"));
        assert!(!badge(hostile).into_string().contains("<script"));
    }

    #[test]
    fn powers_are_only_what_somebody_may() {
        let powers = Powers::of(&["managed.renew", "managed.roll-back"], |a| a == "managed.renew");
        assert!(powers.has("managed.renew") && !powers.has("managed.roll-back"));
        assert!(!Powers::default().has("managed.renew"));
    }
}
