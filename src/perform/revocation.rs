//! Revocation: a row is marked in one write however many there are, and the CRL that lists it is
//! made by the worker, so that a flood of revocations makes one list and not many.

use std::sync::Arc;
use std::time::{Duration, Instant};

use acme::{Problem, ProblemType};
use ca::crl::{self, Revoked};
use ca::{RevocationReason, Serial};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use tracing::{error, info};

use super::known;
use crate::node::Node;
use crate::store::{CertificateRow, Commit, CommitError, CrlRow, Event, ReadError, Row};
use crate::world::second;

/// Revokes an issued certificate. Its key is never certified again if it is said to be compromised
/// by somebody who may say so of the key and not only of the names: `holds_key`.
///
/// # Errors
/// `alreadyRevoked` when it is; a server error when the store fails.
pub(crate) async fn revoke(
    node: &Node,
    event: Event,
    row: CertificateRow,
    reason: RevocationReason,
    holds_key: bool,
) -> Result<CertificateRow, RevokeError> {
    if row.revoked.is_some() {
        return Err(RevokeError::AlreadyRevoked(row.serial));
    }
    let (asked, now) = (Instant::now(), node.world.now());
    let event = event.with(json!({ "reason": reason.to_string() }));
    let key_hash = row.key_hash;
    let revoked = CertificateRow {
        revoked: Some((date_of_revocation(node, row.authority, now), reason)),
        must_go_at: Some(row.must_go_at.unwrap_or(now)),
        ..row
    };
    let mut commit = Commit::new(event).put(revoked.clone());
    if reason == RevocationReason::KeyCompromise && holds_key {
        let reason = format!("certificate {} was revoked for key compromise", revoked.serial);
        commit = commit.put(Row::BlockedKey { key_hash, reason });
        // Whatever else has the key must go too: its owners hear of it by ARI (RFC 9773 §4.2).
        for other in node.store.certificates_of_key(&key_hash, now)? {
            if other.id != revoked.id && other.must_go_at.is_none() {
                commit = commit.put(CertificateRow { must_go_at: Some(now), ..other });
            }
        }
    }
    node.store.commit(commit, now).await?;
    node.metrics.revoked();
    node.metrics.levels.revoked(revoked.authority, asked);
    node.steps.want_crl(revoked.authority);
    if let Some(der) = &revoked.der
        && let Ok(leaf) = ca::Certificate::from_der(der)
        && let Err(error) = known::leaf_changed(node, &leaf.fingerprint()).await
    {
        error!(%error, "a managed certificate is not told at once that it was revoked");
    }
    info!(serial = %revoked.serial, %reason, "certificate revoked");
    Ok(revoked)
}

/// When a certificate that is revoked now was revoked: not before the newest CRL of its authority was
/// made, which does not list it. If the clock was set back a little it would be, and once the clock
/// is right again nothing would tell that a CRL is missing.
fn date_of_revocation(node: &Node, authority: i64, now: Timestamp) -> Timestamp {
    match node.crls.load().get(&authority).map(|crl| crl.this_update) {
        Some(made_at) if made_at > now && made_at.duration_since(now) < SLIP => made_at,
        _ => now,
    }
}

/// Makes the CRL of an authority anew.
pub(crate) async fn refresh_crl(node: Arc<Node>, authority: i64) {
    if let Err(error) = make_crl(&node, authority).await {
        error!(authority, %error, "the CRL cannot be made; it will be retried");
        // Whatever it is, such as a full disk, is not over in a second.
        tokio::time::sleep(RETRY).await;
        node.steps.want_crl(authority);
    }
}

/// Publishes the stored CRL of every authority, makes the first where there is none, and asks for a
/// new one wherever the last may not list all that is revoked.
///
/// # Errors
/// When one cannot be made.
pub(crate) async fn ensure_crls(node: &Node) -> Result<(), CrlError> {
    for authority in node.catalog.load().authorities.values() {
        match node.store.crl(authority.id)? {
            None => make_crl(node, authority.id).await?,
            Some(crl) => publish(node, crl),
        }
    }
    let outdated = node.store.outdated_crls(node.world.now())?;
    outdated.into_iter().for_each(|authority| node.steps.want_crl(authority));
    Ok(())
}

