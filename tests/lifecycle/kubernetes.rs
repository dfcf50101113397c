//! A certificate in a Kubernetes Secret that a real Traefik serves: proven at its address, mended when
//! somebody changes it, told as what it is when the cluster does not let us.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::stage::{NAME, SHORT, Stage, leaf, shop_on};
use crate::cluster::{Cluster, succeed};
use crate::program::{Daemon, free_port};

/// A cluster, and Traefik as its ingress.
struct Edge {
    cluster: Cluster,
    address: SocketAddr,
    _traefik: Daemon,
}

impl Edge {
    fn start(stage: &Stage) -> Self {
        let cluster = Cluster::own(&stage.directory("cluster"));
        let port = free_port();
        let (program, arguments) = cluster.traefik(NAME, port);
        let program = program.to_str().expect("a plain path");
        let mut traefik = Daemon::start(program, arguments, &stage.directory("traefik"));
        traefik.wait_for_port(port);
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        Self { cluster, address, _traefik: traefik }
    }

    fn table(&self, more: &str) -> String {
        format!(
            "[[target]]\nname = \"ingress\"\nkind = \"kubernetes\"\nkubeconfig = {:?}\n\
             namespace = {:?}\nsecret = \"shop\"\nprobe = [\"{}\"]\n{more}\n",
            self.cluster.kubeconfig(),
            self.cluster.namespace,
            self.address
        )
    }

    fn version(&self) -> Option<Value> {
        let secret = self.cluster.secret("shop")?;
        Some(secret["metadata"]["annotations"]["perennial/version"].clone())
    }
}

#[test]
fn a_secret_is_proven_at_the_ingress_and_goes_back_and_forth() {
    let stage = Stage::set("kubernetes");
    let edge = Edge::start(&stage);
    stage.open(&(shop_on(&["ingress"], "") + &edge.table("")));
    stage.assert_served(&stage.shop(), 1, &[edge.address]);
    let to = stage.renew(&[])["to"].as_u64().expect("a version");
    let shop = stage.shop();
    stage.assert_served(&shop, to, &[edge.address]);
    assert_eq!(edge.version(), Some(json!(to.to_string())));
    let secret = edge.cluster.secret("shop").expect("it is there");
    assert!(secret["data"]["ca.crt"].is_string(), "the root is known here");
    assert_eq!(stage.say(&["rollback", "shop"]).code, Some(0));
    stage.assert_served(&shop, 1, &[edge.address]);
    assert_eq!(edge.version(), Some(json!("1")));
}

#[test]
fn a_secret_that_is_removed_or_changed_is_looked_at_at_once_and_mended() {
    let stage = Stage::set("kubernetes-mend");
    let edge = Edge::start(&stage);
    // It would not be looked at for a day.
    let table = edge.table("mend = true\nadopt = true\nwatch = \"1d\"");
    stage.open(&(shop_on(&["ingress"], "") + &table));
    let shop = stage.shop();
    succeed(&edge.cluster.kubectl(&["delete", "secret", "shop"]));
    mended(&stage, &edge, 1);
    stage.assert_served(&shop, 1, &[edge.address]);

    let patch = json!({ "data": { "tls.crt": null, "tls.key": null, "ca.crt": null } });
    let patch = patch.to_string();
    assert!(
        !edge.cluster.kubectl(&["patch", "secret", "shop", "--patch", &patch]).status.success()
    );
    let patch = json!({ "data": { "tls.crt": "", "tls.key": "" } }).to_string();
    succeed(&edge.cluster.kubectl(&["patch", "secret", "shop", "--patch", &patch]));
    mended(&stage, &edge, 2);
    stage.assert_served(&shop, 1, &[edge.address]);
}

/// Waits until so many drifts were noticed, and the last of them mended.
fn mended(stage: &Stage, edge: &Edge, drifts: usize) {
    let begun = Instant::now();
    loop {
        let events = stage.events();
        let drift = |event: &&Value| event["action"] == "placement.drift";
        if events.iter().filter(drift).count() >= drifts && stage.shop()["status"] == "served" {
            break;
        }
        assert!(begun.elapsed() < SHORT * 2, "not mended: {:#?}", stage.events());
        std::thread::sleep(Duration::from_millis(200));
    }
    assert_eq!(edge.version(), Some(json!("1")));
}

#[test]
fn a_secret_of_somebody_else_stays_theirs_and_status_says_whose() {
    let stage = Stage::set("kubernetes-foreign");
    let edge = Edge::start(&stage);
    edge.cluster.create(
        "theirs",
        &json!({
            "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
            "metadata": {
                "name": "shop", "annotations": { "cert-manager.io/certificate-name": "shop-cert" },
            },
            "data": { "tls.crt": "", "tls.key": "" },
        }),
    );
    let before = edge.cluster.secret("shop");
    stage.declare(&(shop_on(&["ingress"], "") + &edge.table("")));
    stage.until("the failure", SHORT, |shop| shop["status"] == "failing");
    stage.assert_alarm(&["belongs to cert-manager (Certificate shop-cert)", "adopt = true"]);
    assert_eq!(edge.cluster.secret("shop"), before);

    // It is taken over when that is what is wanted.
    stage.declare(&(shop_on(&["ingress"], "") + &edge.table("adopt = true")));
    let shop = stage.until("the first version", SHORT, |shop| {
        shop["status"] == "served" && shop["rotation"].is_null()
    });
    let served = shop["version"].as_u64().expect("a version");
    stage.assert_served(&shop, served, &[edge.address]);
}

#[test]
fn what_the_cluster_does_not_allow_any_longer_is_told_and_the_version_served_goes_on() {
    let stage = Stage::set("kubernetes-denied");
    let edge = Edge::start(&stage);
    stage.open(&(shop_on(&["ingress"], "") + &edge.table("watch = \"10s\"")));
    edge.cluster.allow(&["get", "watch"]);
    let rotation = stage.renew_in_vain();
    let told = rotation.to_string();
    assert!(told.contains("cannot patch resource"), "{told}");
    stage.assert_served(&stage.shop(), 1, &[edge.address]);

    // That it cannot be seen is told too, when it is tried again after a minute, and is no drift.
    edge.cluster.allow(&[]);
    stage
        .until("the complaint", SHORT * 4, |shop| shop.to_string().contains("cannot get resource"));
    let drifts = stage.events().iter().filter(|e| e["action"] == "placement.drift").count();
    assert_eq!(drifts, 0);

    edge.cluster.allow(&["get", "watch", "patch"]);
    let to = stage.renew(&[])["to"].as_u64().expect("a version");
    let shop = stage.shop();
    stage.assert_served(&shop, to, &[edge.address]);
    assert_ne!(leaf(&shop, to), leaf(&shop, 1));
}
