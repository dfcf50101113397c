//! Targets of kind `mariadb`, with a real one, and with a client that stands for MySQL's.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::process::Command;

use push::probe::{Expected, Found, Probe, prove};
use push::{Bundle, Observed, Spec};

use crate::scene::{
    Folder, Issuer, Server, account, is_root, keyless, need, port, proof, push, rotate_under_load,
    script, spec,
};

/// A MariaDB that serves TLS from a directory of releases.
struct Mariadb {
    folder: Folder,
    port: u16,
    _server: Server,
}

impl Mariadb {
    async fn start(bundle: &Bundle) -> Self {
        let (program, install) = (need("mariadbd", PACKAGE), need("mariadb-install-db", PACKAGE));
        need("mariadb", PACKAGE);
        let (folder, port) = (Folder::new(), port());
        let user = String::from_utf8(Command::new("id").arg("-un").output().expect("id").stdout);
        let mut user = user.expect("a name").trim().to_owned();
        let mut first =
            format!("name = \"d\"\nkind = \"files\"\ndirectory = {:?}\n", folder.text("tls"));
        fs::create_dir(folder.path("data")).expect("a directory");
        if is_root() {
            "mysql".clone_into(&mut user);
            let (uid, gid) = account(&user);
            chown(folder.path("data"), Some(uid), Some(gid)).expect("root may");
            first.push_str("owner = \"mysql\"");
        }
        push(&spec(&first), 1, bundle).await.expect("the first files");
        let (data, socket) = (folder.text("data"), folder.text("data/socket"));
        let common = ["--no-defaults", &format!("--user={user}"), &format!("--datadir={data}")];
        let mut command = Command::new(install);
        command.args(common).args(["--auth-root-authentication-method=normal", "--skip-test-db"]);
        let made = command.output().expect("it runs");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let client = format!("[client]\nsocket = {socket}\nuser = root\npassword = {PASSWORD}\n");
        let client = folder.write("client.cnf", client);
        fs::set_permissions(client, fs::Permissions::from_mode(0o600)).expect("permissions");
        let init = format!("SET PASSWORD FOR root@localhost = PASSWORD('{PASSWORD}');\n");
        folder.write("init.sql", init);
        let current = folder.text("tls/current");
        let mut command = Command::new(program);
        command.args(common).args([
            &format!("--port={port}"),
            "--bind-address=127.0.0.1",
            &format!("--socket={socket}"),
            &format!("--pid-file={data}/pid"),
            &format!("--ssl-cert={current}/tls.crt"),
            &format!("--ssl-key={current}/tls.key"),
            &format!("--init-file={}", folder.text("init.sql")),
            // Clients that probe go away in the middle of a login, many times.
            "--max-connect-errors=1000000",
        ]);
        let server = Server::start_with(&mut command, port);
        Self { folder, port, _server: server }
    }

    fn spec(&self, more: &str) -> Spec {
        spec(&format!(
            "name = \"db\"\nkind = \"mariadb\"\ndirectory = {:?}\ndefaults_file = {:?}\n\
             probe = [\"127.0.0.1:{}\"]\n{more}",
            self.folder.text("tls"),
            self.folder.text("client.cnf"),
            self.port
        ))
    }

    /// The same, for single files.
    fn of_files(&self) -> Spec {
        let mut spec = self.spec("");
        if let push::Kind::Mariadb(kind) = &mut spec.kind {
            kind.placement.directory = None;
            kind.placement.path = Some(self.folder.path("tls/releases/1/tls.crt"));
            kind.placement.key_path = Some(self.folder.path("tls/releases/1/tls.key"));
        }
        spec
    }

