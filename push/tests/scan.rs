//! The TLS Secrets of a cluster: all of them are seen, once, and whose they are; no key is kept.

use std::time::Duration;

use ::cluster::{Access, ClusterError, Connection, Keeper, SecretScan, SeenSecret};
use data_encoding::BASE64;
use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::scene::{Folder, Issuer, push, spec};

fn connection(cluster: &Cluster) -> Connection {
    let access = Access { kubeconfig: Some(cluster.kubeconfig()), context: None };
    Connection::to(&access, Duration::from_secs(30))
}

fn secret(name: &str, annotations: &Value, certificate: &[u8]) -> Value {
    let (certificate, key) = (BASE64.encode(certificate), BASE64.encode(b"a secret key"));
    json!({
        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
        "metadata": { "name": name, "annotations": annotations },
        "data": { "tls.crt": certificate, "tls.key": key },
    })
}

fn set(folder: &Folder) -> Cluster {
    let cluster = Cluster::own(&folder.path("cluster"));
    cluster.allow_by(&json!([
        { "verbs": ["list", "get", "patch", "create"], "resources": ["secrets"] },
    ]));
    cluster
}

async fn all(cluster: &Cluster, mut scan: SecretScan) -> Vec<SeenSecret> {
    let (connection, mut seen) = (connection(cluster), Vec::new());
    while let Some(some) = scan.next(&connection).await.expect("a page") {
        seen.extend(some);
    }
    seen
}

#[tokio::test]
async fn each_is_seen_with_who_keeps_it_and_without_its_key() {
    let (folder, issuer) = (Folder::new(), Issuer::new());
    let cluster = set(&folder);
    let ours = spec(&format!(
        "name = \"a\"\nkind = \"kubernetes\"\nkubeconfig = {:?}\nnamespace = \"web\"\nsecret = \"ours\"",
        cluster.kubeconfig()
    ));
    push(&ours, 1, &issuer.bundle(&["a.test"])).await.expect("pushed");
    let theirs = json!({ "cert-manager.io/certificate-name": "shop" });
    cluster.create("theirs", &secret("theirs", &theirs, b"PEM"));
    // It says so, and it is not so.
    let false_ours = json!({ "perennial/certificate": "x" });
    cluster.create("other", &secret("other", &false_ours, b"PEM"));
    let opaque = json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "opaque" } });
    cluster.create("opaque", &opaque);

    let seen = all(&cluster, SecretScan::of(None).expect("a scan")).await;
    let names: Vec<_> = seen.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(names, ["other", "ours", "theirs"]);
    assert_eq!(seen[0].keeper, Keeper::Others(["kubectl-create".to_owned()].into()));
    assert!(matches!(&seen[1].keeper, Keeper::Perennial(name) if !name.is_empty()));
    assert_eq!(seen[2].keeper, Keeper::CertManager("shop".into()));
    assert_eq!(seen[2].certificates.as_deref(), Some(&b"PEM"[..]));
    assert!(seen[1].authority.is_some() && seen[1].namespace == "web");
    assert!(!format!("{seen:?}").contains("secret key"));
    assert_eq!(all(&cluster, SecretScan::of(Some("default")).expect("a scan")).await, []);
    assert!(SecretScan::of(Some("../x")).is_err());
}

#[tokio::test]
async fn many_and_large_ones_are_read_in_pages_and_each_is_given_once() {
    let folder = Folder::new();
    let mut cluster = set(&folder);
    let large = vec![b'x'; 600 * 1024];
    let many: Vec<_> = (0..420)
        .map(|i| {
            let content = if i < 16 { &large[..] } else { b"PEM" };
            secret(&format!("s{i:03}"), &json!({}), content)
        })
        .collect();
    cluster.create("many", &json!({ "apiVersion": "v1", "kind": "List", "items": many }));
    let (connection, mut scan) = (connection(&cluster), SecretScan::of(None).expect("a scan"));
    let mut names = Vec::new();
    let mut pages = 0;
    while let Some(some) = scan.next(&connection).await.expect("a page") {
        names.extend(some.into_iter().map(|one| one.name));
        pages += 1;
        if pages == 3 {
            // It takes so long that the list is forgotten.
            cluster.compact();
        }
    }
    assert_eq!(names, (0..420).map(|i| format!("s{i:03}")).collect::<Vec<_>>());
    assert!(pages > 5, "{pages} pages hold more than a page may");
}

#[tokio::test]
async fn what_may_not_be_listed_is_told_as_that() {
    let folder = Folder::new();
    let cluster = set(&folder);
    cluster.allow_by(&json!([{ "verbs": ["get"], "resources": ["secrets"] }]));
    let mut scan = SecretScan::of(None).expect("a scan");
    let refused = scan.next(&connection(&cluster)).await.expect_err("it may not");
    assert!(matches!(refused, ClusterError::Forbidden(_)), "{refused}");
}
