//! dns-01 by a real DNS server, which both we and the CA ask.

use std::path::Path;
use std::sync::Arc;

use axum::http::{HeaderMap, StatusCode};

use super::super::{AcmeSpec, Answers, account};
use super::knot::{Knot, private};
use super::own::Own;
use super::pebble::Manner;
use super::powerdns::PowerDns;
use super::scene::{Scene, assert_good, home, wanted};

const ONE: &[&str] = &["127.0.0.1"];
const TWO: &[&str] = &["127.0.0.1", "127.0.0.2"];

async fn scene(knot: &Knot) -> Scene {
    Scene::with(Manner { dns: Some(knot.port), ..Manner::default() }).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wildcard_and_its_base_are_proven_by_signed_updates_and_nothing_stays() {
    let knot = Knot::start(&home(), ONE);
    let scene = scene(&knot).await;
    // Somebody else's, at the same name: it stays.
    knot.update("update add _acme-challenge.open.test. 1 TXT other");
    let client = scene.client(&scene.spec_with(&knot.challenge("20s"))).await;
    scene.order(&client, &["open.test", "*.open.test"]).await.expect("a certificate");
    assert_eq!(knot.texts("_acme-challenge.open.test"), "\"other\"\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delegated_name_is_proven_where_its_cname_leads() {
    let knot = Knot::start(&home(), ONE);
    // Our own CA: Pebble leaves it to its resolver to follow a CNAME out of the zone.
    let ca = Own::serving("profiles = ['default']", knot.port).await;
    let challenge = toml::from_str(&knot.challenge("20s")).expect("a declaration");
    let client = account(&AcmeSpec { challenge, ..ca.spec("") }, None).await.expect("an account").0;
    let names = ["www.closed.test"];
    let chain = client.order(&wanted(&names), &ca.node.answers, async |_| {}).await;
    assert_good(&chain.expect("a certificate"), &names);
    assert_eq!(knot.texts("www.closed.test.open.test"), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ca_is_not_told_before_every_server_of_the_zone_has_the_record() {
    let home = home();
    let knot = Knot::start(&home, TWO);
    let stale = knot.stale(&home, "127.0.0.2");
    let scene = scene(&knot).await;
    let client = scene.client(&scene.spec_with(&knot.challenge("3s"))).await;
    let error = scene.order(&client, &["open.test"]).await.expect_err("one has nothing");
    let text = error.to_string();
    assert!(text.contains(&format!("ns1.open.test (127.0.0.2:{})", stale.port)), "{text}");
    assert!(!error.is_issuer_down() && !error.is_order_over(), "{error:?}");
    assert!(!scene.pebble.wrote().contains("Starting validation"), "told too early");
    assert_eq!(knot.texts("_acme-challenge.open.test"), "", "cleaned up all the same");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_is_removed_when_the_ca_is_not_convinced() {
    let knot = Knot::start(&home(), ONE);
    // It asks a server that knows nothing of the zone.
    let scene = Scene::set().await;
    let client = scene.client(&scene.spec_with(&knot.challenge("20s"))).await;
    let error = scene.order(&client, &["open.test"]).await.expect_err("unproven");
    assert!(error.is_order_over(), "{error:?}");
    assert_eq!(knot.texts("_acme-challenge.open.test"), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_key_is_told_of_without_the_key() {
    let knot = Knot::start(&home(), ONE);
    let scene = scene(&knot).await;
    let challenge = knot.challenge("20s");
    let wrong = "d3JvbmctZm9yLXN1cmUtd3JvbmctZm9yLXN1cmU=";
    private(&knot.secret_file(), wrong);
    let client = scene.client(&scene.spec_with(&challenge)).await;
    // The declaration wrote the right key again; the file is read for each order.
    private(&knot.secret_file(), wrong);
    let file = challenge.split('\'').find(|part| part.ends_with("/secret")).expect("a path");
    private(Path::new(file), wrong);
    let error = scene.order(&client, &["open.test"]).await.expect_err("refused").to_string();
    assert!(error.contains("cannot be updated") && !error.contains(wrong), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_of_the_library_is_told_by_http_and_nothing_stays() {
    let service = PowerDns::start(&home());
    let scene = Scene::with(Manner { dns: Some(service.port), ..Manner::default() }).await;
    let client = scene.client(&scene.spec_with(&service.challenge())).await;
    scene.order(&client, &["open.test", "*.open.test"]).await.expect("a certificate");
    assert_eq!(service.texts("_acme-challenge.open.test"), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_is_called_as_lego_calls_it() {
    let knot = Knot::start(&home(), ONE);
    let scene = scene(&knot).await;
    let body = "case $1 in present) do_update add \"$2\" \"$3\";; \
                cleanup) do_update delete \"$2\" \"$3\";; *) exit 9;; esac";
    let program = knot.script("hook", body);
    let provider = format!("[provider]\nkind = 'exec'\ncommand = '{}'\n", program.display());
    let client = scene.client(&scene.spec_with(&(knot.looking("20s") + &provider))).await;
    scene.order(&client, &["open.test", "*.open.test"]).await.expect("a certificate");
    assert_eq!(knot.texts("_acme-challenge.open.test"), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn functions_are_called_as_acme_sh_calls_them() {
    let knot = Knot::start(&home(), ONE);
    let scene = scene(&knot).await;
    let body = "dns_own_add() { _info adding; do_update add \"$1.\" \"$2\"; }\n\
                dns_own_rm() { do_update delete \"$1.\" \"$2\"; }";
    let program = knot.script("dns_own.sh", body);
    let provider = "[provider]\nkind = 'exec'\nconvention = 'acme.sh'\n";
    let provider = format!("{provider}command = '{}'\n", program.display());
    let client = scene.client(&scene.spec_with(&(knot.looking("20s") + &provider))).await;
    scene.order(&client, &["www.open.test"]).await.expect("a certificate");
    assert_eq!(knot.texts("www.elsewhere.open.test"), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_fails_is_quoted_and_one_that_hangs_is_ended() {
    let knot = Knot::start(&home(), ONE);
    let scene = scene(&knot).await;
    let order = async |program: &Path| {
        let provider = "[provider]\nkind = 'exec'\ntimeout = '1s'\n";
        let provider = format!("{provider}command = '{}'\n", program.display());
        let client = scene.client(&scene.spec_with(&(knot.looking("0s") + &provider))).await;
        let wanted = wanted(&["open.test"]);
        let error = client.order(&wanted, &Answers::default(), async |_| {}).await;
        error.expect_err("no record").to_string()
    };
    let error = order(&knot.script("fails", "echo 'no such zone' >&2; exit 3")).await;
    assert!(error.contains("no such zone") && error.contains("exit status: 3"), "{error}");
    let error = order(&knot.script("hangs", "sleep 600")).await;
    assert!(error.contains("has not ended after 1s"), "{error}");
}

/// acme-dns is not in Debian: its API (`POST /update`) in front of a real DNS server.
#[tokio::test(flavor = "multi_thread")]
async fn an_acme_dns_account_is_updated_where_the_name_is_delegated_to_it() {
    let home = home();
    let knot = Arc::new(Knot::start(&home, ONE));
    let scene = scene(&knot).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let server = Arc::clone(&knot);
    let update = async move |headers: HeaderMap, body: String| {
        let body: serde_json::Value = serde_json::from_str(&body).expect("JSON");
        let told = |name| headers.get(name).and_then(|value| value.to_str().ok());
        if (told("x-api-user"), told("x-api-key")) != (Some("user"), Some("word")) {
            return StatusCode::UNAUTHORIZED;
        }
        assert_eq!(body["subdomain"], "www");
        server.update(&format!("update add www.elsewhere.open.test. 1 TXT {}", body["txt"]));
        StatusCode::OK
    };
    let router = axum::Router::new().route("/update", axum::routing::post(update));
    tokio::spawn(async move { axum::serve(listener, router).await });
    let account = |password: &str| {
        format!(
            "{{\"www.open.test\": {{\"fulldomain\": \"www.elsewhere.open.test\", \
             \"subdomain\": \"www\", \"username\": \"user\", \"password\": \"{password}\"}}}}"
        )
    };
    let file = private(&home.join("accounts"), &account("word"));
    let provider = format!(
        "[provider]\nkind = 'acme-dns'\nurl = 'http://127.0.0.1:{port}'\n\
         credentials_file = '{}'\n",
        file.display()
    );
    let client = scene.client(&scene.spec_with(&(knot.looking("20s") + &provider))).await;
    scene.order(&client, &["www.open.test"]).await.expect("a certificate");
    let error = scene.order(&client, &["open.test"]).await.expect_err("not delegated").to_string();
    assert!(error.contains("by CNAME"), "{error}");
    private(&file, &account("another"));
    // Another account there as well: Pebble may take one's proof of a name again.
    let client = scene.client(&scene.spec_with(&(knot.looking("20s") + &provider))).await;
    let error = scene.order(&client, &["www.open.test"]).await.expect_err("a wrong password");
    assert!(error.to_string().contains("401"), "{error}");
}
