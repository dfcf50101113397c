//! People come in, and others try to: over the router of the HTTPS listener, as a browser would.

use std::sync::atomic::{AtomicI64, Ordering};

use axum::http::StatusCode;
use serde_json::Value;
use tower::ServiceExt;

use axum::http::header::SET_COOKIE;
use serde_json::json;

use super::*;
use crate::http::{api_router, https_router};
use crate::node::tests::node;

pub(super) const ORIGIN: &str = "https://localhost:8443";

/// What came back: the status, what it says, and the cookie it sets.
pub(super) struct Seen {
    pub(super) status: StatusCode,
    pub(super) body: Value,
    pub(super) cookie: Option<String>,
}

pub(super) async fn ask(
    router: Router,
    (method, path): (&str, &str),
    headers: &[(&str, &str)],
    body: &Value,
) -> Seen {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.header("content-type", "application/json");
    let request = request.body(Body::from(body.to_string())).expect("a request");
    let response = router.oneshot(request).await.expect("an answer");
    let (status, headers) = (response.status(), response.headers().clone());
    let cookie = headers.get(SET_COOKIE).map(|c| c.to_str().expect("text").to_owned());
    let body = response.into_body().collect().await.expect("a body").to_bytes();
    Seen { status, body: serde_json::from_slice(&body).unwrap_or_default(), cookie }
}

/// The secret of a link for `name`, made over the admin socket.
async fn invited(node: &Arc<Node>, name: &str, roles: &[&str]) -> String {
    let wanted = json!({ "name": name, "roles": roles, "expires": "1h" });
    let made = ask(api_router(node), ("POST", "/api/v1/people"), &[], &wanted).await;
    assert_eq!(made.status, StatusCode::OK, "{}", made.body);
    let link = made.body["link"].as_str().expect("a link");
    let (page, secret) = link.split_once('#').expect("a fragment");
    assert_eq!(page, format!("{ORIGIN}/enter"));
    secret.to_owned()
}

async fn come(node: &Arc<Node>, secret: &str, headers: &[(&str, &str)]) -> Seen {
    ask(https_router(node), ("POST", "/enter"), headers, &json!({ "secret": secret })).await
}

/// A session of `name`: its cookie, as a browser sends it, and its CSRF token.
pub(super) async fn session(node: &Arc<Node>, name: &str, roles: &[&str]) -> (String, String) {
    let secret = invited(node, name, roles).await;
    let seen = come(node, &secret, &[("origin", ORIGIN), ("user-agent", "Browser/1 \tx")]).await;
    assert_eq!(seen.status, StatusCode::OK, "{}", seen.body);
    let set = seen.cookie.expect("a cookie");
    let attributes = "; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=3600";
    let cookie = set.strip_suffix(attributes).unwrap_or_else(|| panic!("{set}")).to_owned();
    assert!(cookie.starts_with("__Host-perennial-session="), "{set}");
    let own = own(node, &cookie).await;
    assert_eq!(own.body["who"], format!("person/{name}"));
    (cookie, own.body["csrf_token"].as_str().expect("a token").to_owned())
}

pub(super) async fn own(node: &Arc<Node>, cookie: &str) -> Seen {
    ask(https_router(node), ("GET", "/api/v1/session"), &[("cookie", cookie)], &json!({})).await
}

pub(super) fn pass(clock: &AtomicI64, seconds: i64) {
    clock.fetch_add(seconds, Ordering::SeqCst);
}

