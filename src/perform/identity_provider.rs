//! What is asked of identity providers: what they say of themselves, which keys they sign with, and who signed
//! in. Each answer is short and bounded in time, no redirect is followed, and every address is judged.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};
use jwks::{Jwk, Served};
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use reqwest::{RequestBuilder, StatusCode};
use serde::Deserialize;
use url::Url;
use url::form_urlencoded::{Serializer, byte_serialize};
use zeroize::Zeroizing;

use crate::catalog::IdentityProviderSpec;
use crate::node::Node;
use crate::perform::notify::wire;
use crate::perform::outgoing::{self, causes, is_loopback};

/// What a provider says of itself (OpenID Connect Discovery §3), as far as it is used.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "Published")]
pub(crate) struct Metadata {
    issuer: String,
    pub(crate) authorization_endpoint: Url,
    token_endpoint: Url,
    jwks_uri: Url,
    /// How clients may prove who they are at the token endpoint.
    methods: Vec<String>,
}

/// The same as it is written.
#[derive(Deserialize)]
struct Published {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    #[serde(default)]
    token_endpoint_auth_methods_supported: Vec<String>,
}

impl TryFrom<Published> for Metadata {
    type Error = url::ParseError;

    fn try_from(published: Published) -> Result<Self, url::ParseError> {
        Ok(Self {
            issuer: published.issuer,
            authorization_endpoint: Url::parse(&published.authorization_endpoint)?,
            token_endpoint: Url::parse(&published.token_endpoint)?,
            jwks_uri: Url::parse(&published.jwks_uri)?,
            methods: published.token_endpoint_auth_methods_supported,
        })
    }
}

/// What providers said of themselves not long ago, by issuer.
#[derive(Default)]
pub(crate) struct IdentityProviders(Mutex<HashMap<String, (Timestamp, Metadata)>>);

impl IdentityProviders {
    fn known(&self, issuer: &str, now: Timestamp) -> Option<Metadata> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = |(at, _): &&(Timestamp, Metadata)| now.duration_since(*at).abs() < FRESH;
        known.get(issuer).filter(fresh).map(|(_, metadata)| metadata.clone())
    }

    fn keep(&self, now: Timestamp, metadata: &Metadata) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(metadata.issuer.clone(), (now, metadata.clone()));
    }
}

/// What a provider says of itself.
///
/// # Errors
/// In words, when it does not, or contradicts what is declared.
pub(crate) async fn metadata(node: &Node, spec: &IdentityProviderSpec) -> Result<Metadata, String> {
    let now = node.world.now();
    if let Some(metadata) = node.identity_providers.known(&spec.issuer, now) {
        return Ok(metadata);
    }
    let at = format!("{}/.well-known/openid-configuration", spec.issuer.trim_end_matches('/'));
    let at = Url::parse(&at).map_err(|error| error.to_string())?;
    let body = answer(get(node, spec, &at)?).await?;
    let metadata: Metadata =
        serde_json::from_slice(&body).map_err(|e| format!("its configuration: {e}"))?;
    // OpenID Connect Discovery §4.3.
    if metadata.issuer != spec.issuer {
        return Err("its configuration is that of another issuer".into());
    }
    let local = Url::parse(&spec.issuer).is_ok_and(|issuer| is_loopback(&issuer));
    for url in [&metadata.authorization_endpoint, &metadata.token_endpoint, &metadata.jwks_uri] {
        if url.scheme() != "https" && !(local && is_loopback(url)) {
            return Err("its configuration names what is not https".into());
        }
    }
    node.identity_providers.keep(now, &metadata);
    Ok(metadata)
}

/// The keys that a provider signs with, as it serves them now.
///
/// # Errors
/// In words, when it does not.
pub(crate) async fn keys(
    node: &Node,
    spec: &IdentityProviderSpec,
    metadata: &Metadata,
) -> Result<Vec<Jwk>, String> {
    let body = answer(get(node, spec, &metadata.jwks_uri)?).await?;
    Served::parse(&body).map(|set| set.keys).map_err(|error| format!("its keys: {error}"))
}

