//! What stands before every route: who asks is found out, and whether they may. A handler runs only for
//! somebody who may do its action, and asks again where the body says on what.

use std::sync::Arc;

use acme::{Problem, ProblemType};
use axum::RequestPartsExt;
use axum::body::Body;
use axum::extract::{FromRequestParts, RawPathParams, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Response, header};
use axum::middleware::Next;

use super::extract::whole;
use super::route::On;
use super::{problem, repeat, sought, subject};
use crate::access::{Action, Asker, Caller, Denied, Role, Who};
use crate::http::bearer::Refusal;
use crate::http::{RequestId, caller};
use crate::node::Node;
use crate::store::Actor;

/// How a request came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    /// Through the admin socket.
    Socket,
    /// Over the network, by HTTPS.
    Network,
}

/// What a guard knows of the route that it stands before.
#[derive(Clone)]
pub(super) struct Guard {
    pub(super) node: Arc<Node>,
    pub(super) entry: Entry,
    pub(super) action: Action,
    pub(super) on: On,
}

/// Lets a request through to its handler, or not.
pub(super) async fn check(
    State(guard): State<Guard>,
    request: Request,
    next: Next,
) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let mut response = match answer(&guard, parts, body, next).await {
        Ok(response) => response,
        Err(refusal) => refusal.response_as(problem::response),
    };
    let headers = response.headers_mut();
    // Handlers that know better have said so.
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

async fn answer(
    guard: &Guard,
    mut parts: Parts,
    body: Body,
    next: Next,
) -> Result<Response<Body>, Refusal> {
    let mut asker = recognise(&guard.node, guard.entry, &mut parts).await?;
    let mut body = body;
    if !parts.method.is_safe() {
        // However long its body takes to come, a request is judged by what holds when all of it is there.
        body = Body::from(whole(body).await?);
        asker = recognise(&guard.node, guard.entry, &mut parts).await?;
    }
    let (node, caller) = (Arc::clone(&guard.node), asker.caller().who.to_string());
    if parts.method.is_safe() || !asker.is_bound() {
        judge(guard, &asker, &mut parts).await?;
        parts.extensions.insert(asker);
        let work = move |request: Request| next.run(request);
        return Ok(repeat::answer(&node, caller, Request::from_parts(parts, body), work).await);
    }
    let guard = guard.clone();
    let work = move |request: Request| async move {
        let answered = with_consent(&guard, asker, request, next).await;
        answered.unwrap_or_else(|problem| problem::response(&problem))
    };
    Ok(repeat::answer(&node, caller, Request::from_parts(parts, body), work).await)
}

/// Does what somebody else may have to agree to.
async fn with_consent(
    guard: &Guard,
    asker: Asker,
    request: Request,
    next: Next,
) -> Result<Response<Body>, Problem> {
    let (mut parts, body) = request.into_parts();
    let body = whole(body).await?;
    let (node, entry) = (&guard.node, guard.entry);
    let (asker, sought) = sought::present(node, asker, entry, (&parts, &body)).await?;
    let response = match judge(guard, &asker, &mut parts).await {
        Ok(()) => {
            parts.extensions.insert(asker.clone());
            next.run(Request::from_parts(parts, Body::from(body))).await
        }
        Err(problem) => problem::response(&problem),
    };
    Ok(sought::settle(node, &asker, sought, response).await)
}

/// Whether they may, as far as the route alone tells.
async fn judge(guard: &Guard, asker: &Asker, parts: &mut Parts) -> Result<(), Problem> {
    match guard.on {
        On::Several => asker.may_every(guard.action),
        On::Listed | On::Body | On::Oneself => asker.may_any(guard.action),
        On::Named(kind) => {
            let params: Result<RawPathParams, _> = parts.extract().await;
            let params = params.map_err(|e| Problem::malformed(e.to_string()))?;
            let name = params.iter().next().map_or("", |(_, value)| value);
            asker.may(guard.action, &subject::find(&guard.node, kind, name)?)
        }
    }
    .map_err(denied)
}

