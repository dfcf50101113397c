//! Ends that come nearer: whoever answers for a certificate is told when its end is near, once for each
//! level, and when it is over with. It holds for everything that stands somewhere: what was found, what is
//! managed, and the authorities.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use renew::alarm::{Leads, Level};
use serde_json::json;
use tracing::{error, warn};

use super::endpoint::EndpointError;
use crate::catalog::Catalog;
use crate::node::Node;
use crate::store::{Alarm, Commit, Event, Placed, ReadError, Row};

/// Looks at everything whose end may be near.
pub(crate) async fn look(node: Arc<Node>) {
    if let Err(error) = look_at_all(&node).await {
        error!(%error, "ends that are near cannot be looked for; it will be retried");
    }
}

async fn look_at_all(node: &Node) -> Result<(), EndpointError> {
    let (catalog, now) = (node.catalog.load(), node.world.now());
    let (standing, full) = look_for(node, now + horizon(&catalog)).await?;
    let mut told: BTreeMap<_, _> = node.store.alarms().await?.into_iter().collect();
    let mut counts = BTreeMap::new();
    for placed in &standing {
        let level = level(&catalog, placed, now);
        *counts.entry(level).or_insert(0_i64) += 1;
        let before = told.remove(&placed.subject);
        let was = before.as_ref().map_or(Level::Far, |alarm| alarm.level);
        let moved = before.is_some_and(|alarm| alarm.ends_at != placed.ends_at);
        if level != was || moved && level != Level::Far {
            tell(node, placed, was, level, now).await?;
        }
    }
    let last = standing.last().map(|placed| placed.ends_at);
    for (subject, alarm) in told {
        // Beyond the last that there is room for, nothing is known.
        if full && Some(alarm.ends_at) >= last {
            continue;
        }
        let event = Event::new("worker", "expiry.resolved", subject.clone())
            .with(json!({ "was": alarm.level, "ends_at": alarm.ends_at.to_string() }));
        let commit = Commit::new(event).put(Row::Alarm { subject, alarm: None });
        node.store.commit(commit, now).await?;
    }
    node.metrics.ends_near(&counts);
    Ok(())
}

/// What stands somewhere and ends before `until`, the soonest first.
///
/// # Errors
/// When the store fails.
pub(crate) async fn standing(node: &Node, until: Timestamp) -> Result<Vec<Placed>, ReadError> {
    Ok(look_for(node, until).await?.0)
}

/// The same, and whether there may be more than there is room for.
async fn look_for(node: &Node, until: Timestamp) -> Result<(Vec<Placed>, bool), ReadError> {
    let catalog = node.catalog.load();
    let since = node.world.now() - STANDS;
    let mut standing = node.store.ending(until, since, MAX_ENDING).await?;
    let full = standing.len() >= MAX_ENDING as usize;
    standing.retain_mut(|placed| belongs(placed, &catalog));
    standing.extend(authorities(&catalog).filter(|placed| placed.ends_at < until));
    standing.sort_by_key(|placed| placed.ends_at);
    Ok((standing, full))
}

/// Whether what is managed is still declared; who answers for it is in its declaration.
fn belongs(placed: &mut Placed, catalog: &Catalog) -> bool {
    let Some(name) = placed.subject.strip_prefix("managed/") else { return true };
    let Some(certificate) = catalog.certificates.get(name) else { return false };
    placed.owner.clone_from(&certificate.spec.owner);
    true
}

fn authorities(catalog: &Catalog) -> impl Iterator<Item = Placed> {
    catalog.authorities.values().map(|authority| {
        let certificate = authority.ca.certificate();
        Placed {
            subject: format!("authority/{}", authority.name),
            called: certificate.subject().to_owned(),
            owner: None,
            not_before: certificate.not_before(),
            ends_at: certificate.not_after(),
            place: None,
        }
    })
}

/// The most alarming level of those who are to be told; as is usual, where nothing is said.
pub(crate) fn level(catalog: &Catalog, placed: &Placed, now: Timestamp) -> Level {
    let concerned = catalog.alerts.values().filter(|alert| alert.is_for(placed.owner.as_deref()));
    let levels = concerned.map(|alert| alert.leads().level(placed.not_before, placed.ends_at, now));
    let usual = || Leads::default().level(placed.not_before, placed.ends_at, now);
    levels.max().unwrap_or_else(usual)
}

async fn tell(
    node: &Node,
    placed: &Placed,
    was: Level,
    level: Level,
    now: Timestamp,
) -> Result<(), EndpointError> {
    let action = match level {
        Level::Far => "expiry.resolved",
        Level::Notice => "expiry.notice",
        Level::Urgent => "expiry.urgent",
        Level::Expired => "expiry.expired",
    };
    let subject = placed.subject.clone();
    if level > was {
        let (called, ends_at) = (&placed.called, placed.ends_at);
        warn!(subject, called, owner = placed.owner, %ends_at, "{action}");
    }
    let event = Event::new("worker", action, subject.clone()).with(json!({
        "why": format!("{} ends at {}", placed.called, placed.ends_at),
        "called": placed.called,
        "owner": placed.owner,
        "ends_at": placed.ends_at.to_string(),
        "was": was,
    }));
    let alarm = Alarm { level, ends_at: placed.ends_at, since: now };
    let alarm = (level != Level::Far).then_some(alarm);
    let commit = Commit::new(event).put(Row::Alarm { subject, alarm });
    Ok(node.store.commit(commit, now).await?)
}

