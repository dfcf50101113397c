//! Targets of kind `apache`, with a real one.

use std::fs;
use std::time::Duration;

use push::probe::{self, Expected};
use push::{Bundle, PushError, Spec};

use crate::scene::{
    Folder, Issuer, Server, is_root, keyless, need, once, port, proof, push, rotate_under_load,
    spec,
};

/// An Apache that serves `shop.test` from two files.
struct Apache {
    folder: Folder,
    port: u16,
    binary: String,
    _server: Server,
}

impl Apache {
    fn start(bundle: &Bundle) -> Self {
        let binary = need("apache2", "apache2");
        let (folder, port) = (Folder::new(), port());
        folder.write("shop.crt", bundle.fullchain_pem());
        folder.write("shop.key", bundle.key_pem().expect("a key").as_bytes());
        folder.write("apache.conf", configuration(&folder, port));
        let config = folder.text("apache.conf");
        let server = Server::start(&binary, &["-f", &config, "-DFOREGROUND"], port);
        // It listens before it has read its configuration for the second time.
        while !folder.path("apache.pid").exists() {
            std::thread::sleep(Duration::from_millis(20));
        }
        Self { folder, port, binary, _server: server }
    }

    fn spec(&self, more: &str) -> Spec {
        spec(&format!(
            "name = \"edge\"\nkind = \"apache\"\npath = {:?}\nkey_path = {:?}\nbinary = {:?}\n\
             config = {:?}\nprobe = [\"127.0.0.1:{}\"]\n{more}",
            self.folder.text("shop.crt"),
            self.folder.text("shop.key"),
            self.binary,
            self.folder.text("apache.conf"),
            self.port
        ))
    }

    async fn serves(&self, bundle: &Bundle) {
        let proof =
            probe::prove(&once(self.port, &["shop.test"]), &Expected::of(bundle, &[])).await;
        assert!(proof.proven, "{proof}");
    }
}