async fn make_crl(node: &Node, id: i64) -> Result<(), CrlError> {
    let catalog = node.catalog.load();
    let Some(authority) = catalog.authority(id) else { return Ok(()) };
    let (now, waiting) = (node.world.now(), node.metrics.levels.waiting(id));
    let previous = node.store.crl(id)?;
    if now >= authority.ca.certificate().not_after() {
        node.metrics.levels.unpublished(id);
        return put_to_rest(node, &authority.name, previous).await;
    }
    // A certificate that expired is listed once more (RFC 5280 §3.3).
    let since = previous.as_ref().map_or(now, |crl| crl.this_update.min(now));
    let revoked = node.store.revoked(id, since).await?;
    let count = revoked.len();
    let entries = revoked.into_iter().map(|entry| Revoked {
        serial: entry.serial,
        at: second(entry.at),
        reason: RevocationReason::from_code(entry.reason.into()).unwrap_or_default(),
    });
    let number = previous.as_ref().map_or(1, |crl| crl.number + 1);
    let lifetime = authority.spec.crl_lifetime;
    let next_update = (now + lifetime).min(authority.ca.certificate().not_after());
    // A long list takes a while to encode: not on a thread that serves requests.
    let signer = Arc::clone(authority);
    let entries: Vec<_> = entries.collect();
    let signing = tokio::task::spawn_blocking(move || {
        crl::sign(&signer.ca, entries, number.unsigned_abs(), now, next_update, None)
    });
    let signed = signing.await.map_err(|_| CrlError::Interrupted)??;
    let row = CrlRow {
        id: previous.as_ref().map_or_else(|| node.store.id(), |crl| crl.id),
        version: previous.as_ref().map_or(0, |crl| crl.version),
        authority: id,
        number,
        this_update: now,
        next_update,
        der: signed.into_der().into(),
        due_at: Some(halfway(now, next_update)),
    };
    let event = Event::new("worker", "crl.publish", format!("authority/{}", authority.name))
        .with(json!({ "number": number, "entries": count }));
    node.store.commit(Commit::new(event).put(row.clone()), now).await?;
    publish(node, row);
    node.metrics.levels.published(id, waiting);
    Ok(())
}

/// Puts a CRL where requests find it.
fn publish(node: &Node, crl: CrlRow) {
    node.crls.update(|published| {
        let newer = published.get(&crl.authority).is_none_or(|old| old.number <= crl.number);
        if newer {
            published.insert(crl.authority, Arc::new(crl));
        }
    });
}

/// What an expired authority signs is worth nothing: its last CRL stands.
async fn put_to_rest(node: &Node, name: &str, last: Option<CrlRow>) -> Result<(), CrlError> {
    let Some(last) = last.filter(|last| last.due_at.is_some()) else { return Ok(()) };
    let event = Event::new("worker", "crl.end", format!("authority/{name}"));
    let commit = Commit::new(event).put(CrlRow { due_at: None, ..last });
    node.store.commit(commit, node.world.now()).await?;
    Ok(())
}

fn halfway(from: Timestamp, to: Timestamp) -> Timestamp {
    from + to.duration_since(from) / 2
}

/// By how much a clock is set that is not plainly wrong.
const SLIP: SignedDuration = SignedDuration::from_hours(24);
/// How long a CRL that cannot be made is left alone.
const RETRY: Duration = Duration::from_secs(10);

/// A revocation did not happen.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RevokeError {
    #[error("certificate {0} is revoked already")]
    AlreadyRevoked(Serial),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Commit(#[from] CommitError),
}

impl From<RevokeError> for Problem {
    fn from(error: RevokeError) -> Self {
        match error {
            RevokeError::AlreadyRevoked(_) => {
                Self::new(ProblemType::AlreadyRevoked, error.to_string())
            }
            // Two revocations at once: the other one did it.
            RevokeError::Commit(CommitError::Conflict) => {
                Self::new(ProblemType::AlreadyRevoked, "the certificate is being revoked")
            }
            RevokeError::Commit(_) | RevokeError::Read(_) => {
                Self::new(ProblemType::ServerInternal, error.to_string())
            }
        }
    }
}

