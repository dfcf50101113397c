//! Accounts (RFC 8555 §7.3): made, read, updated, deactivated, given another key, their orders
//! listed.

use acme::request::{AccountUpdate, NewAccount, OrdersQuery, post_as_get};
use acme::resource::{self, AccountStatus};
use acme::{Jwk, Jws, Problem, ProblemType, eab, key_change};
use axum::body::Body;
use axum::http::{Response, StatusCode, header};
use serde_json::json;

use super::call::{Call, Signed, check_active, with_header, with_link};
use super::resource::Resource;
use crate::http::error::{uncommitted, unreadable};
use crate::http::peers;
use crate::http::server::Peer;
use crate::store::{Account, Commit, CommitError, ExternalKey, Page};

/// newAccount (RFC 8555 §7.3).
pub(super) async fn create(call: &Call, jws: &Jws) -> Result<Response<Body>, Problem> {
    let key = call.of_key(jws)?;
    let wanted = NewAccount::parse(&jws.payload)?;
    if let Some(account) = existing(call, key)? {
        check_active(&account)?;
        return Ok(located(call, StatusCode::OK, &account));
    }
    if wanted.only_return_existing {
        return Err(Problem::new(
            ProblemType::AccountDoesNotExist,
            "no account has this key, and only an existing one was asked for",
        ));
    }
    let spec = &call.directory.spec;
    if let (Some(terms), false) = (&spec.terms_of_service, wanted.terms_of_service_agreed) {
        return Err(Problem::new(
            ProblemType::UserActionRequired,
            format!("the terms of service at {terms} must be agreed to"),
        ));
    }
    let binding = bound(call, &wanted, key)?;
    limit(call)?;
    let now = call.node.world.now();
    let account = Account {
        id: call.node.store.id(),
        version: 0,
        directory: spec.name.clone(),
        origin: call.origin.clone(),
        thumbprint: key.thumbprint(),
        jwk: key.to_string(),
        status: AccountStatus::Valid,
        contact: wanted.contact,
        terms_agreed: wanted.terms_of_service_agreed,
        external_key: binding.as_ref().map(|key| key.kid.clone()),
        external_binding: (wanted.external_account_binding.as_ref())
            .filter(|_| binding.is_some())
            .map(ToString::to_string),
        created_at: now,
    };
    let subject = format!("account/{}", account.id);
    let event = call.event(account.id, "account.create", subject).with(json!({
        "directory": spec.name,
        "thumbprint": key.thumbprint_text(),
        "external_key": account.external_key,
    }));
    let mut commit = Commit::new(event).put(account.clone());
    if let Some(key) = binding {
        commit = commit.put(ExternalKey { account: Some(account.id), ..key });
    }
    match call.node.store.commit(commit, now).await {
        Ok(()) => Ok(located(call, StatusCode::CREATED, &account)),
        // Another request with this key was faster: the account exists.
        Err(CommitError::Conflict) => match existing(call, key)? {
            Some(account) => Ok(located(call, StatusCode::OK, &account)),
            None => Err(eab_used()),
        },
        Err(error) => Err(uncommitted(error)),
    }
}

/// An account, read, updated or deactivated (RFC 8555 §7.3.2, §7.3.6).
pub(super) async fn update(
    call: &Call,
    signed: Signed<'_>,
    id: i64,
) -> Result<Response<Body>, Problem> {
    check_owner(signed.account.id, id)?;
    let update = AccountUpdate::parse(&signed.jws.payload)?;
    if update == AccountUpdate::default() {
        return Ok(call.json(StatusCode::OK, &shown(call, &signed.account)));
    }
    let mut account = signed.account;
    let action = if update.deactivate { "account.deactivate" } else { "account.update" };
    if update.deactivate {
        account.status = AccountStatus::Deactivated;
    }
    if let Some(contact) = update.contact {
        account.contact = contact;
    }
    account.terms_agreed |= update.terms_of_service_agreed.unwrap_or(false);
    let event = call.event(id, action, format!("account/{id}"));
    let commit = Commit::new(event).put(account.clone());
    call.node.store.commit(commit, call.node.world.now()).await.map_err(uncommitted)?;
    Ok(call.json(StatusCode::OK, &shown(call, &account)))
}

/// keyChange (RFC 8555 §7.3.5).
pub(super) async fn change_key(call: &Call, signed: Signed<'_>) -> Result<Response<Body>, Problem> {
    let own_url = call.account_url(signed.account.id);
    let new_key = key_change::new_key(signed.jws, &own_url, &signed.key)?;
    if let Some(other) = existing(call, &new_key)? {
        return Ok(taken(call, &other));
    }
    let id = signed.account.id;
    let account =
        Account { thumbprint: new_key.thumbprint(), jwk: new_key.to_string(), ..signed.account };
    let event = call.event(id, "account.change-key", format!("account/{id}")).with(json!({
        "from": signed.key.thumbprint_text(),
        "to": new_key.thumbprint_text(),
    }));
    let commit = Commit::new(event).put(account.clone());
    match call.node.store.commit(commit, call.node.world.now()).await {
        Ok(()) => Ok(located(call, StatusCode::OK, &account)),
        Err(CommitError::Conflict) => match existing(call, &new_key)? {
            Some(other) => Ok(taken(call, &other)),
            None => Err(uncommitted(CommitError::Conflict)),
        },
        Err(error) => Err(uncommitted(error)),
    }
}

