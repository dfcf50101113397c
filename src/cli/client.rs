//! The client side of the API: one request at a time, over the admin socket or the network.

use std::path::Path;
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use reqwest::redirect::Policy;
use serde_json::Value;
use tokio::net::UnixStream;

use super::Failure;
use super::reach::{Remote, Way};
use crate::perform::outgoing::{self, BadBody, causes};

/// A client of one server.
#[derive(Clone, Debug)]
pub(super) struct Client {
    way: Way,
    /// What every request brings besides.
    headers: Vec<(&'static str, String)>,
}

/// What is asked.
struct Asked<'a> {
    method: Method,
    path: String,
    headers: &'a [(&'static str, String)],
    body: Vec<u8>,
}

/// What a server answered.
struct Answer {
    status: StatusCode,
    body: Vec<u8>,
}

impl Client {
    /// The client of the server that `way` leads to, whose requests bring these headers.
    pub(super) fn new(way: Way, headers: Vec<(&'static str, String)>) -> Self {
        Self { way, headers }
    }

    /// What the server shows at `path`.
    pub(super) fn read(&self, path: &str) -> Result<Value, Failure> {
        self.call(Method::GET, path, Vec::new())
    }

    /// What the server answers to `body` sent to `path`.
    pub(super) fn send(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        self.call(Method::POST, path, body.to_string().into_bytes())
    }

    fn call(&self, method: Method, path: &str, body: Vec<u8>) -> Result<Value, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let asked = Asked { method, path: format!("/api/v1{path}"), headers: &self.headers, body };
        let answer = runtime.block_on(async {
            let exchange = async {
                match &self.way {
                    Way::Socket(socket) => local(socket, asked).await,
                    Way::Network(remote) => remote.exchange(asked).await,
                }
            };
            let answer = tokio::time::timeout(PATIENCE, exchange).await;
            answer.map_err(|_| Failure::new("the server does not answer"))?
        })?;
        self.understand(&answer)
    }

    fn understand(&self, answer: &Answer) -> Result<Value, Failure> {
        let status = answer.status;
        let value: Option<Value> = serde_json::from_slice(&answer.body).ok();
        let Some(value) = value else {
            let why =
                format!("the server answered {status} without JSON: is it a Perennial server?");
            return Err(Failure::new(why));
        };
        if status.is_success() {
            return Ok(value);
        }
        if let (StatusCode::UNAUTHORIZED, Way::Network(Remote { url, .. })) = (status, &self.way) {
            return Err(Failure::new(format!(
                "{url} does not take the API token: it is unknown, expired or revoked; make one with \
                 perennial token create NAME --role ROLE where the server runs"
            )));
        }
        Err(Failure::new(value["detail"].as_str().unwrap_or("no reason given")))
    }
}

async fn local(socket: &Path, asked: Asked<'_>) -> Result<Answer, Failure> {
    let stream = UnixStream::connect(socket).await.map_err(|error| {
        Failure::new(format!(
            "no server answers at {} ({error}); start one with perennial serve, or name its --data-dir, \
             or its --server",
            socket.display()
        ))
    })?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let mut request = Request::builder();
    for (name, value) in asked.headers {
        // Bytes: reasons are in people's own words.
        request = request.header(*name, value.as_bytes());
    }
    let request = request
        .method(asked.method)
        .uri(asked.path)
        .header("host", "localhost")
        .header("content-type", "application/json")
        .body(Full::new(Bytes::from(asked.body)))?;
    let response = sender.send_request(request).await?;
    let status = response.status();
    let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await;
    let body = body.map_err(|e| Failure::new(format!("the answer is cut short: {e}")))?;
    Ok(Answer { status, body: body.to_bytes().to_vec() })
}

impl Remote {
    async fn exchange(&self, asked: Asked<'_>) -> Result<Answer, Failure> {
        let url = format!("{}{}", self.url, asked.path);
        // Where it is sent on to is not where the token is for.
        let direct = ::url::Url::parse(&url).is_ok_and(|url| outgoing::is_loopback(&url));
        let builder = outgoing::client(direct, CONNECT, PATIENCE).redirect(Policy::none());
        let builder = match &self.roots {
            Some(roots) => outgoing::trusting_file(builder, roots)
                .map_err(|why| Failure::new(format!("--ca: {why}")))?,
            None => builder,
        };
        let client = builder.build().map_err(|error| self.unreachable(&error))?;
        let mut request = client.request(asked.method, url);
        for (name, value) in asked.headers {
            request = request.header(*name, value.as_bytes());
        }
        let request = request
            .bearer_auth(self.token.as_str())
            .header("content-type", "application/json")
            .body(asked.body);
        let response = request.send().await.map_err(|error| self.unreachable(&error))?;
        let status = response.status();
        let body = outgoing::body(response, MAX_ANSWER).await.map_err(|bad| match bad {
            BadBody::Broken(error) => self.unreachable(&error),
            BadBody::TooLarge => Failure::new("the answer is larger than is read"),
        })?;
        Ok(Answer { status, body })
    }

    fn unreachable(&self, error: &reqwest::Error) -> Failure {
        let why = causes(error);
        let then = match why.contains("UnknownIssuer") || why.contains("unknown issuer") {
            true => "; name the root that vouches for it with --ca FILE",
            false => "",
        };
        Failure::new(format!("{} cannot be asked: {why}{then}", self.url))
    }
}

const CONNECT: Duration = Duration::from_secs(10);
const PATIENCE: Duration = Duration::from_secs(60);
const MAX_ANSWER: usize = 64 * 1024 * 1024;
