//! Consumers that come for keys, on virtual time, through the HTTPS router.

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use jiff::SignedDuration;
use jwks::{Key, Phase};
use serde_json::Value;
use tower::ServiceExt;

use super::super::tests::Stage;
use super::*;
use crate::fetches::Fetches;
use crate::http::server::Peer;
use crate::http::{admin_router, api_router, https_router};
use crate::store::{FetchRow, KnownBy};

const GATEWAY: &str = "rotate_every = \"7d\"\n\
     consumers = [\"envoy\", { name = \"gateway\", cache = \"15m\", agent = \"gateway/\" }]";
const REQUIRED: &str = "rotate_every = \"7d\"\n\
     consumers = [{ name = \"gateway\", cache = \"15m\", required = true }]";

/// Fetches `path` of the keyset, as `agent`.
async fn fetch(stage: &Stage, path: &str, agent: &str, tag: Option<&str>) -> StatusCode {
    let mut request = Request::get(format!("/jwks/auth/{path}")).header("user-agent", agent);
    if let Some(tag) = tag {
        request = request.header("if-none-match", tag);
    }
    let mut request = request.body(Body::empty()).expect("a request");
    request.extensions_mut().insert(Peer::Network("192.0.2.7:4711".parse().expect("an address")));
    https_router(&stage.node).oneshot(request).await.expect("an answer").status()
}

/// What a router answers to who asks for `path`, or sends it `body`.
async fn asked(router: Router, path: &str, body: Option<&str>) -> String {
    let request = match body {
        Some(body) => Request::post(path).body(Body::from(body.to_owned())),
        None => Request::get(path).body(Body::empty()),
    };
    let answer = router.oneshot(request.expect("a request")).await.expect("an answer");
    let text = to_bytes(answer.into_body(), 1 << 20).await.expect("a body");
    String::from_utf8(text.into()).expect("text")
}

/// What `status` shows.
async fn status(stage: &Stage) -> Value {
    let shown = asked(api_router(&stage.node), "/api/v1/status", None).await;
    serde_json::from_str(&shown).expect("JSON")
}

/// The lines of the metrics of keysets that begin so.
async fn metrics(stage: &Stage, begin: &str) -> Vec<String> {
    let text = asked(admin_router(&stage.node), "/metrics", None).await;
    let begin = format!("perennial_keyset_{begin}{{");
    text.lines().filter_map(|line| line.strip_prefix(&begin)).map(str::to_owned).collect()
}

async fn keep(stage: &Stage) {
    note_fetches(Arc::clone(&stage.node)).await;
    stage.work().await;
}

fn live(stage: &Stage) -> Arc<Live> {
    Arc::clone(&stage.node.keysets.load()["auth"])
}

fn gateway(stage: &Stage) -> Option<FetchRow> {
    stage.node.fetches.consumer(live(stage).id, "gateway")
}

/// The key that waits.
fn waiting(stage: &Stage) -> Option<Key> {
    live(stage).standing.waiting().next().cloned()
}

/// Lets time pass until a key waits.
async fn announced(stage: &Stage) -> Key {
    for _ in 0..24 * 8 {
        stage.work().await;
        if let Some(key) = waiting(stage) {
            return key;
        }
        stage.pass(SignedDuration::from_mins(10));
        let left = live(stage).standing.rotates_at(live(stage).policy()).expect("it signs");
        let early = left.duration_since(stage.now()) - SignedDuration::from_hours(2);
        stage.pass(early.max(SignedDuration::ZERO));
    }
    panic!("no key is announced");
}

