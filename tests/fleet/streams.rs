//! One certificate over many streams of SDS: how long from the wish for a new version until every client
//! has it and has said so. The clients are of the bench's own, some hundred streams on each connection.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use http_body_util::{BodyExt, StreamBody};
use hyper::Request;
use hyper::body::{Bytes, Frame, Incoming};
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper::header::{CONTENT_TYPE, TE};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio::sync::mpsc::{Sender, UnboundedReceiver, UnboundedSender, channel, unbounded_channel};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;
use tokio_stream::wrappers::ReceiverStream;

use crate::arguments::Arguments;
use crate::decisions::count;
use crate::error::Error;
use crate::gauge;
use crate::grid::grid;
use crate::node::{Ground, Node};
use crate::server::free_port;
use crate::targets::percentile;

/// Renews it again and again; gives the table.
pub(crate) async fn measure(arguments: &Arguments) -> Result<String, Error> {
    let number = arguments.streams.max(1);
    let mut ground = Ground::clear(arguments).await?;
    let port = free_port()?;
    ground.site.sds = Some(port);
    let node = ground.start(false).await?;
    let before = node.scrape().await?;
    node.apply(DECLARED).await?;
    node.until_proven(before.proven() + 1.0, POLL, LIMIT).await?;
    eprintln!("streams: {number} are opened");
    let (acknowledge, mut acknowledged) = unbounded_channel();
    let mut connections = Vec::new();
    for (at, first) in (0..number).step_by(ON_ONE).enumerate() {
        let mut connection = connect(&node, &ground.folder, port, at).await?;
        for _ in first..number.min(first + ON_ONE) {
            open(&mut connection, acknowledge.clone()).await?;
        }
        connections.push(connection);
    }
    all(&mut acknowledged, number).await?;
    let (cpu, renewals) = (gauge::cpu(node.server.pid())?, arguments.renewals.max(1));
    let (mut took, mut first, mut heard) = (Vec::new(), Vec::new(), Vec::new());
    for renewal in 1..=renewals {
        // What the end of the rotation before has to be looked at again for is done by then.
        sleep(BETWEEN).await;
        let began = Instant::now();
        node.renew("shop").await?;
        let mut each = all(&mut acknowledged, number).await?;
        heard.push(heard_of(&node, number, began).await?);
        each.sort();
        first.extend(each.first().map(|at| at.duration_since(began)));
        took.extend(each.iter().map(|at| at.duration_since(began)));
        eprintln!("  {renewal} of {renewals} renewals are acknowledged");
    }
    let cpu = gauge::cpu(node.server.pid())?.saturating_sub(cpu);
    let memory = gauge::memory(node.server.pid())?;
    node.server.stop().await?;
    for times in [&mut took, &mut first, &mut heard] {
        times.sort();
    }
    let ms = |time: Duration| format!("{:.0}", time.as_secs_f64() * 1e3);
    let row = [
        number.to_string(),
        renewals.to_string(),
        ms(percentile(&first, 50)),
        ms(percentile(&took, 50)),
        ms(percentile(&took, 99)),
        ms(percentile(&heard, 100)),
        format!("{:.2}", cpu.as_secs_f64() * 1e3 / count(renewals * number)),
        (memory >> 20).to_string(),
    ];
    Ok(format!(
        "Streams\n\n{}\nFrom the wish, so that issuance is in it, until a client said that it uses the new \
         version.\n",
        grid(HEADINGS, [row])
    ))
}

/// When each of so many streams had the next version and said so.
async fn all(of: &mut UnboundedReceiver<Instant>, number: usize) -> Result<Vec<Instant>, Error> {
    let mut times = Vec::with_capacity(number);
    while times.len() < number {
        let next = timeout(LIMIT, of.recv()).await.ok().flatten();
        times.push(next.ok_or(Error::Stalled("the next version on a stream"))?);
    }
    Ok(times)
}

/// How long after `began` the server knows of each stream that its client uses what it was sent.
async fn heard_of(node: &Node<'_>, number: usize, began: Instant) -> Result<Duration, Error> {
    loop {
        let shown = node.run(&["get", "target", "edge", "--json"]).await?;
        let took = began.elapsed();
        let shown: serde_json::Value = serde_json::from_str(&shown).unwrap_or_default();
        let streams = shown["streams"].as_array().map(Vec::as_slice).unwrap_or_default();
        let heard = streams.iter().filter(|stream| stream["acknowledged"] == true).count();
        if heard == number {
            return Ok(took);
        }
        if took > LIMIT {
            let what = format!("the server heard {heard} of {number}");
            return Err(Error::Nonsense { step: "acknowledgements", what });
        }
        sleep(POLL).await;
    }
}

type Said = StreamBody<ReceiverStream<Result<Frame<Bytes>, hyper::Error>>>;

/// A connection with a client certificate of its own.
async fn connect(
    node: &Node<'_>,
    folder: &Path,
    port: u16,
    at: usize,
) -> Result<SendRequest<Said>, Error> {
    let name = format!("c{at}.clients.test");
    let [chain, key] = ["pem", "key"].map(|ending| folder.join(format!("{name}.{ending}")));
    let [out, key_out] = [&chain, &key].map(|path| path.display().to_string());
    let issue = ["issue", &name, "--profile", "client", "--out", &out, "--key-out", &key_out];
    node.run(&issue).await?;
    let config = config(&node.server.root, &chain, &key)?;
    let failed = |why: String| Error::Connection { step: "connect", why };
    let stream = TcpStream::connect(("127.0.0.1", port)).await;
    let stream = stream.map_err(|e| failed(e.to_string()))?;
    let name = ServerName::try_from("localhost").map_err(|e| failed(e.to_string()))?;
    let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await;
    let stream = TokioIo::new(stream.map_err(|e| failed(e.to_string()))?);
    let (sender, connection) = handshake(TokioExecutor::new(), stream)
        .await
        .map_err(|e: hyper::Error| failed(e.to_string()))?;
    tokio::spawn(async move { drop(connection.await) });
    Ok(sender)
}

