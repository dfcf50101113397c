//! http-01 (RFC 8555 §8.3): one request per hop over a connection of its own, no pool, no cookies,
//! no credentials. Redirects are followed by the rules of this file, and every hop is resolved and
//! its addresses judged anew; the address judged is the one connected to, so that a name that
//! changes its mind leads nowhere else. A redirect can make us ask servers that the client cannot
//! reach (RFC 8555 §10.4), so of what they answer only the status leaves this node: no body, and no
//! path or query of a URL that is not the challenge's own.

use std::net::SocketAddr;
use std::sync::Arc;

use acme::ProblemType;
use acme::challenge::{KeyAuthorization, http01_limit, http01_path, judge_http01};
use ca::{DnsName, Identifier};
use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::header::{ACCEPT, CONNECTION, HOST, HeaderValue, LOCATION, USER_AGENT};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tracing::debug;
use url::{Host, Position, Url};

use super::connect::Dialer;
use super::outcome::{Deadline, Failure, Proof, excerpt};
use crate::perform::outgoing::causes;

/// The protocol offered on a redirect to https.
pub(super) const ALPN: &[u8] = b"http/1.1";

/// The ports of URLs that name none.
#[derive(Clone, Copy)]
pub(super) struct Ports {
    pub(super) http: u16,
    pub(super) https: u16,
}

/// What a validation needs.
pub(super) struct Client<'a> {
    pub(super) dialer: &'a Dialer,
    pub(super) tls: &'a Arc<ClientConfig>,
    pub(super) ports: Ports,
    /// The most redirects that are followed.
    pub(super) redirects: usize,
    pub(super) deadline: Deadline,
}

/// What one hop answered.
enum Answer {
    Redirect(StatusCode, Option<HeaderValue>),
    /// With as much of the body as was to be read.
    Content(StatusCode, Vec<u8>),
}

impl Client<'_> {
    /// Fetches the token's URL at `identifier`, follows redirects, has the answer judged.
    ///
    /// # Errors
    /// `dns`, `connection`, `tls` or `incorrectResponse`; the detail names the URL and address.
    pub(super) async fn validate(
        &self,
        identifier: &Identifier,
        expected: &KeyAuthorization,
    ) -> Result<Proof, Failure> {
        let path = http01_path(expected.token());
        let mut url = self.first(identifier, &path)?;
        let mut visited = Vec::new();
        loop {
            let get = format!("http-01: GET {}", place(&url, &path));
            let (answer, address) = self
                .fetch(&url, http01_limit(expected))
                .await
                .map_err(|failure| failure.during(&get))?;
            debug!(%url, %address, "http-01 request answered");
            let incorrect = |why: String| Failure::incorrect(format!("{get} at {address}: {why}"));
            match answer {
                Answer::Content(status, body) => {
                    judge_http01(expected, status.as_u16(), &body)
                        .map_err(|problem| incorrect(problem.detail))?;
                    return Ok(proof(&get, address, visited.len()));
                }
                Answer::Redirect(status, location) => {
                    let next = self.follow(&url, location.as_ref(), identifier);
                    let next = next.map_err(|why| incorrect(format!("{status}: {why}")))?;
                    visited.push(url);
                    if visited.contains(&next) {
                        let next = place(&next, &path);
                        return Err(incorrect(format!("{status}: redirect loop back to {next}")));
                    }
                    if visited.len() > self.redirects {
                        let most = self.redirects;
                        return Err(incorrect(format!("{status}: more than {most} redirects")));
                    }
                    url = next;
                }
            }
        }
    }

    fn first(&self, identifier: &Identifier, path: &str) -> Result<Url, Failure> {
        let host = match identifier {
            Identifier::Ip(std::net::IpAddr::V6(address)) => format!("[{address}]"),
            other => other.to_string(),
        };
        let text = format!("http://{host}:{}{path}", self.ports.http);
        Url::parse(&text).map_err(|error| {
            Failure::new(ProblemType::ServerInternal, format!("http-01: {text}: {error}"))
        })
    }

    /// The URL a redirect leads to, if that may be followed.
    fn follow(
        &self,
        from: &Url,
        location: Option<&HeaderValue>,
        identifier: &Identifier,
    ) -> Result<Url, String> {
        let location = location.ok_or("redirect without a Location")?;
        let text = location.to_str().map_err(|_| "Location is not printable ASCII")?;
        if text.len() > MAX_LOCATION {
            return Err(format!("Location is longer than {MAX_LOCATION} bytes"));
        }
        let mut url = from.join(text).map_err(|error| {
            format!("redirect is not followed: its Location is no URL: {error}")
        })?;
        url.set_fragment(None);
        let origin = excerpt(&origin(&url), SHOWN_URL);
        let refuse = |why: &str| format!("redirect to {origin} is not followed: {why}");
        let default = match url.scheme() {
            "http" => self.ports.http,
            "https" => self.ports.https,
            _ => return Err(refuse("its scheme is neither http nor https")),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(refuse("it carries credentials"));
        }
        match url.host() {
            Some(Host::Domain(name)) => {
                let name = DnsName::parse(name).map_err(|error| refuse(&error.to_string()))?;
                if name.is_wildcard() {
                    return Err(refuse("its host is a wildcard"));
                }
            }
            Some(_) if matches!(identifier, Identifier::Ip(_)) => {}
            _ => return Err(refuse("its host is no name")),
        }
        // The URL of a scheme's usual port holds none: it means the port validation uses.
        let port = url.port().unwrap_or(default);
        if ![80, 443, self.ports.http, self.ports.https].contains(&port) {
            return Err(refuse("its port is not one that validation uses"));
        }
        url.set_port(Some(port)).map_err(|()| refuse("its port cannot be set"))?;
        Ok(url)
    }

    async fn fetch(&self, url: &Url, limit: usize) -> Result<(Answer, SocketAddr), Failure> {
        let malformed = || Failure::incorrect("the URL names no host and port");
        let host = match url.host().ok_or_else(malformed)? {
            Host::Domain(name) => Identifier::Dns(
                DnsName::parse(name).map_err(|error| Failure::incorrect(error.to_string()))?,
            ),
            Host::Ipv4(address) => Identifier::Ip(address.into()),
            Host::Ipv6(address) => Identifier::Ip(address.into()),
        };
        let port = url.port_or_known_default().ok_or_else(malformed)?;
        let (stream, address) = self.dialer.connect(&host, port, self.deadline).await?;
        let request = request(url)?;
        let at = format!("at {address}");
        let wait = format!("{at}: waiting for the answer");
        let kind = ProblemType::Connection;
        let answer = if url.scheme() == "https" {
            let stream = self.secure(stream, &host, &at).await?;
            self.deadline.run(exchange(stream, request, limit), kind, &wait).await?
        } else {
            self.deadline.run(exchange(stream, request, limit), kind, &wait).await?
        };
        let answer = answer.map_err(|error| {
            Failure::new(ProblemType::Connection, format!("{at}: {}", causes(&error)))
        })?;
        Ok((answer, address))
    }

    async fn secure(
        &self,
        stream: TcpStream,
        host: &Identifier,
        at: &str,
    ) -> Result<TlsStream<TcpStream>, Failure> {
        let what = format!("{at}: TLS handshake");
        let name = ServerName::try_from(host.to_string())
            .map_err(|error| Failure::incorrect(format!("{what}: {error}")))?;
        let handshake = TlsConnector::from(Arc::clone(self.tls)).connect(name, stream);
        self.deadline
            .run(handshake, ProblemType::Connection, &what)
            .await?
            .map_err(|error| Failure::new(ProblemType::Tls, format!("{what}: {}", causes(&error))))
    }
}

