//! Reading: everything the node knows, listed by page or shown in full.

use std::sync::Arc;

use acme::Problem;
use axum::extract::State;
use ca::Serial;
use serde_json::Value;

use super::extract::{Path, Query};
use super::listing::{Certificates, Listing, Log};
use super::shape::{List, value};
use super::visible::{Reading, Sight};
use super::{Answer, missing, views};
use crate::access::{Action, Asker};
use crate::http::error::unreadable;
use crate::node::Node;
use crate::store::{CertificateRow, Page};

type Shared = State<Arc<Node>>;

pub(super) async fn authorities(State(node): Shared, asker: Asker) -> Answer {
    let catalog = node.catalog.load();
    let sight = Sight::new(&node, &asker, (Action::AuthorityRead, "authority"));
    let seen = sight.of(catalog.authorities.values(), |authority| &authority.name);
    Answer(seen.map(|seen| all(seen.into_iter().map(|authority| views::authority(authority)))))
}

pub(super) async fn authority(State(node): Shared, Path(name): Path<String>) -> Answer {
    let catalog = node.catalog.load();
    let found = catalog.authorities.get(&name).map(|authority| views::authority(authority));
    Answer(found.ok_or_else(|| missing("authority", &name)))
}

pub(super) async fn profiles(State(node): Shared, asker: Asker) -> Answer {
    let catalog = node.catalog.load();
    let sight = Sight::new(&node, &asker, (Action::ProfileRead, "profile"));
    let seen = sight.of(catalog.profiles.values(), |profile| &profile.name);
    Answer(seen.map(|seen| all(seen.into_iter().map(|profile| views::profile(profile)))))
}

pub(super) async fn profile(State(node): Shared, Path(name): Path<String>) -> Answer {
    let catalog = node.catalog.load();
    let found = catalog.profiles.get(&name).map(|profile| views::profile(profile));
    Answer(found.ok_or_else(|| missing("profile", &name)))
}

pub(super) async fn directories(State(node): Shared, asker: Asker) -> Answer {
    let catalog = node.catalog.load();
    let sight = Sight::new(&node, &asker, (Action::DirectoryRead, "directory"));
    let seen = sight.of(catalog.directories.values(), |directory| &directory.spec.name);
    let shown = |directory| views::directory(directory, &node.https_url);
    Answer(seen.map(|seen| all(seen.into_iter().map(|directory| shown(directory)))))
}

pub(super) async fn directory(State(node): Shared, Path(name): Path<String>) -> Answer {
    let catalog = node.catalog.load();
    let found = catalog.directories.get(&name).map(|d| views::directory(d, &node.https_url));
    Answer(found.ok_or_else(|| missing("directory", &name)))
}

pub(super) async fn accounts(
    State(node): Shared,
    asker: Asker,
    Query(listing): Query<Listing>,
) -> Answer {
    let sight = Sight::new(&node, &asker, (Action::AccountRead, "account"));
    let store = &node.store;
    let read = |page| -> Reading<'_, _> { Box::pin(async move { store.accounts(page) }) };
    let seen = sight.page(listing.page(), read, |row| (row.id, row.id.to_string())).await;
    Answer(seen.map(|(rows, next)| sheet(rows.iter().map(views::account), next)))
}

pub(super) async fn account(State(node): Shared, Path(id): Path<i64>) -> Answer {
    let found = node.store.account(id).map_err(unreadable);
    Answer(found.and_then(|row| {
        row.map(|row| views::account(&row)).ok_or_else(|| missing("account", &id.to_string()))
    }))
}

pub(super) async fn orders(
    State(node): Shared,
    asker: Asker,
    Query(listing): Query<Listing>,
) -> Answer {
    let sight = Sight::new(&node, &asker, (Action::OrderRead, "order"));
    let store = &node.store;
    let read = |page| -> Reading<'_, _> { Box::pin(async move { store.orders(page) }) };
    let seen = sight.page(listing.page(), read, |row| (row.id, row.id.to_string())).await;
    let now = node.world.now();
    Answer(seen.and_then(|(rows, next)| {
        let rows = rows.iter().map(|row| node.store.order(row.id)).collect::<Result<Vec<_>, _>>();
        let rows = rows.map_err(unreadable)?;
        let shown = rows.iter().flatten().map(|(order, rows)| views::order(order, rows, now));
        Ok(sheet(shown, next))
    }))
}

pub(super) async fn order(State(node): Shared, Path(id): Path<i64>) -> Answer {
    let found = node.store.order(id).map_err(unreadable);
    Answer(found.and_then(|found| {
        let (order, rows) = found.ok_or_else(|| missing("order", &id.to_string()))?;
        Ok(views::order(&order, &rows, node.world.now()))
    }))
}

pub(super) async fn certificates(
    State(node): Shared,
    asker: Asker,
    Query(listing): Query<Certificates>,
) -> Answer {
    Answer(list_certificates(&node, &asker, &listing).await)
}

async fn list_certificates(
    node: &Node,
    asker: &Asker,
    listing: &Certificates,
) -> Result<Value, Problem> {
    let (catalog, now) = (node.catalog.load(), node.world.now());
    let Some(filter) = listing.filter(&catalog, now)? else { return Ok(all(std::iter::empty())) };
    let sight = Sight::new(node, asker, (Action::CertificateRead, "certificate"));
    let store = &node.store;
    let read = |page| -> Reading<'_, CertificateRow> {
        let filter = filter.clone();
        Box::pin(async move { store.certificates(filter, page).await })
    };
    let seen = sight.page(listing.page(), read, |row| (row.id, row.serial.to_string())).await;
    let (rows, next) = seen?;
    let shown = rows.iter().map(|row| {
        let authority = catalog.authority(row.authority).map(AsRef::as_ref);
        views::certificate(row, authority, now)
    });
    Ok(sheet(shown, next))
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
    let events =
        node.store.events(log.subject.clone(), log.before, log.limit()).await.map_err(unreadable);
    // Asked for newest first, shown oldest first.
    Answer(events.map(|events| all(events.iter().rev().map(views::event))))
}

pub(super) fn all(items: impl Iterator<Item = Value>) -> Value {
    value(&List { items: items.collect(), next: None })
}

/// A page, and where the next one starts.
pub(super) fn sheet(items: impl Iterator<Item = Value>, next: Option<i64>) -> Value {
    value(&List { items: items.collect(), next })
}

/// A page, and where the next one starts if this one is full.
pub(super) fn paged(page: Page, items: impl Iterator<Item = (i64, Value)>) -> Value {
    let (ids, items): (Vec<_>, Vec<_>) = items.unzip();
    let next = ids.last().filter(|_| ids.len() >= page.limit as usize).copied();
    value(&List { items, next })
}
