//! Orders (RFC 8555 §7.4): opened, read, finalized.

use std::sync::Arc;
use std::time::Duration;

use acme::authorization::{AuthorizationStatus, Phase as AuthorizationPhase};
use acme::order::{self, OrderStatus, Phase};
use acme::request::{Finalize, NewOrder, post_as_get};
use acme::{Problem, ProblemType, resource};
use axum::body::Body;
use axum::http::{Response, StatusCode, header};
use ca::issue::Request;
use ca::{Csr, Identifier, Serial};
use jiff::Timestamp;
use serde_json::json;

use super::call::{Call, Signed, with_header};
use super::resource::Resource;
use super::{authorization, limit, not_found, renewal};
use crate::http::error::{refused, uncommitted, unreadable};
use crate::perform::issuance::{self, Commission, Intent};
use crate::steps::Subject;
use crate::store::{Authorization, Commit, CommitError, Order, Row};

/// newOrder (RFC 8555 §7.4).
pub(super) async fn create(call: &Call, signed: &Signed<'_>) -> Result<Response<Body>, Problem> {
    let spec = &call.directory.spec;
    let wanted = NewOrder::parse(&signed.jws.payload, spec.limits.names_per_order)?;
    let profile = call.directory.profile(wanted.profile.as_deref()).ok_or_else(|| {
        let name = wanted.profile.as_deref().unwrap_or_default();
        Problem::new(ProblemType::InvalidProfile, format!("this directory has no profile {name:?}"))
    })?;
    let now = call.node.world.now();
    check_validity(&wanted, profile, now)?;
    let trusted = authorization::permitted(call, &signed.account, profile, &wanted.identifiers)?;
    limit::orders(call, &signed.account, now)?;
    limit::names(call, &wanted.identifiers, now)?;
    let pending = limit::pending(call, &signed.account, now).await?;
    let replaces = match &wanted.replaces {
        Some(id) => Some(renewal::replaceable(call, signed, id, &wanted.identifiers)?),
        None => None,
    };
    let mut rows = Vec::new();
    let mut expires_at = now + spec.order_lifetime;
    for (identifier, trusted) in wanted.identifiers.iter().zip(trusted) {
        let row = authorization::standing(call, &signed.account, identifier, trusted, now)?;
        if matches!(row.phase, AuthorizationPhase::Valid { .. }) {
            // An order is ready no longer than all of its names are proven.
            expires_at = expires_at.min(row.expires_at);
        }
        rows.push(row);
    }
    let order = Order {
        id: call.node.store.id(),
        version: 0,
        account: signed.account.id,
        phase: Phase::Open,
        identifiers: wanted.identifiers.iter().map(Into::into).collect(),
        profile: profile.name.clone(),
        replaces,
        not_before: wanted.not_before,
        not_after: wanted.not_after,
        certificate: None,
        error: None,
        created_at: now,
        expires_at,
        due_at: None,
    };
    let event = call.event(signed.account.id, "order.create", format!("order/{}", order.id));
    let names: Vec<_> = wanted.identifiers.iter().map(ToString::to_string).collect();
    let mut commit = Commit::new(event.with(json!({ "names": names })));
    // First, for there is one claim at a time.
    if let Some(dead) = replaces.map(|serial| claimed_in_vain(call, &serial, now)).transpose()? {
        commit = dead.into_iter().fold(commit, Commit::put);
    }
    commit = commit.put(order.clone());
    for row in &rows {
        if row.version == 0 {
            commit = commit.put(row.clone());
        }
        commit = commit.put(Row::OrderAuthorization { order: order.id, authorization: row.id });
    }
    call.node.store.commit(commit, now).await.map_err(|error| match error {
        CommitError::Conflict if replaces.is_some() => renewal::already_replaced(),
        error => uncommitted(error),
    })?;
    pending.keep();
    call.node.metrics.ordered(&spec.name);
    let response = call.json(StatusCode::CREATED, &shown(call, &order, &rows, now));
    Ok(with_header(response, header::LOCATION, &call.url_of(&Resource::Order(order.id))))
}

