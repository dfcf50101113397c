//! The pages over the router of the HTTPS listener, as a browser asks for them.

use axum::http::Method;
use http_body_util::BodyExt;
use tower::ServiceExt;

use super::*;
use crate::http::{api_router, finish, https_router};
use crate::node::tests::{node, present};

struct Seen {
    status: StatusCode,
    headers: axum::http::HeaderMap,
    body: String,
}

async fn ask(
    router: Router,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Seen {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Body::from(body.to_owned())).expect("a request");
    let response = router.oneshot(request).await.expect("an answer");
    let (status, headers) = (response.status(), response.headers().clone());
    let body = response.into_body().collect().await.expect("a body").to_bytes();
    Seen { status, headers, body: String::from_utf8_lossy(&body).into_owned() }
}

/// What an admin at the socket would see.
async fn seen(node: &Arc<Node>, path: &str) -> Seen {
    ask(finish(router(node, Entry::Socket), node), Method::GET, path, &[], "").await
}

async fn token(node: &Arc<Node>, role: &str) -> String {
    let wanted = serde_json::json!({ "name": role, "scope": [format!("role/{role}")] });
    let made =
        ask(api_router(node), Method::POST, "/api/v1/tokens", &[], &wanted.to_string()).await;
    let made: serde_json::Value = serde_json::from_str(&made.body).expect("JSON");
    format!("Bearer {}", made["token"].as_str().expect("a token"))
}

#[tokio::test]
async fn every_page_is_shown_and_says_what_browsers_may_do_with_it() {
    let (node, _) = node().await;
    let row = present(&node).await;
    let serial = row.serial.to_string();
    for path in [
        "/",
        "/certificates",
        "/certificates/node",
        "/issued",
        &format!("/issued/{serial}"),
        "/keysets",
        "/authorities",
        "/authorities/root",
        "/targets",
        "/found",
        "/endpoints",
        "/audit",
        "/audit/1",
        "/access",
        "/certificates/node/renew",
        "/certificates/node/emergency",
        "/certificates/node/rollback",
        &format!("/issued/{serial}/revoke"),
    ] {
        let seen = seen(&node, path).await;
        assert_eq!(seen.status, StatusCode::OK, "{path}: {}", seen.body);
        assert_eq!(seen.headers["content-security-policy"], POLICY, "{path}");
        assert_eq!(seen.headers["cache-control"], "no-store", "{path}");
        assert!(seen.body.starts_with("<!DOCTYPE html>"), "{path}");
    }
    for path in
        ["/certificates/nobody", "/issued/77", "/keysets/none", "/audit/99999", "/keysets/x/fly"]
    {
        assert_eq!(seen(&node, path).await.status, StatusCode::NOT_FOUND, "{path}");
    }
}

#[tokio::test]
async fn strangers_are_told_how_to_come_in_and_nothing_else() {
    let (node, _) = node().await;
    let front = ask(https_router(&node), Method::GET, "/", &[], "").await;
    assert_eq!(front.status, StatusCode::OK);
    assert!(front.body.contains("/acme/default/directory"));
    for path in ["/certificates", "/audit", "/ui/events", "/certificates/node/renew"] {
        let seen = ask(https_router(&node), Method::GET, path, &[], "").await;
        assert_eq!(seen.status, StatusCode::UNAUTHORIZED, "{path}");
        assert!(!seen.body.contains("node"), "{path}");
    }
    let tried = ask(https_router(&node), Method::POST, "/certificates/node/renew", &[], "").await;
    assert_eq!(tried.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn who_may_not_has_no_button_and_is_refused() {
    let (node, _) = node().await;
    present(&node).await;
    let viewer = token(&node, "viewer").await;
    let viewer = [("authorization", viewer.as_str())];
    let page = ask(https_router(&node), Method::GET, "/certificates/node", &viewer, "").await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(!page.body.contains("/renew"), "no way to it");
    assert!(!page.body.contains("href=\"/audit\""), "nor to what is not to be seen");
    for (method, path) in [
        (Method::GET, "/certificates/node/renew"),
        (Method::POST, "/certificates/node/renew"),
        (Method::POST, "/certificates/node/emergency"),
        (Method::GET, "/audit"),
        (Method::GET, "/access"),
    ] {
        let seen = ask(https_router(&node), method, path, &viewer, "").await;
        assert_eq!(seen.status, StatusCode::FORBIDDEN, "{path}");
    }
    let rotator = token(&node, "rotator").await;
    let rotator = [("authorization", rotator.as_str())];
    let page = ask(https_router(&node), Method::GET, "/certificates/node", &rotator, "").await;
    assert!(page.body.contains("href=\"/certificates/node/renew\""));
}

#[tokio::test]
async fn what_is_chosen_in_a_form_is_only_what_was_offered() {
    let (node, _) = node().await;
    let row = present(&node).await;
    let path = format!("/issued/{}/revoke", row.serial);
    let admin = token(&node, "admin").await;
    let admin = [("authorization", admin.as_str())];
    let odd = ask(https_router(&node), Method::POST, &path, &admin, "reason=removeFromCRL").await;
    assert_eq!(odd.status, StatusCode::BAD_REQUEST, "{}", odd.body);
    let good = ask(https_router(&node), Method::POST, &path, &admin, "reason=superseded").await;
    assert_eq!(good.status, StatusCode::SEE_OTHER, "{}", good.body);
    assert_eq!(good.headers["location"], format!("/issued/{}?done=revoke", row.serial));
    let again = ask(https_router(&node), Method::POST, &path, &admin, "reason=superseded").await;
    assert!(again.status.is_client_error(), "{}", again.status);
    assert!(again.body.contains("role=\"alert\""));
}

#[tokio::test]
async fn files_are_kept_for_good_and_there_are_no_others() {
    let (node, _) = node().await;
    let style = ask(https_router(&node), Method::GET, "/ui/style.css?v=1", &[], "").await;
    assert_eq!(style.headers["cache-control"], FOR_GOOD);
    for path in ["/ui/none.css", "/ui/..%2fCargo.toml"] {
        let seen = ask(https_router(&node), Method::GET, path, &[], "").await;
        assert_eq!(seen.status, StatusCode::NOT_FOUND);
    }
}
