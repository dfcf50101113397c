//! What is found in use: certificates and where they stand, scans that look for them, addresses that are
//! watched, and whose end is near.

use std::sync::Arc;

use acme::Problem;
use axum::extract::{Request, State};
use ca::survey::Survey;
use data_encoding::HEXLOWER;
use jiff::SignedDuration;
use renew::alarm::Level;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::extract::{Path, Query};
use super::inventory::{all, sheet};
use super::listing::{Ends, Listing};
use super::shape::{self, value};
use super::visible::{Reading, Sight};
use super::{Answer, body, missing};
use crate::access::{Action, Asker};
use crate::found::scan::{self, Plan};
use crate::found::{Finding, assess, system_roots, trusted};
use crate::http::error::{uncommitted, unreadable};
use crate::node::Node;
use crate::perform::expiry;
use crate::store::{
    Actor, Commit, EndpointRow, Event, Found, FoundFilter, Row, ScanRow, Sighted, Sighting,
};

type Shared = State<Arc<Node>>;

/// A scan that begins.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "ScanWanted")]
#[serde(deny_unknown_fields)]
pub(super) struct Begun {
    request: scan::Request,
}

/// What a scan found since it told last.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "ScanFindings")]
#[serde(deny_unknown_fields)]
pub(super) struct Told {
    /// Of its sequence, how many are done with all before them; none: as many as before.
    done: Option<u64>,
    findings: Vec<Finding>,
}

/// Certificates that were found.
pub(super) async fn list(State(node): Shared, asker: Asker, Query(listing): Query<Ends>) -> Answer {
    let page = listing.page();
    let ends_before = match listing.until(node.world.now()) {
        Ok(until) => until,
        Err(problem) => return Answer(Err(problem)),
    };
    let filter = FoundFilter { ends_before, owner: listing.owner };
    let sight = Sight::new(&node, &asker, (Action::FoundRead, "found"));
    let store = &node.store;
    let read = |page| -> Reading<'_, _> {
        let filter = filter.clone();
        Box::pin(async move { store.found(filter, page).await })
    };
    let seen = sight.page(page, read, |row| (row.id, row.id.to_string())).await;
    Answer(seen.map(|(rows, next)| sheet(rows.iter().map(|row| value(&summary(row))), next)))
}

/// One of them, by its id or SHA-256, and where it stands.
pub(super) async fn show(State(node): Shared, Path(id): Path<String>) -> Answer {
    Answer(one(&node, &id))
}

fn one(node: &Node, id: &str) -> Result<Value, Problem> {
    let unknown = || missing("found certificate", id);
    let hash = HEXLOWER.decode(id.to_ascii_lowercase().as_bytes()).ok();
    let number = match (id.parse::<i64>(), hash.and_then(|hash| hash.try_into().ok())) {
        (Ok(number), _) => Some(number),
        (_, Some(hash)) => node.store.found_by_fingerprint(&hash).map_err(unreadable)?,
        _ => None,
    };
    let number = number.ok_or_else(unknown)?;
    let (row, der) = node.store.found_one(number).map_err(unreadable)?.ok_or_else(unknown)?;
    let sightings = node.store.sightings_of(number, MAX_SIGHTINGS).map_err(unreadable)?;
    Ok(value(&shape::FoundInFull {
        summary: summary(&row),
        pem: ca::certificate::pem_of(&der),
        sightings: sightings.iter().map(sighting).collect(),
    }))
}

/// Addresses that are watched.
pub(super) async fn endpoints(State(node): Shared, asker: Asker) -> Answer {
    let sight = Sight::new(&node, &asker, (Action::EndpointRead, "endpoint"));
    let rows = node.store.endpoints().map_err(unreadable);
    let seen = rows.and_then(|rows| sight.of(rows.into_iter(), |row| &row.name));
    Answer(seen.map(|rows| all(rows.iter().map(|row| value(&endpoint_summary(&node, row))))))
}

/// One of them, and what each of its addresses shows.
pub(super) async fn endpoint(State(node): Shared, Path(name): Path<String>) -> Answer {
    Answer(one_endpoint(&node, &name))
}

fn one_endpoint(node: &Node, name: &str) -> Result<Value, Problem> {
    let row = node.store.endpoint_by_name(name).map_err(unreadable)?;
    let summary = endpoint_summary(node, &row.ok_or_else(|| missing("endpoint", name))?);
    let mut addresses = Vec::new();
    for seen in node.store.sightings_at(name).map_err(unreadable)? {
        let leaf = seen.found.map(|id| node.store.found_one(id)).transpose();
        let leaf = leaf.map_err(unreadable)?.flatten();
        addresses.push(shape::WatchedAddress {
            sighting: sighting(&seen),
            certificate: leaf.map(|(row, _)| certificate(&row.survey)),
        });
    }
    Ok(value(&shape::WatchedInFull { summary, addresses }))
}

