//! Reading: everything the node knows, listed by page or shown in full.

use std::sync::Arc;

use acme::Problem;
use axum::extract::{Path, Query, State};
use ca::Serial;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Answer, missing, views};
use crate::http::error::unreadable;
use crate::node::Node;
use crate::store::{CertificateFilter, Page};

/// What every list understands.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Listing {
    #[serde(default = "default_limit")]
    limit: u32,
    #[serde(default)]
    after: i64,
    #[serde(default)]
    names: Option<String>,
    #[serde(default)]
    expiring_within: Option<String>,
    #[serde(default)]
    pub(super) owner: Option<String>,
}

/// What the audit log understands.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Log {
    #[serde(default = "default_limit")]
    limit: u32,
    #[serde(default)]
    subject: Option<String>,
    #[serde(default = "end")]
    before: i64,
}

type Shared = State<Arc<Node>>;

pub(super) async fn authorities(State(node): Shared) -> Answer {
    let catalog = node.catalog.load();
    Answer(Ok(all(catalog.authorities.values().map(|authority| views::authority(authority)))))
}

pub(super) async fn authority(State(node): Shared, Path(name): Path<String>) -> Answer {
    let catalog = node.catalog.load();
    let found = catalog.authorities.get(&name).map(|authority| views::authority(authority));
    Answer(found.ok_or_else(|| missing("authority", &name)))
}

pub(super) async fn profiles(State(node): Shared) -> Answer {
    Answer(Ok(all(node.catalog.load().profiles.values().map(|profile| views::profile(profile)))))
}

pub(super) async fn profile(State(node): Shared, Path(name): Path<String>) -> Answer {
    let catalog = node.catalog.load();
    let found = catalog.profiles.get(&name).map(|profile| views::profile(profile));
    Answer(found.ok_or_else(|| missing("profile", &name)))
}

pub(super) async fn directories(State(node): Shared) -> Answer {
    let catalog = node.catalog.load();
    let shown = catalog.directories.values().map(|d| views::directory(d, &node.https_url));
    Answer(Ok(all(shown)))
}

pub(super) async fn directory(State(node): Shared, Path(name): Path<String>) -> Answer {
    let catalog = node.catalog.load();
    let found = catalog.directories.get(&name).map(|d| views::directory(d, &node.https_url));
    Answer(found.ok_or_else(|| missing("directory", &name)))
}

pub(super) async fn accounts(State(node): Shared, Query(listing): Query<Listing>) -> Answer {
    let page = listing.page();
    let rows = node.store.accounts(page).map_err(unreadable);
    Answer(rows.map(|rows| paged(page, rows.iter().map(|row| (row.id, views::account(row))))))
}

pub(super) async fn account(State(node): Shared, Path(id): Path<i64>) -> Answer {
    let found = node.store.account(id).map_err(unreadable);
    Answer(found.and_then(|row| {
        row.map(|row| views::account(&row)).ok_or_else(|| missing("account", &id.to_string()))
    }))
}

pub(super) async fn orders(State(node): Shared, Query(listing): Query<Listing>) -> Answer {
    let (page, now) = (listing.page(), node.world.now());
    let rows = node.store.orders(page).and_then(|rows| {
        rows.into_iter().map(|row| node.store.order(row.id)).collect::<Result<Vec<_>, _>>()
    });
    Answer(rows.map_err(unreadable).map(|rows| {
        let shown = rows.iter().flatten();
        paged(page, shown.map(|(order, rows)| (order.id, views::order(order, rows, now))))
    }))
}

pub(super) async fn order(State(node): Shared, Path(id): Path<i64>) -> Answer {
    let found = node.store.order(id).map_err(unreadable);
    Answer(found.and_then(|found| {
        let (order, rows) = found.ok_or_else(|| missing("order", &id.to_string()))?;
        Ok(views::order(&order, &rows, node.world.now()))
    }))
}

pub(super) async fn certificates(State(node): Shared, Query(listing): Query<Listing>) -> Answer {
    let (page, now) = (listing.page(), node.world.now());
    let until = match listing.until(now) {
        Ok(until) => until,
        Err(problem) => return Answer(Err(problem)),
    };
    let filter = CertificateFilter {
        name: listing.names.clone(),
        expires_within: until.map(|until| (now, until)),
    };
    let rows = node.store.certificates(filter, page).await.map_err(unreadable);
    let catalog = node.catalog.load();
    Answer(rows.map(|rows| {
        paged(
            page,
            rows.iter().map(|row| {
                let authority = catalog.authority(row.authority).map(AsRef::as_ref);
                (row.id, views::certificate(row, authority, now))
            }),
        )
    }))
}

pub(super) async fn certificate(State(node): Shared, Path(serial): Path<String>) -> Answer {
    let unknown = || missing("certificate", &serial);
    let found = match (serial.parse::<i64>(), serial.parse::<Serial>()) {
        // Serial numbers have 32 digits; whatever fits here is the id that lists show.
        (Ok(id), _) => node.store.certificate(id),
        (_, Ok(number)) => node.store.certificate_by_serial(&number),
        _ => return Answer(Err(unknown())),
    };
    let found = found.map_err(unreadable);
    let catalog = node.catalog.load();
    Answer(found.and_then(|row| {
        let row = row.ok_or_else(unknown)?;
        let authority = catalog.authority(row.authority).map(AsRef::as_ref);
        Ok(views::certificate_with_chain(&row, authority, node.world.now()))
    }))
}

pub(super) async fn events(State(node): Shared, Query(log): Query<Log>) -> Answer {
    let limit = log.limit.min(MAX_LIMIT);
    let events = node.store.events(log.subject, log.before, limit).await.map_err(unreadable);
    // Asked for newest first, shown oldest first.
    Answer(events.map(|events| all(events.iter().rev().map(views::event))))
}

impl Listing {
    pub(super) fn page(&self) -> Page {
        Page { after: self.after, limit: self.limit.min(MAX_LIMIT) }
    }

    /// Before when what is listed ends, if that is asked.
    pub(super) fn until(&self, now: Timestamp) -> Result<Option<Timestamp>, Problem> {
        let Some(text) = &self.expiring_within else { return Ok(None) };
        let wrong = |why: String| Problem::malformed(why);
        let within = ca::duration::parse(text).map_err(|e| wrong(e.to_string()))?;
        now.checked_add(within).map(Some).map_err(|e| wrong(e.to_string()))
    }
}

pub(super) fn all(items: impl Iterator<Item = Value>) -> Value {
    json!({ "items": items.collect::<Vec<_>>() })
}

/// A page, and where the next one starts if this one is full.
pub(super) fn paged(page: Page, items: impl Iterator<Item = (i64, Value)>) -> Value {
    let (ids, items): (Vec<_>, Vec<_>) = items.unzip();
    let next = ids.last().filter(|_| ids.len() >= page.limit as usize).copied();
    json!({ "items": items, "next": next })
}

fn default_limit() -> u32 {
    100
}

fn end() -> i64 {
    i64::MAX
}

const MAX_LIMIT: u32 = 1000;
