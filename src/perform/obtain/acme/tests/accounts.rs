//! Accounts: registered once, bound to an external one, changed in contact and key.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::super::client::account;
use super::super::spec::{AcmeSpec, ExternalAccount};
use super::pebble::Manner;
use super::scene::{Scene, wanted};

const KEY: &str = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W";

#[tokio::test(flavor = "multi_thread")]
async fn stored_credentials_are_used_again_and_follow_the_declared_contact() {
    let scene = Scene::set().await;
    let spec = scene.spec();
    let (first, stored) = account(&spec, None).await.expect("an account");
    let stored = stored.expect("credentials to store");
    let (again, unchanged) = account(&spec, Some(&stored)).await.expect("the same");
    assert_eq!(first.id(), again.id());
    assert!(unchanged.is_none(), "nothing new to store");

    let spec = AcmeSpec { contact: vec!["mailto:other@example.com".into()], ..spec };
    let (moved, changed) = account(&spec, Some(&stored)).await.expect("the same");
    assert_eq!(first.id(), moved.id());
    let (_, unchanged) = account(&spec, changed.as_ref()).await.expect("the same");
    assert!(unchanged.is_none(), "the CA is told once");
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_of_another_ca_are_not_shown_to_this_one() {
    let (old, new) = (Scene::set().await, Scene::set().await);
    let (_, stored) = account(&old.spec(), None).await.expect("an account");
    let (client, changed) = account(&new.spec(), stored.as_ref()).await.expect("another account");
    assert!(changed.is_some(), "it is to be stored");
    new.order(&client, &["example.com"]).await.expect("a certificate");
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_key_rollover_the_new_credentials_order_and_the_old_do_not() {
    let scene = Scene::set().await;
    let spec = scene.spec();
    let (mut client, stored) = account(&spec, None).await.expect("an account");
    let rolled = client.roll_key().await.expect("a new key");
    scene.order(&client, &["a.example.com"]).await.expect("a certificate");
    let (again, _) = account(&spec, Some(&rolled)).await.expect("the account");
    assert_eq!(again.id(), client.id());
    scene.order(&again, &["b.example.com"]).await.expect("a certificate");
    let (former, _) = account(&spec, stored.as_ref()).await.expect("nothing is signed yet");
    let answers = &scene.node.answers;
    former.order(&wanted(&["c.example.com"]), answers, async |_| {}).await.expect_err("old key");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_is_bound_to_an_external_one_where_the_ca_wants_it() {
    let manner = Manner { external: Some(("kid-1", KEY)), ..Manner::default() };
    let scene = Scene::with(manner).await;
    let error = account(&scene.spec(), None).await.expect_err("none is declared").to_string();
    assert!(error.contains("external_account"), "{error}");

    let hmac_file = scene.home.join("hmac");
    fs::write(&hmac_file, format!("{KEY}\n")).expect("a file");
    let external = ExternalAccount { kid: "kid-1".into(), hmac_file: hmac_file.clone() };
    let spec = AcmeSpec { external_account: Some(external), ..scene.spec() };
    let mode = |mode| fs::set_permissions(&hmac_file, fs::Permissions::from_mode(mode));
    mode(0o644).expect("chmod");
    let error = account(&spec, None).await.expect_err("anybody can read it").to_string();
    assert!(error.contains("chmod 600") && !error.contains(KEY), "{error}");
    mode(0o600).expect("chmod");
    let (client, _) = account(&spec, None).await.expect("an account");
    scene.order(&client, &["example.com"]).await.expect("a certificate");
}

#[tokio::test(flavor = "multi_thread")]
async fn terms_that_are_not_agreed_to_are_named() {
    let scene = Scene::set().await;
    let spec = AcmeSpec { terms_agreed: false, ..scene.spec() };
    let error = account(&spec, None).await.expect_err("not agreed").to_string();
    assert!(error.contains("terms_agreed = true"), "{error}");
}
