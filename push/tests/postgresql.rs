//! Targets of kind `postgresql`, with a real one.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use push::probe::{Expected, Found, Probe, prove};
use push::{Bundle, Observed, PushError, Spec};

use crate::scene::{
    Folder, Issuer, Server, account, is_root, need, port, proof, push, rotate_under_load, spec,
};

/// A PostgreSQL that serves TLS from a directory of releases.
struct Postgresql {
    folder: Folder,
    port: u16,
    bin: PathBuf,
    _server: Server,
}

impl Postgresql {
    async fn start(bundle: &Bundle) -> Self {
        let (folder, port, bin) = (Folder::new(), port(), programs());
        fs::create_dir(folder.path("data")).expect("a directory");
        let mut first =
            format!("name = \"d\"\nkind = \"files\"\ndirectory = {:?}\n", folder.text("tls"));
        if is_root() {
            let (uid, gid) = account("postgres");
            chown(folder.path("data"), Some(uid), Some(gid)).expect("root may");
            first.push_str("owner = \"postgres\"");
        }
        push(&spec(&first), 1, bundle).await.expect("the first files");
        let data = folder.text("data");
        let mut initdb = as_user("postgres", &bin.join("initdb"));
        initdb.args(["-D", &data, "-N", "-A", "trust", "-U", "postgres", "--no-instructions"]);
        let made = initdb.output().expect("initdb runs");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let current = folder.text("tls/current");
        let settings = format!(
            "ssl = on\nssl_cert_file = '{current}/tls.crt'\nssl_key_file = '{current}/tls.key'\n\
             listen_addresses = '127.0.0.1'\nport = {port}\nunix_socket_directories = ''\n\
             logging_collector = on\nlog_directory = '{data}'\nlog_filename = 'log'\n"
        );
        fs::write(folder.path("data/postgresql.auto.conf"), settings).expect("settings");
        let mut command = as_user("postgres", &bin.join("postgres"));
        let server = Server::start_with(command.args(["-D", &data]), port);
        Self { folder, port, bin, _server: server }
    }

    fn spec(&self, told: &str) -> Spec {
        spec(&format!(
            "name = \"db\"\nkind = \"postgresql\"\ndirectory = {:?}\nprobe = [\"127.0.0.1:{}\"]\n{told}",
            self.folder.text("tls"),
            self.port
        ))
    }

    /// Told by signal.
    fn by_signal(&self, more: &str) -> Spec {
        self.spec(&format!("data_directory = {:?}\n{more}", self.folder.text("data")))
    }

    /// The words of a command that has it reload, as SQL.
    fn reload(&self) -> Vec<String> {
        let (psql, port) = (self.bin.join("psql"), self.port.to_string());
        let psql = psql.to_str().expect("a plain path");
        ["-h", "127.0.0.1", "-p", &port, "-U", "postgres", "-Atc", "SELECT pg_reload_conf()"]
            .iter()
            .fold(vec![psql.to_owned()], |mut argv, word| {
                argv.push((*word).to_owned());
                argv
            })
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path("data/log")).expect("a log")
    }

    async fn serves(&self, bundle: &Bundle) {
        let probe = Probe { matches: 1, ..Probe::new(&self.by_signal(""), bundle.names()) };
        let proof = prove(&probe, &Expected::of(bundle, &[])).await;
        assert!(proof.proven, "{proof}");
    }
}

fn programs() -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").ok().and_then(|mut dir| dir.next());
    let version =
        versions.expect("PostgreSQL is not installed: run `sudo apt-get install postgresql`");
    version.expect("a directory").path().join("bin")
}

/// PostgreSQL does not run as root.
fn as_user(user: &str, program: &Path) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new(need("setpriv", "util-linux"));
    command.args(["--reuid", user, "--regid", user, "--clear-groups"]).arg(program);
    command
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rotations_in_a_row_fail_no_handshake_and_each_is_proven() {
    let issuer = Issuer::new();
    let first = issuer.bundle(&["shop.test"]);
    let server = Postgresql::start(&first).await;
    rotate_under_load(&server.by_signal(""), &issuer, &first, server.port).await;
    if is_root() {
        let key = fs::metadata(server.folder.path("tls/current/tls.key")).expect("a key");
        assert_eq!((key.uid(), key.mode() & 0o777), (account("postgres").0, 0o600));
    }
}

