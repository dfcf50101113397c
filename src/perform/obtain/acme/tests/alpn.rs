//! tls-alpn-01, answered by the node's own HTTPS listener.

use super::scene::Scene;

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_obtained_by_tls_alpn_01() {
    let scene = Scene::set().await;
    let client = scene.client(&scene.spec_with("kind = 'tls-alpn-01'")).await;
    let names = ["www.example.com", "127.0.0.1"];
    scene.order(&client, &names).await.expect("a certificate");
}
