//! Passkeys over the routes that pages use, with an authenticator that is written here: what is registered
//! signs in and steps up, and nothing is good twice, for something else, or for somebody else.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use axum::http::StatusCode;
use data_encoding::BASE64URL_NOPAD;
use serde_json::json;

use super::tests::{ORIGIN, Seen, ask, own, pass, session};
use super::*;
use crate::http::{api_router, https_router};
use crate::node::tests::node;

/// Something that holds one passkey for `localhost`.
struct Authenticator {
    key: EcdsaKeyPair,
    id: &'static [u8],
    count: u32,
}

impl Authenticator {
    fn new(id: &'static [u8]) -> Self {
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).expect("a key");
        Self { key, id, count: 0 }
    }

    fn data(&mut self, flags: u8, rest: &[u8]) -> Vec<u8> {
        self.count += 1;
        let party = digest(&SHA256, b"localhost");
        [party.as_ref(), &[flags], &self.count.to_be_bytes(), rest].concat()
    }

    /// What a page sends of a new passkey that answers `options`.
    fn made(&mut self, name: &str, options: &Value) -> Value {
        let point = self.key.public_key().as_ref();
        let (x, y) = point[1..].split_at(32);
        let cose =
            [&[0xa5, 1, 2, 3, 0x26, 0x20, 1, 0x21, 0x58, 32], x, &[0x22, 0x58, 32], y].concat();
        let length = u16::try_from(self.id.len()).expect("short").to_be_bytes();
        let data = self.data(0x45, &[&[0; 16], &length[..], self.id, &cose].concat());
        let length = u16::try_from(data.len()).expect("short").to_be_bytes();
        let head = b"\xa3\x63fmt\x64none\x67attStmt\xa0\x68authData\x59";
        let attestation = [&head[..], &length, &data].concat();
        json!({
            "name": name,
            "client_data": encoded(&client_data("webauthn.create", options)),
            "attestation": encoded(&attestation),
        })
    }

    /// What a page sends to show the passkey as `options` ask.
    fn shown(&mut self, options: &Value) -> Value {
        let (client, data) = (client_data("webauthn.get", options), self.data(0x05, &[]));
        let signed = [&data[..], digest(&SHA256, &client).as_ref()].concat();
        let signature = self.key.sign(&SystemRandom::new(), &signed).expect("signed");
        json!({
            "id": encoded(self.id),
            "client_data": encoded(&client),
            "authenticator_data": encoded(&data),
            "signature": encoded(signature.as_ref()),
        })
    }
}

fn client_data(kind: &str, options: &Value) -> Vec<u8> {
    let said = json!({ "type": kind, "challenge": options["challenge"], "origin": ORIGIN });
    said.to_string().into_bytes()
}

fn encoded(bytes: &[u8]) -> String {
    BASE64URL_NOPAD.encode(bytes)
}

/// A browser: its cookie, and what its pages say.
struct Browser {
    node: Arc<Node>,
    cookie: String,
    csrf: String,
}

impl Browser {
    async fn of(node: &Arc<Node>, name: &str) -> Self {
        let (cookie, csrf) = session(node, name, &["viewer"]).await;
        Self { node: Arc::clone(node), cookie, csrf }
    }

    fn nobody(node: &Arc<Node>) -> Self {
        Self { node: Arc::clone(node), cookie: String::new(), csrf: String::new() }
    }

    async fn post(&self, path: &str, body: &Value) -> Seen {
        let headers: &[(&str, &str)] =
            &[("origin", ORIGIN), ("cookie", &self.cookie), ("x-csrf-token", &self.csrf)];
        let headers = if self.cookie.is_empty() { &headers[..1] } else { headers };
        ask(https_router(&self.node), ("POST", path), headers, body).await
    }

    /// Takes the session that an answer gives.
    fn take(&mut self, seen: &Seen) {
        let cookie = seen.cookie.as_deref().expect("a cookie");
        self.cookie = cookie.split(';').next().expect("a pair").to_owned();
        self.csrf = seen.body["csrf_token"].as_str().expect("a token").to_owned();
    }

    async fn register(&mut self, authenticator: &mut Authenticator) -> Seen {
        let options = self.post(&format!("{OWN}/passkeys/options"), &json!({})).await;
        assert_eq!(options.status, StatusCode::OK, "{}", options.body);
        let made = authenticator.made("key", &options.body);
        let seen = self.post(&format!("{OWN}/passkeys"), &made).await;
        if seen.status.is_success() {
            self.take(&seen);
        }
        seen
    }
}