/// The order that claims to replace a certificate and never will, as failed, which gives the claim
/// up: only an order that is not invalid stands in another's way (RFC 9773 §5).
fn claimed_in_vain(call: &Call, serial: &Serial, now: Timestamp) -> Result<Option<Order>, Problem> {
    let found = call.node.store.order_replacing(serial).map_err(unreadable)?;
    Ok(found.and_then(|(order, rows)| {
        let status = order.phase.status(&statuses(&rows, now), order.expires_at, now);
        (status == OrderStatus::Invalid).then(|| Order {
            error: order.error.clone().or_else(|| failed(&rows, status)),
            phase: Phase::Failed,
            due_at: None,
            ..order
        })
    }))
}

/// An order, by POST-as-GET.
pub(super) fn show(call: &Call, signed: &Signed<'_>, id: i64) -> Result<Response<Body>, Problem> {
    post_as_get(&signed.jws.payload)?;
    let (order, rows) = own(call, signed, id)?;
    Ok(answer(call, &order, &rows))
}

/// Finalization (RFC 8555 §7.4): everything that can be wrong is found and said here; what follows
/// is the worker's.
pub(super) async fn finalize(
    call: &Call,
    signed: &Signed<'_>,
    id: i64,
) -> Result<Response<Body>, Problem> {
    let request = Finalize::parse(&signed.jws.payload)?;
    let (order, rows) = own(call, signed, id)?;
    let now = call.node.world.now();
    order.phase.finalize(&statuses(&rows, now), order.expires_at, now)?;
    if rows.len() != order.identifiers.len() {
        // What is not there proves nothing, whatever became of it.
        let detail = "not all of the order's authorizations are kept any more: make a new order";
        return Err(Problem::new(ProblemType::OrderNotReady, detail));
    }
    check_trust(call, signed, &order, &rows)?;
    let intent = decide(call, signed, &order, &request.csr)?;
    let order = Order {
        phase: Phase::Processing,
        certificate: Some(intent.row.id),
        due_at: Some(now),
        ..order
    };
    let event = call.event(signed.account.id, "order.finalize", format!("order/{id}"));
    let event = event.with(json!({ "serial": intent.row.serial.to_string() }));
    let commit = Commit::new(event).put(intent.row.clone()).put(order.clone());
    let taken = || {
        Problem::new(ProblemType::OrderNotReady, "the order is being finalized by another request")
    };
    // The step is claimed before the row is due, so that the worker's own look at due rows does
    // not take it for one that was interrupted.
    let claim = call.node.steps.claim(Subject::Order(id)).ok_or_else(taken)?;
    call.node.store.commit(commit, now).await.map_err(|error| match error {
        CommitError::Conflict => taken(),
        error => uncommitted(error),
    })?;
    call.node.limiter.pending.ended(signed.account.id);
    let order = Order { version: order.version + 1, ..order };
    let node = Arc::clone(&call.node);
    let step = claim.run(issuance::complete(node, order.clone(), intent.recorded()));
    // Most certificates are there in a moment: waiting for it saves the client a poll.
    let order = match tokio::time::timeout(PATIENCE, step).await {
        Ok(Ok(Some(ended))) => ended,
        _ => order,
    };
    Ok(answer(call, &order, &rows))
}

/// The order and its authorizations, if it is this account's.
fn own(call: &Call, signed: &Signed<'_>, id: i64) -> Result<(Order, Vec<Authorization>), Problem> {
    let found = call.node.store.order(id).map_err(unreadable)?;
    let (order, rows) = found.ok_or_else(|| not_found("there is no such order"))?;
    if order.account != signed.account.id {
        return Err(Problem::new(ProblemType::Unauthorized, "the order is another account's"));
    }
    Ok((order, rows))
}