/// Whose end is near, or comes within a time, the soonest first.
pub(super) async fn expiring(State(node): Shared, Query(listing): Query<Ends>) -> Answer {
    Answer(ends(&node, &listing).await)
}

async fn ends(node: &Node, listing: &Ends) -> Result<Value, Problem> {
    let now = node.world.now();
    let until = listing.until(now)?.unwrap_or_else(|| now + USUAL);
    let standing = expiry::standing(node, until).await.map_err(unreadable)?;
    let wanted = |owner: &Option<String>| listing.owner.is_none() || *owner == listing.owner;
    let catalog = node.catalog.load();
    let limit = listing.page().limit as usize;
    let shown = standing.iter().filter(|placed| wanted(&placed.owner)).take(limit).map(|placed| {
        value(&shape::Ending {
            subject: placed.subject.clone(),
            called: placed.called.clone(),
            owner: placed.owner.clone(),
            level: expiry::level(&catalog, placed, now),
            ends_at: placed.ends_at,
            place: placed.place.clone(),
        })
    });
    Ok(all(shown))
}

/// Which endpoints fail, and how many ends are near, a line each.
pub(super) fn attention(node: &Node) -> Result<Vec<String>, Problem> {
    let rows = node.store.endpoints().map_err(unreadable)?;
    let failing = rows.iter().filter_map(|row| {
        let why = row.error.as_ref()?;
        Some(format!("endpoint {}: {why}", row.name))
    });
    let mut lines: Vec<_> = failing.take(MAX_LINES).collect();
    for (level, count) in node.store.alarm_counts().map_err(unreadable)? {
        if level > Level::Notice {
            let what = if count == 1 { "end is" } else { "ends are" };
            let level = level.name();
            lines.push(format!("{count} {what} {level}; perennial status expiring lists them"));
        }
    }
    Ok(lines)
}

/// The latest scans.
pub(super) async fn scans(State(node): Shared, Query(listing): Query<Listing>) -> Answer {
    let rows = node.store.scans(listing.page().limit).map_err(unreadable);
    Answer(rows.map(|rows| all(rows.iter().map(scan))))
}

/// One scan.
pub(super) async fn scan_of(State(node): Shared, Path(id): Path<i64>) -> Answer {
    let row = node.store.scan_row(id).map_err(unreadable);
    Answer(
        row.and_then(|row| {
            row.map(|row| scan(&row)).ok_or_else(|| missing("scan", &id.to_string()))
        }),
    )
}

/// Begins a scan: whoever asks looks, and tells what it finds.
pub(super) async fn begin(State(node): Shared, actor: Actor, request: Request) -> Answer {
    Answer(begin_scan(&node, actor, request).await)
}

async fn begin_scan(node: &Node, actor: Actor, request: Request) -> Result<Value, Problem> {
    let Begun { request } = body(request).await?;
    let plan = Plan::new(request.clone()).map_err(|e| Problem::malformed(e.to_string()))?;
    let now = node.world.now();
    let row = ScanRow {
        id: node.store.id(),
        version: 0,
        request: serde_json::to_string(&request).unwrap_or_default(),
        total: i64::try_from(plan.total()).unwrap_or(i64::MAX),
        done: 0,
        seen: 0,
        failed: 0,
        started_at: now,
        changed_at: now,
        ended_at: None,
    };
    let event = Event::new(actor, "scan.begin", format!("scan/{}", row.id))
        .with(json!({ "targets": request.targets, "total": row.total, "owner": request.owner }));
    let shown = scan(&row);
    node.store.commit(Commit::new(event).put(row), now).await.map_err(uncommitted)?;
    Ok(shown)
}

/// Takes what a scan found, all of it or nothing.
pub(super) async fn tell(
    State(node): Shared,
    Path(id): Path<i64>,
    actor: Actor,
    request: Request,
) -> Answer {
    Answer(take(&node, id, actor, request).await)
}