/// Who asks, having come in at `entry`.
///
/// # Errors
/// What to answer when it is nobody.
pub(in crate::http) async fn recognise(
    node: &Node,
    entry: Entry,
    parts: &mut Parts,
) -> Result<Asker, Refusal> {
    let caller = match entry {
        Entry::Socket => Caller::new(Who::Local, Vec::new()),
        Entry::Network => caller::recognise(node, parts).await?,
    };
    let id = parts.extensions.get::<RequestId>().map_or("", |id| id.0.as_str());
    let rules = Arc::clone(&node.catalog.load().rules);
    Ok(Asker::new(caller, rules, id, node.world.now()))
}

/// Whether `asker` may do `action` to the thing of this kind and name: what a page offers, which is asked
/// again when it is done.
pub(in crate::http) fn may(
    node: &Node,
    asker: &Asker,
    action: Action,
    thing: (&'static str, &str),
) -> bool {
    let (kind, name) = thing;
    let Ok(resource) = subject::find(node, kind, name) else { return false };
    // What somebody else must agree to, or what asks for a fresh proof, can be asked for.
    let judged = asker.may(action, &resource);
    matches!(judged, Ok(()) | Err(Denied::NeedsApproval { .. } | Denied::StepUp { .. }))
}

/// Asks again, for what the body of a request says is more than its route alone.
///
/// # Errors
/// When it may not be done, or the store cannot be read.
pub(super) fn permit(
    node: &Node,
    asker: &Asker,
    action: Action,
    (kind, name): (&'static str, &str),
) -> Result<(), Problem> {
    asker.may(action, &subject::find(node, kind, name)?).map_err(denied)
}

/// Whether somebody may be given `roles` and be put in `groups` by who asks.
///
/// # Errors
/// When that would be more than they have.
pub(super) fn permit_giving(
    asker: &Asker,
    mut roles: impl Iterator<Item = Role>,
    mut groups: impl Iterator,
) -> Result<(), Problem> {
    roles.try_for_each(|role| asker.may_give(role)).map_err(denied)?;
    // What groups are given is for bindings to say, and may change.
    groups.next().map_or(Ok(()), |_| asker.may_govern("groups")).map_err(denied)
}

/// What somebody is told who may not.
pub(super) fn denied(denied: Denied) -> Problem {
    Problem::new(ProblemType::Unauthorized, denied.to_string()).with_status(403)
}

impl<S: Sync> FromRequestParts<S> for Asker {
    type Rejection = Response<Body>;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Response<Body>> {
        let asker = parts.extensions.get::<Self>().cloned();
        asker.ok_or_else(|| problem::response(&unguarded()))
    }
}

/// Who asks for something here, for the audit log.
impl<S: Sync> FromRequestParts<S> for Actor {
    type Rejection = Response<Body>;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response<Body>> {
        Asker::from_request_parts(parts, state).await.map(|asker| asker.actor())
    }
}

fn unguarded() -> Problem {
    Problem::new(ProblemType::ServerInternal, "nobody was asked whether this may be done")
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;
    use http_body_util::BodyExt;
    use serde_json::json;
    use tower::ServiceExt;

    use super::*;
    use crate::http::{api_router, https_router};
    use crate::node::tests::node;

    async fn ask(
        router: axum::Router,
        (method, path): (&str, &str),
        token: Option<&str>,
        body: &str,
    ) -> (StatusCode, serde_json::Value) {
        let request = Request::builder().method(method).uri(format!("/api/v1{path}"));
        let request = match token {
            Some(token) => request.header("authorization", format!("Bearer {token}")),
            None => request,
        };
        let request = request.body(Body::from(body.to_owned())).expect("a request");
        let response = router.oneshot(request).await.expect("an answer");
        let status = response.status();
        let body = response.into_body().collect().await.expect("a body").to_bytes();
        (status, serde_json::from_slice(&body).expect("JSON"))
    }

    #[tokio::test]
    async fn over_the_network_a_token_may_what_its_roles_include_and_nobody_else_anything() {
        let (node, _) = node().await;
        let wanted = json!({ "name": "eve", "scope": ["role/viewer"] }).to_string();
        let (status, made) = ask(api_router(&node), ("POST", "/tokens"), None, &wanted).await;
        assert_eq!(status, StatusCode::OK, "{made}");
        let token = made["token"].as_str().expect("a token");
        let https = || https_router(&node);
        let empty = json!({}).to_string();
        for (asked, token, status) in [
            (("GET", "/authorities"), Some(token), 200),
            (("GET", "/status"), Some(token), 200),
            (("GET", "/events"), Some(token), 403),
            (("GET", "/tokens"), Some(token), 403),
            (("POST", "/tokens"), Some(token), 403),
            (("POST", "/apply"), Some(token), 403),
            (("POST", "/managed/node/renew"), Some(token), 403),
            (("GET", "/authorities"), None, 401),
            (("POST", "/apply"), Some("perennial_not-a-token"), 401),
        ] {
            let (seen, answer) = ask(https(), asked, token, &empty).await;
            assert_eq!(seen.as_u16(), status, "{asked:?} {answer}");
        }
        let (status, _) = ask(api_router(&node), ("GET", "/events"), None, "").await;
        assert_eq!(status, StatusCode::OK);
        let used = node.store.token_by_name("eve").expect("a read").expect("a token").used_at;
        assert!(used.is_some(), "the use of a token is noted");
        let _ = std::fs::remove_dir_all(&node.config.data_dir);
    }

    #[tokio::test]
    async fn who_makes_tokens_makes_none_for_which_more_is_declared_by_name() {
        let (node, _) = node().await;
        let declared = "[[binding]]\nname = 'deploy'\nto = 'token/deploy'\nrole = 'admin'\n\
                        [[policy]]\nname = 'lead'\ncedar = '''permit (principal == Token::\"lead\",\n\
                        action == Action::\"token.create\", resource);'''\n";
        let declared = json!({ "files": [{ "name": "a.toml", "text": declared }] }).to_string();
        let (status, seen) = ask(api_router(&node), ("POST", "/apply"), None, &declared).await;
        assert_eq!(status, StatusCode::OK, "{seen}");
        let wanted = |name: &str| json!({ "name": name, "scope": ["role/viewer"] }).to_string();
        let make = ("POST", "/tokens");
        let (_, made) = ask(api_router(&node), make, None, &wanted("lead")).await;
        let token = made["token"].as_str().expect("a token");
        for (name, status) in [("deploy", 403), ("other", 200)] {
            let (seen, answer) = ask(https_router(&node), make, Some(token), &wanted(name)).await;
            assert_eq!(seen.as_u16(), status, "{name}: {answer}");
        }
        let _ = std::fs::remove_dir_all(&node.config.data_dir);
    }

    #[tokio::test]
    async fn a_binding_reaches_as_far_as_its_scope_and_a_token_is_no_stronger_than_who_made_it() {
        let (node, _) = node().await;
        let declared = "[[binding]]\nname = 'web'\nto = 'group/web'\nrole = 'operator'\n\
                        scope = { owners = ['web'], names = ['*.example.com'] }\n\
                        [[policy]]\nname = 'delegate'\ncedar = '''permit (principal in Group::\"web\",\n\
                        action == Action::\"token.create\", resource);'''\n\
                        [[certificate]]\nname = 'shop'\nnames = ['shop.example.com']\nowner = 'web'\n\
                        [[certificate]]\nname = 'till'\nnames = ['till.example.com']\n";
        let apply =
            |text: &str| json!({ "files": [{ "name": "a.toml", "text": text }] }).to_string();
        let (status, seen) =
            ask(api_router(&node), ("POST", "/apply"), None, &apply(declared)).await;
        assert_eq!(status, StatusCode::OK, "{seen}");
        let wanted = json!({ "name": "ci", "scope": ["group/web"] }).to_string();
        let (status, made) = ask(api_router(&node), ("POST", "/tokens"), None, &wanted).await;
        assert_eq!(status, StatusCode::OK, "{made}");
        let token = made["token"].as_str().expect("a token");
        let scope = |grant: &str| json!({ "name": "more", "scope": [grant] }).to_string();
        let mine = "[[certificate]]\nname = 'a'\nnames = ['a.example.com']\nowner = 'web'\n";
        let stolen = mine.replace("'a'", "'till'");
        for (asked, body, status) in [
            (("GET", "/managed/shop"), "", 200),
            (("GET", "/managed/till"), "", 403),
            (("GET", "/managed/none"), "", 403),
            (("GET", "/managed/shop%2f..%2ftill"), "", 403),
            (("GET", "/managed"), "", 200),
            (("GET", "/orders"), "", 200),
            (("GET", "/status"), "", 403),
            (("POST", "/managed/till/renew"), "{}", 403),
            (("POST", "/scans"), "{}", 403),
            (("POST", "/apply"), &*apply(mine), 200),
            (("POST", "/apply"), &*apply(&stolen), 403),
            (("POST", "/apply"), &*apply(&mine.replace("a.example.com", "example.org")), 403),
            (("POST", "/apply"), &*apply(&declared.replace("names = ['*.example.com']", "")), 403),
            (("POST", "/tokens"), &*scope("role/admin"), 403),
            (("POST", "/tokens"), &*scope("role/operator"), 403),
            (("POST", "/tokens"), &*scope("group/other"), 403),
            (("POST", "/tokens"), &*scope("certificate/*"), 403),
        ] {
            let (seen, answer) = ask(https_router(&node), asked, Some(token), body).await;
            assert_eq!(seen.as_u16(), status, "{asked:?} {body} {answer}");
        }
        // What they may not see is not in their lists, and no page ends with it.
        let names = async |path: &str, token| {
            let (_, seen) = ask(https_router(&node), ("GET", path), Some(token), "").await;
            let items = seen["items"].as_array().expect("a list").clone();
            let names: Vec<_> = items.iter().map(|item| item["name"].clone()).collect();
            (names, seen["next"].clone())
        };
        assert_eq!(names("/managed", token).await.0, ["shop", "a"]);
        let (first, next) = names("/managed?limit=1", token).await;
        assert_eq!(first, ["shop"]);
        let (second, next) = names(&format!("/managed?limit=1&after={next}"), token).await;
        assert_eq!(second, ["a"]);
        assert!(next.is_null(), "{next}");
        let freeze = "[[policy]]\nname = 'freeze'\ncedar = '''forbid (principal, action, resource)\n\
                      when { resource.owner == \"web\" };'''\n";
        let (status, _) = ask(api_router(&node), ("POST", "/apply"), None, &apply(freeze)).await;
        assert_eq!(status, StatusCode::OK);
        let shop = ("GET", "/managed/shop");
        let (status, answer) = ask(https_router(&node), shop, Some(token), "").await;
        assert_eq!(status, StatusCode::FORBIDDEN);
        assert!(answer["detail"].as_str().expect("why").contains("freeze"), "{answer}");
        let (status, _) = ask(api_router(&node), shop, None, "").await;
        assert_eq!(status, StatusCode::OK, "the admin socket is locked out by nothing");
        let wrong = freeze.replace("owner", "ownr");
        let (status, answer) =
            ask(api_router(&node), ("POST", "/plan"), None, &apply(&wrong)).await;
        assert_eq!(status, StatusCode::BAD_REQUEST);
        assert!(answer["detail"].as_str().expect("why").contains("line 2, column"), "{answer}");
        let _ = std::fs::remove_dir_all(&node.config.data_dir);
    }
}