/// A CRL could not be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CrlError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Commit(#[from] CommitError),
    #[error(transparent)]
    Sign(#[from] crl::CrlError),
    #[error("signing was interrupted")]
    Interrupted,
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::*;
    use crate::node::tests::{node, present};

    #[tokio::test]
    async fn an_expired_authority_makes_no_crl_and_asks_for_none() {
        let (node, clock) = node().await;
        ensure_crls(&node).await.expect("made");
        let catalog = node.catalog.load();
        let authority = &catalog.authorities["internal"];
        let number = |node: &Node| node.store.crl(authority.id).expect("read").expect("there");
        let (last, end) = (number(&node), authority.ca.certificate().not_after());
        assert!(last.due_at.is_some());
        clock.store(end.as_second(), Ordering::SeqCst);
        make_crl(&node, authority.id).await.expect("nothing to do");
        let now = number(&node);
        assert_eq!((now.number, now.due_at), (last.number, None));
    }

    #[tokio::test]
    async fn a_compromised_key_takes_its_other_certificates_along() {
        let (node, _) = node().await;
        let row = present(&node).await;
        let twin = CertificateRow {
            id: node.store.id(),
            version: 0,
            serial: Serial::from_random(node.world.random()),
            ..row.clone()
        };
        let now = node.world.now();
        let event = || Event::new("test", "certificate.issue", "certificate/1");
        node.store.commit(Commit::new(event()).put(twin.clone()), now).await.expect("stored");
        let must_go = |node: &Node| {
            let twin = node.store.certificate(twin.id).expect("read").expect("there");
            (twin.must_go_at, twin.revoked)
        };
        assert_eq!(must_go(&node), (None, None));
        let reason = RevocationReason::KeyCompromise;
        revoke(&node, event(), row, reason, true).await.expect("revoked");
        assert_eq!(must_go(&node), (Some(now), None));
    }

    #[tokio::test]
    async fn a_revocation_nobody_asked_a_crl_for_is_found() {
        let (node, clock) = node().await;
        ensure_crls(&node).await.expect("made");
        let row = present(&node).await;
        let (authority, now) = (row.authority, node.world.now());
        let outdated = |node: &Node| node.store.outdated_crls(node.world.now()).expect("read");
        assert!(outdated(&node).is_empty());
        let revoked = CertificateRow { revoked: Some((now, RevocationReason::Superseded)), ..row };
        let event = Event::new("test", "certificate.revoke", "certificate/1");
        node.store.commit(Commit::new(event).put(revoked), now).await.expect("stored");
        assert_eq!(outdated(&node), [authority]);
        clock.fetch_add(1, Ordering::SeqCst);
        make_crl(&node, authority).await.expect("made");
        assert!(outdated(&node).is_empty());
    }

    #[tokio::test]
    async fn a_clock_that_is_set_back_keeps_no_revocation_from_the_crl() {
        let (node, clock) = node().await;
        ensure_crls(&node).await.expect("made");
        let row = present(&node).await;
        let authority = row.authority;
        let outdated = |node: &Node| node.store.outdated_crls(node.world.now()).expect("read");
        clock.fetch_sub(3600, Ordering::SeqCst);
        let event = Event::new("test", "certificate.revoke", "certificate/1");
        revoke(&node, event, row, RevocationReason::Superseded, false).await.expect("revoked");
        // The server ends before the CRL is made, as in a crash.
        node.steps.take_wanted_crls();
        assert!(outdated(&node).contains(&authority), "its CRL is from the future");
        clock.fetch_add(3600 + 60, Ordering::SeqCst);
        assert_eq!(outdated(&node), [authority], "nor is it forgotten once the clock is right");
        ensure_crls(&node).await.expect("published");
        assert!(node.steps.take_wanted_crls().contains(&authority));
        make_crl(&node, authority).await.expect("made");
        assert!(outdated(&node).is_empty());
    }

    #[tokio::test]
    async fn a_crl_from_the_future_is_replaced_and_is_due_in_time_again() {
        let (node, clock) = node().await;
        ensure_crls(&node).await.expect("made");
        let year = 365 * 24 * 3600;
        clock.fetch_sub(year, Ordering::SeqCst);
        let wanted = node.store.outdated_crls(node.world.now()).expect("read");
        assert_eq!(wanted.len(), node.catalog.load().authorities.len());
        for authority in wanted {
            make_crl(&node, authority).await.expect("made");
            let crl = node.store.crl(authority).expect("read").expect("there");
            assert_eq!(crl.this_update, node.world.now());
            let wait = crl.due_at.expect("due").duration_since(node.world.now());
            assert!(wait <= SignedDuration::from_hours(24), "{wait}");
            assert_eq!(node.crls.load()[&authority].number, crl.number, "published");
        }
        assert!(node.store.outdated_crls(node.world.now()).expect("read").is_empty());
    }
}
