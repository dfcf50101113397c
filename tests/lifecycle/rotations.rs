//! Rotation after rotation while clients connect all the time: no handshake fails, each version is
//! proven, and once it is, nobody sees the one before any more. `PERENNIAL_ROTATIONS=200` goes on for
//! longer and prints how long it takes until a new version is seen.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::client::{Load, Record};
use super::envoy::Envoy;
use super::fleet::{Apache, Haproxy, Nginx};
use super::stage::{NAME, Stage, leaf, shop_on};
use super::traefik::Traefik;

#[test]
fn nginx_is_rotated_without_a_failed_handshake() {
    let stage = Stage::set("rotations-nginx");
    let nginx = Nginx::start(stage.directory("nginx"));
    rotate(&stage, nginx.address, |more| nginx.table("edge", more));
}

#[test]
fn apache_is_rotated_without_a_failed_handshake() {
    let stage = Stage::set("rotations-apache");
    let mut apache = Apache::start(stage.directory("apache"));
    rotate(&stage, apache.address, |more| apache.table("edge", more));
    apache.assert_alive();
}

#[test]
fn haproxy_is_rotated_without_a_failed_handshake() {
    let stage = Stage::set("rotations-haproxy");
    let haproxy = Haproxy::start(stage.directory("haproxy"));
    rotate(&stage, haproxy.address, |more| haproxy.table("edge", more));
}

#[test]
fn envoy_is_rotated_without_a_failed_handshake() {
    let envoy = Envoy::at(super::fleet::here());
    let stage = Stage::with_sds("rotations-envoy", envoy.sds);
    let envoy = envoy.start(&stage, "envoy-1.example.test");
    rotate(&stage, envoy.address, |more| envoy.table("edge", more));
    // Version after version over one stream, and every one of them taken.
    let target = stage.target("edge");
    assert_eq!(target["streams"].as_array().map(Vec::len), Some(1), "{target:#}");
    assert_eq!(target["streams"][0]["acknowledged"], true, "{target:#}");
}

#[test]
fn envoy_that_asks_for_what_is_new_is_rotated_without_a_failed_handshake() {
    let envoy = Envoy::at(super::fleet::here()).incremental();
    let stage = Stage::with_sds("rotations-envoy-delta", envoy.sds);
    let envoy = envoy.start(&stage, "envoy-1.example.test");
    rotate(&stage, envoy.address, |more| envoy.table("edge", more));
    let target = stage.target("edge");
    assert_eq!(target["streams"][0]["acknowledged"], true, "{target:#}");
}

#[test]
fn traefik_is_rotated_by_file_without_a_failed_handshake() {
    let stage = Stage::set("rotations-traefik");
    let traefik = Traefik::start(&stage);
    rotate(&stage, traefik.address, |more| traefik.table("edge", more));
}

#[test]
fn traefik_that_polls_is_rotated_without_a_failed_handshake() {
    let stage = Stage::set("rotations-traefik-http");
    let traefik = Traefik::polling(&stage);
    rotate(&stage, traefik.address, |more| traefik.pulling("edge", more));
    // It asked every second, and each version is on record once.
    let events = stage.events();
    let pulls = events.iter().filter(|event| event["action"] == "certificate.pull");
    let versions: Vec<_> = pulls.map(|event| event["detail"]["version"].clone()).collect();
    let newest = stage.shop()["version"].as_u64().expect("a number");
    assert_eq!(versions, (1..=newest).map(serde_json::Value::from).collect::<Vec<_>>());
}

/// One rotation as it looked from here.
struct Turn {
    leaf: String,
    asked: Instant,
    proven: Instant,
}

fn rotate(stage: &Stage, address: SocketAddr, table: impl FnOnce(&str) -> String) {
    let many = std::env::var("PERENNIAL_ROTATIONS").ok().and_then(|text| text.parse().ok());
    let rotations: u64 = many.unwrap_or(10);
    let shop = stage.open(&(shop_on(&["edge"], "") + &table("")));
    stage.assert_served(&shop, 1, &[address]);
    let load = Load::start(&stage.client(), address, NAME);
    let mut turns =
        vec![Turn { leaf: leaf(&shop, 1), asked: Instant::now(), proven: Instant::now() }];
    for version in 2..2 + rotations {
        let asked = Instant::now();
        let rotation = stage.renew(&[]);
        let proven = Instant::now();
        assert_eq!(rotation["to"], version);
        let shop = stage.shop();
        assert_eq!((&shop["version"], &shop["targets"]), (&version.into(), &"1/1".into()));
        stage.assert_served(&shop, version, &[address]);
        turns.push(Turn { leaf: leaf(&shop, version), asked, proven });
    }
    judge(&load.end(), &turns);
}

fn judge(record: &Record, turns: &[Turn]) {
    let some: Vec<_> = record.failed.iter().take(5).collect();
    let (served, failed) = (record.served, record.failed.len());
    assert!(failed == 0, "{failed} beside {served} failed: {some:?}");
    assert!(served > turns.len() as u64 * 20, "only {served} handshakes: that is no load");
    let (mut seen, mut settled) = (Vec::new(), Vec::new());
    for pair in turns.windows(2) {
        let [before, turn] = pair else { unreachable!("windows of two") };
        let first = record.first(&turn.leaf).expect("each version was seen");
        seen.push(first.duration_since(turn.asked));
        let last = record.last(&before.leaf).expect("each version was seen");
        settled.push(last.saturating_duration_since(turn.asked));
        assert!(last < turn.proven, "the version before was seen after the proof");
    }
    let rotations = turns.len() - 1;
    let proven = pair_times(turns);
    println!(
        "{rotations} rotations, {served} handshakes, {failed} failed; asked to first seen {}, to \
         last sight of the one before {}, to proven {}",
        spread(seen),
        spread(settled),
        spread(proven)
    );
}

fn pair_times(turns: &[Turn]) -> Vec<Duration> {
    turns[1..].iter().map(|turn| turn.proven.duration_since(turn.asked)).collect()
}

/// The middle and the 99th of a hundred.
fn spread(mut times: Vec<Duration>) -> String {
    times.sort();
    let at = |percent: usize| times[(times.len() * percent / 100).min(times.len() - 1)].as_millis();
    format!("p50 {} ms p99 {} ms", at(50), at(99))
}
