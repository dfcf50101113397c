//! `envoy.service.secret.v3.SecretDiscoveryService`: Envoys get the versions of managed certificates
//! that are meant for their targets, and each next one as soon as a rotation gives it, without a
//! reload. On a listener of its own, for clients with a certificate of an authority here.

mod client;
mod delta;
mod messages;
mod opened;
mod secret;
mod seen;
mod stream;
pub(crate) mod streams;
mod subscription;

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{Request, State};
use axum::http::Response;
use axum::{Extension, Router, routing};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio_rustls::TlsAcceptor;
use tokio_stream::wrappers::ReceiverStream;
use tonic::body::Body;
use tonic::server::Grpc;
use tonic::{Status, Streaming};
use tonic_prost::ProstCodec;
use tracing::debug;

use self::client::Client;
use self::delta::Delta;
use self::messages::DiscoveryRequest;
use self::seen::Protocol;
use self::subscription::Subscription;
use super::{as_http, server, unary, unimplemented};
use crate::http::peers::Peers;
use crate::http::server::{Drain, begun};
use crate::http::tls::Presented;
use crate::node::Node;

/// Serves Envoys on `listener` until `drain`.
pub(crate) async fn serve(
    node: Arc<Node>,
    listener: TcpListener,
    peers: Arc<Peers>,
    mut drain: Drain,
) {
    let graceful = GracefulShutdown::new();
    let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let service = Service { node: Arc::clone(&node), drain: drain.clone() };
    let router = Router::new()
        .route(&method("StreamSecrets"), routing::post(stream::<Subscription>))
        .route(&method("DeltaSecrets"), routing::post(stream::<Delta>))
        .route(&method("FetchSecrets"), routing::post(fetch))
        .fallback(unimplemented)
        .with_state(Arc::new(service));
    loop {
        let next = async {
            let permit = Arc::clone(&room).acquire_owned().await;
            (permit, listener.accept().await)
        };
        let (permit, (stream, peer)) = tokio::select! {
            (permit, accepted) = next => match accepted {
                Ok(accepted) => (permit, accepted),
                Err(error) => {
                    debug!(%error, "accept failed");
                    tokio::time::sleep(REST).await;
                    continue;
                }
            },
            () = begun(&mut drain) => break,
        };
        let Some(place) = peers.admit(peer.ip()) else {
            debug!(%peer, "a client has as many connections as it may: one more is closed");
            continue;
        };
        let (node, router, watcher) = (Arc::clone(&node), router.clone(), graceful.watcher());
        tokio::spawn(async move {
            if let Err(why) = connection(&node, stream, router, watcher).await {
                debug!(%peer, why, "a connection for secrets ended");
            }
            drop((place, permit));
        });
    }
    drop(listener);
    let _ = tokio::time::timeout(DRAIN, graceful.shutdown()).await;
}

async fn connection(
    node: &Arc<Node>,
    stream: TcpStream,
    router: Router,
    watcher: Watcher,
) -> Result<(), String> {
    let _ = stream.set_nodelay(true);
    // As the authorities stand now.
    let tls = client::tls(node, Arc::new(Presented(Arc::clone(node))))?;
    let accepted = TlsAcceptor::from(tls).accept(stream);
    let accepted = tokio::time::timeout(HANDSHAKE, accepted).await;
    let stream = accepted.map_err(|_| "TLS handshake took too long")?.map_err(|e| e.to_string())?;
    let client = Client::of(node, stream.get_ref().1.peer_certificates());
    let client =
        client.ok_or("the client's certificate has no DNS name, or is not good any more")?;
    let router = router.layer(Extension(Arc::new(client)));
    server::serve_connection(stream, router, watcher, MAX_CALLS).await;
    Ok(())
}

struct Service {
    node: Arc<Node>,
    drain: Drain,
}

type Shared = State<Arc<Service>>;

fn method(name: &str) -> String {
    format!("/envoy.service.secret.v3.SecretDiscoveryService/{name}")
}

/// A stream of requests, answered by one of versions.
async fn stream<P: Protocol>(
    State(service): Shared,
    Extension(client): Extension<Arc<Client>>,
    request: Request,
) -> Response<Body> {
    let open = tower::service_fn(|call: tonic::Request<Streaming<P::Said>>| {
        let (answers, answered) = mpsc::channel(1);
        let (node, drain) = (Arc::clone(&service.node), service.drain.clone());
        let run = stream::run::<P>(node, Arc::clone(&client), call.into_inner(), answers, drain);
        tokio::spawn(run);
        std::future::ready(Ok::<_, Status>(tonic::Response::new(ReceiverStream::new(answered))))
    });
    let codec = ProstCodec::<P::Answer, P::Said>::default();
    Grpc::new(codec).max_decoding_message_size(MAX_MESSAGE).streaming(open, request).await
}

/// One request, one answer.
async fn fetch(
    State(service): Shared,
    Extension(client): Extension<Arc<Client>>,
    request: Request,
) -> Response<Body> {
    let began = Instant::now();
    let answer = |said: DiscoveryRequest| async {
        let mut once = Subscription::default();
        once.hear(said)?;
        let found = stream::look(&service.node, &client, &once.seen().names)?;
        let answer = stream::answer(&service.node, &client, &mut once, found).await?;
        let missing = &once.seen().missing;
        answer.ok_or_else(|| match missing.is_empty() {
            true => Status::unavailable("there is no version to give yet; ask again"),
            false => Status::permission_denied(format!(
                "{} is not for {}: it must be a managed certificate with a target of kind sds whose \
                 clients name it, or trust/AUTHORITY",
                missing.join(", "),
                client.name()
            )),
        })
    };
    let response = unary(request, MAX_MESSAGE, answer).await;
    service.node.metrics.served("sds-fetch", as_http(&response), began.elapsed());
    response
}

/// Who else comes waits until one of these ends.
const MAX_CONNECTIONS: usize = 4096;
/// An Envoy has a stream for each secret, all on one connection.
const MAX_CALLS: u32 = 512;
/// The first request of an Envoy lists all its extensions, in 60 KB.
const MAX_MESSAGE: usize = 1024 * 1024;
const HANDSHAKE: Duration = Duration::from_secs(10);
const DRAIN: Duration = Duration::from_secs(5);
/// Out of file descriptors, accepting at once again would only spin.
const REST: Duration = Duration::from_millis(50);