/// The ID token for a code (OpenID Connect Core §3.1.3), with the PKCE verifier (RFC 7636 §4.5) and where
/// the code was sent.
///
/// # Errors
/// In words, when there is none.
pub(crate) async fn exchange(
    node: &Node,
    spec: &IdentityProviderSpec,
    metadata: &Metadata,
    (code, verifier, redirect): (&str, String, &str),
) -> Result<Zeroizing<String>, String> {
    #[derive(Deserialize)]
    struct Tokens {
        id_token: Zeroizing<String>,
    }
    let client = wire::client_to(node, &metadata.token_endpoint, spec.roots.as_deref())?;
    let mut request = client.post(metadata.token_endpoint.clone());
    let fields = [
        ("grant_type", "authorization_code"),
        ("code", code),
        ("code_verifier", &verifier),
        ("redirect_uri", redirect),
    ];
    let form = match secret(spec)? {
        Some(secret) if takes_posted(metadata) => {
            let ours = [("client_id", spec.client_id.as_str()), ("client_secret", &secret)];
            encoded(fields.iter().chain(&ours))
        }
        Some(secret) => {
            request = request.header(AUTHORIZATION, basic(&spec.client_id, &secret));
            encoded(&fields)
        }
        None => encoded(fields.iter().chain(&[("client_id", spec.client_id.as_str())])),
    };
    let request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(form);
    let body = Zeroizing::new(answer(request).await?);
    // What is wrong with it is not repeated: it may hold tokens.
    let tokens: Tokens =
        serde_json::from_slice(&body).map_err(|_| "its answer to the code has no ID token")?;
    Ok(tokens.id_token)
}

fn encoded<'a>(fields: impl IntoIterator<Item = &'a (&'a str, &'a str)>) -> String {
    let mut form = Serializer::new(String::new());
    form.extend_pairs(fields);
    form.finish()
}

/// Whether the secret goes into the form: only where nothing better is known there.
fn takes_posted(metadata: &Metadata) -> bool {
    let known = &metadata.methods;
    known.iter().any(|m| m == "client_secret_post")
        && !known.iter().any(|m| m == "client_secret_basic")
}

/// RFC 6749 §2.3.1: both parts are encoded as in forms.
fn basic(client: &str, secret: &str) -> reqwest::header::HeaderValue {
    let encoded = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
    let pair = Zeroizing::new(format!("{}:{}", encoded(client), encoded(secret)));
    let text = Zeroizing::new(format!("Basic {}", data_encoding::BASE64.encode(pair.as_bytes())));
    let mut value = reqwest::header::HeaderValue::from_str(&text)
        .unwrap_or(reqwest::header::HeaderValue::from_static("Basic"));
    value.set_sensitive(true);
    value
}

fn secret(spec: &IdentityProviderSpec) -> Result<Option<Zeroizing<String>>, String> {
    let Some(path) = &spec.client_secret_file else { return Ok(None) };
    let read = std::fs::read_to_string(path).map(Zeroizing::new);
    let text = read.map_err(|error| format!("client_secret_file {}: {error}", path.display()))?;
    let secret = text.trim();
    if secret.is_empty() || secret.len() > MAX_SECRET {
        return Err(format!("client_secret_file {}: it holds no secret", path.display()));
    }
    Ok(Some(Zeroizing::new(secret.to_owned())))
}

fn get(node: &Node, spec: &IdentityProviderSpec, url: &Url) -> Result<RequestBuilder, String> {
    Ok(wire::client_to(node, url, spec.roots.as_deref())?.get(url.clone()))
}

async fn answer(request: RequestBuilder) -> Result<Vec<u8>, String> {
    let request = request.header(ACCEPT, "application/json");
    let response = request.send().await.map_err(|error| causes(&error.without_url()))?;
    if response.status() != StatusCode::OK {
        return Err(format!("it answered {}", response.status()));
    }
    let body = outgoing::body(response, MAX_BODY).await;
    body.map_err(|_| "its answer is cut short or too long".to_owned())
}

const FRESH: SignedDuration = SignedDuration::from_mins(10);
const MAX_BODY: usize = 256 * 1024;
const MAX_SECRET: usize = 4096;
