//! One request to a directory: where it came from, whether it is what it claims to be, and how its
//! answer is shaped. Every POST is checked here, in one order, before anything else sees it.

use std::sync::Arc;
use std::time::Duration;

use acme::jws::MAX_BODY;
use acme::resource::AccountStatus;
use acme::{Jwk, Jws, KeyReference, Problem, ProblemType};
use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use http_body_util::BodyExt;
use serde::Serialize;

use super::not_found;
use super::resource::Resource;
use crate::catalog::Directory;
use crate::http::RequestId;
use crate::http::error::unreadable;
use crate::http::server::Peer;
use crate::node::Node;
use crate::store::{Account, Event};

/// One request to a directory.
#[derive(Clone)]
pub(super) struct Call {
    pub(super) node: Arc<Node>,
    pub(super) directory: Arc<Directory>,
    pub(super) peer: Peer,
    /// `https://host[:port]`, as the client calls this server.
    pub(super) origin: String,
    /// The URL of this request as its sender should have signed it.
    url: String,
    /// `https://host/acme/{directory}/`.
    base: String,
    request: String,
}

/// A request proven to come from an account that may act.
pub(super) struct Signed<'a> {
    pub(super) account: Account,
    pub(super) key: Arc<Jwk>,
    pub(super) jws: &'a Jws,
}

impl Call {
    /// Finds the directory, and how the client calls this server.
    pub(super) fn new(node: &Arc<Node>, name: &str, request: &Parts) -> Result<Self, Problem> {
        let catalog = node.catalog.load();
        let directory = catalog.directories.get(name);
        let directory = directory.ok_or_else(|| not_found("there is no such ACME directory"))?;
        let extensions = &request.extensions;
        let origin = origin(node, request)?;
        let path = request.uri.path_and_query().map_or("/", |both| both.as_str());
        Ok(Self {
            url: format!("{origin}{path}"),
            base: format!("{origin}/acme/{name}/"),
            origin,
            node: Arc::clone(node),
            directory: Arc::clone(directory),
            peer: extensions.get::<Peer>().copied().unwrap_or(Peer::Local),
            request: extensions.get::<RequestId>().map(|id| id.0.clone()).unwrap_or_default(),
        })
    }

    /// The URL of a resource of this directory.
    pub(super) fn url_of(&self, resource: &Resource) -> String {
        format!("{}{resource}", self.base)
    }

    /// The URL of an account of this directory.
    pub(super) fn account_url(&self, id: i64) -> String {
        self.url_of(&Resource::Account(id))
    }

    /// An audit event of this request.
    pub(super) fn event(&self, account: i64, action: &'static str, subject: String) -> Event {
        Event::new(format!("account/{account}"), action, subject).asked_by(&self.request)
    }

    /// Reads and takes apart a POST; its signature is still to be checked (RFC 8555 §6.2 to §6.5).
    pub(super) fn receive(
        &self,
        headers: &HeaderMap,
        body: Result<Vec<u8>, Problem>,
    ) -> Result<Jws, Problem> {
        check_content_type(headers)?;
        let jws = Jws::parse(&body?)?;
        self.redeem(&jws)?;
        jws.header.check_url(&self.url)?;
        Ok(jws)
    }

    fn redeem(&self, jws: &Jws) -> Result<(), Problem> {
        let redeemed = (jws.header.required_nonce())
            .and_then(|nonce| self.node.nonces.redeem(nonce).map_err(Problem::from));
        if redeemed.is_err() {
            self.node.metrics.bad_nonce();
        }
        redeemed
    }

