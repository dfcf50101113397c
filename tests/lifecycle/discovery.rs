//! Certificates for what asks in a Kubernetes cluster: an annotation is enough, what nothing allows is
//! refused and told, and nothing that happens to cluster or server loses what is there.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};

use super::stage::{NAME, SHORT, Stage, leaf};
use crate::cluster::{Cluster, succeed};
use crate::program::{Daemon, free_port};

/// A Perennial that looks for what asks in the namespace `web`.
struct Set {
    stage: Stage,
    cluster: Cluster,
}

fn rules() -> Value {
    json!([
        { "verbs": ["list", "watch"], "resources": ["ingresses", "gateways", "services"], "namespaces": ["web"] },
        { "verbs": ["get", "watch", "patch", "create"], "resources": ["secrets"], "namespaces": ["web"] },
    ])
}

impl Set {
    fn up(name: &str) -> Self {
        let stage = Stage::set(name);
        let cluster = Cluster::own(&stage.directory("cluster"));
        cluster.allow_by(&rules());
        Self { stage, cluster }
    }

    fn table(&self, name: &str, more: &str) -> String {
        format!(
            "[[cluster_discovery]]\nname = {name:?}\nkubeconfig = {:?}\n\
             [[cluster_discovery.allow]]\nnamespaces = [\"web\"]\nprofiles = [\"default\"]\n\
             names.permitted = [\"*.web.test\"]\n{more}\n",
            self.cluster.kubeconfig()
        )
    }

    /// What `status certificate NAME` says, if there is one.
    fn certificate(&self, name: &str) -> Option<Value> {
        let said = self.stage.say(&["status", "certificate", name, "--json"]);
        serde_json::from_str(&said.out).ok()
    }

    fn until(&self, what: &str, enough: impl Fn() -> bool) {
        let begun = Instant::now();
        while !enough() {
            let status = self.stage.say(&["status"]).out;
            assert!(begun.elapsed() < SHORT * 2, "waiting for {what}:\n{status}");
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// Waits until a certificate is served, under these names; what is known of it.
    fn served(&self, name: &str, names: &[&str]) -> Value {
        self.until(&format!("{name} to be served"), || {
            self.certificate(name).is_some_and(|shown| {
                shown["status"] == "served"
                    && shown["rotation"].is_null()
                    && shown["names"] == json!(names)
            })
        });
        self.certificate(name).expect("it is there")
    }

    /// Waits until status asks for attention in words that have all of these.
    fn told(&self, words: &[&str]) {
        self.until(&format!("{words:?}"), || {
            let out = self.stage.say(&["status"]).out;
            out.lines().any(|line| words.iter().all(|word| line.contains(word)))
        });
    }

    fn ingress(&self, name: &str, secret: &str, hosts: &[&str]) {
        self.cluster.create(name, &ingress(name, secret, hosts));
    }

    fn delete(&self, kind: &str, name: &str) {
        succeed(&self.cluster.kubectl(&["delete", kind, name]));
    }
}

fn ingress(name: &str, secret: &str, hosts: &[&str]) -> Value {
    json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
        "metadata": { "name": name, "annotations": { "perennial/profile": "default" } },
        "spec": { "tls": [{ "hosts": hosts, "secretName": secret }] },
    })
}