/// A page of an account's orders (RFC 8555 §7.1.2.1), oldest first.
pub(super) fn orders(
    call: &Call,
    signed: &Signed<'_>,
    id: i64,
    query: &str,
) -> Result<Response<Body>, Problem> {
    check_owner(signed.account.id, id)?;
    post_as_get(&signed.jws.payload)?;
    let after = OrdersQuery::parse(query)?.cursor.unwrap_or(0);
    let page = Page { after: i64::try_from(after).unwrap_or(i64::MAX), limit: ORDERS_PER_PAGE };
    let now = call.node.world.now();
    let ids = call.node.store.orders_of(id, page, now).map_err(unreadable)?;
    let urls = ids.iter().map(|id| call.url_of(&Resource::Order(*id))).collect();
    let response = call.json(StatusCode::OK, &resource::OrdersList { orders: urls });
    match ids.last() {
        Some(last) if ids.len() >= ORDERS_PER_PAGE as usize => {
            let next = format!("{}?cursor={last}", call.url_of(&Resource::Orders(id)));
            Ok(with_link(response, &next, "next"))
        }
        _ => Ok(response),
    }
}

fn existing(call: &Call, key: &Jwk) -> Result<Option<Account>, Problem> {
    let store = &call.node.store;
    store.account_by_key(&call.directory.spec.name, &key.thumbprint()).map_err(unreadable)
}

/// The external key the account is to be bound to, its MAC checked (RFC 8555 §7.3.4).
fn bound(
    call: &Call,
    wanted: &NewAccount,
    account_key: &Jwk,
) -> Result<Option<ExternalKey>, Problem> {
    let Some(binding) = &wanted.external_account_binding else {
        if call.directory.spec.external_account_required {
            return Err(Problem::new(
                ProblemType::ExternalAccountRequired,
                "this directory needs an external account binding; ask its operator for a key",
            ));
        }
        return Ok(None);
    };
    let now = call.node.world.now();
    let found = call.node.store.external_key(binding.kid()).map_err(unreadable)?;
    let usable = found.filter(|key| {
        key.directory == call.directory.spec.name
            && key.revoked_at.is_none()
            && key.expires_at.is_none_or(|expires| now < expires)
    });
    let key = usable.ok_or_else(eab::unknown_key)?;
    let secret = call.node.key.open(&sealed_identity(&key.kid), &key.sealed_key);
    let secret = secret.map_err(|e| Problem::new(ProblemType::ServerInternal, e.to_string()))?;
    binding.verify(&secret, account_key, &call.url_of(&Resource::NewAccount))?;
    if key.account.is_some() {
        return Err(eab_used());
    }
    Ok(Some(key))
}

fn eab_used() -> Problem {
    Problem::new(ProblemType::Unauthorized, "the external account key has bound another account")
}

/// The identity under which an external account key is sealed.
pub(crate) fn sealed_identity(kid: &str) -> String {
    format!("external-key/{kid}")
}

fn limit(call: &Call) -> Result<(), Problem> {
    let Peer::Network(address) = call.peer else { return Ok(()) };
    let Some(bucket) = &call.directory.spec.limits.accounts_per_address else { return Ok(()) };
    let name = || format!("{}/accounts/{}", call.directory.spec.name, peers::client(address.ip()));
    let taken = call.node.limiter.take(Some(bucket), name, call.node.world.now());
    taken.map_err(|wait| wait.problem("new accounts from this address", bucket))
}

fn check_owner(account: i64, wanted: i64) -> Result<(), Problem> {
    if account == wanted {
        return Ok(());
    }
    Err(Problem::new(ProblemType::Unauthorized, "this is another account's"))
}

fn shown(call: &Call, account: &Account) -> resource::Account {
    resource::Account {
        status: account.status,
        contact: account.contact.clone(),
        terms_of_service_agreed: account.terms_agreed,
        external_account_binding: (account.external_binding.as_deref())
            .and_then(|binding| serde_json::from_str(binding).ok()),
        orders: call.url_of(&Resource::Orders(account.id)),
    }
}

fn located(call: &Call, status: StatusCode, account: &Account) -> Response<Body> {
    let response = call.json(status, &shown(call, account));
    with_header(response, header::LOCATION, &call.account_url(account.id))
}

/// RFC 8555 §7.3.5: 409, and where the account is that has the key.
fn taken(call: &Call, other: &Account) -> Response<Body> {
    let response = crate::http::error::response(&key_change::conflict());
    with_header(response, header::LOCATION, &call.account_url(other.id))
}

const ORDERS_PER_PAGE: u32 = 50;
