//! How many commits share a sync: those that wait already, and while many are at work a little more. What
//! is in a batch is not known here.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

/// How long a batch is to become while so many are at work.
pub(super) fn wanted(writers: usize) -> usize {
    writers.saturating_sub(FEW)
}

/// Takes what waits already. While many are at work, more is on its way: then a batch waits a
/// little to become `wanted` long, since a sync costs the disk more than the wait costs anybody.
pub(super) fn gather<T>(batch: &mut Vec<T>, jobs: &Receiver<T>, wanted: usize) {
    while batch.len() < MAX_BATCH {
        let Ok(job) = jobs.try_recv() else { break };
        batch.push(job);
    }
    if batch.len() >= wanted {
        return;
    }
    let until = Instant::now() + LINGER;
    while batch.len() < wanted.min(MAX_BATCH) {
        match jobs.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(job) => batch.push(job),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
        }
    }
}

const MAX_BATCH: usize = 256;
/// So few at work wait for nobody.
const FEW: usize = 8;
/// How long a batch waits for others at the most.
const LINGER: Duration = Duration::from_millis(2);
