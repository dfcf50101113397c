//! The node's figures: what ends when, how rotations went, what is placed where. Nothing is changed here.

use std::sync::Arc;

use acme::Problem;
use axum::extract::State;
use jiff::SignedDuration;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::Answer;
use super::extract::Query;
use super::inventory::paged;
use super::managed::placement_of;
use super::shape::{self, value};
use crate::http::error::unreadable;
use crate::node::{Figures, Node};
use crate::store::{Ended, Page, PlacementFilter, PlacementRow};

/// Which placements are listed.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Placements {
    /// How many at the most, up to 1000.
    #[serde(default = "usual")]
    limit: u32,
    /// The `next` of the page before.
    #[serde(default)]
    after: i64,
    /// Only those on this target.
    #[serde(default)]
    target: Option<String>,
    /// Only those with which something is wrong.
    #[serde(default)]
    wrong: bool,
}

/// What ends on which day, and how the rotations of the last thirty days went; counted every minute.
pub(super) async fn overview(State(node): State<Arc<Node>>) -> Answer {
    let inventory = node.inventory.load();
    let Figures { from, ends, rotations, managed } = &inventory.figures;
    let day = |at: usize| {
        let at = i64::try_from(at).unwrap_or_default();
        (*from + SignedDuration::from_hours(24 * at)).strftime("%Y-%m-%d").to_string()
    };
    let ends = ends.iter().enumerate();
    let shown = shape::Overview {
        counted_at: inventory.at,
        ends: ends
            .map(|(at, [issued, managed])| shape::DayOfEnds {
                date: day(at),
                issued: *issued,
                managed: *managed,
            })
            .collect(),
        rotations: outcome(rotations),
        managed: shape::ManagedCounts {
            all: managed.all,
            pending: managed.pending,
            rotating: managed.rotating,
            failing: managed.failing,
            drifted: managed.drifted,
        },
        next_end: managed.next_end.and_then(|at| jiff::Timestamp::from_second(at).ok()),
    };
    Answer(Ok(value(&shown)))
}

/// Where certificates are placed, and what is wrong there.
pub(super) async fn placements(
    State(node): State<Arc<Node>>,
    Query(asked): Query<Placements>,
) -> Answer {
    Answer(placed(&node, asked))
}

fn placed(node: &Node, asked: Placements) -> Result<Value, Problem> {
    let page = Page { after: asked.after, limit: asked.limit.clamp(1, MOST) };
    let filter = PlacementFilter { target: asked.target, wrong: asked.wrong };
    let rows = node.store.placements_of(&filter, page).map_err(unreadable)?;
    let shown = rows.iter().map(|row| Ok((row.id, value(&placement(node, row)?))));
    let shown: Vec<_> = shown.collect::<Result<_, Problem>>()?;
    Ok(paged(page, shown.into_iter()))
}

fn placement(node: &Node, row: &PlacementRow) -> Result<shape::Placed, Problem> {
    let managed = node.store.managed(row.managed).map_err(unreadable)?;
    Ok(shape::Placed {
        certificate: managed.as_ref().map(|managed| managed.name.clone()),
        should: managed.and_then(|managed| managed.current),
        placement: placement_of(row),
    })
}

fn outcome(rotations: &[Ended]) -> shape::Rotations {
    let count = |which: fn(&Ended) -> bool| rotations.iter().filter(|one| which(one)).count();
    let mut seconds: Vec<i64> = rotations.iter().filter_map(|one| one.seconds).collect();
    seconds.sort_unstable();
    shape::Rotations {
        days: 30,
        succeeded: count(|one| one.succeeded),
        failed: count(|one| !one.succeeded),
        emergencies: count(|one| one.emergency),
        seconds_to_proof: shape::Seconds { median: share(&seconds, 50), p95: share(&seconds, 95) },
    }
}

/// The value below which `percent` of sorted `values` are.
fn share(values: &[i64], percent: usize) -> Option<i64> {
    let at = (values.len() * percent).div_ceil(100).saturating_sub(1);
    values.get(at).copied()
}

fn usual() -> u32 {
    100
}

const MOST: u32 = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_of_what_ended() {
        let one = |succeeded, seconds| Ended { succeeded, emergency: !succeeded, seconds };
        let shown = outcome(&[one(true, Some(3)), one(true, Some(9)), one(false, None)]);
        assert_eq!((shown.succeeded, shown.failed, shown.emergencies), (2, 1, 1));
        assert_eq!((shown.seconds_to_proof.median, shown.seconds_to_proof.p95), (Some(3), Some(9)));
        assert_eq!(outcome(&[]).seconds_to_proof.median, None);
    }

    #[test]
    fn shares_are_values_that_are_there() {
        let values: Vec<i64> = (1..=100).collect();
        assert_eq!((share(&values, 50), share(&values, 95)), (Some(50), Some(95)));
        assert_eq!((share(&[7], 50), share(&[7], 95), share(&[], 50)), (Some(7), Some(7), None));
    }
}
