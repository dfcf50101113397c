//! The node as its operator sees it: status, lists, the audit log, declarations; its own HTTPS
//! certificate; and what stop and crash leave behind.

use std::fs;
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use crate::lint;
use crate::program::{program, run, succeed};
use crate::scene::Scene;

#[test]
fn what_is_issued_is_listed_and_on_record() {
    let scene = Scene::ours("node-lists");
    let shop = issue(&scene, "shop.example.test").expect("a certificate");
    let other = issue(&scene, "other.example.test").expect("a certificate");
    scene.server.json(["revoke", &other]);

    let list =
        |more: &[&str]| serials(&scene.server.json([&["get", "certificate"], more].concat()));
    assert!(list(&["--expiring-within", "100d"]).contains(&shop));
    assert!(!list(&["--expiring-within", "80d"]).contains(&shop), "it is valid for 90 days");
    assert_eq!(list(&["--names", "shop.example.test"]), [shop.as_str()]);
    let shown = scene.server.json(["get", "certificate", &shop]);
    assert_eq!(shown["status"], "valid");
    assert_eq!(shown["names"], serde_json::json!(["shop.example.test"]));
    let pem = succeed(&mut scene.server.command(["get", "certificate", &shop, "--pem"]));
    assert_eq!(shown["pem"].as_str(), Some(pem.as_str()));
    let (output, text) = run(&mut scene.server.command(["get", "certificate", "00ff"]));
    assert!(output.status.code() == Some(1) && text.contains("00ff"), "{text}");

    let status = scene.server.json(["status"]);
    assert_eq!(status["attention"], serde_json::json!([]), "{status}");
    assert_eq!(status["authorities"], serde_json::json!(["internal", "root"]), "{status}");
    let about = |serial: &str| actions(&scene, &["--subject", &format!("certificate/{serial}")]);
    assert_eq!(about(&shop), ["certificate.intend", "certificate.issue"]);
    let [intended, issued] = ["certificate.intend", "certificate.issue"];
    assert_eq!(about(&other), [intended, issued, "certificate.revoke"]);
    let everything = actions(&scene, &[]);
    assert!(everything.iter().any(|action| action == "rotation.prove"), "{everything:?}");
}

#[test]
fn a_plan_says_what_apply_would_do_until_it_is_done() {
    let mut scene = Scene::ours("node-plan");
    let file = scene.directory("declared").join("edge.toml");
    let text = "[[authority]]\nname = \"edge\"\nissuer = \"root\"\ncommon_name = \"Edge\"\n\
                lifetime = \"365d\"\nname_constraints.permitted = [\"edge.test\"]\n\
                [[profile]]\nname = \"short\"\nlifetime = \"7d\"\n\
                [[directory]]\nname = \"edge\"\nauthority = \"edge\"\nprofiles = [\"short\"]\n";
    fs::write(&file, text).expect("declarations");
    let code = |verb: &str| run(scene.server.command([verb]).arg(&file)).0.status.code();
    assert_eq!(code("plan"), Some(3), "there is something to do");
    assert_eq!(code("apply"), Some(0));
    assert_eq!(code("plan"), Some(0), "everything is done");
    let chain = succeed(&mut scene.server.command(["get", "authority", "edge", "--pem"]));
    assert_eq!(chain.matches("-----BEGIN CERTIFICATE-----").count(), 2, "{chain}");

    // The authority's constraint holds for what it issues, and survives a restart.
    scene.server.stop(Signal::TERM);
    scene.server.resume();
    let home = scene.directory("issued");
    let issue = |name: &str| {
        let mut command = scene.server.command(["issue", "--authority", "edge", name]);
        run(command.current_dir(&home).args(["--profile", "short"])).0.status.code()
    };
    assert_eq!(issue("a.edge.test"), Some(0));
    assert_eq!(issue("a.example.test"), Some(1));

    fs::write(&file, "[[directory]]\nname = \"edge\"\nauthority = \"nobody\"\n").expect("a file");
    let (output, text) = run(scene.server.command(["apply"]).arg(&file));
    assert!(output.status.code() == Some(1) && text.contains("edge.toml"), "{text}");
}