#[tokio::test]
async fn every_fetch_is_counted_and_known_again_after_a_restart() {
    let stage = Stage::new(GATEWAY).await;
    stage.work().await;
    let tag = live(&stage).set.plain.tag.clone();
    let tag = tag.to_str().expect("visible");
    assert_eq!(fetch(&stage, "jwks.json", "gateway/1", None).await, 200);
    assert_eq!(fetch(&stage, "jwks.json", "gateway/1", Some(tag)).await, 304);
    assert_eq!(fetch(&stage, "spiffe.json?consumer=gateway", "curl/8", None).await, 200);
    fetch(&stage, ".well-known/openid-configuration", "gateway/1", None).await;
    fetch(&stage, "jwks.json", "curl/8 (x)", None).await;
    fetch(&stage, "jwks.json?consumer=%1B%5B31m", "", None).await;
    let before = stage.node.fetches.of(live(&stage).id);
    let told: Vec<_> =
        before.iter().map(|row| (row.known_by, row.name.as_str(), row.count)).collect();
    let expected = [
        (KnownBy::Consumer, "?[31m", 1),
        (KnownBy::Consumer, "gateway", 3),
        (KnownBy::Agent, "curl/8", 1),
    ];
    assert_eq!(told, expected);
    assert_eq!((before[1].sequence, before[1].address.as_str()), (1, "192.0.2.7"));

    let stored = || stage.node.store.fetches(100).expect("a read");
    assert_eq!(stored(), [], "a fetch is no write");
    keep(&stage).await;
    let again = Fetches::resume(stored());
    let sorted = |mut rows: Vec<FetchRow>| {
        rows.sort_by(|a, b| (a.known_by, &a.name).cmp(&(b.known_by, &b.name)));
        rows
    };
    assert_eq!(sorted(again.of(live(&stage).id)), sorted(before));
    stage.pass(SignedDuration::from_hours(91 * 24));
    keep(&stage).await;
    let names: Vec<_> = stored().into_iter().map(|row| row.name).collect();
    assert_eq!(names, ["gateway"], "strangers are forgotten");
}

#[tokio::test]
async fn a_consumer_that_does_not_come_for_a_key_is_missed_and_holds_nothing_up() {
    let stage = Stage::new(GATEWAY).await;
    stage.work().await;
    fetch(&stage, "jwks.json", "gateway/1", None).await;
    let key = announced(&stage).await;
    let missed = || {
        let absent = absent(&stage.node, &live(&stage), stage.now());
        absent.into_iter().map(|absent| (absent.consumer, absent.kid)).collect::<Vec<_>>()
    };
    assert_eq!(missed(), [], "there is time yet");
    let signs_at = sighting::signs_at(&live(&stage).standing.set, live(&stage).policy(), &key);
    stage.pass(signs_at.duration_since(stage.now()) - SignedDuration::from_secs(1));
    let expected = [("gateway".to_owned(), key.kid.clone())];
    assert_eq!(missed(), expected, "of envoy nothing is known");
    fetch(&stage, "jwks.json", "gateway/1", None).await;
    assert_eq!(missed(), []);
    fetch(&stage, "jwks.json?consumer=envoy", "", None).await;
    stage.pass(SignedDuration::from_secs(1));
    stage.work().await;
    assert_eq!(waiting(&stage), None, "it signs, whoever came");
}

#[tokio::test]
async fn a_required_consumer_is_waited_for_and_what_it_fetched_before_does_not_count() {
    let stage = Stage::new(REQUIRED).await;
    stage.work().await;
    assert_eq!(stage.known().keys[0].key.phase, Phase::Signing, "the first key waits for nobody");
    fetch(&stage, "jwks.json?consumer=gateway", "", None).await;
    let key = announced(&stage).await;
    assert_eq!(key.phase, Phase::Announced);
    stage.pass(SignedDuration::from_hours(24));
    keep(&stage).await;
    assert_eq!(waiting(&stage).expect("it waits").kid, key.kid);
    let absent = absent(&stage.node, &live(&stage), stage.now());
    assert!(absent[0].required && absent[0].kid == key.kid);

    fetch(&stage, "jwks.json?consumer=gateway", "", None).await;
    assert_eq!(gateway(&stage).expect("known").sequence, 2);
    keep(&stage).await;
    assert_eq!(waiting(&stage), None);
    let keys = stage.known().keys;
    let signing = keys.iter().find(|row| row.key.phase == Phase::Signing).expect("one signs");
    assert_eq!((&signing.key.kid, &signing.key.fetched), (&key.kid, &vec!["gateway".to_owned()]));
    let subject = Some("keyset/auth".to_owned());
    let events = stage.node.store.events(subject, i64::MAX, 100).await.expect("a read");
    let noted = events.iter().find(|event| event.action == "keyset.fetched").expect("audited");
    assert!(noted.detail.as_ref().expect("detail").to_string().contains("gateway"));
}

