//! What stands before an action: what will happen, said first, and the form that does it.

use maud::{Markup, html};

use crate::frame::{Visitor, csrf};

/// An action that is about to be done.
#[derive(Debug)]
pub struct Deed<'a> {
    /// What it is: "Renew shop".
    pub title: &'a str,
    /// What will happen, a line each.
    pub consequences: &'a [String],
    /// Where the form is sent.
    pub action: &'a str,
    /// What the button says.
    pub button: &'a str,
    /// Where who changes their mind goes.
    pub back: &'a str,
    /// Whether it cannot be taken back.
    pub grave: bool,
    /// Reasons to choose from: value and words; empty: none is asked for.
    pub reasons: &'a [(&'a str, &'a str)],
    /// What else is to be chosen.
    pub choice: Option<Choice<'a>>,
    /// What went wrong when it was tried.
    pub error: Option<&'a str>,
}

/// Something to be chosen in a form.
#[derive(Debug)]
pub struct Choice<'a> {
    /// What the form calls it.
    pub name: &'a str,
    /// What people call it.
    pub label: &'a str,
    /// Value and words of each.
    pub values: &'a [(String, String)],
}

/// The page, whose form opens as a dialog where scripts run.
#[must_use]
pub fn confirm(visitor: &Visitor, deed: &Deed<'_>) -> Markup {
    html! {
        form.confirm method="post" action=(deed.action) data-confirm {
            h1 id="confirm-title" { (deed.title) }
            @if let Some(error) = deed.error { p.alarm role="alert" { (error) } }
            p { "What will happen:" }
            ol { @for line in deed.consequences { li { (line) } } }
            (csrf(visitor))
            @if !deed.reasons.is_empty() {
                label {
                    "Reason "
                    select name="reason" required {
                        @for (value, words) in deed.reasons { option value=(value) { (words) } }
                    }
                }
            }
            @if let Some(Choice { name, label, values }) = &deed.choice {
                label {
                    (label) " "
                    select name=(name) {
                        @for (value, words) in *values { option value=(value) { (words) } }
                    }
                }
            }
            div.acts {
                button.(if deed.grave { "danger" } else { "strong" }) type="submit" { (deed.button) }
                a.button href=(deed.back) data-close { "Cancel" }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_will_happen_is_said_and_the_form_proves_itself() {
        let visitor = Visitor { csrf: Some("secret".into()), ..Visitor::default() };
        let deed = Deed {
            title: "Revoke <x>",
            consequences: &["It is on the next CRL.".into()],
            action: "/issued/1/revoke",
            button: "Revoke",
            back: "/issued/1",
            grave: true,
            reasons: &[("keyCompromise", "its key is known to others")],
            choice: None,
            error: Some("not <now>"),
        };
        let shown = confirm(&visitor, &deed).into_string();
        for part in [
            "Revoke &lt;x&gt;",
            "It is on the next CRL.",
            "name=\"csrf\" value=\"secret\"",
            "value=\"keyCompromise\"",
            "not &lt;now&gt;",
            "class=\"danger\"",
        ] {
            assert!(shown.contains(part), "{part}: {shown}");
        }
    }
}
