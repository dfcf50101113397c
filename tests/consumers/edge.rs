//! An edge: serves copies of a set that are a second old at most, over plain HTTP, as a CDN does.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::keysets::client;

struct Edge {
    origin: String,
    http: reqwest::Client,
    copy: Mutex<Option<(Instant, Vec<u8>)>>,
}

/// Starts one before a set; gives the URL of what it serves.
pub(super) async fn start(origin: &str, root: &Path) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let edge = Edge { origin: origin.to_owned(), http: client(root), copy: Mutex::default() };
    let edge = Arc::new(edge);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(Arc::clone(&edge), stream));
        }
    });
    format!("http://{address}/jwks.json")
}

async fn answer(edge: Arc<Edge>, mut stream: TcpStream) -> Option<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") && head.len() < 16_384 {
        head.push(stream.read_u8().await.ok()?);
    }
    let body = edge.copy().await?;
    let length = body.len();
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nCache-Control: max-age=1\r\n\
         Content-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(&[head.as_bytes(), &body].concat()).await.ok()
}

impl Edge {
    async fn copy(&self) -> Option<Vec<u8>> {
        let mut copy = self.copy.lock().await;
        if let Some((at, body)) = copy.as_ref()
            && at.elapsed() < Duration::from_secs(1)
        {
            return Some(body.clone());
        }
        // Its age counts from when it was asked for.
        let asked = Instant::now();
        let answer = self.http.get(&self.origin).send().await.ok()?.error_for_status().ok()?;
        let body = answer.bytes().await.ok()?.to_vec();
        *copy = Some((asked, body.clone()));
        Some(body)
    }
}
