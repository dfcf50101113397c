//! `v1.ExternalJWTSigner` (KEP-740): kube-apiserver has a keyset sign the tokens of its service
//! accounts, and learns which keys verify them. Who may ask is a matter of the socket's mode; what may
//! be signed, of the keyset's declaration.

mod messages;

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Instant;

use axum::extract::{Request, State};
use axum::http::Response;
use axum::{Router, routing};
use data_encoding::BASE64URL_NOPAD;
use jiff::Timestamp;
use jwks::Algorithm;
use jwks::kubernetes::{self, BadClaims};
use jwks::token::{BadToken, Signer};
use prost::Message;
use tonic::Status;
use tonic::body::Body;
use tracing::error;

use self::messages::{
    FetchKeysRequest, FetchKeysResponse, Key, MetadataRequest, MetadataResponse, SignRequest,
    SignResponse,
};
use super::{as_http, unary, unimplemented};
use crate::node::Node;
use crate::perform::keyset::{Live, SignError, signer};
use crate::world::second;

/// What is served for the keyset of this name; what of it is used is noted in `uses`.
pub(super) fn router(node: &Arc<Node>, keyset: &str, uses: Arc<Uses>) -> Router {
    let service = Service { node: Arc::clone(node), keyset: keyset.to_owned(), uses };
    Router::new()
        .route("/v1.ExternalJWTSigner/Sign", routing::post(sign))
        .route("/v1.ExternalJWTSigner/FetchKeys", routing::post(fetch_keys))
        .route("/v1.ExternalJWTSigner/Metadata", routing::post(metadata))
        .fallback(unimplemented)
        .with_state(Arc::new(service))
}

/// When a socket was used last.
#[derive(Default)]
pub(super) struct Uses {
    /// In Unix seconds; 0: never.
    fetched: AtomicI64,
    signed: AtomicI64,
}

impl Uses {
    /// When keys were fetched.
    pub(super) fn fetched_at(&self) -> Option<Timestamp> {
        at(&self.fetched)
    }

    /// When a token was signed.
    pub(super) fn signed_at(&self) -> Option<Timestamp> {
        at(&self.signed)
    }
}

fn at(seconds: &AtomicI64) -> Option<Timestamp> {
    Some(seconds.load(Ordering::Relaxed)).filter(|at| *at != 0).map(second)
}

struct Service {
    node: Arc<Node>,
    keyset: String,
    uses: Arc<Uses>,
}

async fn sign(State(service): State<Arc<Service>>, request: Request) -> Response<Body> {
    service.answer("kubernetes-sign", request, |asked| service.sign(asked)).await
}

async fn fetch_keys(State(service): State<Arc<Service>>, request: Request) -> Response<Body> {
    let answer = |_: FetchKeysRequest| async { service.fetch_keys() };
    service.answer("kubernetes-keys", request, answer).await
}

async fn metadata(State(service): State<Arc<Service>>, request: Request) -> Response<Body> {
    let answer = |_: MetadataRequest| async { service.metadata() };
    service.answer("kubernetes-metadata", request, answer).await
}

impl Service {
    /// Answers a call, counted and timed as `route`.
    async fn answer<Q, A, F>(
        &self,
        route: &'static str,
        request: Request,
        answer: impl Fn(Q) -> F,
    ) -> Response<Body>
    where
        Q: Message + Default + 'static,
        A: Message + Default + 'static,
        F: Future<Output = Result<A, Status>>,
    {
        let began = Instant::now();
        let response = unary(request, MAX_MESSAGE, answer).await;
        self.node.metrics.served(route, as_http(&response), began.elapsed());
        response
    }

    async fn sign(&self, asked: SignRequest) -> Result<SignResponse, Status> {
        let (live, signer) = self.signer().await?;
        let bounds = live.keyset().service_accounts.as_ref().ok_or_else(closed)?;
        let now = self.node.world.now();
        let payload = bounds.service_account(&asked.claims, now).map_err(refused)?;
        let signed = kubernetes::sign(&signer, &payload).map_err(|e| refused(e.into()))?;
        self.uses.signed.store(now.as_second(), Ordering::Relaxed);
        self.node.metrics.keysets.signed(&self.keyset, 1);
        Ok(SignResponse { header: signed.header, signature: signed.signature })
    }

