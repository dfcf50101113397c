//! Strangers who send consumers tokens with keys that nobody has, fetch sets as fast as they can, and
//! ask for signatures with tokens that are not good: the server goes on for everybody else.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::fs;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use data_encoding::BASE64URL_NOPAD;
use hyper::body::Frame;
use reqwest::Body;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use url::Url;

use super::crowd::Consumer;
use super::keysets::{Issuer, Keyset, Token, base, client, now, times};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_forged_tokens_and_fetches_stops_neither_rotations_nor_others() {
    let keysets = [("flooded".to_owned(), vec!["ES256"]), ("calm".to_owned(), vec!["ES256"])];
    let issuer =
        Arc::new(Issuer::start("consumers-flood", &keysets, &times("20s", "8s", FETCHING)).await);
    let consumers = Arc::new(Consumer::all(&issuer));
    let before = Use::of(&issuer);
    let flood = Arc::new(Flood::default());
    let mut strangers = JoinSet::new();
    let sample = issuer.sign(&issuer.keysets[0], "ES256").await;
    for place in 0..consumers.len() {
        let (consumers, flood) = (Arc::clone(&consumers), Arc::clone(&flood));
        let (keyset, sample) = (issuer.keysets[0].clone(), sample.clone());
        strangers.spawn(async move { flood.forge(&consumers[place], &keyset, &sample).await });
    }
    for _ in 0..8 {
        linger(&issuer, &mut strangers);
    }
    for number in 0..32 {
        let (issuer, flood) = (Arc::clone(&issuer), Arc::clone(&flood));
        strangers.spawn(async move {
            match number % 4 {
                0 => flood.ask(&issuer).await,
                _ => flood.fetch(&issuer).await.expect("the connection lasts"),
            }
        });
    }
    let (mut kids, mut verified) = (BTreeMap::<_, BTreeSet<_>>::new(), 0);
    let (mut slowest, mut most) = (Duration::ZERO, before);
    let begun = Instant::now();
    while begun.elapsed() < LONGEST {
        for keyset in &issuer.keysets {
            let token = issuer.sign(keyset, "ES256").await;
            verified += verify(&consumers, keyset, &token).await;
            kids.entry(keyset.name.clone()).or_default().insert(token.kid);
        }
        let asked = Instant::now();
        others(&issuer).await;
        slowest = slowest.max(asked.elapsed());
        most = most.max(Use::of(&issuer));
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    flood.over.store(true, Ordering::SeqCst);
    strangers.join_all().await;
    let (answers, forged) = (flood.answers.lock().expect("no panic"), &flood.forged);
    println!(
        "{answers:?} answers, {forged:?} forged tokens in {} s; {verified} good ones; others waited {} ms at \
         most; from {before:?} to {most:?}; keys {kids:?}",
        begun.elapsed().as_secs(),
        slowest.as_millis()
    );
    let asked: usize = answers.values().sum();
    assert!(asked > 10_000 && forged.load(Ordering::SeqCst) > 200, "a flood");
    let allowed = ["jwks 200", "sign 401"];
    assert!(answers.keys().all(|answer| allowed.contains(&answer.as_str())), "{answers:?}");
    assert!(kids.values().all(|kids| kids.len() > 1), "both keysets were rotated: {kids:?}");
    assert!(verified > 20, "{verified} good tokens were verified in time");
    assert!(slowest < Duration::from_secs(20), "others waited {slowest:?}");
    assert!(most.memory < before.memory + 200, "{most:?} after {before:?} MiB");
    assert!(most.files < before.files + 600, "{most:?} after {before:?} files");
}

/// Has everybody verify a good token at once; gives how many did so in time.
async fn verify(consumers: &Arc<Vec<Consumer>>, keyset: &Keyset, token: &Token) -> usize {
    let mut checks = JoinSet::new();
    for place in 0..consumers.len() {
        let (consumers, keyset, token) = (Arc::clone(consumers), keyset.clone(), token.clone());
        checks.spawn(async move {
            let said = consumers[place].verify(&keyset, &token).await;
            let late = now() > token.expires - 0.2;
            assert!(said.is_ok() || late, "{}: {said:?}", consumers[place].name);
            usize::from(said.is_ok())
        });
    }
    checks.join_all().await.into_iter().sum()
}

/// What else the server is there for: asked on all three listeners.
async fn others(issuer: &Issuer) {
    let server = &issuer.scene.server;
    let ready = server.wrote();
    let line = ready.lines().find_map(|line| line.strip_prefix("ready ")).expect("a ready line");
    let field = |name| line.split(' ').find_map(|word| word.strip_prefix(name)).expect("a URL");
    let http = client(&server.trust);
    for url in [
        format!("{}/healthz", field("admin=")),
        format!("{}/metrics", field("admin=")),
        format!("{}/pki/bundle.pem", field("http=")),
        server.directory.clone(),
    ] {
        let answer = http.get(&url).send().await.unwrap_or_else(|e| panic!("{url}: {e:?}"));
        assert_eq!(answer.status(), 200, "{url}");
    }
}

#[derive(Default)]
struct Flood {
    over: AtomicBool,
    forged: AtomicUsize,
    answers: Mutex<BTreeMap<String, usize>>,
}

impl Flood {
    /// Shows a consumer tokens by keys that nobody has.
    async fn forge(&self, consumer: &Consumer, keyset: &Keyset, sample: &Token) {
        while !self.over.load(Ordering::SeqCst) {
            let number = self.forged.fetch_add(1, Ordering::SeqCst);
            let header = json!({ "alg": "ES256", "kid": format!("nobody-{number}"), "typ": "JWT" });
            let header = BASE64URL_NOPAD.encode(header.to_string().as_bytes());
            let (_, rest) = sample.text.split_once('.').expect("a token");
            let token = Token { text: format!("{header}.{rest}"), ..sample.clone() };
            let said = consumer.verify(keyset, &token).await;
            said.expect_err(&format!("{} accepts a forged token", consumer.name));
            // Or nothing else would get a turn.
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Asks for signatures with a token that is not good.
    async fn ask(&self, issuer: &Issuer) {
        let http = client(&issuer.scene.server.trust);
        let sign = format!("{}/api/v1/keysets/flooded/sign", base(&issuer.scene));
        while !self.over.load(Ordering::SeqCst) {
            let said = match http.post(&sign).bearer_auth("nobody").body("{}").send().await {
                Ok(answer) => format!("sign {}", answer.status().as_u16()),
                Err(error) => format!("sign: {error:?}"),
            };
            self.answered(said);
        }
    }

    /// Fetches a set as fast as it comes, many times before the first answer is read.
    async fn fetch(&self, issuer: &Issuer) -> io::Result<()> {
        let mut stream = BufReader::new(connect(issuer).await?);
        let request =
            "GET /jwks/flooded/jwks.json HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(MANY);
        while !self.over.load(Ordering::SeqCst) {
            stream.write_all(request.as_bytes()).await?;
            stream.flush().await?;
            for _ in 0..MANY {
                let (mut head, mut length) = (Vec::new(), 0);
                while head.last().is_none_or(|line: &String| line != "\r\n") {
                    let mut line = String::new();
                    stream.read_line(&mut line).await?;
                    let value = line.strip_prefix("content-length: ");
                    length = value.and_then(|text| text.trim().parse().ok()).unwrap_or(length);
                    head.push(line);
                }
                stream.read_exact(&mut vec![0; length]).await?;
                let status = head[0].split(' ').nth(1).unwrap_or_default();
                self.answered(format!("jwks {status}"));
            }
        }
        Ok(())
    }

    fn answered(&self, said: String) {
        *self.answers.lock().expect("no panic").entry(said).or_default() += 1;
    }
}

/// A connection that can be written to at will.
async fn connect(issuer: &Issuer) -> io::Result<TlsStream<TcpStream>> {
    let root = CertificateDer::from_pem_file(&issuer.scene.server.trust).expect("the root");
    let mut roots = RootCertStore::empty();
    roots.add(root).expect("a root");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider);
    let builder = builder.with_safe_default_protocol_versions().expect("TLS versions");
    let config = builder.with_root_certificates(roots).with_no_client_auth();
    let url = Url::parse(base(&issuer.scene)).expect("a URL");
    let stream = TcpStream::connect(("127.0.0.1", url.port().expect("a port"))).await?;
    let name = ServerName::try_from("localhost").expect("a name");
    TlsConnector::from(Arc::new(config)).connect(name, stream).await
}

/// Sends much that is to be signed, on one connection, and never the end of it.
fn linger(issuer: &Issuer, strangers: &mut JoinSet<()>) {
    let http = client(&issuer.scene.server.trust);
    let sign = format!("{}/api/v1/keysets/flooded/sign", base(&issuer.scene));
    for _ in 0..50 {
        let body = Body::wrap(Unfinished(Some(vec![b' '; 900_000].into())));
        let request = http.post(&sign).bearer_auth("nobody").body(body).send();
        strangers.spawn(async move { drop(request.await) });
    }
}

/// A body that does not end.
struct Unfinished(Option<Bytes>);

impl hyper::body::Body for Unfinished {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.take().map_or(Poll::Pending, |part| Poll::Ready(Some(Ok(Frame::data(part)))))
    }
}

/// What the server's process uses.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
struct Use {
    /// In MiB.
    memory: usize,
    files: usize,
}

impl Use {
    fn of(issuer: &Issuer) -> Self {
        let process = format!("/proc/{}", issuer.scene.server.id());
        let status = fs::read_to_string(format!("{process}/status")).expect("a process");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
        let kib: usize = line.trim().trim_end_matches(" kB").parse().expect("a number");
        let files = fs::read_dir(format!("{process}/fd")).expect("a process").count();
        Self { memory: kib / 1024, files }
    }

    fn max(self, other: Self) -> Self {
        Self { memory: self.memory.max(other.memory), files: self.files.max(other.files) }
    }
}

const LONGEST: Duration = Duration::from_secs(40);
/// Requests on one connection before an answer is read.
const MANY: usize = 32;

/// Those who can be made to fetch.
const FETCHING: &str = r#"
  { name = "jose", cache = "2s", cooldown = "2s" },
  { name = "jwks-rsa", cache = "2s" },
  { name = "pyjwt", cache = "2s", cooldown = "2s" },
  { name = "envoy", cache = "2s", skew = "1s" },
"#;
