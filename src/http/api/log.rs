//! The audit log as what proves itself: checkpoints, proofs, its check, its lines for export.

use std::sync::Arc;

use acme::{Problem, ProblemType};
use audit::{Report, checkpoint_proof};
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, Response, header};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::extract::{Path, Query};
use super::shape::{self, value};
use super::{Answer, missing, problem};
use crate::http::error::unreadable;
use crate::node::Node;
use crate::perform::checkpoint;
use crate::store::CheckpointRow;
use crate::world::second;

/// A page of lines.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Lines {
    #[serde(default)]
    after: i64,
    #[serde(default = "most")]
    limit: u32,
    #[serde(default)]
    since: Option<String>,
    #[serde(default)]
    until: Option<String>,
}

/// Between which sizes of the log.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Between {
    from: u64,
    to: u64,
}

type Shared = State<Arc<Node>>;

/// The newest checkpoint, as the signed note that it is.
pub(super) async fn checkpoint(State(node): Shared) -> Response<Body> {
    match newest_row(&node) {
        Ok(row) => {
            let mut response = Response::new(Body::from(row.note));
            let text = HeaderValue::from_static("text/plain; charset=utf-8");
            response.headers_mut().insert(header::CONTENT_TYPE, text);
            response
        }
        Err(problem) => problem::response(&problem),
    }
}

/// The newest checkpoint, and when it was made.
pub(super) async fn newest(State(node): Shared) -> Answer {
    Answer(newest_row(&node).map(|row| shown(&row)))
}

/// Signs what is new at once.
pub(super) async fn sign(State(node): Shared) -> Answer {
    let made = checkpoint::keep(&node).await;
    let failed =
        |error: checkpoint::Unsigned| Problem::new(ProblemType::ServerInternal, error.to_string());
    Answer(made.map(|row| shown(&row)).map_err(failed))
}

/// Whose signatures count.
pub(super) async fn key(State(node): Shared) -> Answer {
    let verifier = checkpoint::verifier(&node).map_err(unreadable);
    Answer(verifier.and_then(|verifier| {
        let verifier = verifier.ok_or_else(nothing_signed)?;
        let (origin, key) = (verifier.name().to_owned(), verifier.to_string());
        Ok(value(&shape::CheckpointKey { origin, key }))
    }))
}

/// The proof that an event is in the log of the newest checkpoint.
pub(super) async fn proof(State(node): Shared, Path(id): Path<i64>) -> Answer {
    Answer(newest_row(&node).and_then(|row| {
        let shown = node.store.log_inclusion(id, row.size).map_err(unreadable)?;
        let (position, line, hashes) = shown.ok_or_else(|| {
            let why = format!(
                "no event {id} is in the log of the newest checkpoint; a new one is made within \
                 minutes, or by perennial audit checkpoint --now"
            );
            Problem::new(ProblemType::Malformed, why).with_status(404)
        })?;
        let proof = checkpoint_proof(position, &hashes, &row.note);
        let size = row.size;
        Ok(value(&shape::InclusionProof { event: line, position, size, proof }))
    }))
}

/// The proof that the log of one size is the beginning of that of another.
pub(super) async fn consistency(State(node): Shared, Query(between): Query<Between>) -> Answer {
    let proof = node.store.log_consistency(between.from, between.to).map_err(unreadable);
    Answer(proof.and_then(|proof| {
        let unknown = || missing("audit log of size", &between.to.max(between.from).to_string());
        let hashes: Vec<_> = proof.ok_or_else(unknown)?.iter().map(ToString::to_string).collect();
        let Between { from, to } = between;
        Ok(value(&shape::ConsistencyProof { from, to, proof: hashes }))
    }))
}

/// Checks all of the log, one asker at a time.
pub(super) async fn verify(State(node): Shared) -> Answer {
    let verifier = match checkpoint::verifier(&node) {
        Ok(Some(verifier)) => verifier,
        Ok(None) => return Answer(Err(nothing_signed())),
        Err(error) => return Answer(Err(unreadable(error))),
    };
    let _alone = node.steps.alone("audit verify").await;
    let report = node.store.check_log(verifier).await.map_err(unreadable);
    Answer(report.map(|report| report_of(&report)))
}

/// The lines that are hashed, some at a time.
pub(super) async fn lines(State(node): Shared, Query(wanted): Query<Lines>) -> Answer {
    let now = node.world.now();
    let moment = |text: &Option<String>, none| match text {
        None => Ok(none),
        Some(text) => moment(text, now),
    };
    let between = moment(&wanted.since, i64::MIN)
        .and_then(|since| Ok((since, moment(&wanted.until, i64::MAX)?)));
    let between = match between {
        Ok(between) => between,
        Err(problem) => return Answer(Err(problem)),
    };
    let limit = wanted.limit.clamp(1, most());
    let lines = node.store.log_lines(wanted.after, between, limit).await.map_err(unreadable);
    Answer(lines.map(|(items, next)| value(&shape::List { items, next })))
}

/// What a check found, as commands print it too.
pub(crate) fn report_of(report: &Report) -> Value {
    let findings = report.findings.iter().map(|finding| shape::LogFinding {
        kind: finding.kind(),
        event: finding.event(),
        what: finding.to_string(),
    });
    value(&shape::LogReport {
        sound: report.findings.is_empty() && report.more == 0,
        events: report.events,
        forgotten: report.forgotten,
        size: report.size,
        root: report.root.to_string(),
        checkpoints: report.checkpoints,
        signed: report.signed,
        findings: findings.collect(),
        more: report.more,
    })
}

fn newest_row(node: &Node) -> Result<CheckpointRow, Problem> {
    node.store.newest_checkpoint().map_err(unreadable)?.ok_or_else(nothing_signed)
}

fn shown(row: &CheckpointRow) -> Value {
    value(&shape::Checkpoint {
        size: row.size,
        made_at: second(row.made_at),
        checkpoint: row.note.clone(),
    })
}

fn nothing_signed() -> Problem {
    let why = "no checkpoint was made yet; the first is made within a minute";
    Problem::new(ProblemType::Malformed, why).with_status(404)
}

/// A time, or how long ago: Unix seconds.
fn moment(text: &str, now: Timestamp) -> Result<i64, Problem> {
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(at.as_second());
    }
    let ago = ca::duration::parse(text).ok().and_then(|ago| now.checked_sub(ago).ok());
    ago.map(Timestamp::as_second).ok_or_else(|| {
        Problem::malformed(format!(
            "{text:?} is no time: write 2027-01-31T00:00:00Z, or 30d for thirty days ago"
        ))
    })
}

/// So many lines at once.
fn most() -> u32 {
    10_000
}