    /// The key that signs: of the declared algorithm, or while that has none, as after it was changed,
    /// the one that signed before.
    async fn signer(&self) -> Result<(Arc<Live>, Arc<Signer>), Status> {
        let before = Algorithm::ALL.into_iter().filter(|one| kubernetes::knows(*one)).map(Some);
        for algorithm in std::iter::once(None).chain(before) {
            match signer(&self.node, &self.keyset, algorithm).await {
                Err(SignError::NoKey) => {}
                Ok(found) => return Ok(found),
                Err(SignError::NoKeyset) => return Err(closed()),
                Err(SignError::Keyset(cause)) => {
                    error!(keyset = self.keyset, error = %cause, "nothing can be signed");
                    return Err(Status::unavailable("nothing can be signed now; see the log"));
                }
            }
        }
        let why = "the keyset has no key that signs yet; perennial get keyset says since when it waits \
                   for what";
        Err(Status::unavailable(why))
    }

    fn fetch_keys(&self) -> Result<FetchKeysResponse, Status> {
        let keysets = self.node.keysets.load();
        let live = keysets.get(&self.keyset).ok_or_else(closed)?;
        let shown = |jwk: &jwks::Jwk| {
            // One key that it cannot name would keep all the others from those who ask it.
            jwk.alg.filter(|algorithm| kubernetes::knows(*algorithm))?;
            Some(Key {
                key_id: jwk.kid.as_ref()?.to_string(),
                key: jwk.key.spki(),
                exclude_from_oidc_discovery: false,
            })
        };
        let mut keys: Vec<_> = live.keys.iter().filter_map(shown).collect();
        if keys.is_empty() {
            return Err(Status::unavailable("the keyset has no key yet; ask again in a moment"));
        }
        keys.extend(old_keys(live)?);
        let now = self.node.world.now();
        let seed = u64::from_be_bytes(self.node.world.random());
        let seconds = live.changed_at.as_second();
        self.uses.fetched.store(now.as_second(), Ordering::Relaxed);
        Ok(FetchKeysResponse {
            keys,
            data_timestamp: Some(messages::Timestamp { seconds, nanos: 0 }),
            refresh_hint_seconds: live.max_age(now, seed).as_secs(),
        })
    }

    fn metadata(&self) -> Result<MetadataResponse, Status> {
        let keysets = self.node.keysets.load();
        let live = keysets.get(&self.keyset).ok_or_else(closed)?;
        let longest = live.keyset().spec.token_lifetime;
        Ok(MetadataResponse { max_token_expiration_seconds: longest.as_secs() })
    }
}

/// The keys whose tokens are good besides, each called as kube-apiserver calls it when it reads it from
/// a file.
fn old_keys(live: &Live) -> Result<Vec<Key>, Status> {
    let declared = live.keyset().spec.kubernetes.as_ref().ok_or_else(closed)?;
    let keys = declared.keys().map_err(Status::failed_precondition)?;
    let shown = keys.iter().map(|key| Key {
        key_id: BASE64URL_NOPAD.encode(&key.spki_sha256()),
        key: key.spki().to_vec(),
        exclude_from_oidc_discovery: false,
    });
    Ok(shown.collect())
}

fn closed() -> Status {
    Status::unavailable("the keyset is not declared any more; apply a file that declares it")
}

fn refused(bad: BadClaims) -> Status {
    let why = bad.to_string();
    match bad {
        BadClaims::Claims(BadToken::NotAllowed(..)) => Status::permission_denied(why),
        BadClaims::Claims(BadToken::Key(error)) => {
            error!(%error, "a token cannot be signed");
            Status::internal("the token cannot be signed; see the log")
        }
        BadClaims::Encoding | BadClaims::Claims(_) => Status::invalid_argument(why),
        BadClaims::Issuer { .. }
        | BadClaims::Lifetime { .. }
        | BadClaims::Ahead(_)
        | BadClaims::Past => Status::failed_precondition(why),
    }
}

/// More than any that is not refused for what it says.
const MAX_MESSAGE: usize = 16 * 1024;

#[cfg(test)]
mod tests;
