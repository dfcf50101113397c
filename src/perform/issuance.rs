//! Issuance: the serial number and the intended bytes are stored before the real key signs, and
//! the certificate is stored before anybody hears of it. A serial whose signing was interrupted is
//! abandoned, and another drawn.

use std::sync::Arc;

use acme::order::Phase;
use acme::{Problem, ProblemType};
use ca::issue::{Prepared, Request};
use ca::{Certificate, Identifier, Intended, Serial};
use jiff::SignedDuration;
use serde_json::json;
use tracing::{error, info};

use crate::catalog::{Authority, Directory};
use crate::node::Node;
use crate::store::{
    Account, Actor, CertificatePhase, CertificateRow, Commit, CommitError, Event, Order, ReadError,
    Row,
};

/// A certificate decided upon: linted, its serial number drawn, not signed.
pub(crate) struct Intent {
    pub(crate) row: CertificateRow,
    authority: Arc<Authority>,
    prepared: Prepared,
}

/// Whose certificate it is, and under what policy.
pub(crate) struct Commission<'a> {
    pub(crate) authority: &'a Arc<Authority>,
    pub(crate) profile: &'a ca::Profile,
    pub(crate) account: Option<i64>,
}

impl Intent {
    /// Decides on a certificate; nothing is stored yet, and the real key not touched.
    ///
    /// # Errors
    /// When the request does not fit the profile or the authority.
    pub(crate) fn decide(
        node: &Node,
        commission: &Commission<'_>,
        request: &Request<'_>,
    ) -> Result<Self, ca::IssueError> {
        let serial = Serial::from_random(node.world.random());
        let (authority, profile) = (commission.authority, commission.profile);
        let prepared =
            ca::issue::prepare(&authority.ca, profile, request, serial, node.world.now())?;
        let row = CertificateRow {
            id: node.store.id(),
            version: 0,
            serial,
            authority: authority.id,
            phase: CertificatePhase::Intended,
            account: commission.account,
            profile: profile.name.clone(),
            not_before: prepared.not_before(),
            not_after: prepared.not_after(),
            key_hash: request.public_key.spki_sha256(),
            intended: Some(prepared.tbs().to_vec()),
            der: None,
            replaced_by: None,
            must_go_at: None,
            revoked: None,
        };
        Ok(Self { row, authority: Arc::clone(authority), prepared })
    }

    /// The intent as it stands after the commit that stored it.
    pub(crate) fn recorded(mut self) -> Self {
        self.row.version += 1;
        self
    }

    /// Signs what was decided and stored; gives the row that makes it known.
    fn sign(self) -> Result<(Certificate, CertificateRow), ca::IssueError> {
        let certificate = ca::issue::sign(&self.authority.ca, self.prepared)?;
        let row = CertificateRow {
            phase: CertificatePhase::Issued,
            intended: None,
            der: Some(certificate.der().to_vec()),
            ..self.row
        };
        Ok((certificate, row))
    }
}

/// Issues a certificate outside of ACME: intent, signature and record, one after the other.
///
/// # Errors
/// When the request does not fit, or the store fails.
pub(crate) async fn issue(
    node: &Node,
    actor: impl Into<Actor>,
    commission: &Commission<'_>,
    request: &Request<'_>,
) -> Result<(Certificate, CertificateRow), IssuanceError> {
    issue_with(node, actor, commission, request, |_, commit| commit).await
}

/// As [`issue`]; `with` adds to the commit that makes the certificate known what must be stored in
/// the same instant.
///
/// # Errors
/// As for [`issue`].
pub(crate) async fn issue_with(
    node: &Node,
    actor: impl Into<Actor>,
    commission: &Commission<'_>,
    request: &Request<'_>,
    with: impl FnOnce(&Certificate, Commit) -> Commit,
) -> Result<(Certificate, CertificateRow), IssuanceError> {
    let intent = Intent::decide(node, commission, request)?;
    let (actor, subject): (Actor, _) = (actor.into(), format!("certificate/{}", intent.row.serial));
    let event = Event::new(actor.clone(), "certificate.intend", subject.clone());
    let now = node.world.now();
    node.store.commit(Commit::new(event).put(intent.row.clone()), now).await?;
    let (certificate, row) = intent.recorded().sign()?;
    let event = Event::new(actor, "certificate.issue", subject).with(issued(&certificate, &row));
    let commit = with_names(Commit::new(event).put(row.clone()), &certificate, &row);
    node.store.commit(with(&certificate, commit), node.world.now()).await?;
    node.metrics.issued(&row.profile);
    Ok((certificate, CertificateRow { version: row.version + 1, ..row }))
}