/// An authorization without a challenge stands for trust, and falls with it.
fn check_trust(
    call: &Call,
    signed: &Signed<'_>,
    order: &Order,
    rows: &[Authorization],
) -> Result<(), Problem> {
    let unproven = |row: &&Authorization| {
        matches!(row.phase, AuthorizationPhase::Valid { challenge: None, .. })
    };
    let names: Vec<_> = rows.iter().filter(unproven).map(|row| row.identifier.clone()).collect();
    if names.is_empty() {
        return Ok(());
    }
    let profile = offered_profile(call, order)?;
    let trusted = authorization::permitted(call, &signed.account, profile, &names)?;
    match names.iter().zip(trusted).find(|(_, trusted)| !trusted) {
        None => Ok(()),
        Some((name, _)) => Err(Problem::new(
            ProblemType::Unauthorized,
            format!("the account is no longer trusted to have {name} without a challenge"),
        )),
    }
}

fn offered_profile<'a>(call: &'a Call, order: &Order) -> Result<&'a Arc<ca::Profile>, Problem> {
    call.directory.profile(Some(&order.profile)).ok_or_else(|| {
        Problem::new(ProblemType::InvalidProfile, "the profile of the order is no longer offered")
    })
}

/// Reads the CSR and decides on the certificate, before anything is stored.
fn decide(call: &Call, signed: &Signed<'_>, order: &Order, csr: &[u8]) -> Result<Intent, Problem> {
    let bad = |why: String| Problem::new(ProblemType::BadCsr, why);
    let csr = Csr::parse(csr).map_err(|e| bad(format!("the CSR is not acceptable: {e}")))?;
    let wanted = identifiers(order)?;
    let named: Vec<_> = csr.identifiers().iter().cloned().collect();
    order::check_names(&wanted, &named)?;
    let key = csr.public_key();
    if signed.key.subject_public_key_info().as_deref() == Some(key.spki()) {
        // RFC 8555 §11.1.
        return Err(bad(
            "the CSR is for the account's own key; make another for the certificate".into()
        ));
    }
    let node = &call.node;
    if node.store.is_blocked(&key.spki_sha256()).map_err(unreadable)? {
        return Err(bad("the key in the CSR is known to be compromised; make another".into()));
    }
    let commission = Commission {
        authority: &call.directory.authority,
        profile: offered_profile(call, order)?,
        account: Some(signed.account.id),
    };
    let request = Request {
        public_key: key,
        identifiers: &wanted,
        not_before: order.not_before,
        not_after: order.not_after,
        must_staple: csr.must_staple(),
        blocked: &node.blocked,
    };
    Intent::decide(node, &commission, &request).map_err(|error| refused(&error))
}

fn identifiers(order: &Order) -> Result<Vec<Identifier>, Problem> {
    let parse = |wire: &acme::Identifier| Identifier::parse(&wire.value);
    let parsed = order.identifiers.iter().map(parse).collect::<Result<Vec<_>, _>>();
    parsed.map_err(|e| Problem::new(ProblemType::ServerInternal, e.to_string()))
}

/// What is asked of the validity must be possible (RFC 8555 §7.4).
fn check_validity(wanted: &NewOrder, profile: &ca::Profile, now: Timestamp) -> Result<(), Problem> {
    let earliest = now - profile.backdate;
    let start = wanted.not_before.unwrap_or(earliest);
    if start < earliest {
        return Err(Problem::malformed(format!(
            "notBefore is too far in the past: profile {} dates back to {earliest}",
            profile.name
        )));
    }
    let Some(end) = wanted.not_after else {
        return if start < now + profile.lifetime {
            Ok(())
        } else {
            Err(Problem::malformed("notBefore is too far in the future"))
        };
    };
    if end <= start || end <= now {
        return Err(Problem::malformed("notAfter is not after notBefore and now"));
    }
    // The first and the last second both count.
    if end.duration_since(start) >= profile.lifetime {
        let most = ca::duration::format(profile.lifetime);
        return Err(Problem::malformed(format!(
            "notAfter is too far from notBefore: profile {} gives {most} at the most",
            profile.name
        )));
    }
    Ok(())
}

