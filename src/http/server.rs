//! Listeners: accepts connections, TLS or not, and hands them to a router until told to drain.
//! Nothing here knows what is served.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::body::Incoming;
use hyper::{Request, service};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{Semaphore, watch};
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;
use tracing::debug;

use super::idle::{Idle, Patience};

/// Who is at the other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    /// Somebody on the network.
    Network(SocketAddr),
    /// Somebody on this machine who may open the admin socket.
    Local,
}

/// Becomes true once, when the server is to finish what it has begun and stop.
pub(crate) type Drain = watch::Receiver<bool>;

/// Waits until a drain begins.
pub(crate) async fn begun(drain: &mut Drain) {
    // If the sender is gone, so is everything worth serving for.
    let _ = drain.wait_for(|drain| *drain).await;
}

/// Serves `router` on `listener`, over TLS if `tls` is given, until `drain`; then waits for the
/// requests under way, at most [`DRAIN`].
pub(crate) async fn serve_tcp(
    listener: TcpListener,
    tls: Option<Arc<ServerConfig>>,
    router: Router,
    mut drain: Drain,
) {
    let graceful = GracefulShutdown::new();
    let acceptor = tls.map(TlsAcceptor::from);
    let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else { break };
        let (stream, peer) = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(error) => { rest_after(&error).await; continue }
            },
            () = begun(&mut drain) => break,
        };
        let _ = stream.set_nodelay(true);
        let (router, acceptor, watcher) = (router.clone(), acceptor.clone(), graceful.watcher());
        tokio::spawn(async move {
            let peer = Peer::Network(peer);
            let stream = Idle::new(stream, IDLE);
            let who = (peer, stream.patience());
            match acceptor {
                None => serve_connection(stream, who, router, watcher).await,
                Some(acceptor) => {
                    match tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await {
                        Ok(Ok(stream)) => serve_connection(stream, who, router, watcher).await,
                        Ok(Err(error)) => debug!(?peer, %error, "TLS handshake failed"),
                        Err(_) => debug!(?peer, "TLS handshake took too long"),
                    }
                }
            }
            drop(permit);
        });
    }
    drop(listener);
    let _ = tokio::time::timeout(DRAIN, graceful.shutdown()).await;
}

/// Serves `router` on the admin socket until `drain`.
pub(crate) async fn serve_unix(listener: UnixListener, router: Router, mut drain: Drain) {
    let graceful = GracefulShutdown::new();
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => { rest_after(&error).await; continue }
            },
            () = begun(&mut drain) => break,
        };
        let (router, watcher) = (router.clone(), graceful.watcher());
        let who = (Peer::Local, Patience::default());
        tokio::spawn(serve_connection(stream, who, router, watcher));
    }
    let _ = tokio::time::timeout(DRAIN, graceful.shutdown()).await;
}

async fn serve_connection<S>(
    stream: S,
    (peer, patience): (Peer, Patience),
    router: Router,
    watcher: Watcher,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service::service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer);
        request.extensions_mut().insert(patience.clone());
        router.clone().oneshot(request)
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADERS).max_buf_size(MAX_HEAD);
    builder.http2().timer(TokioTimer::new()).max_concurrent_streams(MAX_STREAMS);
    let connection = builder.serve_connection(TokioIo::new(stream), service).into_owned();
    if let Err(error) = watcher.watch(connection).await {
        debug!(?peer, %error, "connection ended");
    }
}

/// Out of file descriptors, accepting at once again would only spin.
async fn rest_after(error: &io::Error) {
    debug!(%error, "accept failed");
    tokio::time::sleep(Duration::from_millis(50)).await;
}

const MAX_CONNECTIONS: usize = 8192;
const MAX_STREAMS: u32 = 64;
const MAX_HEAD: usize = 32 * 1024;
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long the head of a request may take, from the end of the one before it.
const HEADERS: Duration = Duration::from_secs(60);
/// How long a connection is kept on which nothing moves at all. Longer than [`HEADERS`], which ends
/// an idle connection of HTTP/1 with a farewell.
const IDLE: Duration = Duration::from_secs(75);
/// How long requests under way may take to finish once a drain began.
const DRAIN: Duration = Duration::from_secs(20);
