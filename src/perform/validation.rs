//! Validation: from a challenge the client says it has answered to an authorization that is valid,
//! invalid, or to be tried again. What must be found is decided by `acme`; how it is fetched, by
//! `validate`.

use std::sync::Arc;
use std::time::Duration;

use acme::authorization::{Phase, Retries};
use acme::challenge::{self, ChallengeType, KeyAuthorization};
use acme::jwk::Jwk;
use acme::resource::AccountStatus;
use acme::{Problem, ProblemType, caa};
use ca::{DnsName, Identifier};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use tokio::sync::oneshot;
use tracing::{debug, error, info, warn};

use super::validate::Proof;
use crate::catalog::Directory;
use crate::keys::Keys;
use crate::node::Node;
use crate::store::{Account, Authorization, Commit, CommitError, Event, ReadError};

/// Everything an attempt needs to know.
pub(crate) struct Attempt {
    pub(crate) directory: Arc<Directory>,
    pub(crate) account: Account,
    pub(crate) row: Authorization,
}

/// Validates an authorization just accepted and not yet stored, and gives the row that was stored
/// in the end, if one was. The acceptance is stored by itself only if the outcome does not follow
/// at once: `stored` hears of whichever comes first, with the row.
pub(crate) async fn accept(
    node: Arc<Node>,
    mut attempt: Attempt,
    event: Event,
    stored: oneshot::Sender<Result<Authorization, CommitError>>,
) -> Option<Authorization> {
    let mut stored = Some(stored);
    let (outcome, acceptance) = {
        let running = attempt.run(&node.keys, node.world.now());
        tokio::pin!(running);
        tokio::select! {
            outcome = &mut running => (outcome, Some(event)),
            () = tokio::time::sleep(AT_ONCE) => {
                let accepted = store(&node, attempt.row.clone(), event).await;
                let failed = accepted.is_err();
                if let Some(stored) = stored.take() {
                    let _ = stored.send(accepted);
                }
                if failed {
                    return None;
                }
                (running.await, None)
            }
        }
    };
    if acceptance.is_none() {
        attempt.row = recorded(attempt.row);
    }
    let settled = settle(&node, attempt, outcome, acceptance).await?;
    let row = settled.as_ref().ok().cloned();
    if let Some(stored) = stored {
        let _ = stored.send(settled);
    }
    row
}

/// Stores an acceptance that is validated later, when it is due; gives the row as it stands then.
///
/// # Errors
/// When it is not stored.
pub(crate) async fn store(
    node: &Node,
    row: Authorization,
    event: Event,
) -> Result<Authorization, CommitError> {
    node.store.commit(Commit::new(event).put(row.clone()), node.world.now()).await?;
    Ok(recorded(row))
}

/// Validates an authorization that is due: a retry, or one that a crash interrupted.
pub(crate) async fn resume(node: Arc<Node>, id: i64) {
    match attempt_of(&node, id) {
        Ok(Some(attempt)) if attempt.is_over(node.world.now()) => {
            // Its failure is logged, and the row still due.
            let _ = lapse(&node, attempt.row).await;
        }
        Ok(Some(attempt)) => {
            let outcome = attempt.run(&node.keys, node.world.now()).await;
            settle(&node, attempt, outcome, None).await;
        }
        Ok(None) => {
            // Its directory was removed.
            if let Ok(Some(row)) = node.store.authorization(id) {
                let _ = lapse(&node, row).await;
            }
        }
        Err(error) => error!(authorization = id, %error, "a due authorization cannot be read"),
    }
}

/// Whether the CAA records of `name` let this directory issue to the account.
///
/// # Errors
/// A `caa` problem when they do not, a `dns` problem when they cannot be had.
pub(crate) async fn caa_permits(
    directory: &Directory,
    name: &DnsName,
    account_url: &str,
    authorization: &Authorization,
) -> Result<(), Problem> {
    let found = directory.validator.caa(&name.base()).await.map_err(Problem::from)?;
    let challenge = match &authorization.phase {
        Phase::Valid { challenge, .. } => *challenge,
        _ => None,
    };
    let question = caa::Question {
        issuer_domain_names: &directory.spec.caa_identities,
        wildcard: name.is_wildcard(),
        account_url,
        challenge,
    };
    caa::judge(&found.records, found.name.as_deref().unwrap_or(name.as_str()), &question)
}

impl Attempt {
    /// Whether nothing can come of it any more: its time ran out, or its account is no longer used
    /// (RFC 8555 §7.3.6).
    fn is_over(&self, now: Timestamp) -> bool {
        self.row.expires_at <= now || self.account.status != AccountStatus::Valid
    }

