//! Alternate chains (RFC 8555 §7.4.2), of which Pebble makes any number.

use super::super::spec::AcmeSpec;
use super::pebble::Manner;
use super::scene::Scene;

#[tokio::test(flavor = "multi_thread")]
async fn the_chain_to_the_preferred_root_is_taken_where_there_is_one() {
    let scene = Scene::with(Manner { other_roots: 2, ..Manner::default() }).await;
    let http = reqwest::Client::builder().tls_danger_accept_invalid_certs(true).build();
    let http = http.expect("a client");
    for root in 0..3 {
        let url = format!("{}/roots/{root}", scene.pebble.management);
        let pem = http.get(url).send().await.expect("an answer").text().await.expect("text");
        let root = &ca::Certificate::from_pem(&pem).expect("a root")[0];
        let name = root.subject().trim_start_matches("CN=").to_owned();
        let spec = AcmeSpec { preferred_chain: Some(name.clone()), ..scene.spec() };
        let client = scene.client(&spec).await;
        let chain = scene.order(&client, &["example.com"]).await.expect("a certificate");
        let top = chain.last().expect("a chain");
        assert_eq!(top.issuer(), format!("CN={name}"));
        top.verify_issued_by(root).expect("by that root");
    }
    let spec = AcmeSpec { preferred_chain: Some("Nobody's Root".into()), ..scene.spec() };
    let client = scene.client(&spec).await;
    scene.order(&client, &["example.com"]).await.expect("any chain is better than none");
}