    async fn serves(&self, bundle: &Bundle) {
        let probe = Probe { matches: 1, ..Probe::new(&self.spec(""), bundle.names()) };
        let proof = prove(&probe, &Expected::of(bundle, &[])).await;
        assert!(proof.proven, "{proof}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rotations_in_a_row_fail_no_handshake_and_each_is_proven() {
    let issuer = Issuer::new();
    let first = issuer.bundle(&["shop.test"]);
    let server = Mariadb::start(&first).await;
    rotate_under_load(&server.spec(""), &issuer, &first, server.port).await;
    if is_root() {
        let key = fs::metadata(server.folder.path("tls/current/tls.key")).expect("a key");
        assert_eq!((key.uid(), key.mode() & 0o777), (account("mysql").0, 0o600));
    }
}

#[tokio::test]
async fn a_key_of_another_is_found_before_the_server_is_told_and_refused_by_it_otherwise() {
    let issuer = Issuer::new();
    let first = issuer.bundle(&["shop.test"]);
    let server = Mariadb::start(&first).await;
    let elsewhere = keyless(&issuer, &["shop.test"]);
    // A release has no key then, where there was one.
    let error = push(&server.spec(""), 2, &elsewhere).await.expect_err("no key");
    assert!(error.to_string().contains("no file with the key"), "{error}");
    let error = push(&server.of_files(), 2, &elsewhere).await.expect_err("they do not match");
    assert!(error.to_string().contains("do not go together"), "{error}");
    let held = server.of_files().open().observe().await.expect("readable");
    assert_eq!(held, Observed::Leaf(first.fingerprint()));

    // Behind our back, between our look and the server's.
    let foreign = issuer.bundle(&["x.test"]).key_pem().expect("a key");
    let foreign = server.folder.write("foreign", foreign.as_bytes());
    let meddler = format!(
        "#!/bin/sh\ncase \"$*\" in *FLUSH*) cat {} >{}/tls/current/tls.key;; esac\nexec mariadb \"$@\"\n",
        foreign.display(),
        server.folder.text("")
    );
    let binary = script(&server.folder, "meddler", &meddler);
    let spec = server.spec(&format!("binary = {binary:?}"));
    let error = push(&spec, 2, &issuer.bundle(&["shop.test"])).await.expect_err("refused");
    let text = error.to_string();
    assert!(text.contains("Unable to get private key") && text.contains("are back"), "{text}");
    server.serves(&first).await;
}

#[tokio::test]
async fn a_key_the_server_could_not_read_is_told_before_anything_is_touched() {
    if !is_root() {
        // Then the server runs as whoever writes the files.
        return;
    }
    let issuer = Issuer::new();
    let server = Mariadb::start(&issuer.bundle(&["shop.test"])).await;
    for more in ["owner = \"root\"", "owner = \"root\"\ngroup = \"root\""] {
        let pushed = push(&server.spec(more), 2, &issuer.bundle(&["shop.test"])).await;
        let error = pushed.expect_err(more);
        assert!(error.to_string().contains("could not read the key"), "{error}");
        assert!(error.left_untouched() && !server.folder.path("tls/releases/2").exists());
    }
}

#[tokio::test]
async fn files_that_the_server_does_not_read_are_told_before_anything_is_touched() {
    let issuer = Issuer::new();
    let first = issuer.bundle(&["shop.test"]);
    let server = Mariadb::start(&first).await;
    let mut spec = server.spec("window = \"2s\"");
    if let push::Kind::Mariadb(kind) = &mut spec.kind {
        kind.placement.directory = Some(server.folder.path("elsewhere"));
    }
    // The first push may come before the configuration names the files. That it is not served shows.
    let bundle = issuer.bundle(&["shop.test"]);
    push(&spec, 1, &bundle).await.expect("there are files to name now");
    let proof = proof(&spec, &bundle, &[first.fingerprint()]).await;
    assert!(proof.sightings.iter().all(|seen| seen.found == Found::Old), "{proof}");
    let error = push(&spec, 2, &issuer.bundle(&["shop.test"])).await.expect_err("it is told");
    assert!(error.to_string().contains("the server reads ssl_cert"), "{error}");
    assert!(error.left_untouched() && !server.folder.path("elsewhere/releases/2").exists());
}

#[tokio::test]
async fn a_client_that_may_not_log_in_says_so_without_its_password() {
    let issuer = Issuer::new();
    let server = Mariadb::start(&issuer.bundle(&["shop.test"])).await;
    let client = fs::read_to_string(server.folder.path("client.cnf")).expect("readable");
    server.folder.write("client.cnf", client.replace(PASSWORD, "something-else"));
    let pushed = push(&server.spec(""), 2, &issuer.bundle(&["shop.test"])).await;
    let error = pushed.expect_err("it may not").to_string();
    assert!(error.contains("Access denied") && error.contains("nothing was changed"), "{error}");
    assert!(!error.contains("something-else"), "{error}");
}

#[tokio::test]
async fn mysql_is_told_in_its_own_words() {
    let (folder, issuer) = (Folder::new(), Issuer::new());
    let client = format!(
        "#!/bin/sh\nprintf '%s\\n' \"$*\" >>{}\ncase \"$*\" in *SHOW*) printf 'version\\t8.4.6\\n';; esac\n",
        folder.text("said")
    );
    let spec = spec(&format!(
        "name = \"db\"\nkind = \"mariadb\"\nbinary = {:?}\ndefaults_file = \"/my.cnf\"\ndirectory = {:?}",
        script(&folder, "mysql", &client),
        folder.text("tls")
    ));
    push(&spec, 1, &issuer.bundle(&["shop.test"])).await.expect("told");
    let said = fs::read_to_string(folder.path("said")).expect("it ran");
    assert!(said.ends_with("--execute ALTER INSTANCE RELOAD TLS\n"), "{said}");
    assert!(said.lines().all(|line| line.starts_with("--defaults-file=/my.cnf --batch")), "{said}");
}

const PACKAGE: &str = "mariadb-server";
const PASSWORD: &str = "root-of-the-test";