#[tokio::test]
async fn a_link_lets_in_once_and_not_after_its_time_or_from_another_page() {
    let (node, clock) = node().await;
    let secret = invited(&node, "ada", &["admin"]).await;
    let own: &[_] = &[("origin", ORIGIN), ("sec-fetch-site", "same-origin")];
    for headers in [
        &[][..],
        &[("origin", "https://evil.example")],
        &[("origin", "null")],
        &[("origin", "http://localhost:8443")],
        &[("origin", "https://localhost:8443.evil.example")],
        &[("origin", ORIGIN), ("origin", "https://evil.example")],
        &[("origin", ORIGIN), ("sec-fetch-site", "same-site")],
        &[
            ("host", "evil.example"),
            ("x-forwarded-host", "evil.example"),
            ("origin", "https://evil.example"),
        ],
    ] {
        let seen = come(&node, &secret, headers).await;
        assert_eq!(seen.status, StatusCode::FORBIDDEN, "{headers:?}");
        assert!(seen.cookie.is_none());
    }
    let seen = come(&node, &secret, own).await;
    assert_eq!((seen.status, &seen.body["name"]), (StatusCode::OK, &json!("ada")));
    let again = come(&node, &secret, own).await;
    assert_eq!(again.status, StatusCode::FORBIDDEN, "a link is good once");
    assert!(again.cookie.is_none());

    // A second link closes the first, and one that nobody used closes by itself.
    let first = invited(&node, "ada", &["admin"]).await;
    let second = invited(&node, "ada", &["admin"]).await;
    assert_eq!(come(&node, &first, own).await.status, StatusCode::FORBIDDEN);
    pass(&clock, 3600);
    assert_eq!(come(&node, &second, own).await.status, StatusCode::FORBIDDEN);
    for never in ["", "x", &"A".repeat(43), &"A".repeat(10_000)] {
        let seen = come(&node, never, own).await;
        assert_eq!(seen.body["detail"], again.body["detail"], "who tries cannot tell why");
    }
    let long = come(&node, &"A".repeat(20_000), own).await;
    assert_eq!(long.status, StatusCode::PAYLOAD_TOO_LARGE);
    let _ = std::fs::remove_dir_all(&node.config.data_dir);
}

#[tokio::test]
async fn two_who_come_by_the_same_link_at_once_are_one() {
    let (node, _) = node().await;
    let secret = invited(&node, "ada", &["viewer"]).await;
    let origin: &[_] = &[("origin", ORIGIN)];
    let (one, other) = tokio::join!(come(&node, &secret, origin), come(&node, &secret, origin));
    let mut seen = [one.status.as_u16(), other.status.as_u16()];
    seen.sort_unstable();
    assert_eq!(seen, [200, 403]);
    let _ = std::fs::remove_dir_all(&node.config.data_dir);
}

#[tokio::test]
async fn a_session_may_what_its_person_may_and_no_other_page_can_use_it() {
    let (node, _) = node().await;
    let (cookie, csrf) = session(&node, "ada", &["admin"]).await;
    let (other, other_csrf) = session(&node, "bob", &["viewer"]).await;
    let (cookie, csrf) = (cookie.as_str(), csrf.as_str());
    let evil = "https://evil.example";
    let twice = format!("{cookie}; {other}");
    let wanted = json!({ "name": "machine", "scope": ["role/viewer"] });
    for (headers, status) in [
        (&[("cookie", cookie)][..], 403),
        (&[("cookie", cookie), ("x-csrf-token", csrf)], 403),
        (&[("cookie", cookie), ("origin", ORIGIN)], 403),
        (&[("cookie", cookie), ("origin", evil), ("x-csrf-token", csrf)], 403),
        (&[("cookie", cookie), ("origin", ORIGIN), ("x-csrf-token", &other_csrf)], 403),
        (&[("cookie", cookie), ("origin", ORIGIN), ("x-csrf-token", "")], 403),
        (
            &[
                ("cookie", cookie),
                ("origin", ORIGIN),
                ("x-csrf-token", csrf),
                ("sec-fetch-site", "cross-site"),
            ],
            403,
        ),
        // A cookie that somebody else put there as well.
        (&[("cookie", &twice), ("origin", ORIGIN), ("x-csrf-token", csrf)], 401),
        // A token, good or not, is what counts.
        (
            &[
                ("cookie", cookie),
                ("authorization", "Bearer x"),
                ("origin", ORIGIN),
                ("x-csrf-token", csrf),
            ],
            401,
        ),
        (&[("cookie", &other), ("origin", ORIGIN), ("x-csrf-token", &other_csrf)], 403),
        (
            &[
                ("cookie", cookie),
                ("origin", ORIGIN),
                ("x-csrf-token", csrf),
                ("sec-fetch-site", "same-origin"),
            ],
            200,
        ),
    ] {
        let seen = ask(https_router(&node), ("POST", "/api/v1/tokens"), headers, &wanted).await;
        assert_eq!(seen.status.as_u16(), status, "{headers:?} {}", seen.body);
    }
    let events = node.store.events(Some("token/machine".into()), i64::MAX, 1).await;
    assert_eq!(events.expect("a read")[0].actor, "person/ada");
    let _ = std::fs::remove_dir_all(&node.config.data_dir);
}

