//! Connections: one for each cluster and user, shared by everything that speaks with it. Credentials
//! are read again every minute, and at once when they are refused. Answers are bounded, and neither
//! they nor requests are logged: most are Secrets.

use std::collections::HashMap;
use std::error::Error;
use std::future::Future;
use std::sync::{Arc, LazyLock, PoisonError};
use std::time::Duration;

use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use reqwest::{Certificate, Client, Identity, Method, Proxy, Response, StatusCode, Url};
use serde::Deserialize;
use tokio::sync::Mutex;
use tokio::time::Instant;
use zeroize::Zeroizing;

use crate::access::{Access, Facts};
use crate::error::ClusterError;

/// A way to speak with one cluster as one user. Cheap to clone.
#[derive(Clone)]
pub struct Connection {
    shared: Arc<Shared>,
    access: Access,
    limit: Duration,
}

/// Something to ask of the API.
pub(crate) struct Call {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) query: Vec<(&'static str, String)>,
    pub(crate) accept: &'static str,
    /// What is sent, and as what.
    pub(crate) body: Option<(&'static str, Zeroizing<Vec<u8>>)>,
}

/// What all connections to one cluster as one user have in common.
#[derive(Default)]
struct Shared {
    link: Mutex<Option<Link>>,
}

#[derive(Clone)]
struct Link {
    /// For what is answered at once.
    calls: Client,
    /// For what stays open: each on a connection of its own, so that none can hold up another.
    watches: Client,
    facts: Facts,
    read_at: Instant,
}

/// What is done with the client of a link.
#[derive(Clone, Copy)]
pub(crate) enum Use {
    Call,
    Watch,
}

impl Connection {
    /// The connection to a cluster, on which each call may take `limit`. Nothing is read or called yet.
    #[must_use]
    pub fn to(access: &Access, limit: Duration) -> Self {
        static ALL: LazyLock<std::sync::Mutex<HashMap<Access, Arc<Shared>>>> =
            LazyLock::new(std::sync::Mutex::default);
        // A map of handles is as good after a panic as before it. Clusters are declared, so few.
        let mut all = ALL.lock().unwrap_or_else(PoisonError::into_inner);
        let shared = Arc::clone(all.entry(access.clone()).or_default());
        Self { shared, access: access.clone(), limit }
    }

    /// Asks, and gives the whole answer.
    pub(crate) async fn call(&self, call: &Call) -> Result<Zeroizing<Vec<u8>>, ClusterError> {
        self.in_time(async {
            let (response, server) = self.ask(call, Use::Call).await?;
            body(response, MAX_ANSWER, &server).await
        })
        .await
    }

    /// Asks for what stays open, and gives it once it is, with the server's URL.
    pub(crate) async fn open(&self, call: &Call) -> Result<(Response, String), ClusterError> {
        self.in_time(self.ask(call, Use::Watch)).await
    }

    async fn in_time<T>(
        &self,
        work: impl Future<Output = Result<T, ClusterError>>,
    ) -> Result<T, ClusterError> {
        match tokio::time::timeout(self.limit, work).await {
            Ok(done) => done,
            Err(_) => Err(ClusterError::TimedOut { cluster: self.name(), after: self.limit }),
        }
    }

    /// Reads an answer as JSON.
    pub(crate) fn parse<'a, T: Deserialize<'a>>(
        &self,
        answer: &'a [u8],
    ) -> Result<T, ClusterError> {
        // The parser's own message could quote what is in a Secret.
        serde_json::from_slice(answer).map_err(|_| ClusterError::Broken {
            cluster: self.name(),
            what: "its answer is no object of the API".into(),
        })
    }

    /// What a person calls the cluster.
    pub(crate) fn name(&self) -> String {
        self.access.name()
    }

    /// Asks; again, if credentials are refused that have been replaced since they were read, or if
    /// the server has too much to do and says when it will have less.
    async fn ask(&self, call: &Call, r#use: Use) -> Result<(Response, String), ClusterError> {
        let mut link = self.link(None).await?;
        let (mut rests, mut read_again) = (0, false);
        loop {
            let response = send(&link, call, r#use).await?;
            if response.status() == StatusCode::UNAUTHORIZED && !read_again {
                read_again = true;
                let fresh = self.link(Some(&link.facts)).await?;
                if fresh.facts != link.facts {
                    link = fresh;
                    continue;
                }
            }
            match rest(&response) {
                Some(rest) if rest < self.limit / 2 && rests < MAX_RESTS => {
                    rests += 1;
                    tokio::time::sleep(rest).await;
                }
                _ => {
                    let server = link.facts.server;
                    return Ok((accepted(response, &server).await?, server));
                }
            }
        }
    }

    /// The link as it stands; made of what is read anew if it is old, or made of `refused`.
    async fn link(&self, refused: Option<&Facts>) -> Result<Link, ClusterError> {
        let mut held = self.shared.link.lock().await;
        if let Some(link) = held.as_ref()
            && link.read_at.elapsed() < FRESH
            && refused.is_none_or(|refused| link.facts != *refused)
        {
            return Ok(link.clone());
        }
        let facts = self.access.read(self.limit / 2).await?;
        let link = match held.take() {
            Some(link) if link.facts.makes_the_same_client(&facts) => Link { facts, ..link },
            _ => Link::new(facts)?,
        };
        let link = Link { read_at: Instant::now(), ..link };
        *held = Some(link.clone());
        Ok(link)
    }
}

impl Facts {
    /// Whether only the token differs, which goes with each request.
    fn makes_the_same_client(&self, other: &Self) -> bool {
        let (mut one, mut other) = (self.clone(), other.clone());
        (one.token, other.token) = (None, None);
        one == other
    }
}

impl Link {
    fn new(facts: Facts) -> Result<Self, ClusterError> {
        Ok(Self {
            calls: client(&facts, Use::Call)?,
            watches: client(&facts, Use::Watch)?,
            facts,
            read_at: Instant::now(),
        })
    }
}

fn client(facts: &Facts, r#use: Use) -> Result<Client, ClusterError> {
    let wrong = |what: &str, error: &reqwest::Error| {
        let server = &facts.server;
        ClusterError::Declaration(format!(
            "{what} of the cluster at {server} cannot be used: {}",
            causes(error)
        ))
    };
    let mut builder = Client::builder()
        .user_agent(concat!("perennial/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(CONNECT)
        .https_only(true)
        .no_proxy();
    if let Some(roots) = &facts.authority {
        let roots = Certificate::from_pem_bundle(roots);
        builder = builder.tls_certs_only(roots.map_err(|error| wrong("the authority", &error))?);
    }
    if let Some(identity) = &facts.identity {
        // Its error could quote the PEM.
        let identity = Identity::from_pem(identity).map_err(|_| {
            ClusterError::Declaration(format!(
                "the client certificate and key for the cluster at {} are no PEM",
                facts.server
            ))
        })?;
        builder = builder.identity(identity);
    }
    if let Some(proxy) = &facts.proxy {
        let proxy = Proxy::all(proxy).map_err(|error| wrong("the proxy", &error))?;
        builder = builder.proxy(proxy);
    }
    builder = match r#use {
        // One that died without a word is noticed before it is needed.
        Use::Call => builder
            .http2_keep_alive_interval(KEEP_ALIVE)
            .http2_keep_alive_timeout(CONNECT)
            .http2_keep_alive_while_idle(true),
        Use::Watch => builder.http1_only(),
    };
    builder.build().map_err(|error| wrong("the settings", &error))
}

async fn send(link: &Link, call: &Call, r#use: Use) -> Result<Response, ClusterError> {
    let client = match r#use {
        Use::Call => &link.calls,
        Use::Watch => &link.watches,
    };
    let url = format!("{}{}", link.facts.server, call.path);
    let url = Url::parse_with_params(&url, &call.query).map_err(|error| {
        ClusterError::Declaration(format!("the server {} is no URL: {error}", link.facts.server))
    })?;
    let mut request = client.request(call.method.clone(), url).header(ACCEPT, call.accept);
    if let Some(token) = &link.facts.token {
        let value = Zeroizing::new(format!("Bearer {}", token.as_str()));
        let mut value = HeaderValue::from_str(&value).map_err(|_| {
            ClusterError::Declaration("the token has characters that no token has".into())
        })?;
        value.set_sensitive(true);
        request = request.header(reqwest::header::AUTHORIZATION, value);
    }
    if let Some((kind, body)) = &call.body {
        request = request.header(CONTENT_TYPE, *kind).body(body.to_vec());
    }
    request.send().await.map_err(|error| failed(&link.facts.server, &error))
}

/// The response, if it is one of success.
async fn accepted(response: Response, server: &str) -> Result<Response, ClusterError> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let said = body(response, MAX_REFUSAL, server).await.unwrap_or_default();
    Err(ClusterError::answered(server, status.as_u16(), &said))
}

/// How long a server that has too much to do wants to be left alone, if it did nothing and says so.
fn rest(response: &Response) -> Option<Duration> {
    if response.status() != StatusCode::TOO_MANY_REQUESTS {
        return None;
    }
    let seconds = response.headers().get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

async fn body(
    mut response: Response,
    limit: usize,
    server: &str,
) -> Result<Zeroizing<Vec<u8>>, ClusterError> {
    let mut bytes = Zeroizing::new(Vec::new());
    while let Some(piece) = response.chunk().await.map_err(|error| failed(server, &error))? {
        if bytes.len() + piece.len() > limit {
            return Err(ClusterError::TooLarge { server: server.to_owned(), limit });
        }
        // Grown by hand: a buffer that reallocates leaves copies of what it held in freed memory.
        if bytes.len() + piece.len() > bytes.capacity() {
            let mut larger = Zeroizing::new(Vec::with_capacity(2 * (bytes.len() + piece.len())));
            larger.extend_from_slice(&bytes);
            bytes = larger;
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes)
}

/// What a failed exchange means: with no connection nothing was asked.
pub(crate) fn failed(server: &str, error: &reqwest::Error) -> ClusterError {
    let why = causes(error);
    match error.is_connect() {
        true => ClusterError::Unreachable { server: server.to_owned(), why },
        false => ClusterError::broken(server, why),
    }
}

/// The innermost cause, which says most.
fn causes(error: &reqwest::Error) -> String {
    let mut innermost: &dyn Error = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

const CONNECT: Duration = Duration::from_secs(10);
const MAX_RESTS: u32 = 5;
const KEEP_ALIVE: Duration = Duration::from_secs(20);
/// How long what was read of credentials is used before it is read again.
const FRESH: Duration = Duration::from_secs(60);
/// An object in etcd has at most 1.5 MiB; base64 and metadata make it larger.
const MAX_ANSWER: usize = 4 * 1024 * 1024;
const MAX_REFUSAL: usize = 64 * 1024;