const OWN: &str = "/api/v1/session";

#[tokio::test]
async fn a_passkey_signs_in_again_and_again_and_each_answer_is_good_once() {
    let (node, clock) = node().await;
    let (mut ada, mut key) = (Browser::of(&node, "ada").await, Authenticator::new(b"first"));
    let before = ada.cookie.clone();
    assert_eq!(ada.register(&mut key).await.status, StatusCode::OK);
    assert_eq!(own(&node, &before).await.status, 401, "the session before is no more");
    assert_eq!(own(&node, &ada.cookie).await.status, StatusCode::OK);
    pass(&clock, 3601);
    let seen = own(&node, &ada.cookie).await.status;
    assert_eq!(seen, 401, "an hour without use");

    let mut browser = Browser::nobody(&node);
    for _ in 0..2 {
        let options = browser.post("/sign-in/options", &json!({})).await.body;
        assert_eq!(options["rpId"], "localhost");
        let shown = key.shown(&options);
        let seen = browser.post("/sign-in", &shown).await;
        assert_eq!((seen.status, &seen.body["name"]), (StatusCode::OK, &json!("ada")));
        let again = browser.post("/sign-in", &shown).await;
        assert_eq!(again.status, StatusCode::FORBIDDEN, "{}", again.body);
        // With a counter that went on, it is the challenge that is used up.
        let again = browser.post("/sign-in", &key.shown(&options)).await;
        assert_eq!(again.status, StatusCode::FORBIDDEN);
        browser.cookie.clear();
        let mut later = Browser::nobody(&node);
        later.take(&seen);
        let shown = own(&node, &later.cookie).await.body;
        assert_eq!((&shown["way"], &shown["who"]), (&json!("passkey"), &json!("person/ada")));
        assert!(shown["stepped_up_at"].is_string(), "{shown}");
    }
    let options = browser.post("/sign-in/options", &json!({})).await.body;
    pass(&clock, 301);
    let seen = browser.post("/sign-in", &key.shown(&options)).await;
    assert_eq!(seen.status, StatusCode::FORBIDDEN, "five minutes are over");
    let _ = std::fs::remove_dir_all(&node.config.data_dir);
}

#[tokio::test]
async fn an_answer_is_good_for_its_purpose_its_session_and_its_person() {
    let (node, clock) = node().await;
    let (mut ada, mut key) = (Browser::of(&node, "ada").await, Authenticator::new(b"ada's"));
    let (mut bob, mut other) = (Browser::of(&node, "bob").await, Authenticator::new(b"bob's"));
    let challenge = ada.post(&format!("{OWN}/passkeys/options"), &json!({})).await.body;
    let seen = bob.post(&format!("{OWN}/passkeys"), &other.made("key", &challenge)).await;
    assert_eq!(seen.status, StatusCode::FORBIDDEN, "it was given to another session");
    assert_eq!(ada.register(&mut key).await.status, StatusCode::OK);
    assert_eq!(bob.register(&mut other).await.status, StatusCode::OK);

    let up = format!("{OWN}/step-up");
    let options = ada.post(&format!("{up}/options"), &json!({})).await.body;
    assert_eq!(options["allowCredentials"].as_array().map(Vec::len), Some(1));
    for (browser, path, shown, status) in [
        (&ada, up.as_str(), other.shown(&options), 403),
        (&bob, &up, other.shown(&options), 403),
        (&Browser::nobody(&node), "/sign-in", key.shown(&options), 403),
        (&Browser::nobody(&node), "/sign-in", Authenticator::new(b"unknown").shown(&options), 403),
    ] {
        let seen = browser.post(path, &shown).await;
        assert_eq!(seen.status.as_u16(), status, "{path} {}", seen.body);
        assert!(seen.cookie.is_none());
    }
    let mut wrong = key.shown(&options);
    wrong["user"] = encoded(&(-1_i64).to_be_bytes()).into();
    assert_eq!(ada.post(&up, &wrong).await.status, StatusCode::FORBIDDEN);

    pass(&clock, 200);
    let before = (ada.cookie.clone(), own(&node, &ada.cookie).await.body["stepped_up_at"].clone());
    let seen = ada.post(&up, &key.shown(&options)).await;
    assert_eq!(seen.status, StatusCode::OK, "{}", seen.body);
    assert_ne!(seen.body["stepped_up_at"], before.1);
    assert_eq!(own(&node, &before.0).await.status, 401, "the session before is no more");
    ada.take(&seen);
    assert_eq!(own(&node, &ada.cookie).await.status, StatusCode::OK);
    let _ = std::fs::remove_dir_all(&node.config.data_dir);
}