#[tokio::test]
async fn a_command_may_reload_it_instead() {
    let issuer = Issuer::new();
    let server = Postgresql::start(&issuer.bundle(&["shop.test"])).await;
    let owner = if is_root() { "owner = \"postgres\"\n" } else { "" };
    let spec = server.spec(&format!("{owner}reload = {:?}", server.reload()));
    let bundle = issuer.bundle(&["shop.test"]);
    assert_eq!(push(&spec, 2, &bundle).await.expect("reloaded").output, "t");
    let proof = proof(&spec, &bundle, &[]).await;
    assert!(proof.proven, "{proof}");
}

#[tokio::test]
async fn a_reload_that_returns_true_for_a_key_of_another_is_not_believed() {
    let issuer = Issuer::new();
    let first = issuer.bundle(&["shop.test"]);
    let server = Postgresql::start(&first).await;
    // Somebody else's key comes in behind our back, with the owner and the mode it should have.
    let foreign = issuer.bundle(&["shop.test"]).key_pem().expect("a key");
    fs::write(server.folder.path("tls/releases/1/tls.key"), foreign.as_bytes()).expect("written");
    let reload = server.reload();
    let said = Command::new(&reload[0]).args(&reload[1..]).output().expect("psql runs");
    assert_eq!(String::from_utf8_lossy(&said.stdout).trim(), "t");
    let begun = std::time::Instant::now();
    while !server.log().contains("SSL configuration was not reloaded") {
        assert!(begun.elapsed() < crate::scene::PATIENCE, "{}", server.log());
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    server.serves(&first).await;

    // Files that go together, but are others than those the server reads: true again, and not proven.
    let owner = if is_root() { "owner = \"postgres\"\n" } else { "" };
    let mut liar = server.spec(&format!("{owner}window = \"2s\"\nreload = {reload:?}"));
    if let push::Kind::Postgresql(kind) = &mut liar.kind {
        kind.placement.directory = Some(server.folder.path("elsewhere"));
    }
    let bundle = issuer.bundle(&["shop.test"]);
    assert_eq!(push(&liar, 2, &bundle).await.expect("it says so").output, "t");
    let proof = proof(&liar, &bundle, &[first.fingerprint()]).await;
    assert!(proof.sightings.iter().all(|seen| seen.found == Found::Old), "{proof}");
}

#[tokio::test]
async fn a_key_of_another_is_found_before_the_server_is_told() {
    let issuer = Issuer::new();
    let first = issuer.bundle(&["shop.test"]);
    let server = Postgresql::start(&first).await;
    // Single files: a certificate whose key is kept elsewhere, beside a key that is not its own.
    let mut spec = server.by_signal("");
    if let push::Kind::Postgresql(kind) = &mut spec.kind {
        kind.placement.directory = None;
        kind.placement.path = Some(server.folder.path("tls/releases/1/tls.crt"));
        kind.placement.key_path = Some(server.folder.path("tls/releases/1/tls.key"));
    }
    let elsewhere = crate::scene::keyless(&issuer, &["shop.test"]);
    // A release has no key then, where there was one.
    let error = push(&server.by_signal(""), 2, &elsewhere).await.expect_err("no key");
    assert!(error.to_string().contains("no file with the key"), "{error}");
    let error = push(&spec, 2, &elsewhere).await.expect_err("they do not match");
    assert!(error.to_string().contains("do not go together"), "{error}");
    assert_eq!(spec.open().observe().await.expect("readable"), Observed::Leaf(first.fingerprint()));
    server.serves(&first).await;
}

#[tokio::test]
async fn a_key_the_server_would_refuse_is_told_before_anything_is_touched() {
    let issuer = Issuer::new();
    let first = issuer.bundle(&["shop.test"]);
    let server = Postgresql::start(&first).await;
    let bundle = issuer.bundle(&["shop.test"]);
    let mut refused = vec![("mode = \"0644\"", "0644")];
    if is_root() {
        refused.push(("owner = \"root\"", "could not read the key"));
        refused.push(("owner = \"nobody\"\nmode = \"0644\"", "would refuse the key"));
        refused.push(("owner = \"root\"\nmode = \"0644\"", "would refuse the key"));
        refused.push(("owner = \"postgres\"\nmode = \"0640\"", "would refuse the key"));
    }
    for (more, said) in refused {
        let error = push(&server.by_signal(more), 2, &bundle).await.expect_err(more);
        assert!(error.to_string().contains(said), "{more}: {error}");
        assert!(error.left_untouched() && error.fault() == push::Fault::Operator, "{error}");
        assert!(!server.folder.path("tls/releases/2").exists(), "{more}");
    }
    if is_root() {
        let spec = server.by_signal("owner = \"root\"\ngroup = \"postgres\"");
        push(&spec, 2, &bundle).await.expect("root's, for a group that may read it");
        let proof = proof(&spec, &bundle, &[first.fingerprint()]).await;
        assert!(proof.proven, "{proof}");
    }
}

#[tokio::test]
async fn a_version_that_is_there_gets_the_owner_that_is_declared_now() {
    let issuer = Issuer::new();
    let server = Postgresql::start(&issuer.bundle(&["shop.test"])).await;
    let bundle = issuer.bundle(&["shop.test"]);
    // Of root alone, where the tests are run by root.
    let files =
        format!("name = \"f\"\nkind = \"files\"\ndirectory = {:?}", server.folder.text("tls"));
    push(&spec(&files), 2, &bundle).await.expect("in place");
    let receipt = push(&server.by_signal(""), 2, &bundle).await.expect("pushed");
    assert_eq!(receipt.changed, is_root());
    let proof = proof(&server.by_signal(""), &bundle, &[]).await;
    assert!(proof.proven, "{proof}");
}

#[tokio::test]
async fn single_files_keep_the_owner_and_mode_that_they_have() {
    let issuer = Issuer::new();
    let server = Postgresql::start(&issuer.bundle(&["shop.test"])).await;
    let key = server.folder.path("tls/releases/1/tls.key");
    let mut spec = server.by_signal("");
    if let push::Kind::Postgresql(kind) = &mut spec.kind {
        kind.placement.directory = None;
        kind.placement.path = Some(server.folder.path("tls/releases/1/tls.crt"));
        kind.placement.key_path = Some(key.clone());
    }
    let before = fs::metadata(&key).expect("a key");
    let bundle = issuer.bundle(&["shop.test"]);
    push(&spec, 2, &bundle).await.expect("pushed");
    let after = fs::metadata(&key).expect("a key");
    assert_eq!(
        (before.uid(), before.gid(), before.mode()),
        (after.uid(), after.gid(), after.mode())
    );
    let proven = proof(&spec, &bundle, &[]).await;
    assert!(proven.proven, "{proven}");

    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).expect("permissions");
    let error = push(&spec, 3, &issuer.bundle(&["shop.test"])).await.expect_err("too open");
    assert!(error.to_string().contains("0644"), "{error}");
    server.serves(&bundle).await;
}

#[tokio::test]
async fn a_server_that_does_not_run_is_not_given_anything() {
    let issuer = Issuer::new();
    let folder = Folder::new();
    let spec = spec(&format!(
        "name = \"db\"\nkind = \"postgresql\"\ndirectory = {:?}\ndata_directory = {:?}",
        folder.text("tls"),
        folder.text("data")
    ));
    let error = push(&spec, 1, &issuer.bundle(&["shop.test"])).await.expect_err("nobody there");
    assert!(matches!(error, PushError::Unreachable { .. }), "{error}");
    assert!(!folder.path("tls").exists());
}
