//! Signing for a Kubernetes cluster: what was approved there is signed, what does not fit is refused for
//! good, and nothing is signed twice.

use std::time::{Duration, Instant};

use data_encoding::BASE64;
use rcgen::{CertificateParams, DistinguishedName, KeyPair};
use serde_json::{Value, json};

use super::stage::{SHORT, Stage};
use crate::cluster::{Cluster, succeed};

const REQUESTS: &str = "/apis/certificates.k8s.io/v1/certificatesigningrequests";
const SIGNER: &str = "perennial.example.com/mesh";

/// A Perennial that signs for a cluster.
fn set(name: &str) -> (Stage, Cluster) {
    let stage = Stage::set(name);
    let cluster = Cluster::own(&stage.directory("cluster"));
    cluster.allow_signing(SIGNER, true);
    stage.declare(&format!(
        "[[cluster_signer]]\nname = \"mesh\"\nkubeconfig = {:?}\nsigner = {SIGNER:?}\n\
         authority = \"internal\"\nnames.permitted = [\"*.mesh.test\"]\n",
        cluster.kubeconfig()
    ));
    (stage, cluster)
}

/// Asks the cluster for a certificate, without approval.
fn ask(cluster: &Cluster, name: &str, host: &str, usages: &[&str]) {
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::new([host.to_owned()]).expect("a name");
    params.distinguished_name = DistinguishedName::new();
    let request = params.serialize_request(&key).expect("a request").pem().expect("PEM");
    cluster.create(
        name,
        &json!({
            "apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest",
            "metadata": { "name": name },
            "spec": {
                "request": BASE64.encode(request.as_bytes()), "signerName": SIGNER,
                "usages": usages, "expirationSeconds": 3600,
            },
        }),
    );
}

/// As `kubectl certificate approve` does it, in JSON.
fn approve(stage: &Stage, cluster: &Cluster, name: &str) {
    let mut request = read(cluster, name);
    request["status"]["conditions"] = json!([{
        "type": "Approved", "status": "True", "reason": "Test", "message": "by a test",
    }]);
    let file = stage.directory("cluster").join("approved.json");
    std::fs::write(&file, request.to_string()).expect("written");
    let (path, file) =
        (format!("{REQUESTS}/{name}/approval"), file.to_str().expect("a plain path"));
    succeed(&cluster.kubectl(&["replace", "--raw", &path, "-f", file]));
}

fn read(cluster: &Cluster, name: &str) -> Value {
    let output = cluster.kubectl(&["get", "--raw", &format!("{REQUESTS}/{name}")]);
    succeed(&output);
    serde_json::from_slice(&output.stdout).expect("JSON")
}

fn status(cluster: &Cluster, name: &str) -> Value {
    read(cluster, name)["status"].take()
}

/// Waits until the status of a request is as `enough` wants it.
fn until(cluster: &Cluster, name: &str, enough: impl Fn(&Value) -> bool) -> Value {
    let begun = Instant::now();
    loop {
        let status = status(cluster, name);
        if enough(&status) {
            return status;
        }
        assert!(begun.elapsed() < SHORT * 2, "waiting for {name}: {status:#}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

fn issued(stage: &Stage) -> usize {
    let said = stage.say(&["audit", "--limit", "1000", "--json"]);
    let events = said.out.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let of_signer =
        |event: &Value| event["actor"].as_str().is_some_and(|a| a.starts_with("signer/mesh"));
    events.filter(|event| event["action"] == "certificate.issue" && of_signer(event)).count()
}

const SERVER: [&str; 2] = ["digital signature", "server auth"];

#[test]
fn what_is_approved_is_signed_and_what_is_not_waits() {
    let (stage, cluster) = set("signer");
    ask(&cluster, "one", "one.mesh.test", &SERVER);
    std::thread::sleep(Duration::from_secs(7));
    assert!(status(&cluster, "one")["certificate"].is_null(), "nobody approved it");
    approve(&stage, &cluster, "one");
    let status = until(&cluster, "one", |status| status["certificate"].is_string());
    let pem = BASE64.decode(status["certificate"].as_str().expect("text").as_bytes());
    let chain = ca::Certificate::from_pem(&String::from_utf8(pem.expect("base64")).expect("PEM"));
    let chain = chain.expect("certificates");
    let names: Vec<_> = chain[0].identifiers().iter().map(ToString::to_string).collect();
    assert_eq!(names, ["one.mesh.test"]);
    let left = chain[0].not_after().as_second() - jiff::Timestamp::now().as_second();
    assert!((3300..=3600).contains(&left), "{left} s are not an hour");
    chain[0].verify_issued_by(&chain[1]).expect("the chain is in order");
    assert_eq!(issued(&stage), 1);
}

#[test]
fn what_does_not_fit_is_refused_for_good_and_says_why() {
    let (stage, cluster) = set("signer-refused");
    for (name, host, usages, told) in [
        ("name", "shop.example.test", &SERVER[..], "shop.example.test is refused by policy"),
        ("usage", "one.mesh.test", &["client auth"][..], "are not those of profile"),
    ] {
        ask(&cluster, name, host, usages);
        approve(&stage, &cluster, name);
        let status = until(&cluster, name, |status| status.to_string().contains("Failed"));
        assert!(status.to_string().contains(told), "{status:#}");
        assert!(status["certificate"].is_null() && status.to_string().contains("Approved"));
    }
    assert_eq!(issued(&stage), 0);
}

#[test]
fn what_cannot_be_handed_over_is_not_signed_again() {
    let (stage, cluster) = set("signer-denied");
    cluster.allow_signing(SIGNER, false);
    ask(&cluster, "one", "one.mesh.test", &SERVER);
    approve(&stage, &cluster, "one");
    let begun = Instant::now();
    while issued(&stage) == 0 {
        assert!(begun.elapsed() < SHORT, "it is not signed");
        std::thread::sleep(Duration::from_millis(200));
    }
    std::thread::sleep(Duration::from_secs(12));
    assert!(status(&cluster, "one")["certificate"].is_null(), "it may not");
    cluster.allow_signing(SIGNER, true);
    until(&cluster, "one", |status| status["certificate"].is_string());
    assert_eq!(issued(&stage), 1);
}