async fn take(node: &Node, id: i64, actor: Actor, request: Request) -> Result<Value, Problem> {
    let told: Told = body(request).await?;
    if told.findings.len() > MAX_FINDINGS {
        return Err(Problem::malformed(format!("tell at most {MAX_FINDINGS} findings at once")));
    }
    let row = node.store.scan_row(id).map_err(unreadable)?;
    let row = row.ok_or_else(|| missing("scan", &id.to_string()))?;
    let asked: scan::Request = serde_json::from_str(&row.request).unwrap_or_else(|_| nothing());
    let done = told.done.map_or(row.done, |done| i64::try_from(done).unwrap_or(i64::MAX));
    if done > row.total || done < row.done {
        let why = format!("{done} done of {} with {} done before cannot be", row.total, row.done);
        return Err(Problem::malformed(why));
    }
    let now = node.world.now();
    let anchors = trusted(&system_roots(), &node.catalog.load());
    let mut rows = Vec::new();
    let (mut seen, mut failed) = (0, 0);
    for finding in &told.findings {
        let assessed =
            assess(finding, &anchors, now).map_err(|e| Problem::malformed(e.to_string()))?;
        if assessed.error.is_some() {
            failed += 1;
        } else {
            seen += 1;
        }
        let owner = asked.owner.clone();
        let sighted = Sighted { seen: assessed, owner, endpoint: None, scan: Some(id) };
        rows.push(Row::Sighted(Box::new(sighted)));
    }
    let over = done == row.total;
    let row = ScanRow {
        done,
        seen: row.seen + seen,
        failed: row.failed + failed,
        changed_at: now,
        ended_at: over.then_some(now),
        ..row
    };
    let action = if over { "scan.end" } else { "scan.find" };
    let event = Event::new(actor, action, format!("scan/{id}"))
        .with(json!({ "done": done, "seen": row.seen, "failed": row.failed }));
    let shown = scan(&row);
    let commit = rows.into_iter().fold(Commit::new(event).put(row), Commit::put);
    node.store.commit(commit, now).await.map_err(uncommitted)?;
    Ok(shown)
}

/// The request of a scan from a time when scans were asked for in another way.
fn nothing() -> scan::Request {
    scan::Request::of(Vec::new())
}

fn summary(row: &Found) -> shape::Found {
    shape::Found {
        id: row.id,
        survey: certificate(&row.survey),
        owner: row.owner.clone(),
        places: row.places,
        place: row.place.clone(),
        first_seen_at: row.first_at,
        last_seen_at: row.last_at,
    }
}

/// What a certificate says of itself.
fn certificate(survey: &Survey) -> shape::Surveyed {
    shape::Surveyed {
        called: survey.called().to_owned(),
        names: survey.names.clone(),
        subject: survey.subject.clone(),
        issuer: survey.issuer.clone(),
        serial: survey.serial.clone(),
        not_before: survey.not_before,
        not_after: survey.not_after,
        key: survey.key.clone(),
        signature: survey.signature.clone(),
        is_ca: survey.is_ca,
        post_quantum: survey.is_post_quantum(),
        fingerprint_sha256: HEXLOWER.encode(&survey.fingerprint),
    }
}

fn sighting(row: &Sighting) -> shape::Sighting {
    shape::Sighting {
        place: row.place.clone(),
        flaws: row.flaws.clone(),
        chain: row.chain.clone(),
        chain_ends_at: row.ends_at,
        keeper: row.keeper.clone(),
        endpoint: row.endpoint.clone(),
        error: row.error.clone(),
        first_seen_at: row.first_at,
        changed_at: row.changed_at,
        last_seen_at: row.last_at,
    }
}

fn endpoint_summary(node: &Node, row: &EndpointRow) -> shape::Endpoint {
    let catalog = node.catalog.load();
    let spec = catalog.endpoints.get(&row.name);
    let status = match (&row.error, row.looked_at) {
        (Some(_), _) => "failing",
        (None, Some(_)) => "good",
        (None, None) => "new",
    };
    shape::Endpoint {
        name: row.name.clone(),
        address: spec.map(|spec| spec.address.clone()),
        owner: spec.and_then(|spec| spec.owner.clone()),
        status,
        error: row.error.clone(),
        looked_at: row.looked_at,
        changed_at: row.changed_at,
        next_at: row.due_at,
    }
}

fn scan(row: &ScanRow) -> Value {
    value(&shape::Scan {
        id: row.id,
        status: if row.ended_at.is_some() { "over" } else { "open" },
        request: serde_json::from_str(&row.request).unwrap_or_default(),
        total: row.total,
        done: row.done,
        seen: row.seen,
        failed: row.failed,
        started_at: row.started_at,
        changed_at: row.changed_at,
        ended_at: row.ended_at,
    })
}

/// How far ahead an end is near, where nobody says.
const USUAL: SignedDuration = SignedDuration::from_hours(30 * 24);
const MAX_FINDINGS: usize = 1000;
const MAX_SIGHTINGS: u32 = 1000;
/// Endpoints that the status of the node names.
const MAX_LINES: usize = 20;
