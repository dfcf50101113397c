//! The heat map of ends: how many certificates end on each of the days to come. A table, so that it is read
//! without eyes as well; a week a column, a day of the week a row.

use jiff::civil::{Date, Weekday};
use maud::{Markup, html};
use serde_json::Value;

use crate::field::Field;

/// The ends of `days` (each with a `date` and, as `field`, a number) as a map.
pub(crate) fn heat(caption: &str, days: &[Value], field: &str) -> Markup {
    let dated: Vec<(Date, i64)> = days
        .iter()
        .filter_map(|day| Some((day.text("date").parse().ok()?, day.number(field))))
        .collect();
    let Some((first, _)) = dated.first().copied() else {
        return html! { p.none { "Not counted yet; it is counted every minute." } };
    };
    let most = dated.iter().map(|(_, count)| *count).max().unwrap_or_default();
    let lead = usize::try_from(first.weekday().to_monday_zero_offset()).unwrap_or_default();
    let weeks = (lead + dated.len()).div_ceil(7);
    let cell =
        |week: usize, row: usize| (week * 7 + row).checked_sub(lead).and_then(|at| dated.get(at));
    html! {
        table.heat {
            caption { (caption) }
            thead {
                tr {
                    td {}
                    @for week in 0..weeks { th scope="col" { (month(week, lead, &dated)) } }
                }
            }
            tbody {
                @for (row, weekday) in WEEK.iter().enumerate() {
                    tr {
                        th scope="row" { (name(*weekday)) }
                        @for week in 0..weeks {
                            @match cell(week, row) {
                                Some((date, count)) => {
                                    td.{ "h" (level(*count, most)) } title={ (date) ": " (count) } {
                                        @if *count > 0 { (short(*count)) }
                                        @else { span.unseen { "0" } }
                                    }
                                }
                                None => td.out {}
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The month that begins in a week, or the first one.
fn month(week: usize, lead: usize, dated: &[(Date, i64)]) -> Markup {
    let begin = (week * 7).saturating_sub(lead);
    let days = dated.iter().skip(begin).take(if week == 0 { 7 - lead } else { 7 });
    let begins = days
        .clone()
        .find(|(date, _)| date.day() == 1)
        .or_else(|| if week == 0 { dated.first() } else { None });
    // Two names in a row would run into each other.
    let crowded = week == 0 && dated.iter().take(14).skip(1).any(|(date, _)| date.day() == 1);
    let first = days.map(|(date, _)| date.to_string()).next().unwrap_or_default();
    html! {
        span.unseen { "Week of " (first) }
        @if let Some((date, _)) = begins.filter(|_| !crowded) {
            span.month aria-hidden="true" { (date.strftime("%b").to_string()) }
        }
    }
}

/// 0 for none, then 1 to 5: each step is about the same factor.
fn level(count: i64, most: i64) -> u8 {
    if count <= 0 {
        return 0;
    }
    let share = i64_log(count) * 4 / i64_log(most).max(1);
    u8::try_from(share.min(4)).unwrap_or(4) + 1
}

fn i64_log(number: i64) -> i64 {
    i64::from(number.max(1).ilog2())
}

/// A number in at most four letters: `950`, `12k`, `3M`.
fn short(count: i64) -> String {
    match count {
        ..1000 => count.to_string(),
        1000..1_000_000 => format!("{}k", count / 1000),
        _ => format!("{}M", count / 1_000_000),
    }
}

fn name(weekday: Weekday) -> &'static str {
    match weekday {
        Weekday::Monday => "Mon",
        Weekday::Tuesday => "Tue",
        Weekday::Wednesday => "Wed",
        Weekday::Thursday => "Thu",
        Weekday::Friday => "Fri",
        Weekday::Saturday => "Sat",
        Weekday::Sunday => "Sun",
    }
}

const WEEK: [Weekday; 7] = [
    Weekday::Monday,
    Weekday::Tuesday,
    Weekday::Wednesday,
    Weekday::Thursday,
    Weekday::Friday,
    Weekday::Saturday,
    Weekday::Sunday,
];

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_day_has_its_place_under_its_weekday() {
        // The first of December 2026 is a Tuesday.
        let days: Vec<_> = (1..=30)
            .map(|day| json!({ "date": format!("2026-12-{day:02}"), "issued": day }))
            .collect();
        let shown = heat("Ends", &days, "issued").into_string();
        assert_eq!(shown.matches("title=\"2026-12-").count(), 30);
        assert_eq!(shown.matches("class=\"out\"").count(), 5, "a Monday before, four days after");
        let tuesday = shown.split("Tue").nth(1).expect("a row").split("</tr>").next();
        assert!(tuesday.expect("a row").contains("2026-12-08: 8"));
        assert!(heat("Ends", &[], "issued").into_string().contains("Not counted yet"));
    }

    #[test]
    fn more_is_never_paler() {
        for most in [1, 2, 50, 1_000_000] {
            let levels: Vec<_> =
                [0, 1, 2, 50, 1_000_000].map(|n: i64| level(n.min(most), most)).into();
            assert!(levels.is_sorted() && levels[0] == 0 && levels[1] > 0, "{levels:?}");
        }
        assert_eq!(
            (short(999), short(12_345), short(3_000_000)),
            ("999".into(), "12k".into(), "3M".into())
        );
    }
}
