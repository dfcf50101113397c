//! Targets of kind `nginx`, with a real one.

use std::fs;
use std::net::SocketAddr;
use std::time::Duration;

use push::probe::{self, Expected, Found, Probe};
use push::{Bundle, Spec};

use crate::scene::{
    Folder, Issuer, PATIENCE, Server, need, once, port, proof, push, rotate_under_load, spec,
};

/// An nginx that serves `shop.test` from a directory of releases, and others a default.
pub(crate) struct Nginx {
    pub(crate) folder: Folder,
    pub(crate) port: u16,
    binary: String,
    _server: Server,
}

impl Nginx {
    pub(crate) async fn start(bundle: &Bundle, default: Option<&Bundle>) -> Self {
        let binary = need("nginx", "nginx-light");
        let (folder, port) = (Folder::new(), port());
        let files =
            spec(&format!("name = \"n\"\nkind = \"files\"\ndirectory = {:?}", folder.text("tls")));
        push(&files, 1, bundle).await.expect("the first files");
        let other = default.map(|default| {
            folder.write("default.pem", default.combined_pem().expect("a key").as_bytes());
            let pem = folder.text("default.pem");
            format!(
                "server {{ listen 127.0.0.1:{port} ssl default_server; ssl_certificate {pem}; \
                 ssl_certificate_key {pem}; }}"
            )
        });
        folder.write("nginx.conf", configuration(&folder, port, &other.unwrap_or_default()));
        let config = folder.text("nginx.conf");
        let prefix = folder.text("");
        let arguments = ["-c", &config, "-p", &prefix, "-g", "daemon off;"];
        let server = Server::start(&binary, &arguments, port);
        Self { folder, port, binary, _server: server }
    }

    pub(crate) fn spec(&self, more: &str) -> Spec {
        let folder = &self.folder;
        spec(&format!(
            "name = \"edge\"\nkind = \"nginx\"\ndirectory = {:?}\nbinary = {:?}\nconfig = {:?}\n\
             prefix = {:?}\nprobe = [\"127.0.0.1:{}\"]\n{more}",
            folder.text("tls"),
            self.binary,
            folder.text("nginx.conf"),
            folder.text(""),
            self.port
        ))
    }
}

