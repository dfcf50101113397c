//! What may be done with an approval, and what not, by whoever tries.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use axum::body::Body;
use axum::extract::Request;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::http::{api_router, https_router};
use crate::node::Node;
use crate::node::tests::node;

/// What was answered: status, id of a request for approval, body.
type Seen = (u16, Option<String>, Value);

/// A node where making tokens needs the approval of others, and the token of an admin.
struct Scene {
    node: Arc<Node>,
    clock: Arc<AtomicI64>,
    token: String,
}

impl Scene {
    async fn new(rule: &str) -> Self {
        let (node, clock) = node().await;
        let mut scene = Self { node, clock, token: String::new() };
        let (status, _, made) = scene.socket("/tokens", &token("boss", "admin"), &[]).await;
        assert_eq!(status, 200, "{made}");
        scene.token = made["token"].as_str().expect("a token").to_owned();
        let text = format!("[[approval]]\nname = 'tokens'\nactions = ['token.create']\n{rule}");
        let files = json!({ "files": [{ "name": "a.toml", "text": text }] });
        let (status, _, seen) = scene.socket("/apply", &files, &[]).await;
        assert_eq!(status, 200, "{seen}");
        scene
    }

    /// Asks as the machine's own admin.
    async fn socket(&self, path: &str, body: &Value, headers: &[(&str, &str)]) -> Seen {
        ask(api_router(&self.node), path, body, headers).await
    }

    /// Asks with the token, over the network.
    async fn boss(&self, path: &str, body: &Value, headers: &[(&str, &str)]) -> Seen {
        let bearer = format!("Bearer {}", self.token);
        let headers: Vec<_> =
            headers.iter().copied().chain([("authorization", &*bearer)]).collect();
        ask(https_router(&self.node), path, body, &headers).await
    }

    /// A request of the token's for approval of making `name`.
    async fn wanted(&self, name: &str) -> String {
        let (status, id, seen) = self.boss("/tokens", &token(name, "viewer"), &[]).await;
        assert_eq!(status, 403, "{seen}");
        id.expect("a request for approval")
    }

    async fn decide(&self, id: &str, verb: &str) -> (u16, Value) {
        let path = format!("/approvals/{id}/{verb}");
        let (status, _, seen) = self.socket(&path, &json!({ "comment": "c" }), &[]).await;
        (status, seen["status"].clone())
    }

    fn made(&self, name: &str) -> bool {
        self.node.store.token_by_name(name).expect("a read").is_some()
    }

    async fn events(&self, subject: &str) -> Vec<String> {
        let events = self.node.store.events(Some(subject.into()), i64::MAX, 10).await;
        events.expect("a read").iter().map(|event| event.action.clone()).collect()
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.node.config.data_dir);
    }
}

fn token(name: &str, role: &str) -> Value {
    json!({ "name": name, "scope": [format!("role/{role}")] })
}

async fn ask(router: axum::Router, path: &str, body: &Value, headers: &[(&str, &str)]) -> Seen {
    let request = Request::builder().method("POST").uri(format!("/api/v1{path}"));
    let request =
        headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    let request = request.body(Body::from(body.to_string())).expect("a request");
    let response = router.oneshot(request).await.expect("an answer");
    let id = response.headers().get("approval").map(|id| id.to_str().expect("text").to_owned());
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.expect("a body").to_bytes();
    (status, id, serde_json::from_slice(&body).expect("JSON"))
}

#[tokio::test]
async fn what_was_agreed_to_is_done_once_by_who_asked_and_exactly_so() {
    let scene = Scene::new("").await;
    let id = scene.wanted("ci").await;
    assert_eq!(scene.wanted("ci").await, id, "asking again is the same request");
    let (body, with) = (token("ci", "viewer"), [("approval", &*id)]);
    let (status, _, seen) = scene.boss("/tokens", &body, &with).await;
    assert_eq!(status, 403, "nobody agreed yet: {seen}");
    let (status, _, seen) = scene.boss(&format!("/approvals/{id}/approve"), &json!({}), &[]).await;
    assert_eq!(status, 403, "a token agrees to nothing: {seen}");
    assert_eq!(scene.decide(&id, "approve").await, (200, json!("approved")));
    for (path, body, headers) in [
        ("/tokens", token("ci", "admin"), &with[..]),
        ("/tokens", token("ci2", "viewer"), &with[..]),
        ("/tokens?x=1", body.clone(), &with[..]),
        ("/tokens", body.clone(), &[("approval", "0")][..]),
        ("/tokens", body.clone(), &[("approval", "x")][..]),
        ("/tokens", body.clone(), &[("approval", &*id), ("approval", &*id)][..]),
        ("/tokens", body.clone(), &[("approval", &*id), ("break-glass", "now")][..]),
        ("/tokens", body.clone(), &[("break-glass", "now")][..]),
    ] {
        let (status, _, seen) = scene.boss(path, &body, headers).await;
        assert!(matches!(status, 400 | 403), "{path} {body} {headers:?}: {status} {seen}");
    }
    let (status, _, seen) = scene.socket("/tokens", &body, &with).await;
    assert_eq!(status, 403, "another asked: {seen}");
    assert!(!scene.made("ci") && !scene.made("ci2"));
    let (status, _, seen) = scene.boss("/tokens", &body, &with).await;
    assert_eq!(status, 200, "{seen}");
    assert!(scene.made("ci"));
    let (status, _, seen) = scene.boss("/tokens", &body, &with).await;
    assert_eq!(
        (status, seen["detail"].as_str().is_some_and(|why| why.contains("used"))),
        (403, true)
    );
    let mut events = scene.events(&format!("approval/{id}")).await;
    events.reverse();
    assert_eq!(events, ["approval.ask", "approval.approve", "approval.use"]);
}

