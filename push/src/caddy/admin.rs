//! Caddy's admin API: one request, one answer, over a Unix socket or to this machine. It has no TLS and
//! asks nobody who they are, so keys go nowhere else. What it says of an answer's version (ETag) comes in a
//! trailer.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, ETAG, HOST, IF_MATCH};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;
use zeroize::Zeroizing;

use crate::error::PushError;

/// Where it is.
pub(super) struct Admin {
    place: Place,
    named: String,
    limit: Duration,
}

enum Place {
    Socket(PathBuf),
    Address(String),
}

/// How something is changed.
pub(super) struct Change {
    pub(super) method: &'static str,
    /// Only as long as it is what this ETag says.
    pub(super) only_if: Option<String>,
}

/// What it answered.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) tag: Option<String>,
    pub(super) body: Zeroizing<Vec<u8>>,
}

impl Answer {
    /// What it says, for people: never a configuration, in which keys are.
    pub(super) fn text(&self) -> String {
        let said: Option<serde_json::Value> = serde_json::from_slice(&self.body).ok();
        let said = said.as_ref().and_then(|said| said.get("error")?.as_str());
        said.unwrap_or("it did not say why; see its log").chars().take(MAX_SAID).collect()
    }
}

impl Admin {
    /// A sentence unless `admin` names a place it may be at.
    pub(super) fn check(admin: &str) -> Result<(), String> {
        let wrong =
            || format!("admin = {admin:?}: write the path of its socket, or http://127.0.0.1:2019");
        let Some(address) = admin.strip_prefix("http://") else {
            return Path::new(admin).is_absolute().then_some(()).ok_or_else(wrong);
        };
        let (host, _) = crate::probe::host_and_port(address).map_err(|_| wrong())?;
        let here = host.parse().map_or(host == "localhost", |ip: IpAddr| ip.is_loopback());
        match here {
            true => Ok(()),
            false => Err(format!(
                "admin = {admin:?} is not on this machine, and keys would go there in clear: use a \
                 tunnel that ends here"
            )),
        }
    }

    /// Of a place that was checked.
    pub(super) fn new(admin: &str, limit: Duration) -> Self {
        let place = match admin.strip_prefix("http://") {
            Some(address) => Place::Address(address.to_owned()),
            None => Place::Socket(admin.into()),
        };
        Self { place, named: admin.to_owned(), limit }
    }

    /// What is at `path`.
    pub(super) async fn look(&self, path: &str) -> Result<Answer, PushError> {
        self.ask("GET", path, None, Bytes::new()).await
    }

    /// Changes what is at `path`.
    pub(super) async fn change(
        &self,
        path: &str,
        change: Change,
        json: Zeroizing<Vec<u8>>,
    ) -> Result<Answer, PushError> {
        self.ask(change.method, path, change.only_if, Bytes::from_owner(json)).await
    }

    async fn ask(
        &self,
        method: &str,
        path: &str,
        only_if: Option<String>,
        body: Bytes,
    ) -> Result<Answer, PushError> {
        // Over a socket it wants to be called nothing.
        let host = match &self.place {
            Place::Socket(_) => "",
            Place::Address(address) => address,
        };
        let mut request = Request::builder().method(method).uri(path).header(HOST, host);
        if !body.is_empty() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        if let Some(tag) = only_if {
            request = request.header(IF_MATCH, tag);
        }
        let request = request.body(Full::new(body)).map_err(|error| self.broken(&error))?;
        let asked = async {
            let unreachable = |error| self.unreachable(&error);
            match &self.place {
                Place::Socket(path) => {
                    let stream = UnixStream::connect(path).await.map_err(unreachable)?;
                    exchange(stream, request).await.map_err(|error| self.broken(&error))
                }
                Place::Address(address) => {
                    let stream = TcpStream::connect(address).await.map_err(unreachable)?;
                    exchange(stream, request).await.map_err(|error| self.broken(&error))
                }
            }
        };
        timeout(self.limit, asked).await.unwrap_or_else(|_| {
            Err(PushError::TimedOut {
                what: format!("the Caddy at {}", self.named),
                after: self.limit,
                output: "nothing".into(),
            })
        })
    }

    fn unreachable(&self, error: &std::io::Error) -> PushError {
        PushError::Unreachable {
            what: format!("the admin API of Caddy at {}", self.named),
            why: format!("{error}; is Caddy running, and may this user open it?"),
        }
    }

    /// Whether what was asked for was done is not known.
    fn broken(&self, error: &dyn std::fmt::Display) -> PushError {
        PushError::Refused {
            what: format!("the Caddy at {} gave no answer that is understood", self.named),
            output: error.to_string(),
        }
    }
}

async fn exchange<S>(stream: S, request: Request<Full<Bytes>>) -> Result<Answer, Broken>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    // It ends when the sender and the answer are dropped.
    tokio::spawn(async move {
        let _ = connection.await;
    });
    let response = sender.send_request(request).await?;
    read(response).await
}

async fn read(response: Response<Incoming>) -> Result<Answer, Broken> {
    let (head, mut rest) = response.into_parts();
    let (mut body, mut trailers) = (Zeroizing::new(Vec::with_capacity(USUAL)), None);
    while let Some(frame) = rest.frame().await {
        match frame?.into_data() {
            Ok(data) if body.len() + data.len() > MOST => return Err(Broken::TooLong),
            Ok(data) => body.extend_from_slice(&data),
            Err(frame) => trailers = frame.into_trailers().ok(),
        }
    }
    let tag = trailers.as_ref().and_then(|trailers| trailers.get(ETAG)).or(head.headers.get(ETAG));
    let tag = tag.and_then(|tag| Some(tag.to_str().ok()?.to_owned()));
    Ok(Answer { status: head.status.as_u16(), tag, body })
}

#[derive(Debug, thiserror::Error)]
enum Broken {
    #[error("{0}")]
    Http(#[from] hyper::Error),
    #[error("it is longer than {MOST} bytes")]
    TooLong,
}

/// Of the list of all certificates that somebody had Caddy load.
const MOST: usize = 64 * 1024 * 1024;
/// So that what one item takes is read without leaving copies of it.
const USUAL: usize = 64 * 1024;
const MAX_SAID: usize = 2048;
