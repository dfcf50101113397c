//! What is published of keys: their names and certificates.

use std::sync::Arc;

use jiff::SignedDuration;
use jwks::Served;

use super::{Stage, replace, rotate};

#[tokio::test]
async fn keys_are_named_and_certified_as_declared() {
    let stage = Stage::new("kid = \"spki\"\nx5c = \"internal\"").await;
    stage.work().await;
    let kid = stage.sign().await.expect("a key signs");
    let body = stage.node.keysets.load()["auth"].set.plain.octets.clone();
    let served = Served::parse(&body).expect("a set");
    let jwk = &served.keys[0];
    let leaf = ca::Certificate::from_der(&jwk.x5c[0]).expect("a certificate");
    let key = leaf.public_key().expect("a key");
    assert_eq!(data_encoding::BASE64URL_NOPAD.encode(&key.spki_sha256()), kid);
    assert_eq!(key.spki(), jwk.key.spki());
    let internal = Arc::clone(&stage.node.catalog.load().authorities["internal"]);
    assert_eq!(jwk.x5c[1..], [internal.ca.certificate().der().to_vec()], "the root is left out");
    let key = stage.row(&kid).key;
    assert!(leaf.not_after() > key.rotate_at.expect("it signs") + SignedDuration::from_hours(1));
    replace(&stage.node, "auth", &"admin".into(), None).await.expect("replaced");
    let row = stage.node.store.certificate_by_serial(&leaf.serial()).expect("a read");
    assert!(row.expect("it was issued here").revoked.is_some(), "its key is compromised");
    let text = String::from_utf8(body.to_vec()).expect("text");
    assert!(text.contains("\"x5t#S256\""), "{text}");

    stage.declare("kid = \"date\"").await;
    stage.work().await;
    let set = stage.node.keysets.load()["auth"].set.plain.octets.clone();
    assert!(!String::from_utf8_lossy(&set).contains("x5c"), "none is declared");
    rotate(&stage.node, "auth", &"admin".into()).await.expect("asked for");
    stage.work().await;
    let day = stage.now().to_string()[..10].to_owned();
    assert!(stage.published().contains(&day), "{:?}", stage.published());
    replace(&stage.node, "auth", &"admin".into(), None).await.expect("replaced");
    assert_eq!(stage.sign().await.expect("a key signs"), format!("{day}-2"));
}

#[tokio::test]
async fn a_key_that_outlives_its_certificate_gets_another_and_one_without_gets_one() {
    let stage = Stage::new("rotate_every = \"7d\"").await;
    stage.work().await;
    let kid = stage.sign().await.expect("a key signs");
    let edge = "rotate_every = \"7d\"\nx5c = \"internal\"\nedges = [\"http://127.0.0.1:9/\"]";
    stage.declare(edge).await;
    let end = || {
        let jwk = stage.known().jwk(&kid.parse().expect("a kid")).expect("a key");
        ca::Certificate::from_der(&jwk.x5c[0]).expect("a certificate").not_after()
    };
    stage.work().await;
    let first = end();
    let from = stage.now();
    while stage.now() < from + SignedDuration::from_hours(20 * 24) {
        stage.pass(SignedDuration::from_hours(3));
        stage.work().await;
        assert!(end() > stage.now() + SignedDuration::from_mins(20), "it signs, and is certified");
    }
    assert!(end() > first, "the edge is silent, and no other key took its place");
    assert_eq!(stage.sign().await.expect("a key signs"), kid);
}