    /// One try. Nothing is stored.
    async fn run(&self, keys: &Keys, now: Timestamp) -> Result<Proof, Problem> {
        let Phase::Processing { challenge, .. } = &self.row.phase else {
            return Err(Problem::new(ProblemType::ServerInternal, "nothing is to be validated"));
        };
        let jwk = keys.read(&self.account.jwk)?;
        let expected = KeyAuthorization::new(&challenge::token(&self.row.token), &jwk);
        let validator = &self.directory.validator;
        let identifier = match &self.row.identifier {
            Identifier::Dns(name) => Identifier::Dns(name.base()),
            address @ Identifier::Ip(_) => address.clone(),
        };
        let outcome = match (challenge, &identifier) {
            (ChallengeType::Http01, _) => validator.http_01(&identifier, &expected).await,
            (ChallengeType::TlsAlpn01, _) => validator.tls_alpn_01(&identifier, &expected).await,
            (ChallengeType::Dns01, Identifier::Dns(name)) => {
                validator.dns_txt(&challenge::dns01_name(name), &expected).await
            }
            (ChallengeType::DnsAccount01, Identifier::Dns(name)) => {
                let at = challenge::dns_account01_name(name, &self.account.url());
                validator.dns_txt(&at, &expected).await
            }
            (ChallengeType::DnsPersist01, Identifier::Dns(name)) => {
                return self.persistent(name, now).await;
            }
            (_, Identifier::Ip(_)) => {
                return Err(Problem::malformed("an address cannot be validated over DNS"));
            }
        };
        outcome.map_err(Problem::from)
    }

    async fn persistent(&self, name: &DnsName, now: Timestamp) -> Result<Proof, Problem> {
        let at = challenge::persist_name(name);
        let records = self.directory.validator.txt(&at).await?;
        let jwk = Jwk::parse(&self.account.jwk)?;
        let prefix = hash_prefix(&self.account.url());
        // The plain URL is what drafts before -02 asked for; records with it are still out there.
        let mut account_uris = vec![self.account.url()];
        account_uris.extend(challenge::hashed_account_uris(
            &prefix,
            name,
            &jwk,
            &self.account.url(),
        ));
        let question = challenge::Persist {
            issuer_domain_names: &self.directory.spec.caa_identities,
            account_uris: &account_uris,
            wildcard: self.row.identifier.is_wildcard(),
        };
        challenge::judge_dns_persist01(&question, &at, &records, now)?;
        Ok(Proof { address: None, seen: format!("TXT at {at}") })
    }
}

/// Stores what came of an attempt, and gives the row as it stands then. `acceptance` is the event of
/// an acceptance not yet stored.
async fn settle(
    node: &Node,
    attempt: Attempt,
    outcome: Result<Proof, Problem>,
    acceptance: Option<Event>,
) -> Option<Result<Authorization, CommitError>> {
    let Attempt { directory, row, .. } = attempt;
    let kind = match &row.phase {
        Phase::Processing { challenge, .. } => challenge.name(),
        _ => return None,
    };
    let now = node.world.now();
    let retries = Retries {
        attempts: directory.spec.attempts,
        first_wait: SignedDuration::from_secs(2),
        longest_wait: SignedDuration::from_mins(5),
    };
    let seed = row.id.unsigned_abs();
    let verdict = outcome.as_ref().map(|_| ()).map_err(Clone::clone);
    let Ok(next) = row.phase.settle(verdict, &retries, seed, row.expires_at, now) else {
        return Some(lapse(node, row).await);
    };
    let action = match &next.phase {
        Phase::Valid { .. } => "authorization.valid",
        Phase::Invalid { .. } => "authorization.invalid",
        _ => "authorization.retry",
    };
    node.metrics.validated(kind, action == "authorization.valid");
    let detail = match &outcome {
        Ok(proof) => json!({ "challenge": kind, "address": proof.address, "seen": proof.seen }),
        Err(problem) => json!({ "challenge": kind, "problem": problem }),
    };
    let identifier = row.identifier.to_string();
    match &outcome {
        Ok(_) => debug!(authorization = row.id, identifier, challenge = kind, "validated"),
        Err(problem) => {
            info!(
                authorization = row.id,
                identifier,
                challenge = kind,
                action,
                detail = problem.detail
            );
        }
    }
    let expires_at = match next.phase {
        Phase::Valid { .. } => now + directory.spec.authorization_lifetime,
        _ => row.expires_at,
    };
    let row = Authorization { phase: next.phase, due_at: next.due, expires_at, ..row };
    // What was accepted and settled at once is one event: the acceptance, with its outcome.
    let (actor, request) = match acceptance {
        Some(event) => (event.actor, event.request),
        None => ("worker".to_owned(), None),
    };
    let mut event = Event::new(actor, action, format!("authorization/{}", row.id)).with(detail);
    event.request = request;
    match node.store.commit(Commit::new(event).put(row.clone()), now).await {
        Ok(()) => Some(Ok(recorded(row))),
        Err(error) => {
            // The client deactivated it meanwhile, or the store is at fault; it stays due.
            warn!(authorization = row.id, %error, "the outcome of a validation is not stored");
            Some(Err(error))
        }
    }
}