#[tokio::test]
async fn no_path_that_is_written_otherwise_leads_past_the_guard() {
    let (node, _) = node().await;
    for path in [
        "//api/v1/tokens",
        "/api//v1/tokens",
        "/api/v1/./tokens",
        "/api/v1/x/../tokens",
        "/%61pi/v1/tokens",
        "/api/v1/%74okens",
        "/api/v1/tokens/",
        "/API/v1/tokens",
        "/api/v1/tokens;x",
        "/enter/../api/v1/tokens",
        "/ui/%2e%2e/api/v1/tokens",
    ] {
        let seen = ask(https_router(&node), ("GET", path), &[], &json!({})).await;
        let refused = matches!(seen.status.as_u16(), 401 | 404);
        assert!(refused, "{path} {} {}", seen.status, seen.body);
    }
    let named = ("GET", "/api/v1/tokens");
    for header in [
        "x-forwarded-for",
        "forwarded",
        "x-real-ip",
        "x-original-url",
        "x-rewrite-url",
        "x-remote-user",
        "x-http-method-override",
    ] {
        let seen = ask(https_router(&node), named, &[(header, "127.0.0.1")], &json!({})).await;
        assert_eq!(seen.status, StatusCode::UNAUTHORIZED, "{header}");
    }
    let _ = std::fs::remove_dir_all(&node.config.data_dir);
}

#[tokio::test]
async fn a_session_ends_after_its_time_and_when_it_is_not_used_and_when_it_is_told_to() {
    let (node, clock) = node().await;
    let (cookie, _) = session(&node, "ada", &["viewer"]).await;
    for _ in 0..2 {
        pass(&clock, 1799);
        assert_eq!(own(&node, &cookie).await.status, StatusCode::OK);
    }
    pass(&clock, 2);
    let seen = own(&node, &cookie).await.status;
    assert_eq!(seen, StatusCode::UNAUTHORIZED, "without a passkey it lasts an hour");

    let (idle, _) = session(&node, "ada", &["viewer"]).await;
    pass(&clock, 3600);
    assert_eq!(own(&node, &idle).await.status, StatusCode::UNAUTHORIZED, "nobody used it");

    let (cookie, csrf) = session(&node, "ada", &["viewer"]).await;
    let headers: &[(&str, &str)] =
        &[("cookie", &cookie), ("origin", ORIGIN), ("x-csrf-token", &csrf)];
    let end = ("POST", "/api/v1/session/end");
    let seen = ask(https_router(&node), end, headers, &json!({})).await;
    assert_eq!(seen.status, StatusCode::OK);
    assert!(
        seen.cookie.expect("a cookie").contains("=; ") && own(&node, &cookie).await.status == 401
    );
    let _ = std::fs::remove_dir_all(&node.config.data_dir);
}