    /// Checks that an account of this directory signed the request and may act (RFC 8555 §6.2).
    pub(super) fn of_account<'a>(&self, jws: &'a Jws) -> Result<Signed<'a>, Problem> {
        let KeyReference::Kid(kid) = &jws.header.key else {
            return Err(Problem::malformed(
                "this request is signed by an account: use kid, not jwk",
            ));
        };
        let unknown = || {
            Problem::new(ProblemType::AccountDoesNotExist, "kid is no account of this directory")
        };
        let id = match kid.strip_prefix(&self.base).and_then(Resource::parse) {
            Some(Resource::Account(id)) => id,
            _ => return Err(unknown()),
        };
        let account = self.node.store.account(id).map_err(unreadable)?;
        let account = account.filter(|account| account.directory == self.directory.spec.name);
        let account = account.ok_or_else(unknown)?;
        let key = self.node.keys.read(&account.jwk)?;
        jws.verify(&key)?;
        check_active(&account)?;
        Ok(Signed { account, key, jws })
    }

    /// Checks that the request is signed by the key it carries.
    pub(super) fn of_key<'a>(&self, jws: &'a Jws) -> Result<&'a Jwk, Problem> {
        match &jws.header.key {
            KeyReference::Jwk(key) => {
                jws.verify(key)?;
                Ok(key)
            }
            KeyReference::Kid(_) => {
                Err(Problem::malformed("this request carries its key: use jwk, not kid"))
            }
        }
    }

    /// An answer with a JSON body.
    pub(super) fn json(&self, status: StatusCode, resource: &impl Serialize) -> Response<Body> {
        let body = serde_json::to_vec(resource).unwrap_or_default();
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = status;
        let json = HeaderValue::from_static("application/json");
        response.headers_mut().insert(header::CONTENT_TYPE, json);
        response
    }

    /// The answer with the link every resource but the directory has (RFC 8555 §7.1).
    pub(super) fn with_index(&self, response: Response<Body>) -> Response<Body> {
        with_link(response, &self.url_of(&Resource::Directory), "index")
    }
}

/// The whole body. One that is too long is read on for a while and thrown away, for a client that
/// is still sending does not hear the answer.
pub(super) async fn read(body: Body) -> Result<Vec<u8>, Problem> {
    let whole = tokio::time::timeout(BODY, read_frames(body)).await;
    whole.map_err(|_| Problem::malformed("the request took too long to arrive").with_status(408))?
}

async fn read_frames(mut body: Body) -> Result<Vec<u8>, Problem> {
    let mut kept = Vec::new();
    let mut length = 0;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Problem::malformed("the request is cut short"))?;
        let data = frame.into_data().unwrap_or_default();
        length += data.len();
        if length <= MAX_BODY {
            kept.extend_from_slice(&data);
        } else if length > MAX_DISCARDED {
            break;
        }
    }
    if length > MAX_BODY {
        let detail = format!("the request is longer than {MAX_BODY} octets");
        return Err(Problem::malformed(detail).with_status(413));
    }
    Ok(kept)
}

/// Checks that an account was neither deactivated nor revoked.
pub(super) fn check_active(account: &Account) -> Result<(), Problem> {
    let state = match account.status {
        AccountStatus::Valid => return Ok(()),
        AccountStatus::Deactivated => "deactivated",
        AccountStatus::Revoked => "revoked",
    };
    // RFC 8555 §7.3.6 asks for this status.
    Err(Problem::new(ProblemType::Unauthorized, format!("the account is {state}")).with_status(401))
}

/// The response with one more `Link`.
pub(super) fn with_link(mut response: Response<Body>, url: &str, relation: &str) -> Response<Body> {
    if let Ok(value) = HeaderValue::from_str(&format!("<{url}>;rel=\"{relation}\"")) {
        response.headers_mut().append(header::LINK, value);
    }
    response
}

/// The response with a header.
pub(super) fn with_header(
    mut response: Response<Body>,
    name: HeaderName,
    value: &str,
) -> Response<Body> {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
    response
}

/// `https://host[:port]` as the client calls this server, unless the node is told what it is
/// called. Signed URLs are compared to it, so that a request for one name is worth nothing at
/// another.
fn origin(node: &Node, request: &Parts) -> Result<String, Problem> {
    if let Some(url) = &node.config.listen.public_url {
        return Ok(url.clone());
    }
    let host = match request.uri.authority() {
        Some(authority) => Some(authority.as_str()),
        None => request.headers.get(header::HOST).and_then(|host| host.to_str().ok()),
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || "-.:[]".contains(c);
    match host {
        Some(host) if !host.is_empty() && host.len() <= 260 && host.chars().all(plain) => {
            Ok(format!("https://{}", host.to_ascii_lowercase()))
        }
        _ => Err(Problem::malformed("the request has no usable Host")),
    }
}

/// RFC 8555 §6.2.
fn check_content_type(headers: &HeaderMap) -> Result<(), Problem> {
    match headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes) {
        Some(b"application/jose+json") => Ok(()),
        _ => {
            Err(Problem::malformed("the Content-Type must be application/jose+json")
                .with_status(415))
        }
    }
}

/// How long a request may take to arrive.
const BODY: Duration = Duration::from_secs(30);
const MAX_DISCARDED: usize = 4 * 1024 * 1024;
