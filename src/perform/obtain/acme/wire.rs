//! The HTTP that instant-acme speaks through: bounded in time and size, no redirects, and with an
//! ear for what the library does not hand on, such as Retry-After, alternate chains and fields of
//! drafts. It knows the directory and nothing else of ACME.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::http::{Method, Request, Response, StatusCode};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use serde::Deserialize;
use url::Url;

use super::error::{ObtainError, excerpt};
use super::heard::{Fault, MAX_BODY, Noted};
use super::spec::AcmeSpec;
use crate::perform::outgoing::{self, BadBody, causes, is_loopback};

/// The HTTP client of one CA, with its directory.
#[derive(Clone)]
pub(super) struct Wire {
    http: reqwest::Client,
    directory_url: String,
    directory_body: Bytes,
    /// What the directory says.
    pub(super) directory: Arc<Directory>,
}

/// The parts of a directory (RFC 8555 §7.1.1) that the library does not hand on.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Directory {
    /// RFC 9773 §4.1.
    pub(super) renewal_info: Option<String>,
    #[serde(default)]
    pub(super) meta: Meta,
}

/// What a CA says of itself.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Meta {
    pub(super) terms_of_service: Option<String>,
    #[serde(default)]
    pub(super) external_account_required: bool,
    #[serde(default)]
    pub(super) profiles: BTreeMap<String, String>,
    /// draft-ietf-acme-dns-persist-02 §4.1.
    pub(super) account_hash_prefix: Option<String>,
}

tokio::task_local! {
    static NOTED: RefCell<Noted>;
}

/// Runs one operation of the library; gives what it gave, and the latest answer it heard.
pub(super) async fn listening<T>(operation: impl Future<Output = T>) -> (T, Noted) {
    NOTED
        .scope(RefCell::default(), async {
            let outcome = operation.await;
            (outcome, NOTED.with(|noted| noted.take()))
        })
        .await
}

impl Wire {
    /// Fetches the directory.
    ///
    /// # Errors
    /// When the roots cannot be read or the CA gives no directory.
    pub(super) async fn connect(spec: &AcmeSpec) -> Result<Self, ObtainError> {
        let http = client(spec)?;
        let (outcome, noted) = listening(fetch(http.clone(), &spec.directory)).await;
        let body = outcome.map_err(|fault| ObtainError::Down {
            issuer: spec.name.clone(),
            why: format!("{}: {fault}", spec.directory),
            retry_after: noted.retry_after,
        })?;
        let directory = serde_json::from_slice(&body).map_err(|e| ObtainError::Misbehaved {
            issuer: spec.name.clone(),
            why: format!("{} is no ACME directory ({e}); check its URL", spec.directory),
        })?;
        let directory_url = spec.directory.clone();
        Ok(Self { http, directory_url, directory_body: body, directory: Arc::new(directory) })
    }

    /// Gets a resource that needs no signature.
    ///
    /// # Errors
    /// [`Fault`], unless the answer is a success.
    pub(super) async fn get(&self, url: &str) -> Result<Bytes, Fault> {
        fetch(self.http.clone(), url).await
    }
}

impl HttpClient for Wire {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let known = request.method() == Method::GET && *request.uri() == *self.directory_url;
        if known {
            let response = Response::new(Full::new(self.directory_body.clone()));
            return Box::pin(async { Ok(response.into()) });
        }
        let http = self.http.clone();
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let Ok(body) = body.collect().await;
            let request = Request::from_parts(parts, body.to_bytes());
            let response = exchange(http, request).await.map_err(|e| Error::Other(Box::new(e)))?;
            Ok(response.map(Full::new).into())
        })
    }
}

async fn fetch(http: reqwest::Client, url: &str) -> Result<Bytes, Fault> {
    let request = Request::builder().uri(url).body(Bytes::new());
    let request = request.map_err(|e| Fault::Network(format!("{url} cannot be asked: {e}")))?;
    let response = exchange(http, request).await?;
    if response.status() != StatusCode::OK {
        return Err(Fault::Status(response.status().as_u16(), text(response.body())));
    }
    Ok(response.into_body())
}

/// One request and its answer, noted. An answer is a success or a problem document.
async fn exchange(
    http: reqwest::Client,
    request: Request<Bytes>,
) -> Result<Response<Bytes>, Fault> {
    let head = request.method() == Method::HEAD;
    let request = reqwest::Request::try_from(request).map_err(|e| network(&e))?;
    let response = http.execute(request).await.map_err(|e| network(&e))?;
    let (status, headers) = (response.status(), response.headers().clone());
    let body = outgoing::body(response, MAX_BODY).await.map_err(|bad| match bad {
        BadBody::Broken(error) => network(&error),
        BadBody::TooLarge => Fault::TooLarge,
    })?;
    let body = Bytes::from(body);
    // Outside of an operation there is nobody to listen.
    let _ = NOTED.try_with(|noted| *noted.borrow_mut() = Noted::of(status, &headers, &body));
    let problem = || serde_json::from_slice::<instant_acme::Problem>(&body);
    if !status.is_success() && (head || problem().is_err()) {
        return Err(Fault::Status(status.as_u16(), text(&body)));
    }
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    *answer.headers_mut() = headers;
    Ok(answer)
}

fn client(spec: &AcmeSpec) -> Result<reqwest::Client, ObtainError> {
    let direct = Url::parse(&spec.directory).is_ok_and(|url| is_loopback(&url));
    // A redirect would lead a signed request to a URL that its signature does not name.
    let mut builder =
        outgoing::client(direct, CONNECT, EXCHANGE).redirect(reqwest::redirect::Policy::none());
    if let Some(path) = &spec.roots {
        builder = outgoing::trusting_file(builder, path).map_err(ObtainError::Settings)?;
    }
    builder.build().map_err(|e| ObtainError::Settings(format!("HTTPS cannot be set up: {e}")))
}

fn network(error: &reqwest::Error) -> Fault {
    Fault::Network(causes(error))
}

fn text(body: &Bytes) -> String {
    excerpt(&String::from_utf8_lossy(body))
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Wire").field(&self.directory_url).finish()
    }
}

const CONNECT: Duration = Duration::from_secs(10);
const EXCHANGE: Duration = Duration::from_secs(60);