fn configuration(folder: &Folder, port: u16) -> String {
    let modules = "/usr/lib/apache2/modules";
    let user = if fs::metadata("/root").is_ok() && is_root() {
        "User nobody\nGroup nogroup\n"
    } else {
        ""
    };
    format!(
        "ServerRoot {root}\nServerName localhost\n{user}PidFile {pid}\nErrorLog {log}\nMutex pthread\n\
         LoadModule mpm_event_module {modules}/mod_mpm_event.so\n\
         LoadModule authz_core_module {modules}/mod_authz_core.so\n\
         LoadModule ssl_module {modules}/mod_ssl.so\n\
         Listen 127.0.0.1:{port}\n\
         <VirtualHost 127.0.0.1:{port}>\nServerName shop.test\nSSLEngine on\n\
         SSLCertificateFile {cert}\nSSLCertificateKeyFile {key}\n</VirtualHost>\n",
        root = folder.text(""),
        pid = folder.text("apache.pid"),
        log = folder.text("error.log"),
        cert = folder.text("shop.crt"),
        key = folder.text("shop.key"),
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rotations_in_a_row_fail_no_handshake_and_each_is_proven() {
    let issuer = Issuer::new();
    let first = issuer.bundle(&["shop.test"]);
    let apache = Apache::start(&first);
    rotate_under_load(&apache.spec(""), &issuer, &first, apache.port).await;
}

#[tokio::test]
async fn a_key_that_is_not_the_certificates_never_reaches_the_parent() {
    let issuer = Issuer::new();
    let first = issuer.bundle(&["shop.test"]);
    let apache = Apache::start(&first);
    // Apache itself sees nothing wrong with it.
    let foreign = issuer.bundle(&["shop.test"]).key_pem().expect("a key");
    apache.folder.write("shop.key", foreign.as_bytes());
    let config = apache.folder.text("apache.conf");
    let test = std::process::Command::new(&apache.binary).args(["-t", "-f", &config]).output();
    assert!(test.expect("it runs").status.success(), "this Apache looks at keys");

    // The same certificate, with the key kept elsewhere: only the certificate is written.
    let elsewhere = keyless(&issuer, &["shop.test"]);
    let error = push(&apache.spec(""), 2, &elsewhere).await.expect_err("they do not match");
    assert!(error.to_string().contains("do not go together"), "{error}");
    apache.serves(&first).await;
    let held = apache.spec("").open().observe().await.expect("readable");
    assert_eq!(held, push::Observed::Leaf(first.fingerprint()));
}

#[tokio::test]
async fn a_mismatch_that_appears_behind_our_back_is_found_before_the_signal() {
    let issuer = Issuer::new();
    let first = issuer.bundle(&["shop.test"]);
    let apache = Apache::start(&first);
    // A "program" that tests the configuration, and meanwhile somebody swaps the key.
    let foreign = apache
        .folder
        .write("foreign", issuer.bundle(&["x.test"]).key_pem().expect("a key").as_bytes());
    let script = format!(
        "#!/bin/sh\ncat {} > {}\nexec {} \"$@\"\n",
        foreign.display(),
        apache.folder.text("shop.key"),
        apache.binary
    );
    let meddler = crate::scene::script(&apache.folder, "meddler", &script);
    let mut spec = apache.spec("");
    if let push::Kind::Apache(kind) = &mut spec.kind {
        kind.binary = meddler;
    }
    let error = push(&spec, 2, &issuer.bundle(&["shop.test"])).await.expect_err("a mismatch");
    assert!(error.to_string().contains("another certificate's"), "{error}");
    apache.serves(&first).await;
    // The previous pair is back, so the next reload, by whomever, does no harm.
    push(&apache.spec(""), 3, &issuer.bundle(&["shop.test"])).await.expect("all is well again");
}

#[tokio::test]
async fn a_parent_that_dies_of_the_reload_is_noticed() {
    let issuer = Issuer::new();
    let apache = Apache::start(&issuer.bundle(&["shop.test"]));
    // A second host whose key does not match: not ours to check, and fatal all the same.
    let (good, other) = (issuer.bundle(&["other.test"]), issuer.bundle(&["x.test"]));
    let crt = apache.folder.write("other.crt", good.fullchain_pem());
    let key = apache.folder.write("other.key", other.key_pem().expect("a key").as_bytes());
    let config = fs::read_to_string(apache.folder.path("apache.conf")).expect("readable");
    let host = format!(
        "<VirtualHost 127.0.0.1:{}>\nServerName other.test\nSSLEngine on\nSSLCertificateFile {}\n\
         SSLCertificateKeyFile {}\n</VirtualHost>\n",
        apache.port,
        crt.display(),
        key.display()
    );
    apache.folder.write("apache.conf", config + &host);
    let error =
        push(&apache.spec(""), 2, &issuer.bundle(&["shop.test"])).await.expect_err("it dies");
    assert!(error.to_string().contains("parent process died"), "{error}");
    let error = push(&apache.spec(""), 3, &issuer.bundle(&["shop.test"])).await.expect_err("dead");
    assert!(matches!(error, PushError::Unreachable { .. }), "{error}");
}

#[tokio::test]
async fn a_configuration_that_fails_its_test_changes_nothing() {
    let issuer = Issuer::new();
    let first = issuer.bundle(&["shop.test"]);
    let apache = Apache::start(&first);
    let config = fs::read_to_string(apache.folder.path("apache.conf")).expect("readable");
    apache.folder.write("apache.conf", config + "Nonsense on\n");
    let error =
        push(&apache.spec(""), 2, &issuer.bundle(&["shop.test"])).await.expect_err("refused");
    assert!(error.to_string().contains("Nonsense"), "{error}");
    let held = apache.spec("").open().observe().await.expect("readable");
    assert_eq!(held, push::Observed::Leaf(first.fingerprint()));
    apache.serves(&first).await;
}

#[tokio::test]
async fn a_certificate_whose_key_stays_is_renewed_by_itself() {
    let issuer = Issuer::new();
    let key = crate::scene::generate(ca::KeyAlgorithm::EcdsaP256);
    let names = crate::scene::identifiers(&["shop.test"]);
    let now = jiff::Timestamp::now();
    let first = issuer.certificates(&key, &names);
    let covered = names.iter().cloned().collect();
    let pkcs8 = key.pkcs8().expect("exported");
    let first = Bundle::new(first, Some(pkcs8), &covered, now).expect("whole");
    let apache = Apache::start(&first);
    let renewed =
        Bundle::new(issuer.certificates(&key, &names), None, &covered, now).expect("whole");
    push(&apache.spec(""), 2, &renewed).await.expect("pushed");
    let proof = proof(&apache.spec(""), &renewed, &[first.fingerprint()]).await;
    assert!(proof.proven, "{proof}");
}
