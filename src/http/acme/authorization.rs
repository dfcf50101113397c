//! Authorizations and their challenges (RFC 8555 §7.4.1, §7.5).

use std::sync::Arc;
use std::time::Duration;

use acme::authorization::{ChallengeStatus, Phase};
use acme::request::{AuthorizationUpdate, ChallengeResponse, NewAuthorization};
use acme::{ChallengeType, Problem, ProblemType, challenge, resource};
use axum::body::Body;
use axum::http::{Response, StatusCode, header};
use ca::Identifier;
use jiff::Timestamp;
use serde_json::json;
use tokio::sync::oneshot;

use super::call::{Call, Signed, with_header, with_link};
use super::resource::Resource;
use super::{limit, not_found};
use crate::catalog::Trust;
use crate::http::error::{uncommitted, unreadable};
use crate::perform::validation::{self, Attempt};
use crate::steps::{Asker, Busy};
use crate::store::{Account, Authorization, Commit};

/// newAuthz (RFC 8555 §7.4.1).
pub(super) async fn create(call: &Call, signed: &Signed<'_>) -> Result<Response<Body>, Problem> {
    let wanted = NewAuthorization::parse(&signed.jws.payload)?;
    let profile = call.directory.profile(None);
    let profile = profile.ok_or_else(|| not_found("this directory has no profile"))?;
    let identifiers = [wanted.identifier];
    let trusted = permitted(call, &signed.account, profile, &identifiers)?;
    let now = call.node.world.now();
    let [identifier] = &identifiers;
    let row = standing(call, &signed.account, identifier, trusted == [true], now)?;
    if row.version == 0 {
        limit::orders(call, &signed.account, now)?;
        let subject = format!("authorization/{}", row.id);
        let event = call.event(signed.account.id, "authorization.create", subject);
        let event = event.with(json!({ "identifier": identifier.to_string() }));
        let commit = Commit::new(event).put(row.clone());
        call.node.store.commit(commit, now).await.map_err(uncommitted)?;
    }
    let response = call.json(StatusCode::CREATED, &shown(call, &row, now));
    Ok(with_header(response, header::LOCATION, &call.url_of(&Resource::Authorization(row.id))))
}

/// An authorization, read or deactivated (RFC 8555 §7.5, §7.5.2).
pub(super) async fn update(
    call: &Call,
    signed: &Signed<'_>,
    id: i64,
) -> Result<Response<Body>, Problem> {
    let update = AuthorizationUpdate::parse(&signed.jws.payload)?;
    let row = own(call, signed, id)?;
    let now = call.node.world.now();
    if update == AuthorizationUpdate::Read {
        return Ok(answer_with(call, &row, call.json(StatusCode::OK, &shown(call, &row, now))));
    }
    let phase = row.phase.deactivate(row.expires_at, now)?;
    let row = Authorization { phase, due_at: None, ..row };
    let subject = format!("authorization/{id}");
    let event = call.event(signed.account.id, "authorization.deactivate", subject);
    let commit = Commit::new(event).put(row.clone());
    call.node.store.commit(commit, now).await.map_err(uncommitted)?;
    Ok(call.json(StatusCode::OK, &shown(call, &row, now)))
}

/// A challenge, read or answered (RFC 8555 §7.5.1).
pub(super) async fn answer(
    call: &Call,
    signed: &Signed<'_>,
    id: i64,
    kind: ChallengeType,
) -> Result<Response<Body>, Problem> {
    let response = ChallengeResponse::parse(&signed.jws.payload)?;
    let row = own(call, signed, id)?;
    let now = call.node.world.now();
    let offered = offered(call, &row);
    if !offered.contains(&kind) {
        return Err(not_found("this authorization has no such challenge"));
    }
    let row = match response {
        ChallengeResponse::Read => row,
        ChallengeResponse::Ready => accept(call, signed, row, kind, now).await?,
    };
    let states = row.phase.challenges(&offered);
    let state = states.into_iter().find(|state| state.challenge == kind);
    let state = state.ok_or_else(|| not_found("this authorization was proven another way"))?;
    let processing = state.status == ChallengeStatus::Processing;
    let response = call.json(StatusCode::OK, &challenge(call, &row, state));
    let up = call.url_of(&Resource::Authorization(id));
    let response = with_link(response, &up, "up");
    Ok(if processing { answer_with(call, &row, response) } else { response })
}