#[test]
fn what_is_in_none_of_the_files_goes_if_that_is_asked_for_and_does_no_harm() {
    let scene = Scene::ours("node-prune");
    let home = scene.directory("declared");
    let kept = "[[authority]]\nname = \"root\"\ncommon_name = \"Perennial Root CA\"\n\
                lifetime = \"7300d\"\n\
                [[authority]]\nname = \"internal\"\nissuer = \"root\"\npath_length = 0\n\
                common_name = \"Perennial Internal CA\"\nlifetime = \"1825d\"\n\
                [[profile]]\nname = \"default\"\n\
                [[directory]]\nname = \"default\"\nauthority = \"internal\"\nprofiles = [\"default\"]\n";
    let extra =
        "[[directory]]\nname = \"extra\"\nauthority = \"internal\"\nprofiles = [\"default\"]\n";
    let (kept, extra) = [("kept.toml", kept), ("extra.toml", extra)]
        .map(|(name, text)| {
            let file = home.join(name);
            fs::write(&file, text).expect("declarations");
            file
        })
        .into();
    let converge = |verb: &str, files: &[&std::path::Path], prune: bool| {
        let mut command = scene.server.command([verb]);
        command.args(files).args(prune.then_some("--prune"));
        let (output, text) = run(&mut command);
        (output.status.code(), text)
    };
    assert_eq!(converge("apply", &[&extra], false).0, Some(0));
    let (code, text) = converge("plan", &[&kept], true);
    assert!(code == Some(3) && text.contains("delete"), "{text}");
    assert_eq!(converge("plan", &[&kept], false).0, Some(0), "what is left out is left alone");
    assert_eq!(converge("plan", &[&kept, &extra], true).0, Some(0), "nothing is left out");
    assert_eq!(converge("apply", &[&kept], true).0, Some(0));
    assert_eq!(converge("plan", &[&kept], true).0, Some(0), "twice is the same as once");
    let directories = succeed(&mut scene.server.command(["get", "directory"]));
    assert!(!directories.contains("extra"), "{directories}");
    for verb in ["plan", "apply"] {
        let (code, text) = converge(verb, &[&extra], true);
        assert!(code == Some(1), "{text}");
    }
    fs::write(&extra, "[[profile]]\nname = \"alone\"\n").expect("declarations");
    let (code, text) = converge("apply", &[&extra], true);
    assert!(code == Some(1) && text.contains("cannot be removed"), "{text}");
}

#[test]
fn its_own_certificate_verifies_and_is_replaced_without_a_restart() {
    let scene = Scene::ours("node-own");
    let pem = scene.directory("own").join("leaf.pem");
    for check in [["-verify_hostname", "localhost"], ["-verify_ip", "127.0.0.1"]] {
        fs::write(&pem, presented(&scene, check)).expect("the certificate");
        lint::certificate(&pem);
    }
    let own = || scene.server.json(["get", "certificate", "--names", "localhost"]);
    assert_eq!(serials(&own()).len(), 1, "it has one certificate");
    // Its end is a month away; that it is taken back is as good a reason to renew. The node looks
    // at its certificate every minute.
    let first = fs::read_to_string(&pem).expect("the certificate");
    succeed(scene.server.command(["revoke"]).arg(&pem));
    let begun = Instant::now();
    while presented(&scene, ["-verify_hostname", "localhost"]) == first {
        assert!(begun.elapsed() < Duration::from_secs(90), "it presents what is revoked");
        thread::sleep(Duration::from_millis(500));
    }
    assert_eq!(serials(&own()).len(), 2, "{}", own());
}

/// The certificate that the HTTPS listener presents, in PEM, once OpenSSL found that it is good.
fn presented(scene: &Scene, check: [&str; 2]) -> String {
    let at = format!("127.0.0.1:{}", https_port(scene));
    let mut visit = program("openssl");
    visit.args(["s_client", "-connect", &at, "-verify_return_error", "-CAfile"]);
    visit.arg(&scene.server.trust).args(check).args(["-servername", "localhost"]);
    let said = succeed(&mut visit);
    assert!(said.contains("Verify return code: 0 (ok)"), "{said}");
    let (_, from) = said.split_once(BEGIN).expect("a certificate");
    let (body, _) = from.split_once(END).expect("a certificate");
    format!("{BEGIN}{body}{END}\n")
}