#[tokio::test]
async fn who_is_disabled_is_out_at_once_and_other_roles_hold_at_once() {
    let (node, _) = node().await;
    let (cookie, _) = session(&node, "ada", &["viewer"]).await;
    let events = ("GET", "/api/v1/events");
    let headers: &[(&str, &str)] = &[("cookie", &cookie)];
    let look = || ask(https_router(&node), events, headers, &Value::Null);
    assert_eq!(look().await.status, StatusCode::FORBIDDEN);
    let give = ("POST", "/api/v1/people/ada/roles");
    let given = ask(api_router(&node), give, &[], &json!({ "roles": ["auditor"] })).await;
    assert_eq!(given.status, StatusCode::OK, "{}", given.body);
    assert_eq!(look().await.status, StatusCode::OK);

    let link = invited(&node, "ada", &["auditor"]).await;
    let disable = ("POST", "/api/v1/people/ada/disable");
    assert_eq!(ask(api_router(&node), disable, &[], &json!({})).await.status, StatusCode::OK);
    assert_eq!(look().await.status, StatusCode::UNAUTHORIZED);
    let seen = come(&node, &link, &[("origin", ORIGIN)]).await;
    assert_eq!(seen.status, StatusCode::FORBIDDEN, "their link is closed too");
    let invite = ("POST", "/api/v1/people");
    let seen = ask(api_router(&node), invite, &[], &json!({ "name": "ada" })).await;
    assert_eq!(seen.status, StatusCode::CONFLICT);
    let _ = std::fs::remove_dir_all(&node.config.data_dir);
}

#[tokio::test]
async fn no_answer_and_no_event_holds_a_secret_and_the_twenty_first_session_ends_the_first() {
    let (node, _) = node().await;
    let mut secrets = Vec::new();
    for _ in 0..21 {
        let (cookie, _) = session(&node, "ada", &["admin"]).await;
        secrets.push(cookie);
    }
    assert_eq!(own(&node, &secrets[0]).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(own(&node, &secrets[1]).await.status, StatusCode::OK);
    secrets.push(invited(&node, "bob", &["viewer"]).await);
    let mut said = String::new();
    for path in ["/events?limit=1000", "/people", "/people/ada", "/sessions", "/session"] {
        let path = format!("/api/v1{path}");
        let seen = ask(api_router(&node), ("GET", &path), &[], &json!({})).await;
        assert_eq!(seen.status, StatusCode::OK, "{path} {}", seen.body);
        said += &seen.body.to_string();
    }
    for action in ["person.invite", "session.begin"] {
        assert!(said.contains(action), "{action}");
    }
    assert!(
        said.contains("Browser/1 x"),
        "what a browser calls itself is kept without what is odd"
    );
    for secret in &secrets {
        let secret = secret.rsplit('=').next().expect("a secret");
        assert!(!said.contains(secret));
        let hash = Secret::parse(secret).expect("a secret").hash();
        assert!(!said.contains(&data_encoding::HEXLOWER.encode(&hash)));
    }
    let _ = std::fs::remove_dir_all(&node.config.data_dir);
}

#[tokio::test]
async fn the_page_loads_nothing_from_elsewhere_and_is_framed_nowhere() {
    let (node, _) = node().await;
    for path in
        ["/enter", "/sign-in", "/ui/enter.js", "/ui/sign-in.js", "/ui/passkeys.js", "/ui/enter.css"]
    {
        let request = Request::builder().uri(path).body(Body::empty()).expect("a request");
        let response = https_router(&node).oneshot(request).await.expect("an answer");
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        let policy = &response.headers()[CONTENT_SECURITY_POLICY];
        let policy = policy.to_str().expect("text");
        for part in ["default-src 'none'", "frame-ancestors 'none'", "script-src 'self';"] {
            assert!(policy.contains(part), "{policy}");
        }
        assert_eq!(response.headers()[CACHE_CONTROL], "no-store");
    }
    let _ = std::fs::remove_dir_all(&node.config.data_dir);
}
