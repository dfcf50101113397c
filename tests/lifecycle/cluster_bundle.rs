//! Trust bundles in ConfigMaps of a cluster: there where they are declared to be, mended, and never taken
//! from somebody else.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::stage::{SHORT, Stage};
use crate::cluster::{Cluster, succeed};

fn set(name: &str) -> (Stage, Cluster) {
    let stage = Stage::set(name);
    let cluster = Cluster::own(&stage.directory("cluster"));
    (stage, cluster)
}

fn table(cluster: &Cluster, more: &str) -> String {
    format!(
        "[[cluster_bundle]]\nname = \"trust\"\nkubeconfig = {:?}\nauthorities = [\"internal\"]\n\
         config_map = \"perennial-trust\"\n{more}\n",
        cluster.kubeconfig()
    )
}

fn config_map(cluster: &Cluster, namespace: &str) -> Option<Value> {
    let path = format!("/api/v1/namespaces/{namespace}/configmaps/perennial-trust");
    let output = cluster.kubectl(&["get", "--raw", &path]);
    output.status.success().then(|| serde_json::from_slice(&output.stdout).expect("JSON"))
}

fn until(stage: &Stage, what: &str, enough: impl Fn() -> bool) {
    let begun = Instant::now();
    while !enough() {
        let status = stage.say(&["status"]).out;
        assert!(begun.elapsed() < SHORT * 2, "waiting for {what}:\n{status}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

fn holds(cluster: &Cluster, namespace: &str, key: &str, pem: &str) -> bool {
    config_map(cluster, namespace).is_some_and(|map| map["data"] == json!({ key: pem }))
}

#[test]
fn a_bundle_is_in_its_namespaces_mended_and_changed_with_its_declaration() {
    let (stage, cluster) = set("bundle");
    cluster.allow_as_deployed("kubernetes-bundle.yaml");
    stage.declare(&table(&cluster, "namespaces = [\"web\"]"));
    let root = std::fs::read_to_string(&stage.server.trust).expect("the root");
    until(&stage, "the bundle", || holds(&cluster, "web", "ca.crt", &root));
    let map = config_map(&cluster, "web").expect("it is there");
    assert_eq!(map["metadata"]["labels"]["app.kubernetes.io/managed-by"], "perennial");

    // Whatever becomes of it.
    let patch = json!({ "data": { "ca.crt": "evil" } }).to_string();
    succeed(&cluster.kubectl(&["patch", "configmap", "perennial-trust", "--patch", &patch]));
    until(&stage, "it to be mended", || holds(&cluster, "web", "ca.crt", &root));
    succeed(&cluster.kubectl(&["delete", "configmap", "perennial-trust"]));
    until(&stage, "it again", || holds(&cluster, "web", "ca.crt", &root));

    // Another authority besides, under another key.
    let other = "[[authority]]\nname = \"other\"\ncommon_name = \"Other\"\nlifetime = \"30d\"\n";
    let more = table(&cluster, "namespaces = [\"web\"]\nkey = \"roots.pem\"");
    let more = more.replace("[\"internal\"]", "[\"internal\", \"root\", \"other\"]");
    stage.declare(&(other.to_owned() + &more));
    until(&stage, "the other key", || {
        config_map(&cluster, "web").is_some_and(|map| {
            let held = map["data"]["roots.pem"].as_str().unwrap_or_default();
            held.matches("BEGIN CERTIFICATE").count() == 2 && map["data"]["ca.crt"].is_null()
        })
    });
    assert_eq!(stage.say(&["status"]).code, Some(0));
    let said = stage.say(&["audit", "--subject", "cluster_bundle/trust"]);
    assert!(said.out.contains("bundle.apply"), "{said:?}");
}

#[test]
fn namespaces_that_come_to_have_the_label_get_the_bundle() {
    let (stage, cluster) = set("bundle-labels");
    cluster.allow_as_deployed("kubernetes-bundle.yaml");
    stage.declare(&table(&cluster, "namespace_selector = \"trust=yes\""));
    let root = std::fs::read_to_string(&stage.server.trust).expect("the root");
    succeed(&cluster.kubectl_anywhere(&["label", "namespace", "default", "trust=yes"]));
    until(&stage, "the bundle", || holds(&cluster, "default", "ca.crt", &root));
    assert_eq!(config_map(&cluster, "web"), None, "it has not the label");
}

#[test]
fn what_somebody_else_made_stays_theirs_and_what_is_denied_is_told_as_that() {
    let (stage, cluster) = set("bundle-foreign");
    let theirs = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "perennial-trust" },
        "data": { "ca.crt": "theirs" },
    });
    cluster.create("theirs", &theirs);
    cluster.allow_by(&json!([
        { "verbs": ["get", "patch", "create"], "resources": ["configmaps"], "namespaces": ["web"] },
    ]));
    stage.declare(&table(&cluster, "namespaces = [\"default\", \"web\"]"));
    let told = |words: &[&str]| {
        until(&stage, &format!("{words:?}"), || {
            let out = stage.say(&["status"]).out;
            words.iter().all(|word| out.contains(word))
        });
    };
    told(&["ConfigMap web/perennial-trust", "somebody else made it", "adopt = true"]);
    told(&["ConfigMap default/perennial-trust", "cannot get resource"]);
    assert!(holds(&cluster, "web", "ca.crt", "theirs"));
    stage.declare(&table(&cluster, "namespaces = [\"web\"]\nadopt = true"));
    let root = std::fs::read_to_string(&stage.server.trust).expect("the root");
    until(&stage, "it to be taken over", || holds(&cluster, "web", "ca.crt", &root));
    until(&stage, "all to be well", || stage.say(&["status"]).code == Some(0));
}
