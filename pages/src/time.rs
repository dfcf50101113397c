//! Instants and lengths of time as people read them. `now` is handed in.

use jiff::Timestamp;
use maud::{Markup, html};

/// An instant, said from `now`: "in 12 d", "3 h ago".
pub(crate) fn when(at: Option<Timestamp>, now: Timestamp) -> Markup {
    let Some(at) = at else { return html! { span.none { "–" } } };
    let seconds = at.as_second() - now.as_second();
    let length = length(seconds.abs());
    let said = match seconds {
        0.. => format!("in {length}"),
        _ => format!("{length} ago"),
    };
    html! { time datetime=(at) title=(written(at)) { (said) } }
}

/// An instant in full.
pub(crate) fn full(at: Option<Timestamp>) -> Markup {
    match at {
        Some(at) => html! { time datetime=(at) { (written(at)) } },
        None => html! { span.none { "–" } },
    }
}

/// An instant in full, and how far it is from `now`.
pub(crate) fn both(at: Option<Timestamp>, now: Timestamp) -> Markup {
    match at {
        Some(_) => html! { (full(at)) " " span.dim { "(" (when(at, now)) ")" } },
        None => full(None),
    }
}

/// So many seconds, in the unit that fits.
pub(crate) fn length(seconds: i64) -> String {
    match seconds {
        ..100 => format!("{seconds} s"),
        100..6000 => format!("{} min", seconds / 60),
        6000..172_800 => format!("{} h", seconds / 3600),
        172_800..63_072_000 => format!("{} d", seconds / 86_400),
        _ => format!("{} y", seconds / 31_536_000),
    }
}

/// The day of an instant: `2026-12-01`.
pub(crate) fn day(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d").to_string()
}

fn written(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_said_in_the_unit_that_fits() {
        for (seconds, said) in [
            (0, "0 s"),
            (99, "99 s"),
            (120, "2 min"),
            (7200, "2 h"),
            (86_400 * 3, "3 d"),
            (86_400 * 365 * 10, "10 y"),
        ] {
            assert_eq!(length(seconds), said);
        }
    }

    #[test]
    fn what_is_past_is_ago() {
        let now = Timestamp::from_second(1_000_000).expect("a time");
        let at = |seconds: i64| Timestamp::from_second(1_000_000 + seconds).ok();
        assert!(when(at(-200), now).into_string().contains(">3 min ago<"));
        assert!(when(at(86_400 * 5), now).into_string().contains(">in 5 d<"));
        assert!(when(None, now).into_string().contains("–"));
    }
}
