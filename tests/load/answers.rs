//! What servers ask us: DNS, where every name has one address, and http-01 tokens at it. Both
//! answer on an address of this run's own in 127.0.0.0/8, so that two runs never meet.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, UdpSocket};

use crate::error::Error;

/// Key authorizations by token, waiting to be asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tokens(Arc<Mutex<Generations>>);

/// Nobody says when a token was asked for the last time, so they are forgotten by age.
#[derive(Debug, Default)]
struct Generations {
    young: HashMap<String, String>,
    old: HashMap<String, String>,
}

impl Tokens {
    /// Makes `token` answerable.
    pub(crate) fn put(&self, token: &str, key_authorization: String) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.young.len() >= GENERATION {
            kept.old = std::mem::take(&mut kept.young);
        }
        kept.young.insert(token.to_owned(), key_authorization);
    }

    fn find(&self, token: &str) -> Option<String> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.young.get(token).or_else(|| kept.old.get(token)).cloned()
    }
}

/// Where the answers are.
#[derive(Clone, Debug)]
pub(crate) struct Answers {
    /// The tokens that http-01 answers.
    pub(crate) tokens: Tokens,
    /// The address of every name.
    pub(crate) address: Ipv4Addr,
    /// http-01, on a port that is named to the server.
    pub(crate) http: SocketAddr,
    /// DNS, on a port that is named to the server.
    pub(crate) dns: SocketAddr,
}

impl Answers {
    /// Begins answering on the given ports (0: any). With `well_known`, also on 80 and 53, for
    /// servers that cannot be told otherwise; that takes root.
    pub(crate) async fn begin(http: u16, dns: u16, well_known: bool) -> Result<Self, Error> {
        let [.., high, low] = std::process::id().to_be_bytes();
        let address = Ipv4Addr::new(127, 83, high, low.clamp(1, 254));
        let tokens = Tokens::default();
        let http = answer_http(address, http, tokens.clone()).await?;
        let dns = answer_dns(address, dns).await?;
        if well_known {
            answer_http(address, 80, tokens.clone()).await?;
            answer_dns(address, 53).await?;
        }
        Ok(Self { tokens, address, http, dns })
    }
}

async fn answer_http(at: Ipv4Addr, port: u16, tokens: Tokens) -> Result<SocketAddr, Error> {
    let failed = |e| Error::io(format!("listen on {at}:{port} for http-01"))(e);
    let listener = TcpListener::bind((at, port)).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let tokens = tokens.clone();
            let service = service_fn(move |request| answer_token(request, tokens.clone()));
            let io = TokioIo::new(stream);
            // A server that hangs up early has had its reasons.
            let serve = hyper::server::conn::http1::Builder::new().serve_connection(io, service);
            tokio::spawn(async move { drop(serve.await) });
        }
    });
    Ok(bound)
}

/// RFC 8555 §8.3: the key authorization, nothing else.
async fn answer_token(
    request: Request<Incoming>,
    tokens: Tokens,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let token = request.uri().path().strip_prefix("/.well-known/acme-challenge/");
    let found = token.and_then(|token| tokens.find(token));
    let mut response = Response::new(Full::default());
    match found {
        Some(text) => *response.body_mut() = Full::from(text),
        None => *response.status_mut() = StatusCode::NOT_FOUND,
    }
    Ok(response)
}

async fn answer_dns(at: Ipv4Addr, port: u16) -> Result<SocketAddr, Error> {
    let failed = |e| Error::io(format!("listen on {at}:{port} for DNS"))(e);
    let socket = UdpSocket::bind((at, port)).await.map_err(failed)?;
    let bound = socket.local_addr().map_err(failed)?;
    tokio::spawn(async move {
        let mut buffer = [0; 512];
        while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
            if let Some(reply) = dns_reply(&buffer[..length], at) {
                let _ = socket.send_to(&reply, from).await;
            }
        }
    });
    Ok(bound)
}

/// The reply to a query of one question (RFC 1035 §4.1): `address` for A, an empty answer for any
/// other type, nothing for what is not a query.
fn dns_reply(query: &[u8], address: Ipv4Addr) -> Option<Vec<u8>> {
    let (header, rest) = query.split_at_checked(12)?;
    if header[2] & 0x80 != 0 || header[4..6] != [0, 1] {
        return None;
    }
    let mut end = 0;
    while *rest.get(end)? != 0 {
        end += 1 + usize::from(rest[end]);
    }
    let question = rest.get(..end + 5)?;
    let is_a = question[end + 1..] == [0, 1, 0, 1];
    let mut reply = Vec::with_capacity(12 + question.len() + 16);
    reply.extend_from_slice(&header[..2]);
    // Response, authoritative, recursion desired as asked, recursion available, no error.
    reply.extend_from_slice(&[0x84 | (header[2] & 1), 0x80, 0, 1, 0, u8::from(is_a), 0, 0, 0, 0]);
    reply.extend_from_slice(question);
    if is_a {
        // The name by pointer to offset 12, A, IN, 60 s, four bytes.
        reply.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
        reply.extend_from_slice(&address.octets());
    }
    Some(reply)
}

const GENERATION: usize = 4096;