fn configuration(folder: &Folder, port: u16, other: &str) -> String {
    let tls = folder.text("tls/current");
    format!(
        "worker_processes 2;\nerror_log {log};\npid {pid};\nevents {{ worker_connections 256; }}\n\
         http {{ access_log off;\n\
         client_body_temp_path {temp}; proxy_temp_path {temp}; fastcgi_temp_path {temp};\n\
         uwsgi_temp_path {temp}; scgi_temp_path {temp};\n{other}\n\
         server {{ listen 127.0.0.1:{port} ssl; server_name shop.test *.shop.test;\n\
         ssl_certificate {tls}/tls.crt; ssl_certificate_key {tls}/tls.key; }} }}\n",
        log = folder.text("error.log"),
        pid = folder.text("nginx.pid"),
        temp = folder.text("temp"),
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rotations_in_a_row_fail_no_handshake_and_each_is_proven() {
    let issuer = Issuer::new();
    let first = issuer.bundle(&["shop.test", "*.shop.test"]);
    let nginx = Nginx::start(&first, None).await;
    rotate_under_load(&nginx.spec(""), &issuer, &first, nginx.port).await;
}

#[tokio::test]
async fn the_same_version_twice_is_written_once_and_reloaded_twice() {
    let issuer = Issuer::new();
    let nginx = Nginx::start(&issuer.bundle(&["shop.test"]), None).await;
    let bundle = issuer.bundle(&["shop.test"]);
    let pid_file = format!("pid_file = {:?}", nginx.folder.text("nginx.pid"));
    for spec in [nginx.spec(""), nginx.spec(&pid_file)] {
        push(&spec, 2, &bundle).await.expect("it is there then");
        let release = fs::metadata(nginx.folder.path("tls/current")).expect("a release");
        let receipt = push(&spec, 2, &bundle).await.expect("again");
        assert!(!receipt.changed);
        let after = fs::metadata(nginx.folder.path("tls/current")).expect("a release");
        assert_eq!(
            (release.modified().expect("time"), std::os::unix::fs::MetadataExt::ino(&release)),
            (after.modified().expect("time"), std::os::unix::fs::MetadataExt::ino(&after))
        );
        let proof = proof(&spec, &bundle, &[]).await;
        assert!(proof.proven, "{proof}");
    }
}

#[tokio::test]
async fn a_configuration_that_fails_its_test_changes_nothing() {
    let issuer = Issuer::new();
    let first = issuer.bundle(&["shop.test"]);
    let nginx = Nginx::start(&first, None).await;
    nginx.folder.write("nginx.conf", "nonsense;");
    let error =
        push(&nginx.spec(""), 2, &issuer.bundle(&["shop.test"])).await.expect_err("refused");
    let text = error.to_string();
    assert!(text.contains("nonsense") && text.contains("previous files are back"), "{text}");
    assert_eq!(error.fault(), push::Fault::Target);
    let held = nginx.spec("").open().observe().await.expect("readable");
    assert_eq!(held, push::Observed::Leaf(first.fingerprint()));
    let served = probe::prove(&once(nginx.port, &["shop.test"]), &Expected::of(&first, &[])).await;
    assert!(served.proven, "{served}");
}

#[tokio::test]
async fn a_reload_that_lies_is_not_believed() {
    let issuer = Issuer::new();
    let first = issuer.bundle(&["shop.test"]);
    let nginx = Nginx::start(&first, None).await;
    let liar = spec(&format!(
        "name = \"edge\"\nkind = \"files\"\ndirectory = {:?}\nreload = [\"true\"]\nwindow = \"2s\"\n\
         probe = [\"127.0.0.1:{}\"]",
        nginx.folder.text("tls"),
        nginx.port
    ));
    let bundle = issuer.bundle(&["shop.test"]);
    push(&liar, 2, &bundle).await.expect("it says it went well");
    let proof = proof(&liar, &bundle, &[first.fingerprint()]).await;
    assert!(!proof.proven);
    assert!(proof.sightings.iter().all(|seen| seen.found == Found::Old), "{proof}");
    assert!(proof.to_string().contains("still serves the previous certificate"), "{proof}");
}

#[tokio::test]
async fn a_name_the_server_does_not_know_shows_its_default_certificate() {
    let issuer = Issuer::new();
    let first = issuer.bundle(&["shop.test"]);
    let default = issuer.bundle(&["default.test"]);
    let nginx = Nginx::start(&first, Some(&default)).await;
    let bundle = issuer.bundle(&["shop.test", "unknown.test"]);
    push(&nginx.spec(""), 2, &bundle).await.expect("pushed");
    let spec = nginx.spec("window = \"2s\"");
    let proof = proof(&spec, &bundle, &[first.fingerprint()]).await;
    assert!(!proof.proven);
    let found = |name: &str| {
        let mut seen = proof.sightings.iter().filter(|seen| seen.sni.as_deref() == Some(name));
        seen.next().map(|seen| seen.found.clone())
    };
    assert_eq!(found("unknown.test"), Some(Found::Default), "{proof}");
    assert_eq!(found("shop.test"), Some(Found::New), "{proof}");
}

#[tokio::test]
async fn old_workers_answer_for_a_while_so_matches_must_be_consecutive() {
    let issuer = Issuer::new();
    let first = issuer.bundle(&["shop.test"]);
    let nginx = Nginx::start(&first, None).await;
    let address = SocketAddr::from(([127, 0, 0, 1], nginx.port));
    let spec = nginx.spec("");
    let mut stale = 0;
    for version in 2..12 {
        let bundle = issuer.bundle(&["shop.test"]);
        push(&spec, version, &bundle).await.expect("pushed");
        let proof = proof(&spec, &bundle, &[first.fingerprint()]).await;
        assert!(proof.proven, "{proof}");
        let handshakes: u32 = proof.sightings.iter().map(|seen| seen.handshakes).sum();
        assert!(handshakes >= 5, "{proof:?}");
        for _ in 0..30 {
            let seen = probe::sight(address, Some("shop.test"), None, PATIENCE).await.expect("TLS");
            stale += u32::from(seen.chain[0].as_ref() != bundle.leaf().der());
        }
    }
    assert_eq!(stale, 0, "an old worker answered after the proof");
}

#[tokio::test]
async fn rsa_and_ecdsa_beside_each_other_are_each_proven() {
    let issuer = Issuer::new();
    let ecdsa = issuer.bundle(&["shop.test"]);
    let rsa = issuer.bundle_of(ca::KeyAlgorithm::Rsa { bits: 2048 }, &["shop.test"]);
    let nginx = Nginx::start(&ecdsa, None).await;
    let pem = nginx.folder.write("rsa.pem", rsa.combined_pem().expect("a key").as_bytes());
    let config = fs::read_to_string(nginx.folder.path("nginx.conf")).expect("readable");
    let both = format!("ssl_certificate {0}; ssl_certificate_key {0}; }} }}", pem.display());
    nginx.folder.write("nginx.conf", config.replace("} }", &both));
    push(&nginx.spec(""), 1, &ecdsa).await.expect("reloaded");
    tokio::time::sleep(Duration::from_millis(500)).await;
    for bundle in [&ecdsa, &rsa] {
        let proof = proof(&nginx.spec(""), bundle, &[]).await;
        assert!(proof.proven, "{proof}");
    }
    // An ECDSA certificate that is not served is not taken for proven because the RSA one is.
    let unserved = issuer.bundle(&["shop.test"]);
    let proof =
        probe::prove(&once(nginx.port, &["shop.test"]), &Expected::of(&unserved, &[])).await;
    assert!(!proof.proven);
}

#[tokio::test]
async fn a_missing_intermediate_is_seen() {
    let issuer = Issuer::new();
    let bundle = issuer.bundle(&["shop.test"]);
    let nginx = Nginx::start(&bundle, None).await;
    let release = nginx.folder.path("tls/releases/1/tls.crt");
    fs::write(release, bundle.cert_pem()).expect("the leaf alone");
    let reload = spec(&format!(
        "name = \"n\"\nkind = \"files\"\npath = {:?}\nreload = [{:?}, \"-c\", {:?}, \"-p\", {:?}, \
         \"-s\", \"reload\"]\n",
        nginx.folder.text("unrelated.pem"),
        nginx.binary,
        nginx.folder.text("nginx.conf"),
        nginx.folder.text(""),
    ));
    push(&reload, 1, &bundle).await.expect("reloaded");
    tokio::time::sleep(Duration::from_millis(500)).await;
    let proof = probe::prove(&once(nginx.port, &["shop.test"]), &Expected::of(&bundle, &[])).await;
    let found: Vec<&Found> = proof.sightings.iter().map(|seen| &seen.found).collect();
    assert_eq!(found, [&Found::Chain { served: 0, expected: 1 }], "{proof}");
}

#[tokio::test]
async fn wildcards_are_asked_for_by_a_name_below_them() {
    let issuer = Issuer::new();
    let bundle = issuer.bundle(&["*.shop.test"]);
    let nginx = Nginx::start(&bundle, None).await;
    let probe = Probe::new(&nginx.spec(""), bundle.names());
    assert_eq!(probe.names, [Some("probe.shop.test".to_owned())]);
    let proof = probe::prove(&probe, &Expected::of(&bundle, &[])).await;
    assert!(proof.proven, "{proof}");
}