/// Completes an order whose intent is stored: CAA, signature, record. Gives the order as it is
/// stored in the end; none if it could not be, and stays due.
pub(crate) async fn complete(node: Arc<Node>, order: Order, intent: Intent) -> Option<Order> {
    let id = order.id;
    let account = found(node.store.account(order.account))?;
    let catalog = node.catalog.load();
    let Some(directory) = catalog.directories.get(&account.directory) else {
        let detail = format!("the directory {:?} was removed", account.directory);
        let problem = Problem::new(ProblemType::ServerInternal, detail);
        let failed = fail(&node, order, Some(intent.row), problem).await;
        return failed.inspect_err(|error| error!(order = id, %error, "it cannot be ended")).ok();
    };
    let outcome = match check_caa(&node, directory, &account, &order).await {
        Ok(None) => finish(&node, order, intent).await,
        Ok(Some(refusal)) => fail(&node, order, Some(intent.row), refusal).await,
        Err(error) => Err(error.into()),
    };
    outcome
        .inspect_err(|error| {
            // The row stays due: it is taken up again, with another serial number.
            error!(order = id, %error, "an order could not be completed; it will be retried");
        })
        .ok()
}

/// Takes up an order that was interrupted between its intent and its certificate.
pub(crate) async fn resume(node: Arc<Node>, id: i64) {
    let Some((order, _)) = found(node.store.order(id)) else { return };
    if order.phase != Phase::Processing {
        return;
    }
    if order.expires_at <= node.world.now() {
        let why = IssuanceError::Inconsistent("the order expired");
        if let Err(error) = give_up(&node, order, &why).await {
            error!(order = id, %error, "an expired order cannot be ended; it will be retried");
        }
        return;
    }
    let outcome = match redraw(&node, order.clone()).await {
        Err(error) if error.is_final() => give_up(&node, order, &error).await.map(drop),
        outcome => outcome,
    };
    if let Err(error) = outcome {
        error!(order = id, %error, "an interrupted order could not be resumed; it will be retried");
    }
}

/// Abandons the serial number an order was given and decides on its certificate again.
async fn redraw(node: &Arc<Node>, order: Order) -> Result<(), IssuanceError> {
    let abandoned = order.certificate.map(|id| node.store.certificate(id)).transpose()?.flatten();
    let Some(abandoned) = abandoned else {
        return Err(IssuanceError::Inconsistent("its intended certificate is gone"));
    };
    let tbs = abandoned.intended.as_deref();
    let tbs = tbs.ok_or(IssuanceError::Inconsistent("its intended bytes are gone"))?;
    let intended = Intended::parse(tbs)?;
    let catalog = node.catalog.load();
    let authority = catalog.authority(abandoned.authority);
    let authority = authority.ok_or(IssuanceError::Inconsistent("its authority is gone"))?;
    let profile = catalog.profiles.get(&order.profile);
    let profile = profile.ok_or(IssuanceError::Inconsistent("its profile is gone"))?;
    let commission = Commission { authority, profile, account: Some(order.account) };
    let identifiers: Vec<_> = intended.identifiers.iter().cloned().collect();
    let request = Request {
        public_key: &intended.public_key,
        identifiers: &identifiers,
        not_before: order.not_before,
        not_after: order.not_after,
        must_staple: intended.must_staple,
        blocked: &node.blocked,
    };
    let intent = Intent::decide(node, &commission, &request)?;
    let now = node.world.now();
    // It is completed at once; whatever keeps it from that is given time to pass.
    let due_at = Some(now + RETRY);
    let order = Order { certificate: Some(intent.row.id), due_at, ..order };
    let subject = format!("order/{}", order.id);
    let event = Event::new("worker", "order.redraw", subject).with(json!({
        "abandoned": abandoned.serial.to_string(),
        "serial": intent.row.serial.to_string(),
    }));
    let commit = Commit::new(event)
        .put(CertificateRow { phase: CertificatePhase::Abandoned, intended: None, ..abandoned })
        .put(intent.row.clone())
        .put(order.clone());
    node.store.commit(commit, now).await?;
    let order = Order { version: order.version + 1, ..order };
    complete(Arc::clone(node), order, intent.recorded()).await;
    Ok(())
}

/// Ends an order that no further attempt could complete, such as one whose profile refuses now what
/// it granted before.
async fn give_up(node: &Node, order: Order, why: &IssuanceError) -> Result<Order, IssuanceError> {
    let problem = Problem::new(
        ProblemType::ServerInternal,
        format!("the certificate cannot be issued any more: {why}; make a new order"),
    );
    let intended = order.certificate.map(|id| node.store.certificate(id)).transpose()?.flatten();
    let intended = intended.filter(|row| row.phase == CertificatePhase::Intended);
    fail(node, order, intended, problem).await
}