#[tokio::test]
async fn another_passkey_and_none_any_more_need_one_that_was_just_shown() {
    let (node, clock) = node().await;
    let (mut ada, mut key) = (Browser::of(&node, "ada").await, Authenticator::new(b"first"));
    assert_eq!(ada.register(&mut key).await.status, StatusCode::OK);
    let options = ada.post("/sign-in/options", &json!({})).await.body;
    let seen = ada.post("/sign-in", &key.shown(&options)).await;
    ada.take(&seen);
    pass(&clock, 601);
    let asked = ada.post(&format!("{OWN}/passkeys/options"), &json!({})).await;
    assert_eq!(asked.status, StatusCode::FORBIDDEN, "{}", asked.body);
    let list = own_passkeys(&ada).await;
    let remove = format!("{OWN}/passkeys/{}/remove", list[0]["id"]);
    assert_eq!(ada.post(&remove, &json!({})).await.status, StatusCode::FORBIDDEN);
    let options = ada.post(&format!("{OWN}/step-up/options"), &json!({})).await.body;
    let seen = ada.post(&format!("{OWN}/step-up"), &key.shown(&options)).await;
    ada.take(&seen);
    let mut second = Authenticator::new(b"second");
    assert_eq!(ada.register(&mut second).await.status, StatusCode::OK);
    assert_eq!(own_passkeys(&ada).await.len(), 2);
    assert_eq!(ada.post(&remove, &json!({})).await.status, StatusCode::OK);
    assert_eq!(ada.post(&remove, &json!({})).await.status, StatusCode::NOT_FOUND);
    let options = ada.post("/sign-in/options", &json!({})).await.body;
    let seen = Browser::nobody(&node).post("/sign-in", &key.shown(&options)).await;
    assert_eq!(seen.status, StatusCode::FORBIDDEN, "it was removed");
    let _ = std::fs::remove_dir_all(&node.config.data_dir);
}

async fn own_passkeys(browser: &Browser) -> Vec<Value> {
    let cookie: &[(&str, &str)] = &[("cookie", &browser.cookie)];
    let path = format!("{OWN}/passkeys");
    let seen = ask(https_router(&browser.node), ("GET", &path), cookie, &json!({})).await;
    seen.body["items"].as_array().expect("a list").clone()
}

#[tokio::test]
async fn a_copy_of_a_passkey_is_told_of_and_who_is_disabled_or_lost_theirs_is_out() {
    let (node, _) = node().await;
    let (mut ada, mut key) = (Browser::of(&node, "ada").await, Authenticator::new(b"first"));
    assert_eq!(ada.register(&mut key).await.status, StatusCode::OK);
    let nobody = Browser::nobody(&node);
    key.count = 0;
    let options = nobody.post("/sign-in/options", &json!({})).await.body;
    let seen = nobody.post("/sign-in", &key.shown(&options)).await;
    assert_eq!(seen.status, StatusCode::FORBIDDEN);
    let events = node.store.events(None, i64::MAX, 5).await.expect("a read");
    assert!(events.iter().any(|event| event.action == "passkey.refuse"), "{events:?}");

    key.count = 10;
    let disable = ("POST", "/api/v1/people/ada/disable");
    assert_eq!(ask(api_router(&node), disable, &[], &json!({})).await.status, StatusCode::OK);
    let options = nobody.post("/sign-in/options", &json!({})).await.body;
    let seen = nobody.post("/sign-in", &key.shown(&options)).await;
    let unknown = nobody.post("/sign-in", &Authenticator::new(b"none").shown(&options)).await;
    assert_eq!((seen.status, &seen.body), (StatusCode::FORBIDDEN, &unknown.body));
    for (path, shown) in [("enable", 200), ("passkeys/remove", 403)] {
        let act = format!("/api/v1/people/ada/{path}");
        let act = ask(api_router(&node), ("POST", &act), &[], &json!({})).await;
        assert_eq!(act.status, StatusCode::OK, "{}", act.body);
        let options = nobody.post("/sign-in/options", &json!({})).await.body;
        let seen = nobody.post("/sign-in", &key.shown(&options)).await;
        assert_eq!(seen.status.as_u16(), shown, "{path}");
    }
    let _ = std::fs::remove_dir_all(&node.config.data_dir);
}
