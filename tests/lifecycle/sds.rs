//! Envoys that get what they serve over SDS: what they refuse is seen and turned round, and nobody gets
//! a key that is meant for another.

use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::envoy::{Envoy, identify};
use super::fleet::here;
use super::stage::{Stage, shop_on};
use crate::program::succeed;

#[test]
fn what_envoy_refuses_is_told_and_what_it_has_outlives_its_control_plane() {
    let envoy = Envoy::at(here()).demanding(true);
    let mut stage = Stage::with_sds("sds-refused", envoy.sds);
    let envoy = envoy.start(&stage, "envoy-1.example.test");
    let table = envoy.table("edge", "window = \"20s\"");
    // It refuses whichever secret comes last, and only then: what to trust is to be there before.
    sleep(Duration::from_secs(10));
    stage.declare(&(shop_on(&["edge"], "") + &table));
    let begun = Instant::now();
    let refusal = loop {
        let said = stage.say(&["status"]);
        if let Some(line) = said.out.lines().find(|line| line.contains("refuses shop")) {
            break line.to_owned();
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "{said:?}");
        sleep(Duration::from_millis(100));
    };
    assert!(refusal.contains("sds client envoy-1.example.test"), "{refusal}");
    let target = stage.target("edge");
    assert_eq!(target["streams"][0]["acknowledged"], false, "{target:#}");
    assert_eq!(target["streams"][0]["node"], "edge-1", "{target:#}");

    let envoy = envoy.demanding(false).start(&stage, "envoy-1.example.test");
    // Whether it comes within the window of the first try or not.
    let shop = stage.until("the first version", Duration::from_secs(120), |shop| {
        shop["version"] == 1 && shop["rotation"].is_null()
    });
    stage.assert_served(&shop, 1, &[envoy.address]);
    stage.server.stop(Signal::TERM);
    stage.assert_served(&shop, 1, &[envoy.address]);
    stage.server.resume();
    stage.renew(&[]);
    stage.assert_served(&stage.shop(), 2, &[envoy.address]);
}

#[test]
fn what_an_envoy_has_already_is_not_sent_again_when_it_comes_back() {
    let envoy = Envoy::at(here()).incremental();
    let mut stage = Stage::with_sds("sds-delta", envoy.sds);
    let envoy = envoy.start(&stage, "envoy-1.example.test");
    let shop = stage.open(&(shop_on(&["edge"], "") + &envoy.table("edge", "window = \"30s\"")));
    stage.assert_served(&shop, 1, &[envoy.address]);
    let given = |stage: &Stage| {
        let events = stage.events().into_iter();
        events.filter(|event| event["action"] == "certificate.sds").count()
    };
    assert_eq!(given(&stage), 1);
    stage.server.stop(Signal::TERM);
    stage.assert_served(&shop, 1, &[envoy.address]);
    stage.server.resume();
    let begun = Instant::now();
    while stage.target("edge")["streams"].as_array().is_none_or(Vec::is_empty) {
        assert!(begun.elapsed() < Duration::from_secs(90), "it does not come back");
        sleep(Duration::from_millis(100));
    }
    let stream = &stage.target("edge")["streams"][0];
    assert_eq!((&stream["acknowledged"], &stream["sent"][0]["version"]), (&true.into(), &1.into()));
    assert_eq!(given(&stage), 1, "it said that it has it");
    stage.renew(&[]);
    stage.assert_served(&stage.shop(), 2, &[envoy.address]);
    assert_eq!(given(&stage), 2);
}

#[test]
fn what_envoy_refuses_of_what_is_new_is_told() {
    let envoy = Envoy::at(here()).incremental().demanding(true);
    let stage = Stage::with_sds("sds-delta-refused", envoy.sds);
    let envoy = envoy.start(&stage, "envoy-1.example.test");
    sleep(Duration::from_secs(10));
    stage.declare(&(shop_on(&["edge"], "") + &envoy.table("edge", "window = \"20s\"")));
    let begun = Instant::now();
    while !stage.say(&["status"]).out.contains("envoy-1.example.test refuses shop") {
        assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", stage.say(&["status"]));
        sleep(Duration::from_millis(100));
    }
}

#[test]
fn a_key_goes_to_those_who_are_named_as_long_as_their_certificate_is_good() {
    let sds = here();
    let stage = Stage::with_sds("sds-clients", sds);
    let home = stage.directory("clients");
    let names = ["envoy-1.example.test", "other.example.test"];
    let [mine, others] = names.map(|name| identify(&stage, &home, name));
    let server = stage.directory("server-cert");
    let mut issue = stage.server.command(["issue", "envoy-1.example.test", "--out"]);
    let [chain, key] = ["s.pem", "s.key"].map(|file| server.join(file));
    succeed(issue.arg(&chain).arg("--key-out").arg(&key));
    let table =
        "[[target]]\nname = \"edge\"\nkind = \"sds\"\nclients = [\"envoy-1.example.test\"]\n";
    stage.open(&(shop_on(&["edge"], "") + table));

    let fetch = |[chain, key]: &[std::path::PathBuf; 2], secret: &str| {
        let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/venv/bin/python");
        let mut command = Command::new(python);
        command.args(["-c", FETCH, &sds.port().to_string(), secret]);
        succeed(command.arg(&stage.server.trust).arg(chain).arg(key)).trim().to_owned()
    };
    assert_eq!(fetch(&mine, "shop"), "chain and key");
    assert_eq!(fetch(&mine, "trust/root"), "chain");
    assert_eq!(fetch(&others, "trust/internal"), "chain");
    let refused = fetch(&others, "shop");
    assert!(
        refused.starts_with("PERMISSION_DENIED shop is not for other.example.test"),
        "{refused}"
    );
    let absent = fetch(&mine, "absent");
    assert!(absent.starts_with("PERMISSION_DENIED absent is not for envoy-1"), "{absent}");
    let own = fetch(&mine, "node");
    assert!(own.starts_with("PERMISSION_DENIED"), "the server's own key is for nobody: {own}");
    let events = stage.events();
    let given: Vec<_> =
        events.iter().filter(|event| event["action"] == "certificate.sds").collect();
    assert_eq!(given.len(), 1, "{given:#?}");
    assert_eq!(given[0]["actor"], "client/envoy-1.example.test");

    // A server's certificate is no client's, and a revoked one is nobody's.
    assert!(fetch(&[chain, key], "shop").starts_with("UNAVAILABLE"));
    succeed(&mut stage.server.command(["revoke".as_ref(), mine[0].as_os_str()]));
    assert!(fetch(&mine, "shop").starts_with("UNAVAILABLE"));
}

/// Says what is in the answer to FetchSecrets, which is asked for as bytes.
const FETCH: &str = "
import sys, grpc
port, secret, root, chain, key = sys.argv[1:]
read = lambda path: open(path, 'rb').read()
credentials = grpc.ssl_channel_credentials(read(root), read(key), read(chain))
channel = grpc.secure_channel(f'localhost:{port}', credentials)
fetch = channel.unary_unary('/envoy.service.secret.v3.SecretDiscoveryService/FetchSecrets')
name = secret.encode()
try:
    answer = fetch(b'\\x1a' + bytes([len(name)]) + name, timeout=30)
    has = [word for word, mark in (('chain', b'BEGIN CERTIFICATE'), ('key', b'PRIVATE KEY')) if mark in answer]
    print(' and '.join(has))
except grpc.RpcError as why:
    print(why.code().name, why.details())
";