/// Which of the identifiers the account may have without a challenge.
///
/// # Errors
/// `rejectedIdentifier` for whatever the directory, the profile or the account's external key
/// refuses, and for what nothing here could prove.
pub(super) fn permitted(
    call: &Call,
    account: &Account,
    profile: &ca::Profile,
    identifiers: &[Identifier],
) -> Result<Vec<bool>, Problem> {
    let spec = &call.directory.spec;
    let bound = match &account.external_key {
        Some(kid) => call.node.store.external_key(kid).map_err(unreadable)?,
        None => None,
    };
    let of_key = bound.as_ref().map(|key| key.permitted.as_slice()).unwrap_or_default();
    let mut refusals = Vec::new();
    let mut trusted = Vec::new();
    for identifier in identifiers {
        let by_key = of_key.iter().any(|pattern| pattern.covers(identifier));
        // A key without a list of its own vouches for what the directory lists, never for all.
        let vouched = match of_key {
            [] => spec.names.permitted.iter().any(|pattern| pattern.covers(identifier)),
            _ => by_key,
        };
        let vouches = bound.as_ref().is_some_and(|key| key.revoked_at.is_none());
        let trust = spec.trust == Trust::Eab && vouches && vouched;
        let refusal = if let Err(refused) = spec.names.check(identifier) {
            Some(refused.to_string())
        } else if let Err(refused) = profile.names.check(identifier) {
            Some(refused.to_string())
        } else if !of_key.is_empty() && !by_key {
            Some(format!("{identifier} is not among the names of the account's external key"))
        } else if !call.directory.authority.ca.permits(identifier) {
            Some(format!("{identifier} is outside the name constraints of the authority"))
        } else if !trust && ChallengeType::offered(identifier, &spec.challenges).is_empty() {
            Some(format!("no challenge of this directory can prove {identifier}"))
        } else {
            None
        };
        trusted.push(trust);
        refusals.extend(refusal.map(|why| {
            Problem::new(ProblemType::RejectedIdentifier, why).about(identifier.into())
        }));
    }
    Problem::from_subproblems(refusals).map_or(Ok(trusted), Err)
}

/// The authorization an order for the identifier gets: one the account has proven already, or a
/// new one, which the caller stores (its version is 0).
pub(super) fn standing(
    call: &Call,
    account: &Account,
    identifier: &Identifier,
    trusted: bool,
    now: Timestamp,
) -> Result<Authorization, Problem> {
    let spec = &call.directory.spec;
    let store = &call.node.store;
    let name = identifier.to_string();
    let known = store.authorizations_for(account.id, &name, now).map_err(unreadable)?;
    let proven = known.into_iter().find(|row| {
        // One without a challenge is worth as much as the trust it stands for.
        let stands = match row.phase {
            Phase::Valid { challenge: None, .. } => trusted,
            Phase::Valid { .. } => true,
            _ => false,
        };
        stands && row.expires_at > now + REUSE_MARGIN
    });
    if let Some(row) = proven {
        return Ok(row);
    }
    let (phase, lifetime) = if trusted {
        (Phase::Valid { challenge: None, at: now }, spec.authorization_lifetime)
    } else {
        (Phase::Pending, spec.order_lifetime)
    };
    Ok(Authorization {
        id: store.id(),
        version: 0,
        account: account.id,
        identifier: identifier.clone(),
        token: call.node.world.random(),
        phase,
        expires_at: now + lifetime,
        due_at: None,
    })
}

