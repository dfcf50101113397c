//! http-01, answered by the node's own HTTP listener.

use super::pebble::Manner;
use super::scene::Scene;

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_obtained_by_http_01() {
    let scene = Scene::set().await;
    let client = scene.client(&scene.spec()).await;
    let names = ["www.example.com", "example.com"];
    let chain = scene.order(&client, &names).await.expect("a certificate");
    assert!(chain[0].issuer().contains("Pebble"), "{chain:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_nonces_slow_validation_and_reused_authorizations_change_nothing() {
    let manner = Manner { bad_nonces: 60, slowness: 2, reuse: 100, ..Manner::default() };
    let scene = Scene::with(manner).await;
    let client = scene.client(&scene.spec()).await;
    for _ in 0..2 {
        scene.order(&client, &["a.example.com", "b.example.com"]).await.expect("a certificate");
    }
}

/// What the worker needs to do it in a task of its own.
#[test]
fn an_order_can_be_sent_to_another_thread() {
    fn sent<T: Send>(_: T) {}
    let _ = |client: &super::super::Client, node: &crate::node::Node, wanted| {
        sent(client.order(wanted, &node.answers, async |_| {}));
        sent(client.resume("", wanted, &node.answers));
    };
}