#[tokio::test]
async fn an_approval_ends_with_its_time_and_with_what_anybody_says() {
    let scene = Scene::new("valid = '1h'").await;
    for (name, verb, state) in [("a", "deny", "denied"), ("b", "withdraw", "withdrawn")] {
        let id = scene.wanted(name).await;
        assert_eq!(scene.decide(&id, verb).await, (200, json!(state)));
        assert_eq!(scene.decide(&id, "approve").await.0, 409, "{state}");
        let with = [("approval", &*id)];
        assert_eq!(scene.boss("/tokens", &token(name, "viewer"), &with).await.0, 403, "{state}");
        assert_ne!(scene.wanted(name).await, id, "it can be asked for anew");
    }
    let (agreed, open) = (scene.wanted("c").await, scene.wanted("d").await);
    assert_eq!(scene.decide(&agreed, "approve").await.0, 200);
    scene.clock.fetch_add(3600, Ordering::SeqCst);
    assert_eq!(scene.decide(&open, "approve").await.0, 409);
    let with = [("approval", &*agreed)];
    let (status, _, seen) = scene.boss("/tokens", &token("c", "viewer"), &with).await;
    assert_eq!((status, scene.made("c")), (403, false), "{seen}");
}

#[tokio::test]
async fn an_approval_with_which_nothing_was_done_can_be_used_again() {
    let scene = Scene::new("").await;
    let id = scene.wanted("boss").await;
    assert_eq!(scene.decide(&id, "approve").await.0, 200);
    for _ in 0..2 {
        let with = [("approval", &*id)];
        let (status, _, seen) = scene.boss("/tokens", &token("boss", "viewer"), &with).await;
        assert_eq!(status, 409, "the name is taken: {seen}");
    }
    assert!(scene.events(&format!("approval/{id}")).await.contains(&"approval.return".to_owned()));
}

#[tokio::test]
async fn whoever_asks_does_not_agree_and_on_the_machine_the_glass_can_be_broken() {
    let scene = Scene::new("").await;
    let body = token("mine", "viewer");
    let (status, id, _) = scene.socket("/tokens", &body, &[]).await;
    assert_eq!(status, 403);
    let id = id.expect("a request");
    assert_eq!(scene.decide(&id, "approve").await.0, 403);
    assert_eq!(scene.socket("/tokens", &body, &[("break-glass", "")]).await.0, 400);
    assert!(!scene.made("mine"));
    let glass = [("break-glass", "all approvers are ill")];
    assert_eq!(scene.socket("/tokens", &body, &glass).await.0, 200);
    assert!(scene.made("mine"));
    assert_eq!(scene.events("node").await[0], "approval.break-glass");
}

#[tokio::test]
async fn a_rule_of_approval_guards_itself_and_all_of_a_change_is_agreed_to_at_once() {
    let scene = Scene::new("[[approval]]\nname = 'govern'\nactions = ['declaration.*']\n").await;
    let text = "[[certificate]]\nname = 'a'\nnames = ['a.example.com']\n\
                [[profile]]\nname = 'b'\nlifetime = '7d'\n";
    let files = json!({ "files": [{ "name": "a.toml", "text": text }] });
    let (status, id, seen) = scene.boss("/apply", &files, &[]).await;
    assert_eq!(status, 403, "{seen}");
    let id = id.expect("a request");
    let row =
        scene.node.store.approval(id.parse().expect("a number")).expect("a read").expect("it");
    assert_eq!(Vec::from_iter(&row.subjects), ["certificate/a", "profile/b"]);
    assert_eq!(scene.decide(&id, "approve").await.0, 200);
    assert_eq!(scene.boss("/apply", &files, &[("approval", &*id)]).await.0, 200);
    let gone = json!({ "files": [{ "name": "a.toml", "text": "" }], "prune": true });
    assert_eq!(scene.boss("/apply", &gone, &[]).await.0, 403, "nor is the rule taken away");
    assert_eq!(scene.socket("/plan", &gone, &[]).await.0, 200);
}
