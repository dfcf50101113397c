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
use super::peers::Peers;
use super::progress::{Answer, Progress};

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

/// Serves `router` on `listener` to `peers`, over TLS if `tls` is given, until `drain`; then waits
/// for the requests under way, at most [`DRAIN`].
pub(crate) async fn serve_tcp(
    listener: TcpListener,
    tls: Option<Arc<ServerConfig>>,
    router: Router,
    peers: Arc<Peers>,
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
        let Some(place) = peers.admit(peer.ip()) else {
            debug!(%peer, "a client has as many connections as it may: one more is closed");
            continue;
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
                        // Its purpose is fulfilled (RFC 8737 §4).
                        Ok(Ok(stream)) if stream.get_ref().1.alpn_protocol() == ACME_TLS => {}
                        Ok(Ok(stream)) => serve_connection(stream, who, router, watcher).await,
                        Ok(Err(error)) => debug!(?peer, %error, "TLS handshake failed"),
                        Err(_) => debug!(?peer, "TLS handshake took too long"),
                    }
                }
            }
            drop((place, permit));
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
    let progress = Progress::new(IDLE, LONGEST);
    let service = service::service_fn(|mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer);
        request.extensions_mut().insert(patience.clone());
        let (begun, answer) = (progress.begin(), router.clone().oneshot(request));
        async move { answer.await.map(|answer| answer.map(|body| Answer::new(body, begun))) }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADERS).max_buf_size(MAX_HEAD);
    builder.http2().timer(TokioTimer::new()).max_concurrent_streams(MAX_STREAMS);
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        ended = watcher.watch(connection) => {
            if let Err(error) = ended {
                debug!(?peer, %error, "connection ended");
            }
        }
        () = progress.stalled() => debug!(?peer, "connection ended: it gets nowhere"),
    }
}

/// Out of file descriptors, accepting at once again would only spin.
async fn rest_after(error: &io::Error) {
    debug!(%error, "accept failed");
    tokio::time::sleep(Duration::from_millis(50)).await;
}

const ACME_TLS: Option<&[u8]> = Some(acme::challenge::ACME_TLS_ALPN);
const MAX_CONNECTIONS: usize = 8192;
const MAX_STREAMS: u32 = 64;
const MAX_HEAD: usize = 32 * 1024;
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long the head of a request may take, from the end of the one before it.
const HEADERS: Duration = Duration::from_secs(60);
/// How long a connection is kept on which nothing moves at all, or no request comes to its end.
/// Longer than [`HEADERS`], which ends an idle connection of HTTP/1 with a farewell.
const IDLE: Duration = Duration::from_secs(75);
/// How long a request may take, its answer included: a long CRL over a slow line.
const LONGEST: Duration = Duration::from_secs(600);
/// How long requests under way may take to finish once a drain began.
const DRAIN: Duration = Duration::from_secs(20);

#[cfg(test)]
mod tests {
    use axum::routing;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::*;

    async fn ask(stream: &mut TcpStream) -> io::Result<String> {
        stream.write_all(b"GET / HTTP/1.1\r\nhost: test\r\n\r\n").await?;
        let mut answer = vec![0; 4096];
        let read = stream.read(&mut answer).await?;
        Ok(String::from_utf8_lossy(&answer[..read]).into_owned())
    }

    #[tokio::test]
    async fn one_client_cannot_take_the_connections_of_all() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let router = Router::new().route("/", routing::get(|| async { "here" }));
        let (_drain, draining) = watch::channel(false);
        let peers = Peers::new(2, Vec::new());
        tokio::spawn(serve_tcp(listener, None, router, peers, draining));
        let mut open = Vec::new();
        for _ in 0..2 {
            let mut stream = TcpStream::connect(address).await.expect("connected");
            assert!(ask(&mut stream).await.expect("an answer").ends_with("here"));
            open.push(stream);
        }
        let mut third = TcpStream::connect(address).await.expect("connected");
        assert!(
            ask(&mut third).await.is_err() || ask(&mut third).await.is_ok_and(|a| a.is_empty())
        );
        drop(open);
        for _ in 0..100 {
            let mut again = TcpStream::connect(address).await.expect("connected");
            if ask(&mut again).await.is_ok_and(|answer| answer.ends_with("here")) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("places that were given back are not given out again");
    }
}
