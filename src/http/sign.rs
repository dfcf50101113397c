//! Tokens signed for others, on the HTTPS listener, for who has an API token that covers the keyset.
//! What they may say is bounded by the keyset's declaration.

use std::sync::Arc;

use acme::{Problem, ProblemType};
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderValue, Response, header};
use axum::{Router, routing};
use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use http_body_util::{BodyExt, Limited};
use jwks::Algorithm;
use jwks::token::{BadToken, Bounds, Signer};
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;
use tracing::{debug, error};

use super::bearer::{self, Refusal};
use crate::node::Node;
use crate::perform::keyset::{SignError, signer};
use crate::token::Kind;

/// `POST /api/v1/keysets/{name}/sign`.
pub(super) fn router() -> Router<Arc<Node>> {
    Router::new().route("/api/v1/keysets/{name}/sign", routing::post(answer))
}

/// What is to be signed: one set of claims, several, or a payload as it is.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    #[serde(default)]
    claims: Option<Box<RawValue>>,
    #[serde(default)]
    batch: Option<Vec<Box<RawValue>>>,
    /// In base64url.
    #[serde(default)]
    payload: Option<String>,
    /// The usual one, if it is not named.
    #[serde(default)]
    algorithm: Option<Algorithm>,
    /// The header's `typ`; JWT, if it is not named. A payload has one, and another.
    #[serde(default)]
    typ: Option<String>,
}

async fn answer(
    State(node): State<Arc<Node>>,
    Path(name): Path<String>,
    request: Request,
) -> Response<Body> {
    let mut response = sign(&node, &name, request).await.unwrap_or_else(Refusal::response);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

async fn sign(node: &Node, name: &str, request: Request) -> Result<Response<Body>, Refusal> {
    let (head, body) = request.into_parts();
    let mut body = Limited::new(body, MAX_BODY);
    let holder = match bearer::holder(node, &head, Kind::Keyset, name) {
        Ok(holder) => holder,
        Err(refusal) => {
            // A client that is answered before it has sent all may not see the answer: what a
            // stranger sends is read, but not kept.
            while let Some(Ok(_)) = body.frame().await {}
            return Err(refusal);
        }
    };
    let bytes = body.collect().await;
    let bytes =
        bytes.map_err(|_| Problem::malformed("the request is too long").with_status(413))?;
    if let Err(error) = node.store.note_use(&holder, node.world.now()).await {
        debug!(token = holder.name, %error, "the use of a token is not noted");
    }
    let asked: Asked = serde_json::from_slice(&bytes.to_bytes())
        .map_err(|e| Problem::malformed(format!("the request is not understood: {e}")))?;
    let (live, signer) = signer(node, name, asked.algorithm).await.map_err(unsigned)?;
    let bounds = &live.keyset().bounds;
    let typ = asked.typ.as_deref();
    let one = |claims: &RawValue| token(node, bounds, &signer, typ, claims);
    let answer = match (asked.claims, asked.batch, asked.payload) {
        (Some(claims), None, None) => json!({ "token": one(&claims)? }),
        (None, None, Some(encoded)) => {
            let typ = typ.ok_or_else(|| Problem::malformed("a payload needs a typ: name one"))?;
            let allowed = live.keyset().spec.payloads.allow(typ);
            allowed.map_err(|why| Problem::malformed(why).with_status(403))?;
            json!({ "jws": payload(node, bounds, &signer, typ, &encoded)? })
        }
        (None, Some(batch), None) if (1..=MAX_BATCH).contains(&batch.len()) => {
            let tokens = batch.iter().map(|claims| one(claims)).collect::<Result<Vec<_>, _>>();
            json!({ "tokens": tokens? })
        }
        _ => {
            let why = format!("give claims, a batch of 1 to {MAX_BATCH} of them, or a payload");
            return Err(Problem::malformed(why).into());
        }
    };
    let signed = answer["tokens"].as_array().map_or(1, Vec::len);
    node.metrics.keysets.signed(name, signed);
    let mut response = Response::new(Body::from(answer.to_string()));
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    Ok(response)
}

fn token(
    node: &Node,
    bounds: &Bounds,
    signer: &Signer,
    typ: Option<&str>,
    claims: &RawValue,
) -> Result<String, Problem> {
    let jti = HEXLOWER.encode(&node.world.random::<16>());
    let payload = bounds.claims(claims.get().as_bytes(), &jti, node.world.now());
    let token = payload.and_then(|payload| match typ {
        None => signer.jwt(&payload),
        Some(_) => signer.jws(typ, &payload),
    });
    token.map_err(refused)
}

/// A JWS over what is given, which is no JWT.
fn payload(
    node: &Node,
    bounds: &Bounds,
    signer: &Signer,
    typ: &str,
    encoded: &str,
) -> Result<String, Problem> {
    let payload = BASE64URL_NOPAD.decode(encoded.trim_end_matches('=').as_bytes());
    let payload = payload.map_err(|_| Problem::malformed("the payload is not base64url"))?;
    let payload = bounds.opaque(payload, node.world.now());
    payload.and_then(|payload| signer.jws(Some(typ), &payload)).map_err(refused)
}

fn refused(bad: BadToken) -> Problem {
    match bad {
        BadToken::Key(error) => {
            error!(%error, "nothing can be signed with a key");
            Problem::new(ProblemType::ServerInternal, "it cannot be signed")
        }
        bad => Problem::malformed(bad.to_string()),
    }
}

fn unsigned(error: SignError) -> Problem {
    match error {
        SignError::NoKeyset => Problem::malformed(error.to_string()).with_status(404),
        SignError::NoKey => {
            Problem::new(ProblemType::ServerInternal, error.to_string()).with_status(503)
        }
        SignError::Keyset(cause) => {
            error!(error = %cause, "nothing can be signed");
            Problem::new(ProblemType::ServerInternal, "nothing can be signed now; see the log")
                .with_status(503)
        }
    }
}

const MAX_BODY: usize = 1024 * 1024;
const MAX_BATCH: usize = 256;