/// It was over before it was settled: it is not looked at any more. A row that stayed due would
/// be validated with every tick, and take the place of those that can still be.
async fn lapse(node: &Node, row: Authorization) -> Result<Authorization, CommitError> {
    let event = Event::new("worker", "authorization.lapse", format!("authorization/{}", row.id));
    let stored = store(node, Authorization { due_at: None, ..row }, event).await;
    if let Err(error) = &stored {
        warn!(%error, "an authorization that is over cannot be put to rest");
    }
    stored
}

fn attempt_of(node: &Node, id: i64) -> Result<Option<Attempt>, ReadError> {
    let Some(row) = node.store.authorization(id)? else { return Ok(None) };
    let Some(account) = node.store.account(row.account)? else { return Ok(None) };
    let catalog = node.catalog.load();
    let Some(directory) = catalog.directories.get(&account.directory).cloned() else {
        return Ok(None);
    };
    Ok(Some(Attempt { directory, account, row }))
}

/// What hashed account URIs of a directory start with, from the URL of one of its accounts
/// (draft-ietf-acme-dns-persist-02 §4.1).
pub(crate) fn hash_prefix(account_url: &str) -> String {
    let base = account_url.rsplit_once("/account/").map_or(account_url, |(base, _)| base);
    format!("{base}/account-hash/")
}

fn recorded(row: Authorization) -> Authorization {
    Authorization { version: row.version + 1, ..row }
}

/// How long an outcome may take to be stored together with the acceptance.
const AT_ONCE: Duration = Duration::from_millis(30);

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::*;
    use crate::node::tests::{account, node};

    #[tokio::test]
    async fn what_waits_for_a_directory_that_was_removed_is_put_to_rest() {
        let (node, _) = node().await;
        let account = account(&node).await;
        let row = due(&node, account.id, SignedDuration::from_hours(1)).await;
        node.catalog.replace(crate::catalog::Catalog::default());
        resume(Arc::clone(&node), row.id).await;
        let now = node.world.now();
        assert!(node.store.due_authorizations(now, (0, 0), 9).expect("read").is_empty());
    }

    /// An authorization that is to be validated now and expires in a while.
    async fn due(node: &Node, account: i64, lifetime: SignedDuration) -> Authorization {
        let now = node.world.now();
        let row = Authorization {
            id: node.store.id(),
            version: 0,
            account,
            identifier: Identifier::parse("late.example").expect("a name"),
            token: [7; 32],
            phase: Phase::Processing {
                challenge: ChallengeType::Http01,
                accepted_at: now,
                attempts: 0,
                error: None,
            },
            expires_at: now + lifetime,
            due_at: Some(now),
        };
        let commit = Commit::new(Event::new("test", "authorization.accept", "authorization/1"));
        node.store.commit(commit.put(row.clone()), now).await.expect("stored");
        row
    }

    #[tokio::test]
    async fn what_expired_while_it_was_validated_is_put_to_rest() {
        let (node, clock) = node().await;
        let account = account(&node).await;
        let row = due(&node, account.id, SignedDuration::from_secs(1)).await;
        clock.fetch_add(1, Ordering::SeqCst);
        let all_due = |node: &Node| {
            let due = node.store.due_authorizations(node.world.now(), (0, 0), 9).expect("read");
            due.into_iter().map(|row| row.id).collect::<Vec<_>>()
        };
        assert_eq!(all_due(&node), [row.id]);
        resume(Arc::clone(&node), row.id).await;
        assert!(all_due(&node).is_empty());
        let kept = node.store.authorization(row.id).expect("read").expect("there");
        assert_eq!(kept.phase, row.phase, "nothing was tried");
    }
}
