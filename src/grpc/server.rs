//! Connections that speak gRPC: HTTP/2 from the first byte, bounded in number and in calls at once,
//! kept however long they are idle as long as the other end is there. Nothing here knows what is served.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::UnixListener;
use tokio::sync::Semaphore;
use tracing::debug;

use crate::http::server::{Drain, begun};

/// Serves `router` on a Unix socket until `drain`; then waits for the calls under way, at most
/// [`DRAIN`].
pub(super) async fn serve_unix(listener: UnixListener, router: Router, mut drain: Drain) {
    let graceful = GracefulShutdown::new();
    let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let next = async {
            let permit = Arc::clone(&room).acquire_owned().await;
            (permit, listener.accept().await)
        };
        let (permit, stream) = tokio::select! {
            (permit, accepted) = next => match accepted {
                Ok((stream, _)) => (permit, stream),
                Err(error) => {
                    debug!(%error, "accept failed");
                    tokio::time::sleep(REST).await;
                    continue;
                }
            },
            () = begun(&mut drain) => break,
        };
        let (router, watcher) = (router.clone(), graceful.watcher());
        tokio::spawn(async move {
            serve_connection(stream, router, watcher, MAX_CALLS).await;
            drop(permit);
        });
    }
    drop(listener);
    let _ = tokio::time::timeout(DRAIN, graceful.shutdown()).await;
}

/// Serves `router` on a connection, `calls` at once.
pub(super) async fn serve_connection<S>(stream: S, router: Router, watcher: Watcher, calls: u32)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut builder = auto::Builder::new(TokioExecutor::new()).http2_only();
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(calls)
        .max_header_list_size(MAX_HEAD)
        .keep_alive_interval(ALIVE)
        .keep_alive_timeout(ALIVE);
    let service = TowerToHyperService::new(router);
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    if let Err(error) = watcher.watch(connection).await {
        debug!(%error, "connection ended");
    }
}

/// Who else comes waits until one of these ends.
const MAX_CONNECTIONS: usize = 64;
/// On each connection; the caller has others wait.
const MAX_CALLS: u32 = 64;
const MAX_HEAD: u32 = 16 * 1024;
/// How often one that says nothing is asked whether it is there, and how long it may take to say so.
const ALIVE: Duration = Duration::from_secs(20);
/// How long calls under way may take to finish once a drain began.
const DRAIN: Duration = Duration::from_secs(15);
/// Out of file descriptors, accepting at once again would only spin.
const REST: Duration = Duration::from_millis(50);
