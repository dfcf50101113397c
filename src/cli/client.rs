//! The client side of the API: one request at a time over the admin socket.

use std::path::{Path, PathBuf};
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::UnixStream;

use super::Failure;
use crate::config::default_data_dir;

/// A way to the server that runs on a data directory.
#[derive(Clone, Debug)]
pub(super) struct Client {
    socket: PathBuf,
    /// What every request brings besides.
    headers: Vec<(&'static str, String)>,
}

impl Client {
    /// The client of the server on `data_dir`.
    pub(super) fn new(data_dir: Option<&Path>) -> Self {
        let data_dir = data_dir.map_or_else(default_data_dir, Path::to_owned);
        Self { socket: data_dir.join(ADMIN_SOCKET), headers: Vec::new() }
    }

    /// The same, whose requests bring these headers.
    pub(super) fn with(self, headers: Vec<(&'static str, String)>) -> Self {
        Self { headers, ..self }
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
        runtime.block_on(async {
            let answer = tokio::time::timeout(PATIENCE, self.exchange(method, path, body)).await;
            answer.map_err(|_| Failure::new("the server does not answer"))?
        })
    }

    async fn exchange(&self, method: Method, path: &str, body: Vec<u8>) -> Result<Value, Failure> {
        let stream = UnixStream::connect(&self.socket).await.map_err(|error| {
            Failure::new(format!(
                "no server answers at {} ({error}); start one with perennial serve, or name its --data-dir",
                self.socket.display()
            ))
        })?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        let mut request = Request::builder();
        for (name, value) in &self.headers {
            // Bytes: reasons are in people's own words.
            request = request.header(*name, value.as_bytes());
        }
        let request = request
            .method(method)
            .uri(format!("/api/v1{path}"))
            .header("host", "localhost")
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(body)))?;
        let response = sender.send_request(request).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await;
        let body = body.map_err(|e| Failure::new(format!("the answer is cut short: {e}")))?;
        let value: Value = serde_json::from_slice(&body.to_bytes())
            .map_err(|_| Failure::new(format!("the server answered {status} without JSON")))?;
        if status.is_success() {
            return Ok(value);
        }
        let detail = value["detail"].as_str().unwrap_or("no reason given");
        Err(Failure::new(detail))
    }
}

/// The name of the admin socket in the data directory.
pub(crate) const ADMIN_SOCKET: &str = "admin.sock";
const PATIENCE: Duration = Duration::from_secs(60);
const MAX_ANSWER: usize = 64 * 1024 * 1024;