fn config(root: &PathBuf, chain: &PathBuf, key: &PathBuf) -> Result<ClientConfig, Error> {
    let unread = |_| Error::Crypto("read a certificate or key");
    let mut roots = RootCertStore::empty();
    let root = CertificateDer::from_pem_file(root).map_err(unread)?;
    roots.add(root).map_err(|_| Error::Crypto("trust the root"))?;
    let chain = CertificateDer::pem_file_iter(chain).map_err(unread)?;
    let chain = chain.collect::<Result<Vec<_>, _>>().map_err(unread)?;
    let key = PrivateKeyDer::from_pem_file(key).map_err(unread)?;
    let mut config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|_| Error::Crypto("offer TLS"))?
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key)
        .map_err(|_| Error::Crypto("use a client certificate"))?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(config)
}

/// Opens a stream, which says when it has acknowledged something.
async fn open(
    connection: &mut SendRequest<Said>,
    acknowledge: UnboundedSender<Instant>,
) -> Result<(), Error> {
    let failed = |why: String| Error::Connection { step: "open a stream", why };
    let (say, said) = channel(4);
    let wish = Wish { names: vec!["shop".into()], ..Wish::default() };
    // There is room for it.
    let _ = say.send(Ok(framed(&wish))).await;
    let request = Request::post(METHOD)
        .header(CONTENT_TYPE, "application/grpc")
        .header(TE, "trailers")
        .body(StreamBody::new(ReceiverStream::new(said)))
        .map_err(|e| failed(e.to_string()))?;
    let answered = timeout(LIMIT, connection.send_request(request)).await;
    let answered = answered.map_err(|_| Error::Stalled("a stream"))?;
    let answer = answered.map_err(|e| failed(e.to_string()))?.into_body();
    tokio::spawn(listen(answer, say, acknowledge));
    Ok(())
}

/// Acknowledges whatever comes, until the stream or the bench ends.
async fn listen(
    mut answer: Incoming,
    say: Sender<Result<Frame<Bytes>, hyper::Error>>,
    acknowledge: UnboundedSender<Instant>,
) {
    let mut unread = Vec::new();
    while let Some(Ok(frame)) = answer.frame().await {
        let Ok(data) = frame.into_data() else { continue };
        unread.extend_from_slice(&data);
        while let Some(offer) = take(&mut unread) {
            let Offer { version, nonce, .. } = offer;
            let wish = Wish { version, nonce, names: vec!["shop".into()] };
            if say.send(Ok(framed(&wish))).await.is_err()
                || acknowledge.send(Instant::now()).is_err()
            {
                return;
            }
        }
    }
}

/// A message behind its length (gRPC over HTTP/2).
fn framed(wish: &Wish) -> Frame<Bytes> {
    let message = wish.encode_to_vec();
    let length = u32::try_from(message.len()).unwrap_or_default();
    Frame::data([&[0][..], &length.to_be_bytes(), &message].concat().into())
}

/// The next whole message.
fn take(unread: &mut Vec<u8>) -> Option<Offer> {
    let length = unread.get(1..5)?.try_into().map(u32::from_be_bytes).ok()?;
    let end = 5 + usize::try_from(length).ok()?;
    let message = Offer::decode(unread.get(5..end)?).unwrap_or_default();
    unread.drain(..end);
    Some(message)
}

/// `envoy.service.discovery.v3.DiscoveryRequest`.
#[derive(Clone, PartialEq, prost::Message)]
struct Wish {
    #[prost(string, tag = "1")]
    version: String,
    #[prost(string, repeated, tag = "3")]
    names: Vec<String>,
    #[prost(string, tag = "5")]
    nonce: String,
}

/// `envoy.service.discovery.v3.DiscoveryResponse`.
#[derive(Clone, PartialEq, prost::Message)]
struct Offer {
    #[prost(string, tag = "1")]
    version: String,
    #[prost(bytes = "vec", repeated, tag = "2")]
    resources: Vec<Vec<u8>>,
    #[prost(string, tag = "5")]
    nonce: String,
}

const METHOD: &str =
    "https://localhost/envoy.service.secret.v3.SecretDiscoveryService/StreamSecrets";
const DECLARED: &str = "[[profile]]\nname = \"client\"\nlifetime = \"1d\"\n\
    extended_key_usages = [\"client-auth\"]\n\
    [[certificate]]\nname = \"shop\"\nnames = [\"shop.fleet.test\"]\ntargets = [\"edge\"]\n\
    [[target]]\nname = \"edge\"\nkind = \"sds\"\nclients = [\"*.clients.test\"]\n";
/// Fewer than one connection, and one client, may have.
const ON_ONE: usize = 250;
const POLL: Duration = Duration::from_millis(5);
const BETWEEN: Duration = Duration::from_millis(1500);
const LIMIT: Duration = Duration::from_secs(60);
const HEADINGS: [&str; 8] =
    ["streams", "renewals", "first ms", "p50 ms", "p99 ms", "heard ms", "CPU ms each", "RSS MiB"];