#[tokio::test]
async fn what_a_required_consumer_fetched_counts_after_a_restart_too() {
    let stage = Stage::new(REQUIRED).await;
    stage.work().await;
    let key = announced(&stage).await;
    fetch(&stage, "jwks.json?consumer=gateway", "", None).await;
    // Stored, and nothing more: the process dies here.
    let rows = stage.node.fetches.unsaved(10);
    let now = stage.now();
    stage.node.store.keep_fetches(rows, Vec::new(), now).await.expect("stored");
    let again = Fetches::resume(stage.node.store.fetches(10).expect("a read"));
    let sequence = again.consumer(live(&stage).id, "gateway").expect("known").sequence;
    assert!(live(&stage).standing.is_in(&key.kid, sequence));
    keep(&stage).await;
    assert_eq!(waiting(&stage).expect("not its turn").phase, Phase::Proven);
}

#[tokio::test]
async fn who_looks_is_told_of_an_absent_consumer_and_of_each_key() {
    let stage = Stage::new(GATEWAY).await;
    stage.work().await;
    fetch(&stage, "jwks.json", "gateway/1", None).await;
    let key = announced(&stage).await;
    let live = live(&stage);
    let signs_at = sighting::signs_at(&live.standing.set, live.policy(), &key);
    stage.pass(signs_at.duration_since(stage.now()) - SignedDuration::from_secs(1));
    let line = format!(
        "keyset auth: gateway was not seen to fetch key {}, which was announced at {}, and it signs \
         at {signs_at}; see perennial status keyset auth",
        key.kid, key.announced_at
    );
    assert_eq!(status(&stage).await["attention"].as_array().expect("lines"), &[line]);
    let shown = asked(api_router(&stage.node), "/api/v1/keysets/auth/status", None).await;
    let shown: Value = serde_json::from_str(&shown).expect("JSON");
    let phases: Vec<_> = shown["keys"].as_array().expect("keys").iter().collect();
    assert_eq!((&phases[0]["phase"], &phases[1]["phase"]), (&"signing".into(), &"proven".into()));
    assert_eq!(phases[1]["next_at"], signs_at.to_string());
    assert_eq!(shown["consumers"][0]["seen"], "never");
    assert_eq!(shown["consumers"][1]["lacks"][0], key.kid.as_str());
    let expected = |line: &str| vec![format!("keyset=\"auth\"{line}")];
    assert_eq!(metrics(&stage, "consumers_absent").await, expected("} 1"));
    let at = format!("}} {}", signs_at.as_second());
    assert_eq!(metrics(&stage, "next_rotation_timestamp_seconds").await, expected(&at));
    let phases = metrics(&stage, "keys").await;
    assert!(phases.contains(&"keyset=\"auth\",phase=\"proven\"} 1".to_owned()), "{phases:?}");
    let since = metrics(&stage, "last_fetch_age_seconds").await;
    assert!(since[0].starts_with("keyset=\"auth\",consumer=\"gateway\"} "), "{since:?}");
    stage.declare("rotate_every = \"7d\"").await;
    assert_eq!(metrics(&stage, "last_fetch_age_seconds").await, Vec::<String>::new());
}

#[tokio::test]
async fn what_an_emergency_leaves_is_shown_until_it_is_over() {
    let stage = Stage::new(GATEWAY).await;
    stage.work().await;
    let rotate = ("/api/v1/keysets/auth/rotate", Some("{\"emergency\": true}"));
    asked(api_router(&stage.node), rotate.0, rotate.1).await;
    let left = live(&stage).standing.exposure(stage.now());
    // The slower of the two, and copies on the way.
    assert_eq!(left, SignedDuration::from_mins(15 + 5 + 10));
    let lines = status(&stage).await["attention"].clone();
    let lines = lines.as_array().expect("lines");
    assert_eq!(lines.len(), 2);
    assert!(lines[0].as_str().expect("a line").ends_with(", 30 min more"), "{lines:?}");
    assert_eq!(metrics(&stage, "exposure_seconds").await, ["keyset=\"auth\"} 1800"]);
    assert_eq!(metrics(&stage, "emergencies_total").await, ["keyset=\"auth\"} 1"]);
    stage.work().await;
    stage.pass(SignedDuration::from_mins(25));
    assert_eq!(status(&stage).await["attention"].as_array().expect("lines").len(), 1);
    stage.pass(left - SignedDuration::from_mins(25));
    assert_eq!(status(&stage).await["attention"].as_array().expect("lines").len(), 0);
    assert_eq!(metrics(&stage, "exposure_seconds").await, ["keyset=\"auth\"} 0"]);
}