fn statuses(rows: &[Authorization], now: Timestamp) -> Vec<AuthorizationStatus> {
    rows.iter().map(|row| row.phase.status(row.expires_at, now)).collect()
}

fn answer(call: &Call, order: &Order, rows: &[Authorization]) -> Response<Body> {
    let now = call.node.world.now();
    let shown = shown(call, order, rows, now);
    let processing = shown.status == OrderStatus::Processing;
    let response = call.json(StatusCode::OK, &shown);
    let response =
        with_header(response, header::LOCATION, &call.url_of(&Resource::Order(order.id)));
    if processing { with_header(response, header::RETRY_AFTER, "1") } else { response }
}

fn shown(call: &Call, order: &Order, rows: &[Authorization], now: Timestamp) -> resource::Order {
    let status = order.phase.status(&statuses(rows, now), order.expires_at, now);
    let certificate = order.certificate.filter(|_| status == OrderStatus::Valid);
    resource::Order {
        status,
        expires: order.expires_at,
        identifiers: order.identifiers.clone(),
        not_before: order.not_before,
        not_after: order.not_after,
        profile: Some(order.profile.clone()),
        replaces: order.replaces.map(|serial: Serial| renewal::id_of(call, &serial)),
        error: order.error.clone().or_else(|| failed(rows, status)),
        authorizations: (rows.iter())
            .map(|row| call.url_of(&Resource::Authorization(row.id)))
            .collect(),
        finalize: call.url_of(&Resource::Finalize(order.id)),
        certificate: certificate.map(|id| call.url_of(&Resource::Certificate(id, 0))),
    }
}

/// Why an order is invalid that never failed itself: the errors of its authorizations.
fn failed(rows: &[Authorization], status: OrderStatus) -> Option<Problem> {
    if status != OrderStatus::Invalid {
        return None;
    }
    let about = |row: &Authorization| match &row.phase {
        AuthorizationPhase::Invalid { error, .. } => {
            Some(error.clone().about((&row.identifier).into()))
        }
        _ => None,
    };
    Problem::from_subproblems(rows.iter().filter_map(about).collect())
}

/// How long finalization waits for the certificate before it answers `processing`.
const PATIENCE: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_validity_that_no_certificate_could_have_is_refused_before_anything_is_proven() {
        let now: Timestamp = "2030-01-01T12:00:00Z".parse().expect("an instant");
        let profile = ca::Profile::tls_server();
        let check = |dates: &str| {
            let payload =
                format!(r#"{{"identifiers":[{{"type":"dns","value":"a.example"}}]{dates}}}"#);
            let wanted = NewOrder::parse(payload.as_bytes(), 1).expect(dates);
            check_validity(&wanted, &profile, now)
        };
        for possible in [
            "",
            r#","notBefore":"2030-01-01T11:00:00Z""#,
            r#","notAfter":"2030-04-01T10:59:59Z""#,
            r#","notBefore":"2030-02-01T00:00:00Z","notAfter":"2030-04-01T00:00:00Z""#,
        ] {
            assert!(check(possible).is_ok(), "{possible}");
        }
        for impossible in [
            r#","notBefore":"2030-01-01T10:59:59Z""#,
            r#","notBefore":"2030-04-01T12:00:00Z""#,
            r#","notAfter":"2030-04-01T11:00:00Z""#,
            r#","notAfter":"2030-01-01T12:00:00Z""#,
            r#","notBefore":"2030-02-01T00:00:00Z","notAfter":"2031-01-01T00:00:00Z""#,
        ] {
            assert!(check(impossible).is_err(), "{impossible}");
        }
    }
}