#[test]
fn an_annotation_is_enough_and_ingress_gateway_and_service_get_their_secrets() {
    let set = Set::up("discovery");
    set.ingress("before", "before-tls", &["before.web.test"]);
    set.cluster.create(
        "plain",
        &json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": { "name": "plain" },
            "spec": { "tls": [{ "hosts": ["plain.web.test"], "secretName": "plain-tls" }] },
        }),
    );
    set.stage.declare(&set.table("prod", "owner = \"payments\""));
    let shown = set.served("prod_web_before-tls", &["before.web.test"]);
    assert_eq!(shown["origin"], "Ingress web/before");
    assert_eq!(shown["owner"], "payments");
    let secret = set.cluster.secret("before-tls").expect("the Secret");
    assert_eq!(secret["type"], "kubernetes.io/tls");
    assert_eq!(secret["metadata"]["annotations"]["perennial/certificate"], "prod_web_before-tls");

    set.ingress("after", "after-tls", &["a.web.test", "b.web.test"]);
    set.cluster.create(
        "gateway",
        &json!({
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway",
            "metadata": { "name": "gate", "labels": { "perennial/profile": "default" } },
            "spec": { "gatewayClassName": "x", "listeners": [{
                "name": "https", "port": 443, "protocol": "HTTPS", "hostname": "*.gate.web.test",
                "tls": { "certificateRefs": [{ "name": "gate-tls" }] },
            }] },
        }),
    );
    set.cluster.create(
        "service",
        &json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": { "name": "db", "annotations": {
                "perennial/profile": "default", "perennial/secret": "db-tls",
                "perennial/names": "db.web.test,db-0.web.test",
            } },
            "spec": { "ports": [{ "port": 5432 }] },
        }),
    );
    set.served("prod_web_after-tls", &["a.web.test", "b.web.test"]);
    set.served("prod_web_gate-tls", &["*.gate.web.test"]);
    set.served("prod_web_db-tls", &["db.web.test", "db-0.web.test"]);
    assert_eq!(set.cluster.secret("plain-tls"), None, "it did not ask");
    assert_eq!(set.stage.say(&["status"]).code, Some(0));

    // What is declared in files neither removes it nor is confused by it.
    let file = set.stage.declaration(&set.table("prod", "owner = \"payments\""));
    assert_eq!(set.stage.say(&["plan", &file]).code, Some(0));
    set.stage.say(&["apply", &file]);
    set.served("prod_web_gate-tls", &["*.gate.web.test"]);
}

#[test]
fn what_is_not_allowed_is_refused_and_told_and_the_rest_goes_on() {
    let set = Set::up("discovery-refused");
    set.stage.declare(&set.table("prod", "max_certificates = 2"));
    set.ingress("evil", "evil-tls", &["shop.example.com"]);
    set.told(&["Ingress web/evil is refused", "shop.example.com is refused by policy"]);
    let mut odd = ingress("odd", "odd-tls", &["odd.web.test"]);
    odd["metadata"]["annotations"]["perennial/profile"] = "node".into();
    set.cluster.create("odd", &odd);
    set.told(&["Ingress web/odd is refused", "profile \"node\" is not allowed here"]);
    set.ingress("half", "half-tls", &["half.web.test", "other.test"]);
    set.told(&["Ingress web/half is refused", "other.test"]);

    // Two that ask for the same Secret: the first has it, unless they ask for the same.
    set.ingress("one", "one-tls", &["one.web.test"]);
    set.served("prod_web_one-tls", &["one.web.test"]);
    set.ingress("two", "one-tls", &["two.web.test"]);
    set.told(&["Ingress web/two is refused", "is asked for by Ingress web/one"]);
    set.ingress("same", "one-tls", &["one.web.test"]);
    set.ingress("more", "more-tls", &["more.web.test"]);
    set.served("prod_web_more-tls", &["more.web.test"]);
    set.ingress("too-many", "too-many-tls", &["too-many.web.test"]);
    set.told(&["Ingress web/too-many is refused", "as many certificates as it may, 2"]);
    for secret in ["evil-tls", "odd-tls", "half-tls", "too-many-tls"] {
        assert_eq!(set.cluster.secret(secret), None, "{secret}");
    }
    let out = set.stage.say(&["status"]).out;
    assert!(!out.contains("Ingress web/same"), "{out}");
    set.served("prod_web_one-tls", &["one.web.test"]);

    // When the first goes, the one that asked for the same goes on with it.
    set.delete("ingress", "one");
    set.until("the other to take over", || {
        set.certificate("prod_web_one-tls").is_some_and(|c| c["origin"] == "Ingress web/same")
    });
    assert_eq!(set.certificate("prod_web_one-tls").expect("it")["version"], 1);
}

#[test]
fn what_goes_is_not_declared_any_more_and_stays_in_the_cluster() {
    let set = Set::up("discovery-gone");
    set.stage.declare(&set.table("prod", ""));
    set.ingress("shop", "shop-tls", &["shop.web.test"]);
    set.served("prod_web_shop-tls", &["shop.web.test"]);
    set.delete("ingress", "shop");
    set.until("it to be withdrawn", || {
        set.certificate("prod_web_shop-tls").is_some_and(|c| c["status"] == "undeclared")
    });
    assert!(set.cluster.secret("shop-tls").is_some(), "nothing is deleted");
    assert_eq!(set.stage.say(&["status"]).code, Some(0));

    // It is taken up again when it comes back, and changed with its object.
    set.ingress("shop", "shop-tls", &["shop.web.test"]);
    set.served("prod_web_shop-tls", &["shop.web.test"]);
    let more = json!({ "spec": { "tls": [
        { "hosts": ["shop.web.test", "www.shop.web.test"], "secretName": "shop-tls" },
    ] } });
    let more = more.to_string();
    succeed(&set.cluster.kubectl(&["patch", "ingress", "shop", "--type=merge", "--patch", &more]));
    set.served("prod_web_shop-tls", &["shop.web.test", "www.shop.web.test"]);

    // A Secret that is removed or that nobody may have any more.
    set.delete("secret", "shop-tls");
    set.until("the Secret again", || set.cluster.secret("shop-tls").is_some());
    set.stage.declare(&set.table("prod", "").replace("*.web.test", "*.other.test"));
    set.until("it to be withdrawn", || {
        set.certificate("prod_web_shop-tls").is_some_and(|c| c["status"] == "undeclared")
    });
    set.told(&["Ingress web/shop is refused"]);
}

