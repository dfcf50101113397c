//! A connection must get somewhere. One that moves a byte now and then, so that it never is idle,
//! and neither completes a request nor takes its answer, ends all the same. Nothing here knows what
//! is asked.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use hyper::body::{Frame, SizeHint};
use tokio::time::{Instant, sleep_until};

/// When requests of a connection began and ended last.
pub(super) struct Progress {
    quiet: Duration,
    longest: Duration,
    state: Mutex<State>,
}

struct State {
    under_way: usize,
    changed: Instant,
}

impl Progress {
    /// A connection that may be without a request for `quiet`, and `longest` with requests of which
    /// none ends.
    pub(super) fn new(quiet: Duration, longest: Duration) -> Arc<Self> {
        let state = Mutex::new(State { under_way: 0, changed: Instant::now() });
        Arc::new(Self { quiet, longest, state })
    }

    /// A request begins, and lasts until what this gives is dropped.
    pub(super) fn begin(self: &Arc<Self>) -> UnderWay {
        self.change(|under_way| under_way + 1);
        UnderWay(Arc::clone(self))
    }

    /// Waits until the connection gets nowhere any more.
    pub(super) async fn stalled(&self) {
        loop {
            let (now, end) = (Instant::now(), self.end());
            if end <= now {
                return;
            }
            // The end may move to an earlier time, but never by more than this.
            sleep_until(end.min(now + self.quiet)).await;
        }
    }

    fn end(&self) -> Instant {
        let state = self.lock();
        state.changed + if state.under_way == 0 { self.quiet } else { self.longest }
    }

    fn change(&self, change: impl FnOnce(usize) -> usize) {
        let mut state = self.lock();
        *state = State { under_way: change(state.under_way), changed: Instant::now() };
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A number and a time are as good after a panic as before it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request, until its answer is sent.
pub(super) struct UnderWay(Arc<Progress>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.change(|under_way| under_way - 1);
    }
}

/// An answer, with the request that lasts until it is sent.
pub(super) struct Answer {
    body: Body,
    _request: UnderWay,
}

impl Answer {
    /// The body of the answer to `request`.
    pub(super) fn new(body: Body, request: UnderWay) -> Self {
        Self { body, _request: request }
    }
}

impl hyper::body::Body for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{sleep, timeout};

    use super::*;

    const QUIET: Duration = Duration::from_millis(100);
    const LONGEST: Duration = Duration::from_millis(400);

    async fn stalls_within(progress: &Progress, limit: Duration) -> bool {
        timeout(limit, progress.stalled()).await.is_ok()
    }

    #[tokio::test]
    async fn a_connection_without_a_request_stalls() {
        let begun = Instant::now();
        Progress::new(QUIET, LONGEST).stalled().await;
        assert!(begun.elapsed() >= QUIET && begun.elapsed() < LONGEST);
    }

    #[tokio::test]
    async fn a_request_may_take_longer_but_not_for_ever() {
        let progress = Progress::new(QUIET, LONGEST);
        let request = progress.begin();
        assert!(!stalls_within(&progress, QUIET * 2).await);
        assert!(stalls_within(&progress, LONGEST).await);
        drop(request);
        assert!(!stalls_within(&progress, QUIET / 2).await, "it got somewhere after all");
    }

    #[tokio::test]
    async fn requests_that_end_keep_a_connection_alive() {
        let progress = Progress::new(QUIET, LONGEST);
        let busy = async {
            for _ in 0..10 {
                let answer = Answer::new(Body::from("x"), progress.begin());
                sleep(QUIET / 2).await;
                drop(answer);
            }
        };
        tokio::select! {
            () = progress.stalled() => panic!("it got somewhere all the time"),
            () = busy => {}
        }
        assert!(stalls_within(&progress, QUIET * 2).await);
    }
}
