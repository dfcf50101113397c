//! A lifetime as a bar: from its beginning to its end, when it is to be renewed, and where we are.

use jiff::Timestamp;
use maud::{Markup, html};

/// The bar of what lives from `begin` to `end` and is renewed at `renew`.
pub(crate) fn bar(
    (begin, end): (Option<Timestamp>, Option<Timestamp>),
    renew: Option<Timestamp>,
    now: Timestamp,
) -> Markup {
    let (Some(begin), Some(end)) = (begin, end) else { return html! {} };
    let whole = (end.as_second() - begin.as_second()).max(1);
    let at = |moment: Timestamp| {
        ((moment.as_second() - begin.as_second()) * 1000 / whole).clamp(0, 1000)
    };
    let spent = at(now);
    let tone = match renew {
        _ if now >= end => "bad",
        Some(renew) if now >= renew => "warn",
        _ => "good",
    };
    let said = format!("{} % of its life is spent", spent / 10);
    html! {
        svg.life viewBox="0 0 1000 10" preserveAspectRatio="none" role="img" aria-label=(said) {
            rect.whole x="0" y="2" width="1000" height="6" {}
            rect.(tone) x="0" y="2" width=(spent) height="6" {}
            @if let Some(renew) = renew {
                rect.mark x=((at(renew) - 2).max(0)) y="0" width="4" height="10" {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Option<Timestamp> {
        Timestamp::from_second(second).ok()
    }

    #[test]
    fn a_bar_is_as_full_as_its_life_is_spent_and_never_fuller() {
        let shown = |now| bar((at(0), at(100)), at(66), at(now).expect("a time")).into_string();
        assert!(shown(50).contains("class=\"good\" x=\"0\" y=\"2\" width=\"500\""));
        assert!(shown(70).contains("class=\"warn\""));
        assert!(shown(500).contains("class=\"bad\" x=\"0\" y=\"2\" width=\"1000\""));
        assert!(bar((None, at(1)), None, Timestamp::UNIX_EPOCH).into_string().is_empty());
    }
}