fn request(url: &Url) -> Result<Request<Empty<Bytes>>, Failure> {
    Request::get(&url[Position::BeforePath..Position::AfterQuery])
        .header(HOST, &url[Position::BeforeHost..Position::AfterPort])
        .header(USER_AGENT, "Perennial")
        .header(ACCEPT, "*/*")
        .header(CONNECTION, "close")
        .body(Empty::new())
        .map_err(|error| Failure::incorrect(format!("the URL cannot be requested: {error}")))
}

/// Sends `request` over `stream` and reads the answer, with at most `limit` bytes of body.
/// Nothing of it outlives this call.
async fn exchange<S: AsyncRead + AsyncWrite + Unpin + Send>(
    stream: S,
    request: Request<Empty<Bytes>>,
    limit: usize,
) -> Result<Answer, hyper::Error> {
    let (mut sender, connection) = hyper::client::conn::http1::Builder::new()
        .max_buf_size(MAX_HEAD)
        .max_headers(MAX_HEADERS)
        .handshake(TokioIo::new(stream))
        .await?;
    let answer = async { read(sender.send_request(request).await?, limit).await };
    // What the connection ends with, the answer ends with too.
    let driver = async move { drop(connection.await) };
    tokio::pin!(answer, driver);
    tokio::select! {
        biased;
        done = &mut answer => return done,
        () = &mut driver => {}
    }
    answer.await
}

async fn read(response: Response<Incoming>, limit: usize) -> Result<Answer, hyper::Error> {
    let status = response.status();
    if REDIRECTS.contains(&status) {
        return Ok(Answer::Redirect(status, response.headers().get(LOCATION).cloned()));
    }
    let mut body = response.into_body();
    let mut read = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        let room = limit - read.len();
        read.extend_from_slice(&data[..data.len().min(room)]);
        if read.len() == limit {
            break;
        }
    }
    Ok(Answer::Content(status, read))
}

/// Where `url` leads, as far as a client may hear of it: its path is shown if it is the challenge's.
fn place(url: &Url, path: &str) -> String {
    let origin = origin(url);
    let own = &url[Position::BeforePath..] == path;
    excerpt(&format!("{origin}{}", if own { path } else { "/..." }), SHOWN_URL)
}

/// Scheme, host and port, without what may stand between them.
fn origin(url: &Url) -> String {
    let scheme = &url[..Position::BeforeUsername];
    format!("{scheme}{}", &url[Position::BeforeHost..Position::AfterPort])
}

fn proof(get: &str, address: SocketAddr, redirects: usize) -> Proof {
    let mut seen = format!("{get} at {address}");
    if redirects > 0 {
        seen += &format!(" after {redirects} redirect(s)");
    }
    Proof { address: Some(address), seen }
}

/// The status codes a redirect may have (CA/Browser Forum BR §3.2.2.4.19).
const REDIRECTS: [StatusCode; 4] = [
    StatusCode::MOVED_PERMANENTLY,
    StatusCode::FOUND,
    StatusCode::TEMPORARY_REDIRECT,
    StatusCode::PERMANENT_REDIRECT,
];
const MAX_LOCATION: usize = 2048;
/// The most a response's head may take, in bytes and in fields.
const MAX_HEAD: usize = 16 * 1024;
const MAX_HEADERS: usize = 64;
/// Characters of foreign text shown in a detail.
const SHOWN_URL: usize = 200;
