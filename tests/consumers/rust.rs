//! The Rust library jsonwebtoken, which reads sets and fetches none: what a service does with it that
//! fetches the set again when its own cache time is over.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{DecodingKey, Validation, decode, decode_header};
use serde_json::Value;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::keysets::{AUDIENCE, CACHE, Keyset, Token, client};

/// A service that caches sets.
pub(super) struct Service {
    http: reqwest::Client,
    held: Mutex<HashMap<String, (Instant, Arc<JwkSet>)>>,
}

impl Service {
    /// One that trusts the server.
    pub(super) fn new(root: &Path) -> Self {
        Self { http: client(root), held: Mutex::default() }
    }

    /// Whether it accepts a token; if not, why.
    pub(super) async fn verify(&self, keyset: &Keyset, token: &Token) -> Result<(), String> {
        let header = decode_header(&token.text).map_err(|e| e.to_string())?;
        let set = self.set(&keyset.url).await.map_err(|e| format!("{e:?}"))?;
        let key = set.find(header.kid.as_deref().unwrap_or_default()).ok_or("an unknown kid")?;
        let key = DecodingKey::from_jwk(key).map_err(|e| e.to_string())?;
        let mut wanted = Validation::new(token.algorithm.parse().map_err(|_| "an algorithm")?);
        wanted.leeway = 0;
        wanted.set_audience(&[AUDIENCE]);
        wanted.set_issuer(&[keyset.issuer()]);
        decode::<Value>(&token.text, &key, &wanted).map(drop).map_err(|e| e.to_string())
    }

    async fn set(&self, url: &str) -> Result<Arc<JwkSet>, reqwest::Error> {
        let mut held = self.held.lock().await;
        if let Some((at, set)) = held.get(url)
            && at.elapsed() < Duration::from_secs(CACHE)
        {
            return Ok(Arc::clone(set));
        }
        let answer = self.http.get(url).send().await?.error_for_status()?;
        let set: Arc<JwkSet> = Arc::new(answer.json().await?);
        held.insert(url.to_owned(), (Instant::now(), Arc::clone(&set)));
        Ok(set)
    }
}