/// How far ahead an end may be near.
fn horizon(catalog: &Catalog) -> SignedDuration {
    let leads = catalog.alerts.values().map(|alert| alert.leads()).chain([Leads::default()]);
    leads.map(|leads| leads.longest().unwrap_or(LONG)).max().unwrap_or(LONG)
}

/// As much as a share of the longest life comes to.
const LONG: SignedDuration = SignedDuration::from_hours(30 * 366 * 24);
/// How long what a scan saw counts as standing: those who scan once in a quarter are told.
const STANDS: SignedDuration = SignedDuration::from_hours(100 * 24);
/// More ends than these are not near all at once; those that come first are told of.
const MAX_ENDING: u32 = 100_000;

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, Ordering};

    use ca::survey::Anchors;

    use super::*;
    use crate::catalog::AlertSpec;
    use crate::found::{Finding, assess};
    use crate::node::tests::{node, own_row, present};
    use crate::store::Sighted;

    const DAY: i64 = 24 * 3600;

    /// Sees the certificate that the node presents at a place.
    async fn sight(node: &Node, place: &str, owner: Option<&str>) {
        let (der, now) = (own_row(node).der.expect("its DER"), node.world.now());
        let finding = Finding::seen(place.into(), [der.as_slice()]);
        let seen = assess(&finding, &Anchors::default(), now).expect("a finding");
        let owner = owner.map(str::to_owned);
        let sighted = Sighted { seen, owner, endpoint: None, scan: None };
        let commit = Commit::note_sightings([Row::Sighted(Box::new(sighted))]);
        node.store.commit(commit, now).await.expect("stored");
    }

    async fn told(node: &Arc<Node>, clock: &AtomicI64, days_left: i64) -> Vec<(String, String)> {
        let end = own_row(node).not_after.as_second();
        clock.store(end - days_left * DAY + 1, Ordering::SeqCst);
        look(Arc::clone(node)).await;
        let events = node.store.events(None, i64::MAX, 50).await.expect("a read");
        let of = |event: &crate::store::Recorded| event.action.starts_with("expiry.");
        let told = events.iter().rev().filter(|event| of(event));
        told.map(|event| (event.action.clone(), event.subject.clone())).collect()
    }

    fn line(action: &str, subject: &str) -> (String, String) {
        (action.into(), subject.into())
    }

    #[tokio::test]
    async fn who_answers_is_told_once_for_each_level() {
        let (node, clock) = node().await;
        present(&node).await;
        sight(&node, "file://a/b", None).await;
        // It lives for thirty days: ten are a third of that, three a tenth.
        assert_eq!(told(&node, &clock, 12).await, []);
        let both = |action| [line(action, "found/1"), line(action, "managed/node")];
        let mut expected = Vec::new();
        for (days, action) in [(10, "expiry.notice"), (3, "expiry.urgent"), (0, "expiry.expired")] {
            expected.extend(both(action));
            for _ in 0..2 {
                let mut told = told(&node, &clock, days).await;
                told.sort();
                let mut sorted = expected.clone();
                sorted.sort();
                assert_eq!(told, sorted, "{days} days before the end");
            }
        }
        assert_eq!(node.store.alarms().await.expect("a read").len(), 2);
    }

    #[tokio::test]
    async fn what_stands_nowhere_any_more_is_over() {
        let (node, clock) = node().await;
        present(&node).await;
        sight(&node, "file://a/b", None).await;
        assert_eq!(told(&node, &clock, 9).await.len(), 2);
        let nothing = Finding::nothing("file://a/b".into(), "gone");
        let seen = assess(&nothing, &Anchors::default(), node.world.now()).expect("a finding");
        let sighted = Sighted { seen, owner: None, endpoint: None, scan: None };
        let commit = Commit::note_sightings([Row::Sighted(Box::new(sighted))]);
        node.store.commit(commit, node.world.now()).await.expect("stored");
        let told = told(&node, &clock, 9).await;
        assert_eq!(told.last(), Some(&line("expiry.resolved", "found/1")));
        let left = node.store.alarms().await.expect("a read");
        assert_eq!(left.iter().map(|(s, _)| s.as_str()).collect::<Vec<_>>(), ["managed/node"]);
    }

    #[tokio::test]
    async fn owners_are_told_as_they_declared() {
        let (node, clock) = node().await;
        present(&node).await;
        sight(&node, "file://a/b", Some("payments")).await;
        let alert: AlertSpec =
            toml::from_str("name = 'early'\nowners = ['pay*']\nnotice = '80%'").expect("a table");
        node.catalog.update(|catalog| {
            catalog.alerts = BTreeMap::from([("early".to_owned(), Arc::new(alert.clone()))]);
        });
        assert_eq!(told(&node, &clock, 25).await, []);
        assert_eq!(told(&node, &clock, 23).await, [line("expiry.notice", "found/1")]);
    }
}