/// Has the challenge validated, and waits a moment for the outcome.
async fn accept(
    call: &Call,
    signed: &Signed<'_>,
    row: Authorization,
    kind: ChallengeType,
    now: Timestamp,
) -> Result<Authorization, Problem> {
    let id = row.id;
    let next = row.phase.accept(kind, row.expires_at, now)?;
    if !matches!(next.phase, Phase::Processing { .. }) {
        return Ok(row);
    }
    limit::validations(call, &row, now)?;
    let subject = format!("authorization/{id}");
    let event = call.event(signed.account.id, "authorization.accept", subject);
    let event = event.with(json!({ "challenge": kind.name() }));
    let attempt = Attempt {
        directory: Arc::clone(&call.directory),
        account: signed.account.clone(),
        row: Authorization { phase: next.phase, due_at: next.due, ..row },
    };
    let claim = match call.node.steps.claim_validation(id, attempt.row.account, Asker::Client) {
        Ok(claim) => claim,
        // It is being validated at this moment: that attempt answers this request too.
        Err(Busy::UnderWay) => return own(call, signed, id),
        // It waits in the store for its turn, and takes no room while it does.
        Err(Busy::Share | Busy::Full) => {
            let stored = validation::store(&call.node, attempt.row, event).await;
            return stored.map_err(uncommitted);
        }
    };
    let (stored, acceptance) = oneshot::channel();
    let step = claim.run(validation::accept(Arc::clone(&call.node), attempt, event, stored));
    let accepted = match acceptance.await {
        Ok(accepted) => accepted.map_err(uncommitted)?,
        Err(_) => return own(call, signed, id),
    };
    // The attempt goes on; most end in a moment, and waiting saves the client a poll.
    match tokio::time::timeout(PATIENCE, step).await {
        Ok(Ok(Some(settled))) => Ok(settled),
        _ => Ok(accepted),
    }
}

fn own(call: &Call, signed: &Signed<'_>, id: i64) -> Result<Authorization, Problem> {
    let found = call.node.store.authorization(id).map_err(unreadable)?;
    let row = found.ok_or_else(|| not_found("there is no such authorization"))?;
    if row.account != signed.account.id {
        let detail = "the authorization is another account's";
        return Err(Problem::new(ProblemType::Unauthorized, detail));
    }
    Ok(row)
}

fn offered(call: &Call, row: &Authorization) -> Vec<ChallengeType> {
    ChallengeType::offered(&row.identifier, &call.directory.spec.challenges)
}

/// While something is being validated, the client is told when to look again.
fn answer_with(call: &Call, row: &Authorization, response: Response<Body>) -> Response<Body> {
    match (&row.phase, row.due_at) {
        (Phase::Processing { .. }, due) => {
            let now = call.node.world.now();
            let wait = due.map_or(1, |due| due.duration_since(now).as_secs().max(1));
            with_header(response, header::RETRY_AFTER, &wait.to_string())
        }
        _ => response,
    }
}

fn shown(call: &Call, row: &Authorization, now: Timestamp) -> resource::Authorization {
    let base = match &row.identifier {
        Identifier::Dns(name) => Identifier::Dns(name.base()),
        address @ Identifier::Ip(_) => address.clone(),
    };
    let status = row.phase.status(row.expires_at, now);
    let states = row.phase.challenges(&offered(call, row));
    let challenges = states.into_iter().map(|state| challenge(call, row, state));
    resource::Authorization {
        identifier: (&base).into(),
        status,
        expires: row.expires_at,
        challenges: challenges.collect(),
        wildcard: row.identifier.is_wildcard(),
    }
}

fn challenge(
    call: &Call,
    row: &Authorization,
    state: acme::authorization::ChallengeState,
) -> resource::Challenge {
    let kind = state.challenge;
    let issuers = match kind {
        ChallengeType::DnsPersist01 => call.directory.spec.caa_identities.clone(),
        _ => Vec::new(),
    };
    resource::Challenge {
        kind,
        url: call.url_of(&Resource::Challenge(row.id, kind)),
        status: state.status,
        token: kind.has_token().then(|| challenge::token(&row.token)),
        issuer_domain_names: issuers.clone(),
        issuer_domain_names_01: issuers,
        validated: state.validated,
        error: state.error,
    }
}

/// How long an answer waits for the outcome of a validation before it says `processing`.
const PATIENCE: Duration = Duration::from_secs(1);
/// A proven name is not used again so late that the order could not be finished.
const REUSE_MARGIN: jiff::SignedDuration = jiff::SignedDuration::from_hours(1);