async fn finish(node: &Node, order: Order, intent: Intent) -> Result<Order, IssuanceError> {
    let (certificate, row) = intent.sign()?;
    let now = node.world.now();
    let subject = format!("order/{}", order.id);
    let event = Event::new("worker", "certificate.issue", format!("certificate/{}", row.serial))
        .with(issued_for(&subject, &certificate, &row));
    let mut commit = Commit::new(event).put(row.clone());
    if let Some(predecessor) = predecessor(node, &order)? {
        commit = commit.put(CertificateRow { replaced_by: Some(row.id), ..predecessor });
    }
    let order = Order { phase: Phase::Issued, due_at: None, ..order };
    let commit = commit.put(order.clone());
    node.store.commit(with_names(commit, &certificate, &row), now).await?;
    node.metrics.issued(&row.profile);
    info!(subject, serial = %row.serial, "certificate issued");
    Ok(Order { version: order.version + 1, ..order })
}

/// Ends an order with a problem; the serial number it was given is abandoned.
async fn fail(
    node: &Node,
    order: Order,
    intended: Option<CertificateRow>,
    problem: Problem,
) -> Result<Order, IssuanceError> {
    let event = Event::new("worker", "order.fail", format!("order/{}", order.id))
        .with(json!({ "problem": problem }));
    let order = Order { phase: Phase::Failed, error: Some(problem), due_at: None, ..order };
    let mut commit = Commit::new(event).put(order.clone());
    if let Some(row) = intended {
        let phase = CertificatePhase::Abandoned;
        commit = commit.put(CertificateRow { phase, intended: None, ..row });
    }
    node.store.commit(commit, node.world.now()).await?;
    Ok(Order { version: order.version + 1, ..order })
}

/// Why the CAA records of the order's names forbid it (RFC 8659 §3), where the directory says under
/// which domains it is known there. Records nobody can get forbid it too: the client hears of it
/// now, and may order again when its name servers answer.
async fn check_caa(
    node: &Node,
    directory: &Directory,
    account: &Account,
    order: &Order,
) -> Result<Option<Problem>, ReadError> {
    if directory.spec.caa_identities.is_empty() {
        return Ok(None);
    }
    let authorizations = node.store.order(order.id)?.map(|(_, rows)| rows).unwrap_or_default();
    let account = account.url();
    let mut refused = Vec::new();
    for authorization in authorizations {
        let Identifier::Dns(name) = &authorization.identifier else { continue };
        let asked = super::validation::caa_permits(directory, name, &account, &authorization);
        if let Err(problem) = asked.await {
            refused.push(problem.about((&authorization.identifier).into()));
        }
    }
    Ok(match refused.len() {
        0 | 1 => refused.pop(),
        n => Some(
            Problem::new(ProblemType::Caa, format!("CAA records refuse {n} names"))
                .with_subproblems(refused),
        ),
    })
}

/// The certificate an order replaces, if it is still without a successor.
fn predecessor(node: &Node, order: &Order) -> Result<Option<CertificateRow>, ReadError> {
    let Some(serial) = &order.replaces else { return Ok(None) };
    let found = node.store.certificate_by_serial(serial)?;
    Ok(found.filter(|row| row.replaced_by.is_none()))
}

fn with_names(commit: Commit, certificate: &Certificate, row: &CertificateRow) -> Commit {
    certificate.identifiers().iter().fold(commit, |commit, identifier| {
        let name = identifier.to_string();
        commit.put(Row::CertificateName { certificate: row.id, name })
    })
}

fn issued(certificate: &Certificate, row: &CertificateRow) -> serde_json::Value {
    let names: Vec<_> = certificate.identifiers().iter().map(ToString::to_string).collect();
    json!({ "names": names, "profile": row.profile, "not_after": row.not_after.to_string() })
}

fn issued_for(order: &str, certificate: &Certificate, row: &CertificateRow) -> serde_json::Value {
    let mut detail = issued(certificate, row);
    detail["order"] = order.into();
    detail
}

fn found<T>(read: Result<Option<T>, ReadError>) -> Option<T> {
    read.unwrap_or_else(|error| {
        error!(%error, "a row that is due cannot be read");
        None
    })
}

impl IssuanceError {
    /// Whether another attempt would end the same way.
    fn is_final(&self) -> bool {
        match self {
            Self::Refused(error) => !matches!(error, ca::IssueError::Sign(_)),
            Self::Unreadable(_) | Self::Inconsistent(_) => true,
            Self::Read(_) | Self::Commit(_) => false,
        }
    }
}

/// Issuance did not happen.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IssuanceError {
    #[error(transparent)]
    Refused(#[from] ca::IssueError),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Commit(#[from] CommitError),
    #[error("its intended bytes cannot be read: {0}")]
    Unreadable(#[from] ca::intended::Unreadable),
    #[error("{0}")]
    Inconsistent(&'static str),
}

/// How long an order that could not be completed is left alone.
const RETRY: SignedDuration = SignedDuration::from_secs(30);

#[cfg(test)]
mod tests;
