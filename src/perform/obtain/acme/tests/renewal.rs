//! Renewal information (RFC 9773), `replaces`, profiles and revocation, at our own server.

use std::sync::Arc;

use jiff::SignedDuration;

use super::own::Own;
use super::scene::{Scene, assert_good, wanted};

const NAME: &str = "localhost";

#[tokio::test(flavor = "multi_thread")]
async fn the_ca_says_when_to_renew_and_hears_what_is_replaced() {
    let ca = Own::serving("profiles = ['default']", 0).await;
    let client = ca.client("").await;
    let first = client.order(&wanted(&[NAME]), &ca.node.answers, async |_| {}).await;
    let first = first.expect("a certificate");
    assert_good(&first, &[NAME]);
    let info = client.renewal_info(&first[0]).await.expect("an answer").expect("an opinion");
    assert!(first[0].not_before() < info.start && info.end < first[0].not_after(), "{info:?}");
    assert!(info.poll_again_after <= SignedDuration::from_hours(12), "{info:?}");

    let mut again = wanted(&[NAME]);
    again.replaces = Some(first[0].clone());
    let second = client.order(&again, &ca.node.answers, async |_| {}).await.expect("a renewal");
    let row = ca.node.store.certificate_by_serial(&first[0].serial()).expect("a read");
    assert!(row.expect("a row").replaced_by.is_some(), "the CA was told");
    // An order that replaces what was replaced already is an order all the same.
    again.csr = wanted(&[NAME]).csr;
    client.order(&again, &ca.node.answers, async |_| {}).await.expect("not for naught");

    client.revoke(&second[0], ca::RevocationReason::Superseded).await.expect("revocation");
    client.revoke(&second[0], ca::RevocationReason::Superseded).await.expect("as it should be");
    let info = client.renewal_info(&second[0]).await.expect("an answer").expect("an opinion");
    assert!(info.end <= ca.node.world.now(), "what is revoked is to be renewed now: {info:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ca_without_renewal_information_has_no_opinion() {
    let scene = Scene::set().await;
    let client = scene.client(&scene.spec()).await;
    let names = ["example.com"];
    let chain = scene.order(&client, &names).await.expect("a certificate");
    assert_eq!(client.renewal_info(&chain[0]).await.expect("no error"), None);
    let mut again = wanted(&names);
    again.replaces = Some(chain[0].clone());
    let answers = &scene.node.answers;
    client.order(&again, answers, async |_| {}).await.expect("replaces is not sent");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_ordered_under_the_profile_declared() {
    let ca = Own::serving(
        "profiles = ['default', 'brief']\n[[profile]]\nname = 'brief'\nlifetime = '2h'",
        0,
    );
    let ca = Arc::new(ca.await);
    let client = ca.client("profile = 'brief'").await;
    let chain = client.order(&wanted(&[NAME]), &ca.node.answers, async |_| {}).await;
    let leaf = &chain.expect("a certificate")[0];
    assert!(leaf.not_after().duration_since(leaf.not_before()) <= SignedDuration::from_hours(3));
    let client = ca.client("profile = 'eternal'").await;
    let error = client.order(&wanted(&[NAME]), &ca.node.answers, async |_| {}).await;
    let error = error.expect_err("no such profile").to_string();
    assert!(error.contains("brief, default"), "{error}");
}
