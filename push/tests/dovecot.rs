//! Targets of kind `dovecot`, with a real one.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use push::probe::{self, Expected, Probe};
use push::{Bundle, Observed, Spec, StartTls};

use crate::scene::{
    Folder, Issuer, PATIENCE, Server, is_root, keyless, need, port, push, rotate_under_load, spec,
};

/// A Dovecot that speaks IMAP, with TLS from a directory of releases.
struct Dovecot {
    folder: Folder,
    port: u16,
    doveadm: String,
    server: Option<Server>,
}

impl Dovecot {
    async fn start(bundle: &Bundle) -> Self {
        let (dovecot, doveadm) = (need("dovecot", PACKAGE), need("doveadm", PACKAGE));
        let (folder, port) = (Folder::new(), port());
        let files = format!("name = \"f\"\nkind = \"files\"\ndirectory = {:?}", folder.text("tls"));
        push(&spec(&files), 1, bundle).await.expect("the first files");
        folder.write("dovecot.conf", configuration(&folder, port));
        let server = Server::start(&dovecot, &["-F", "-c", &folder.text("dovecot.conf")], port);
        Self { folder, port, doveadm, server: Some(server) }
    }

    fn spec(&self) -> Spec {
        spec(&format!(
            "name = \"mail\"\nkind = \"dovecot\"\ndirectory = {:?}\nbinary = {:?}\nconfig = {:?}\n\
             probe = [\"127.0.0.1:{}\"]",
            self.folder.text("tls"),
            self.doveadm,
            self.folder.text("dovecot.conf"),
            self.port
        ))
    }

    async fn serves(&self, bundle: &Bundle) {
        let probe = Probe { matches: 1, ..Probe::new(&self.spec(), bundle.names()) };
        // Its login processes take a while to begin on a machine that is busy.
        let expected = Expected::of(bundle, &[]);
        let proof = probe::wait_until_proven(&probe, &expected, PATIENCE).await;
        assert!(proof.proven, "{proof}");
    }

    fn run(&self, arguments: &[&str]) -> bool {
        let mut command = Command::new(&self.doveadm);
        command.args(["-c", &self.folder.text("dovecot.conf")]).args(arguments);
        command.output().expect("doveadm runs").status.success()
    }
}

fn configuration(folder: &Folder, port: u16) -> String {
    let user = String::from_utf8(Command::new("id").arg("-un").output().expect("id").stdout);
    let user = user.expect("a name");
    let user = user.trim();
    let own = if is_root() {
        String::new()
    } else {
        format!("default_internal_user = {user}\ndefault_login_user = {user}\n")
    };
    let current = folder.text("tls/current");
    format!(
        "{own}base_dir = {run}\nlog_path = {log}\nprotocols = imap\nlisten = 127.0.0.1\n\
         ssl = yes\nssl_cert = <{current}/tls.crt\nssl_key = <{current}/tls.key\n\
         service imap-login {{\n  chroot =\n  inet_listener imap {{\n    port = {port}\n  }}\n  \
         inet_listener imaps {{\n    port = 0\n  }}\n}}\nservice anvil {{\n  chroot =\n}}\n\
         passdb {{\n  driver = static\n  args = nopassword=y\n}}\n",
        run = folder.text("run"),
        log = folder.text("log"),
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rotations_in_a_row_fail_no_handshake_and_each_is_proven() {
    let issuer = Issuer::new();
    let first = issuer.bundle(&["shop.test"]);
    let server = Dovecot::start(&first).await;
    rotate_under_load(&server.spec(), &issuer, &first, server.port).await;
}

#[tokio::test]
async fn a_pair_that_does_not_match_would_cost_it_tls_and_is_found_before() {
    let issuer = Issuer::new();
    let first = issuer.bundle(&["shop.test"]);
    let server = Dovecot::start(&first).await;
    let mut spec = server.spec();
    if let push::Kind::Dovecot(kind) = &mut spec.kind {
        kind.placement.directory = None;
        kind.placement.path = Some(server.folder.path("tls/releases/1/tls.crt"));
        kind.placement.key_path = Some(server.folder.path("tls/releases/1/tls.key"));
    }
    let elsewhere = keyless(&issuer, &["shop.test"]);
    // A release has no key then, where there was one.
    let error = push(&server.spec(), 2, &elsewhere).await.expect_err("no key");
    assert!(error.to_string().contains("no file with the key"), "{error}");
    let error = push(&spec, 2, &elsewhere).await.expect_err("no match");
    assert!(error.to_string().contains("do not go together"), "{error}");
    assert_eq!(spec.open().observe().await.expect("readable"), Observed::Leaf(first.fingerprint()));
    server.serves(&first).await;

    // What it would have cost: nothing that it says of its configuration or of the reload tells.
    let foreign = issuer.bundle(&["shop.test"]).key_pem().expect("a key");
    fs::write(server.folder.path("tls/releases/1/tls.key"), foreign.as_bytes()).expect("written");
    assert!(server.run(&["config", "-n"]) && server.run(&["reload"]));
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], server.port));
    let begun = Instant::now();
    while probe::sight(address, None, Some(StartTls::Imap), PATIENCE).await.is_ok() {
        assert!(begun.elapsed() < PATIENCE, "this Dovecot keeps what it has");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_configuration_that_fails_its_test_or_nobody_reads_changes_nothing() {
    let issuer = Issuer::new();
    let first = issuer.bundle(&["shop.test"]);
    let mut server = Dovecot::start(&first).await;
    let config = fs::read_to_string(server.folder.path("dovecot.conf")).expect("readable");
    server.folder.write("dovecot.conf", format!("{config}nonsense = yes\n"));
    let error = push(&server.spec(), 2, &issuer.bundle(&["shop.test"])).await.expect_err("refused");
    assert!(error.to_string().contains("nonsense"), "{error}");
    server.folder.write("dovecot.conf", config);
    server.server = None;
    let error = push(&server.spec(), 2, &issuer.bundle(&["shop.test"])).await.expect_err("nobody");
    assert!(error.to_string().contains("not reloaded"), "{error}");
    let held = server.spec().open().observe().await.expect("readable");
    assert_eq!(held, Observed::Leaf(first.fingerprint()));
}

const PACKAGE: &str = "dovecot-imapd";