#[test]
fn the_proof_is_at_the_ingress_and_the_manifest_in_deploy_is_enough() {
    let set = Set::up("discovery-proof");
    set.cluster.allow_as_deployed("kubernetes-discovery.yaml");
    let port = free_port();
    let (program, arguments) = set.cluster.traefik(NAME, port);
    let program = program.to_str().expect("a plain path");
    let mut traefik = Daemon::start(program, arguments, &set.stage.directory("traefik"));
    traefik.wait_for_port(port);
    let table = set.table("prod", &format!("probe = [\"127.0.0.1:{port}\"]"));
    set.stage.declare(&table.replace("*.web.test", "*.example.test"));
    let annotate = ["annotate", "ingress", "shop", "perennial/profile=default"];
    succeed(&set.cluster.kubectl(&annotate));
    let shown = set.served("prod_web_shop", &[NAME]);
    let proof = &shown["placements"][0]["proof"];
    assert_eq!(proof["proven"], true, "{shown:#}");
    let seen = set.stage.client().leaf(SocketAddr::from((Ipv4Addr::LOCALHOST, port)), NAME);
    assert_eq!(seen, Ok(leaf(&shown, 1)));
}

#[test]
fn what_was_found_survives_a_restart_without_its_cluster_and_other_clusters_go_on() {
    let mut set = Set::up("discovery-away");
    let other = Cluster::own(&set.stage.directory("other"));
    other.allow_by(&rules());
    let first = set.table("prod", "");
    let second = first.replace("\"prod\"", "\"dev\"");
    let config = format!("{:?}", set.cluster.kubeconfig());
    let second = second.replace(&config, &format!("{:?}", other.kubeconfig()));
    set.stage.declare(&(first + &second));
    set.ingress("shop", "shop-tls", &["shop.web.test"]);
    set.served("prod_web_shop-tls", &["shop.web.test"]);
    set.cluster.stop();
    set.told(&["cluster_discovery prod", "Ingress objects of namespace web", "cannot reach"]);
    set.stage.server.stop(Signal::TERM);
    set.stage.server.resume();
    other.create("late", &ingress("late", "late-tls", &["late.web.test"]));
    set.served("dev_web_late-tls", &["late.web.test"]);
    let shop = set.certificate("prod_web_shop-tls").expect("it is still there");
    assert_eq!(shop["origin"], "Ingress web/shop", "{shop:#}");
    assert_ne!(shop["status"], "undeclared");
}

#[test]
fn an_expired_token_is_read_again_and_what_the_role_lacks_is_told_as_that() {
    let mut set = Set::up("discovery-denied");
    set.cluster.fail(&json!({ "absent": ["gateways"] }));
    set.cluster.allow_by(&json!([]));
    set.stage.declare(&set.table("prod", ""));
    set.told(&["Ingress objects of namespace web", "cannot list resource", "403"]);
    let out = set.stage.say(&["status"]).out;
    assert!(!out.contains("Gateway objects"), "not every cluster has it: {out}");
    set.cluster.allow_by(&rules());
    set.ingress("shop", "shop-tls", &["shop.web.test"]);
    set.served("prod_web_shop-tls", &["shop.web.test"]);

    set.stage.server.stop(Signal::TERM);
    set.cluster.accept("fresh-token");
    set.stage.server.resume();
    set.told(&["Ingress objects of namespace web", "does not accept our credentials"]);
    let token = set.stage.directory("cluster").join("perennial.token");
    std::fs::write(token, "fresh-token").expect("a new token");
    set.ingress("late", "late-tls", &["late.web.test"]);
    set.served("prod_web_late-tls", &["late.web.test"]);
    set.until("all to be well", || set.stage.say(&["status"]).code == Some(0));
}
