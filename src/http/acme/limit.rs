//! What a client may ask for, and how often: the limits of its directory, against what stands.

use acme::{Problem, ProblemType};
use aws_lc_rs::digest;
use ca::Identifier;
use data_encoding::BASE64URL_NOPAD;
use jiff::Timestamp;

use super::call::Call;
use crate::http::error::unreadable;
use crate::http::limits::{COUNTED_FOR, PendingOrder};
use crate::store::{Account, Authorization};

/// New orders of an account, and authorizations it asks for without one.
///
/// # Errors
/// `rateLimited`.
pub(super) fn orders(call: &Call, account: &Account, now: Timestamp) -> Result<(), Problem> {
    let spec = &call.directory.spec;
    let Some(bucket) = &spec.limits.orders_per_account else { return Ok(()) };
    let name = || format!("{}/orders/{}", spec.name, account.id);
    let taken = call.node.limiter.take(Some(bucket), name, now);
    taken.map_err(|wait| wait.problem("new orders of this account", bucket))
}

/// Orders for the same set of names, by whomever.
///
/// # Errors
/// `rateLimited`.
pub(super) fn names(call: &Call, names: &[Identifier], now: Timestamp) -> Result<(), Problem> {
    let spec = &call.directory.spec;
    let Some(bucket) = &spec.limits.orders_per_names else { return Ok(()) };
    let name = || {
        let mut names: Vec<_> = names.iter().map(ToString::to_string).collect();
        names.sort();
        // A digest, for the names of one order may take many thousand octets.
        let digest = digest::digest(&digest::SHA256, names.join(",").as_bytes());
        format!("{}/names/{}", spec.name, BASE64URL_NOPAD.encode(digest.as_ref()))
    };
    let taken = call.node.limiter.take(Some(bucket), name, now);
    taken.map_err(|wait| wait.problem("orders for this set of names", bucket))
}

/// Orders of an account that wait for it to prove names or to finalize. The place is taken for as
/// long as the order is in the making, and kept when it is stored.
///
/// # Errors
/// `rateLimited`, or that the store cannot be read.
pub(super) async fn pending<'a>(
    call: &'a Call,
    account: &Account,
    now: Timestamp,
) -> Result<PendingOrder<'a>, Problem> {
    let most = call.directory.spec.limits.pending_orders_per_account;
    let pending = &call.node.limiter.pending;
    if let Some(place) = pending.claim(account.id, most) {
        return Ok(place);
    }
    if pending.is_to_be_counted(account.id, now) {
        let count = call.node.store.pending_orders(account.id, now).await.map_err(unreadable)?;
        pending.counted(account.id, count);
    }
    pending.claim(account.id, most).ok_or_else(|| {
        let detail = format!(
            "too many pending orders of this account: {most} are allowed; finalize them, or \
             deactivate an authorization of each that is not wanted"
        );
        Problem::new(ProblemType::RateLimited, detail).with_retry_after(COUNTED_FOR)
    })
}

/// Validations of one name by one account. Failures are what costs: a name that keeps failing is
/// asked for less often.
///
/// # Errors
/// `rateLimited`.
pub(super) fn validations(call: &Call, row: &Authorization, now: Timestamp) -> Result<(), Problem> {
    let spec = &call.directory.spec;
    let Some(bucket) = &spec.limits.failures_per_name else { return Ok(()) };
    let name = || format!("{}/validations/{}/{}", spec.name, row.account, row.identifier);
    let taken = call.node.limiter.take(Some(bucket), name, now);
    taken.map_err(|wait| wait.problem("validations of this name", bucket))
}
