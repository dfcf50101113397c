//! What goes wrong, and what is made of it: whose fault it is decides what is tried next.

use std::io::{Read, Write};
use std::net::TcpListener;

use super::super::client::account;
use super::super::error::ObtainError;
use super::own::Own;
use super::pebble::Manner;
use super::scene::{Scene, wanted};

#[tokio::test(flavor = "multi_thread")]
async fn a_name_the_ca_never_certifies_is_final() {
    let scene = Scene::set().await;
    let client = scene.client(&scene.spec()).await;
    let names = ["good.example.com", Manner::default().blocked];
    let error = scene.order(&client, &names).await.expect_err("blocked");
    assert!(error.is_final_for_names() && !error.is_issuer_down(), "{error:?}");
    assert!(error.to_string().contains("blocked"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rate_limit_says_when_to_come_back_and_sends_to_the_next_issuer() {
    let ca = Own::serving("profiles = ['default']\nlimits.orders_per_account = '1/1h'", 0).await;
    let client = ca.client("").await;
    let answers = &ca.node.answers;
    client.order(&wanted(&["localhost"]), answers, async |_| {}).await.expect("the first");
    let error = client.order(&wanted(&["localhost"]), answers, async |_| {}).await;
    let error = error.expect_err("the second");
    assert!(error.is_issuer_down() && !error.is_final_for_names(), "{error:?}");
    let wait = error.retry_after().expect("Retry-After").as_secs();
    assert!((3000..=3600).contains(&wait), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ca_that_is_gone_is_down() {
    let mut scene = Scene::set().await;
    let spec = scene.spec();
    let client = scene.client(&spec).await;
    scene.pebble.stop();
    let error = scene.order(&client, &["example.com"]).await.expect_err("gone");
    assert!(error.is_issuer_down(), "{error:?}");
    let error = account(&spec, None).await.expect_err("gone");
    assert!(error.is_issuer_down(), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ca_behind_a_broken_gateway_is_down_until_it_says() {
    let scene = Scene::set().await;
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(
                b"HTTP/1.1 503 Busy\r\nRetry-After: 120\r\nContent-Length: 4\r\n\r\n<h1>",
            );
        }
    });
    let mut spec = scene.spec();
    spec.directory = format!("http://127.0.0.1:{port}/dir");
    let error = account(&spec, None).await.expect_err("503");
    assert!(matches!(error, ObtainError::Down { .. }), "{error:?}");
    assert_eq!(error.retry_after().map(|wait| wait.as_secs()), Some(120));
    assert!(error.to_string().contains("503"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_challenge_that_the_ca_does_not_offer_is_named_with_those_it_does() {
    let scene = Scene::set().await;
    let client = scene.client(&scene.spec_with("kind = 'tls-alpn-01'")).await;
    let error = scene.order(&client, &["*.example.com"]).await.expect_err("dns-01 only");
    let text = error.to_string();
    assert!(text.contains("*.example.com") && text.contains("but dns-01"), "{text}");
}
