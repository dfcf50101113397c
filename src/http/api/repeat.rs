//! Requests that may be repeated (`Idempotency-Key`): what its caller asked before under the same key is not
//! done again, but answered as it was. A request is claimed before it is done and goes on when its client goes,
//! so that whoever heard no answer can ask for it.

use std::sync::Arc;

use acme::{Problem, ProblemType};
use aws_lc_rs::digest::{Context, SHA256};
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, Method, Response, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use jiff::SignedDuration;

use super::extract::whole;
use super::problem;
use crate::http::error::{uncommitted, unreadable};
use crate::node::Node;
use crate::store::{CLAIM_KEPT, Claim, CommitError, Repeatable};

/// A request under a key, and whose it is.
struct Keyed {
    node: Arc<Node>,
    caller: String,
    key: String,
}

/// Does what is asked, once if the request has a key.
pub(super) async fn answer<W, F>(
    node: &Arc<Node>,
    caller: String,
    request: Request,
    work: W,
) -> Response<Body>
where
    W: FnOnce(Request) -> F + Send + 'static,
    F: Future<Output = Response<Body>> + Send,
{
    if request.method() != Method::POST {
        return work(request).await;
    }
    let key = match key(request.headers().get_all(&KEY).iter()) {
        Ok(key) => key,
        Err(problem) => return problem::response(&problem),
    };
    let node = Arc::clone(node);
    // Nobody who goes away leaves it half done.
    let done = tokio::spawn(async move {
        match key {
            Some(key) => Keyed { node, caller, key }.once(request, work).await,
            None => Ok(work(request).await),
        }
    });
    let done = done.await;
    match done {
        Ok(Ok(response)) => response,
        Ok(Err(problem)) => problem::response(&problem),
        Err(error) => {
            tracing::error!(%error, "a request was not done to its end");
            let why = "it was not done to its end; look at what stands before you try again";
            problem::response(&Problem::new(ProblemType::ServerInternal, why))
        }
    }
}

fn key<'a>(mut values: impl Iterator<Item = &'a HeaderValue>) -> Result<Option<String>, Problem> {
    let Some(value) = values.next() else { return Ok(None) };
    let text = value.to_str().map(str::trim).unwrap_or_default();
    let fits = (1..=MAX_KEY).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
    if !fits || values.next().is_some() {
        let why = format!("an Idempotency-Key is one, of 1 to {MAX_KEY} letters, digits or signs");
        return Err(Problem::malformed(why));
    }
    Ok(Some(text.to_owned()))
}

impl Keyed {
    async fn once<F>(
        self,
        request: Request,
        work: impl FnOnce(Request) -> F + Send,
    ) -> Result<Response<Body>, Problem>
    where
        F: Future<Output = Response<Body>> + Send,
    {
        let (parts, body) = request.into_parts();
        let body = whole(body).await?;
        let digest = digest(&parts, &body);
        if let Some(answered) = self.claim(digest).await? {
            return Ok(answered);
        }
        let response = work(Request::from_parts(parts, Body::from(body))).await;
        self.keep(response).await
    }

    /// The answer of before; none: nobody asked before, and it is this request that is to be done.
    async fn claim(&self, digest: [u8; 32]) -> Result<Option<Response<Body>>, Problem> {
        let of = (self.caller.as_str(), self.key.as_str());
        let known = self.node.store.repeatable(of.0, of.1).map_err(unreadable)?;
        let now = self.node.world.now();
        if let Some(known) =
            known.filter(|known| now.duration_since(known.claimed_at) <= CLAIM_KEPT)
        {
            return self.again(&known, digest).map(Some);
        }
        if self.node.store.has_many_repeatable(of.0, now).map_err(unreadable)? {
            let why = "as many requests with a key as are kept of one caller were made in a day";
            let problem = Problem::new(ProblemType::RateLimited, why);
            return Err(problem.with_retry_after(SignedDuration::from_hours(1)));
        }
        match self.node.store.note_claim(of, Claim::Begun { digest }, now).await {
            Ok(()) => Ok(None),
            Err(CommitError::Conflict) => {
                let known = self.node.store.repeatable(of.0, of.1).map_err(unreadable)?;
                known.map_or_else(|| Err(busy()), |known| self.again(&known, digest)).map(Some)
            }
            Err(error) => Err(uncommitted(error)),
        }
    }

    fn again(&self, known: &Repeatable, digest: [u8; 32]) -> Result<Response<Body>, Problem> {
        if known.digest != digest {
            let why = "the Idempotency-Key was used for another request; use a new one for this";
            return Err(Problem::malformed(why).with_status(422));
        }
        let Some((status, sealed)) = &known.answer else { return Err(busy()) };
        let opened = self.node.key.open(&self.identity(), sealed).map_err(|error| {
            tracing::error!(%error, "an answer cannot be repeated");
            Problem::new(ProblemType::ServerInternal, "the answer of before cannot be read")
        })?;
        let mut response = Response::new(Body::from(opened.to_vec()));
        *response.status_mut() = StatusCode::from_u16(*status).unwrap_or(StatusCode::OK);
        let kind = match response.status().is_success() {
            true => "application/json",
            false => "application/problem+json",
        };
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        headers.insert(REPLAYED.clone(), HeaderValue::from_static("true"));
        Ok(response)
    }