fn https_port(scene: &Scene) -> u16 {
    let port = scene.server.directory.split(':').nth(2).and_then(|rest| rest.split('/').next());
    port.and_then(|port| port.parse().ok()).expect("a port in the URL")
}

#[test]
fn a_drain_ends_with_0_and_a_restart_goes_on() {
    let mut scene = Scene::ours("node-drain");
    let serial = issue(&scene, "kept.example.test").expect("a certificate");
    let root = fs::read(&scene.server.trust).expect("the root");
    let _idle = TcpStream::connect(("127.0.0.1", https_port(&scene)))
        .expect("a connection that says nothing");
    let status = scene.server.stop(Signal::TERM);
    assert_eq!(status.code(), Some(0), "a drain is no failure");
    scene.server.resume();
    assert_eq!(fs::read(&scene.server.trust).expect("the root"), root, "the root is the same");
    assert_eq!(scene.server.json(["get", "certificate", &serial])["status"], "valid");
    let own = serials(&scene.server.json(["get", "certificate", "--names", "localhost"]));
    assert_eq!(own.len(), 1, "its own certificate is still good, so it takes no other");
}

#[test]
fn what_was_acknowledged_survives_a_kill() {
    survives("node-kill", Signal::KILL);
}

#[test]
fn what_was_acknowledged_survives_a_drain() {
    survives("node-term", Signal::TERM);
}

/// Ends the server amid issuance; every certificate it confirmed must be there afterwards.
fn survives(name: &str, signal: Signal) {
    let mut scene = Scene::ours(name);
    let status = scene.server.command(["status"]).status().expect("status");
    assert!(status.success());
    let command = |thread: usize, count: usize| {
        let mut command = scene.server.command(["issue", "--json"]);
        command.current_dir(scene.directory("issued"));
        command.arg(format!("n{thread}-{count}.example.test"));
        command
    };
    let commands: Vec<Vec<_>> =
        (0..4).map(|thread| (0..300).map(|count| command(thread, count)).collect()).collect();
    let issuing: Vec<_> = commands
        .into_iter()
        .map(|commands| {
            thread::spawn(move || {
                let outputs = commands.into_iter().map(|mut command| run(&mut command).0);
                let confirmed = outputs.take_while(|output| output.status.success());
                confirmed.map(|output| serial_in(&output.stdout)).collect::<Vec<_>>()
            })
        })
        .collect();
    thread::sleep(Duration::from_millis(1500));
    scene.server.stop(signal);
    let confirmed: Vec<_> =
        issuing.into_iter().flat_map(|thread| thread.join().expect("a thread")).collect();
    scene.server.resume();
    assert!(confirmed.len() > 4, "{confirmed:?}");
    for serial in confirmed {
        assert_eq!(scene.server.json(["get", "certificate", &serial])["status"], "valid");
    }
    issue(&scene, "after.example.test").expect("it issues again");
}

/// Issues for a key nobody keeps: the serial number.
fn issue(scene: &Scene, name: &str) -> Option<String> {
    let mut command = scene.server.command(["issue", "--json", name]);
    let (output, _) = run(command.current_dir(scene.directory("issued")));
    output.status.success().then(|| serial_in(&output.stdout))
}

fn serial_in(json: &[u8]) -> String {
    let issued: Value = serde_json::from_slice(json).expect("JSON");
    issued["serial"].as_str().expect("a serial number").into()
}

fn serials(list: &Value) -> Vec<String> {
    let items = list["items"].as_array().expect("items");
    items.iter().map(|item| item["serial"].as_str().expect("a serial number").into()).collect()
}

/// The actions in the audit log, one JSON document a line.
fn actions(scene: &Scene, more: &[&str]) -> Vec<String> {
    let text = succeed(scene.server.command(["audit", "--json"]).args(more));
    let events = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    events.map(|event| event["action"].as_str().expect("an action").into()).collect()
}

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";
