//! A connection that ends by itself when nothing moves on it: neither a peer that says nothing nor
//! one that reads nothing keeps its place for long. Nothing here knows what is sent.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

/// How many requests on a connection are kept waiting on purpose: as long as one is, it is no wonder
/// that nothing moves.
#[derive(Clone, Debug, Default)]
pub(super) struct Patience(Arc<AtomicUsize>);

impl Patience {
    /// Asks for it until the answer is dropped.
    pub(super) fn hold(&self) -> Hold {
        self.0.fetch_add(1, Ordering::Relaxed);
        Hold(self.clone())
    }

    fn is_asked_for(&self) -> bool {
        self.0.load(Ordering::Relaxed) > 0
    }
}

/// A request that is kept waiting.
pub(super) struct Hold(Patience);

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A stream whose reads and writes fail once nothing was read or written for a time.
pub(super) struct Idle<S> {
    stream: S,
    limit: Duration,
    moved: Instant,
    end: Pin<Box<Sleep>>,
    patience: Patience,
}

impl<S> Idle<S> {
    /// `stream`, given up after `limit` without a byte in either direction.
    pub(super) fn new(stream: S, limit: Duration) -> Self {
        let patience = Patience::default();
        Self { stream, limit, moved: Instant::now(), end: Box::pin(sleep(limit)), patience }
    }

    /// What keeps it alive while a request waits.
    pub(super) fn patience(&self) -> Patience {
        self.patience.clone()
    }

    /// Something moved: the time begins anew.
    fn moved(&mut self) {
        self.moved = Instant::now();
    }

    /// Nothing can move now; fails when that lasts too long. The timer is set anew when it went off
    /// too early, and not for every byte: that costs a lock that all connections share.
    fn wait<T>(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        loop {
            ready!(self.end.as_mut().poll(cx));
            if self.patience.is_asked_for() {
                self.moved();
            }
            let end = self.moved + self.limit;
            if end <= self.end.deadline() {
                break;
            }
            self.end.as_mut().reset(end);
        }
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "nothing moved on the connection")))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Idle<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.stream).poll_read(cx, buffer) {
            Poll::Pending => self.wait(cx),
            done => {
                self.moved();
                done
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Idle<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match Pin::new(&mut self.stream).poll_write(cx, bytes) {
            Poll::Pending => self.wait(cx),
            done => {
                self.moved();
                done
            }
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match Pin::new(&mut self.stream).poll_write_vectored(cx, parts) {
            Poll::Pending => self.wait(cx),
            done => {
                self.moved();
                done
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.stream).poll_flush(cx) {
            Poll::Pending => self.wait(cx),
            done => done,
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.stream).poll_shutdown(cx) {
            Poll::Pending => self.wait(cx),
            done => done,
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    const LIMIT: Duration = Duration::from_millis(200);

    #[tokio::test]
    async fn a_silent_peer_is_given_up_and_a_slow_one_is_not() {
        let (mut peer, stream) = duplex(64);
        let mut stream = Idle::new(stream, LIMIT);
        let slow = tokio::spawn(async move {
            for _ in 0..5 {
                sleep(LIMIT / 4).await;
                peer.write_all(b"x").await.expect("still there");
            }
            peer
        });
        let mut five = [0; 5];
        stream.read_exact(&mut five).await.expect("slow is not silent");
        let _peer = slow.await.expect("no panic");
        let begun = Instant::now();
        let error = stream.read_u8().await.expect_err("silent");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(begun.elapsed() >= LIMIT);
    }

    #[tokio::test]
    async fn while_a_request_waits_on_purpose_silence_is_no_reason_to_give_up() {
        let (_peer, stream) = duplex(64);
        let mut stream = Idle::new(stream, LIMIT);
        let hold = stream.patience().hold();
        let reading = tokio::spawn(async move { stream.read_u8().await });
        sleep(LIMIT * 3).await;
        assert!(!reading.is_finished());
        drop(hold);
        let error = reading.await.expect("no panic").expect_err("silent");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn a_peer_that_reads_nothing_is_given_up() {
        let (_peer, stream) = duplex(64);
        let error = Idle::new(stream, LIMIT).write_all(&[0; 1000]).await.expect_err("full");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