    /// Stores what is answered, unless it is that nothing could be done.
    async fn keep(&self, response: Response<Body>) -> Result<Response<Body>, Problem> {
        let (head, body) = response.into_parts();
        let body = Limited::new(body, MAX_ANSWER).collect().await;
        let body = body.map(|body| body.to_bytes()).map_err(|_| {
            Problem::new(ProblemType::ServerInternal, "it was done; its answer is too long")
        });
        let (of, now) = ((self.caller.as_str(), self.key.as_str()), self.node.world.now());
        let claim = match &body {
            Ok(body) if !may_change(head.status) => {
                let answer = self.node.key.seal(&self.node.world, &self.identity(), body);
                Claim::Answered { status: head.status.as_u16(), answer }
            }
            _ if may_change(head.status) => Claim::Withdrawn,
            _ => return body.map(|body| Response::from_parts(head, Body::from(body))),
        };
        if let Err(error) = self.node.store.note_claim(of, claim, now).await {
            // It was done, and says so; only asking again will be refused.
            tracing::error!(%error, "the answer to a request with a key cannot be kept");
        }
        body.map(|body| Response::from_parts(head, Body::from(body)))
    }

    fn identity(&self) -> String {
        format!("answer/{}/{}", self.caller, self.key)
    }
}

/// Whether nothing was done, and another time it may be: it failed here, or somebody has to permit it first.
fn may_change(status: StatusCode) -> bool {
    status.is_server_error()
        || matches!(status, StatusCode::FORBIDDEN | StatusCode::TOO_MANY_REQUESTS)
}

fn busy() -> Problem {
    let why = "the request with this Idempotency-Key is under way, or was interrupted; ask again, and if \
               that does not help look at what stands and use another key";
    Problem::malformed(why).with_status(409).with_retry_after(SignedDuration::from_secs(1))
}

fn digest(parts: &Parts, body: &Bytes) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    let path = parts.uri.path_and_query().map_or("", |path| path.as_str());
    for part in [parts.method.as_str().as_bytes(), path.as_bytes(), body] {
        // With their lengths, so that nothing of one can pass for the other.
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    let mut digest = [0; 32];
    digest.copy_from_slice(context.finish().as_ref());
    digest
}

static KEY: HeaderName = HeaderName::from_static("idempotency-key");
static REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
const MAX_KEY: usize = 255;
const MAX_ANSWER: usize = 4 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use axum::http::Request;
    use serde_json::{Value, json};
    use tower::ServiceExt;

    use super::*;
    use crate::http::api_router;
    use crate::seal::Sealed;

    async fn ask(node: &Arc<Node>, key: &str, body: &Value) -> (Response<Bytes>, Value) {
        let request = Request::post("/api/v1/tokens").header(&KEY, key);
        let request = request.body(Body::from(body.to_string())).expect("a request");
        let response = api_router(node).oneshot(request).await.expect("an answer");
        let (head, body) = response.into_parts();
        let body = body.collect().await.expect("a body").to_bytes();
        let value = serde_json::from_slice(&body).expect("JSON");
        (Response::from_parts(head, body), value)
    }

    #[tokio::test]
    async fn what_is_asked_again_under_its_key_is_answered_and_not_done_again() {
        let (node, _) = crate::node::tests::node().await;
        let wanted = json!({ "name": "eve", "scope": ["role/viewer"] });
        let (first, made) = ask(&node, "one", &wanted).await;
        assert_eq!(first.status(), StatusCode::OK, "{made}");
        assert!(!first.headers().contains_key(&REPLAYED));
        let (again, same) = ask(&node, "one", &wanted).await;
        assert_eq!((again.status(), &same), (StatusCode::OK, &made));
        assert_eq!(again.headers()[&REPLAYED], "true");
        assert_eq!(again.headers()[header::CACHE_CONTROL], "no-store");
        let token = made["token"].as_str().expect("a token");
        let row = node.store.repeatable("admin", "one").expect("a read").expect("a row");
        let (_, Sealed(sealed)) = row.answer.expect("an answer");
        let token = token.as_bytes();
        assert!(!sealed.windows(token.len()).any(|part| part == token), "it is not sealed");

        let (other, problem) = ask(&node, "one", &json!({ "name": "bob", "scope": [] })).await;
        assert_eq!(other.status(), StatusCode::UNPROCESSABLE_ENTITY, "{problem}");
        let (twice, problem) = ask(&node, "two", &wanted).await;
        assert_eq!(twice.status(), StatusCode::CONFLICT, "{problem}");
        let (twice_again, same) = ask(&node, "two", &wanted).await;
        assert_eq!((twice_again.status(), same), (StatusCode::CONFLICT, problem));
        let (bad, _) = ask(&node, "no key", &wanted).await;
        assert_eq!(bad.status(), StatusCode::BAD_REQUEST);
        let _ = std::fs::remove_dir_all(&node.config.data_dir);
    }

    #[tokio::test]
    async fn what_is_under_way_is_not_begun_again() {
        let (node, _) = crate::node::tests::node().await;
        let wanted = json!({ "name": "eve", "scope": ["role/viewer"] });
        let request = Request::post("/api/v1/tokens").body(()).expect("a request");
        let asked = digest(&request.into_parts().0, &Bytes::from(wanted.to_string()));
        let (of, now) = (("admin", "one"), node.world.now());
        node.store.note_claim(of, Claim::Begun { digest: asked }, now).await.expect("claimed");
        let (busy, problem) = ask(&node, "one", &wanted).await;
        assert_eq!(busy.status(), StatusCode::CONFLICT, "{problem}");
        assert!(busy.headers().contains_key(header::RETRY_AFTER));
        assert!(node.store.token_by_name("eve").expect("a read").is_none());
        let _ = std::fs::remove_dir_all(&node.config.data_dir);
    }
}
