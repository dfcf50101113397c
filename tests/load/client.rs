//! One ACME client: a keep-alive HTTP/1.1 connection over TLS, its account and its nonces. Every
//! exchange has a time limit; what an order is, is not known here.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{CONTENT_TYPE, HOST, HeaderName, LOCATION, USER_AGENT};
use hyper::{Method, Request, Uri};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde::Deserialize;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::account::Account;
use crate::error::Error;

/// The directory's URLs that an order needs (RFC 8555 §7.1.1).
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Directory {
    new_nonce: String,
    new_account: String,
    /// Where orders are placed.
    pub(crate) new_order: String,
}

/// What came back, with the headers that matter.
pub(crate) struct Answer {
    /// HTTP status.
    pub(crate) status: u16,
    /// `Location`, if given.
    pub(crate) location: Option<String>,
    /// The whole body.
    pub(crate) body: Bytes,
}

/// TLS settings that trust the roots in `pem`.
pub(crate) fn trust(pem: &Path) -> Result<TlsConnector, Error> {
    let unreadable = |why: String| Error::Usage(format!("{}: {why}", pem.display()));
    let mut roots = RootCertStore::empty();
    for root in CertificateDer::pem_file_iter(pem).map_err(|e| unreadable(e.to_string()))? {
        let root = root.map_err(|e| unreadable(e.to_string()))?;
        roots.add(root).map_err(|e| unreadable(e.to_string()))?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| unreadable(e.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// A client with an account at one directory.
pub(crate) struct Client {
    connection: Connection,
    directory: Directory,
    account: Account,
    nonce: Option<String>,
}

impl Client {
    /// Connects, reads the directory and makes an account (RFC 8555 §7.3).
    pub(crate) async fn register(
        directory: &str,
        tls: TlsConnector,
        limit: Duration,
    ) -> Result<Self, Error> {
        let mut connection = Connection { tls, limit, sender: None, requests: 0 };
        let directory = read_directory(&mut connection, directory).await?;
        let account = Account::generate()?;
        let mut client = Self { connection, directory, account, nonce: None };
        let url = client.directory.new_account.clone();
        let answer = client.post("newAccount", &url, r#"{"termsOfServiceAgreed":true}"#).await?;
        client.account.url = Some(answer.location.ok_or(Error::Nonsense {
            step: "newAccount",
            what: "no Location in the answer".into(),
        })?);
        Ok(client)
    }

    /// The directory as the server gave it.
    pub(crate) fn directory(&self) -> &Directory {
        &self.directory
    }

    /// The key authorization for a challenge token.
    pub(crate) fn key_authorization(&self, token: &str) -> String {
        self.account.key_authorization(token)
    }

    /// HTTP requests made so far, retries and nonces included.
    pub(crate) fn requests(&self) -> u64 {
        self.connection.requests
    }

    /// The limit of one step.
    pub(crate) fn limit(&self) -> Duration {
        self.connection.limit
    }

    /// A signed POST; an empty payload is a POST-as-GET. Repeats on `badNonce` (RFC 8555 §6.5).
    ///
    /// # Errors
    /// `Refused` for any other status than 2xx.
    pub(crate) async fn post(
        &mut self,
        step: &'static str,
        url: &str,
        payload: &str,
    ) -> Result<Answer, Error> {
        for _ in 0..BAD_NONCE_TRIES {
            let nonce = match self.nonce.take() {
                Some(nonce) => nonce,
                None => self.fresh_nonce().await?,
            };
            let body = self.account.sign(url, &nonce, payload)?;
            let (answer, nonce) = self.connection.exchange(step, Method::POST, url, body).await?;
            self.nonce = nonce;
            if answer.status < 300 {
                return Ok(answer);
            }
            let problem = String::from_utf8_lossy(&answer.body).into_owned();
            if !problem.contains("urn:ietf:params:acme:error:badNonce") {
                return Err(Error::Refused { step, status: answer.status, problem });
            }
        }
        Err(Error::Nonsense { step, what: "badNonce without end".into() })
    }

    async fn fresh_nonce(&mut self) -> Result<String, Error> {
        let url = &self.directory.new_nonce;
        let (_, nonce) =
            self.connection.exchange("newNonce", Method::HEAD, url, Vec::new()).await?;
        nonce.ok_or(Error::Nonsense { step: "newNonce", what: "no Replay-Nonce".into() })
    }
}

/// Whether the directory at `url` answers; used to see a server become ready.
pub(crate) async fn answers(url: &str, tls: TlsConnector) -> Result<(), Error> {
    let limit = Duration::from_secs(1);
    let mut connection = Connection { tls, limit, sender: None, requests: 0 };
    read_directory(&mut connection, url).await.map(drop)
}

async fn read_directory(connection: &mut Connection, url: &str) -> Result<Directory, Error> {
    let step = "directory";
    let (answer, _) = connection.exchange(step, Method::GET, url, Vec::new()).await?;
    serde_json::from_slice(&answer.body)
        .map_err(|e| Error::Nonsense { step, what: format!("HTTP {}: {e}", answer.status) })
}

struct Connection {
    tls: TlsConnector,
    limit: Duration,
    sender: Option<SendRequest<Full<Bytes>>>,
    requests: u64,
}

impl Connection {
    async fn exchange(
        &mut self,
        step: &'static str,
        method: Method,
        url: &str,
        body: Vec<u8>,
    ) -> Result<(Answer, Option<String>), Error> {
        let limit = self.limit;
        let done = tokio::time::timeout(limit, self.unbounded(step, method, url, body)).await;
        let done = done.unwrap_or(Err(Error::Stalled(step)));
        if done.is_err() {
            self.sender = None;
        }
        done
    }

    async fn unbounded(
        &mut self,
        step: &'static str,
        method: Method,
        url: &str,
        body: Vec<u8>,
    ) -> Result<(Answer, Option<String>), Error> {
        let broken = |e: hyper::Error| Error::Connection { step, why: e.to_string() };
        let uri: Uri = url
            .parse()
            .map_err(|e| Error::Nonsense { step, what: format!("the URL {url:?}: {e}") })?;
        if let Some(open) = &mut self.sender
            && open.ready().await.is_err()
        {
            self.sender = None;
        }
        let mut sender = match self.sender.take() {
            Some(open) => open,
            None => self.open(step, &uri).await?,
        };
        let authority = uri.authority().map_or("", |a| a.as_str());
        let path = uri.path_and_query().map_or("/", |p| p.as_str());
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, authority)
            .header(USER_AGENT, "perennial-orders-bench")
            .header(CONTENT_TYPE, "application/jose+json")
            .body(Full::from(body))
            .map_err(|e| Error::Nonsense { step, what: e.to_string() })?;
        self.requests += 1;
        let response = sender.send_request(request).await.map_err(broken)?;
        let (head, body) = response.into_parts();
        let text = |name: HeaderName| {
            head.headers.get(name).and_then(|v| v.to_str().ok()).map(str::to_owned)
        };
        let body = body.collect().await.map_err(broken)?.to_bytes();
        self.sender = Some(sender);
        let nonce = text(HeaderName::from_static("replay-nonce"));
        Ok((Answer { status: head.status.as_u16(), location: text(LOCATION), body }, nonce))
    }

    async fn open(&self, step: &'static str, uri: &Uri) -> Result<SendRequest<Full<Bytes>>, Error> {
        let broken = |e: std::io::Error| Error::Connection { step, why: e.to_string() };
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let stream = TcpStream::connect((host.as_str(), uri.port_u16().unwrap_or(443)))
            .await
            .map_err(broken)?;
        stream.set_nodelay(true).map_err(broken)?;
        let name = ServerName::try_from(host)
            .map_err(|e| Error::Nonsense { step, what: e.to_string() })?;
        let stream = self.tls.connect(name, stream).await.map_err(broken)?;
        let (sender, connection) = handshake(TokioIo::new(stream))
            .await
            .map_err(|e| Error::Connection { step, why: e.to_string() })?;
        tokio::spawn(async move {
            // Its end is seen by whoever sends next.
            let _ = connection.await;
        });
        Ok(sender)
    }
}

const BAD_NONCE_TRIES: usize = 10;
