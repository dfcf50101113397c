//! Targets of kind `postfix`, with a real one.

use std::fs;
use std::os::unix::fs::chown;
use std::process::Command;
use std::time::{Duration, Instant};

use push::probe::{self, Expected, Probe, prove};
use push::{Bundle, Observed, Spec, StartTls};

use crate::scene::{
    Folder, Issuer, PATIENCE, account, is_root, keyless, need, port, proof, push,
    rotate_under_load, spec,
};

/// A Postfix that receives mail, with TLS from a directory of releases. It goes into the background by
/// itself.
struct Postfix {
    folder: Folder,
    port: u16,
    program: String,
}

impl Postfix {
    async fn start(bundle: &Bundle) -> Option<Self> {
        let program = need("postfix", "postfix");
        if !is_root() {
            // Its master runs as root or not at all; the protocol is covered by a peer elsewhere.
            return None;
        }
        let postfix = Self { folder: Folder::new(), port: port(), program };
        let folder = &postfix.folder;
        push(&postfix.files(), 1, bundle).await.expect("the first files");
        for name in ["etc", "spool", "data"] {
            fs::create_dir(folder.path(name)).expect("a directory");
        }
        chown(folder.path("data"), Some(account("postfix").0), None).expect("root may");
        folder.write("etc/main.cf", main_cf(folder));
        let port = postfix.port;
        folder.write(
            "etc/master.cf",
            format!(
                "127.0.0.1:{port} inet n - n - - smtpd\npostlog unix-dgram n - n - 1 postlogd\n\
                 tlsmgr unix - - n 1000? 1 tlsmgr\nrewrite unix - - n - - trivial-rewrite\n\
                 proxymap unix - - n - - proxymap\nanvil unix - - n - 1 anvil\n"
            ),
        );
        postfix.run("start");
        let begun = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(begun.elapsed() < PATIENCE, "Postfix does not listen");
            std::thread::sleep(Duration::from_millis(50));
        }
        Some(postfix)
    }

    fn run(&self, what: &str) {
        let done =
            Command::new(&self.program).args(["-c", &self.folder.text("etc"), what]).output();
        assert!(done.is_ok_and(|done| done.status.success()), "postfix {what} failed");
    }

    /// The files alone, told to nobody.
    fn files(&self) -> Spec {
        spec(&format!(
            "name = \"f\"\nkind = \"files\"\ndirectory = {:?}\nstarttls = \"smtp\"\n\
             probe = [\"127.0.0.1:{}\"]",
            self.folder.text("tls"),
            self.port
        ))
    }

    fn spec(&self) -> Spec {
        spec(&format!(
            "name = \"mail\"\nkind = \"postfix\"\ndirectory = {:?}\nbinary = {:?}\nconfig = {:?}\n\
             probe = [\"127.0.0.1:{}\"]",
            self.folder.text("tls"),
            self.program,
            self.folder.text("etc"),
            self.port
        ))
    }

    async fn serves(&self, bundle: &Bundle) {
        let probe = Probe { matches: 1, ..Probe::new(&self.spec(), bundle.names()) };
        let proof = prove(&probe, &Expected::of(bundle, &[])).await;
        assert!(proof.proven, "{proof}");
    }
}

impl Drop for Postfix {
    fn drop(&mut self) {
        let _ = Command::new(&self.program).args(["-c", &self.folder.text("etc"), "stop"]).output();
    }
}

fn main_cf(folder: &Folder) -> String {
    format!(
        "compatibility_level = 3.6\nqueue_directory = {}\ndata_directory = {}\nmaillog_file = {}\n\
         maillog_file_prefixes = /\ninet_protocols = ipv4\nmyhostname = shop.test\nmydestination =\n\
         alias_maps =\nalias_database =\nlocal_recipient_maps =\nsmtpd_tls_chain_files = {}\n\
         smtpd_tls_security_level = may\nsmtpd_tls_session_cache_database =\n\
         smtpd_client_connection_count_limit = 0\n",
        folder.text("spool"),
        folder.text("data"),
        folder.text("log"),
        folder.text("tls/current/bundle.pem"),
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rotations_in_a_row_fail_no_handshake_and_each_is_proven() {
    let issuer = Issuer::new();
    let first = issuer.bundle(&["shop.test"]);
    let Some(server) = Postfix::start(&first).await else { return };
    rotate_under_load(&server.spec(), &issuer, &first, server.port).await;
}

#[tokio::test]
async fn new_processes_find_new_files_and_only_a_reload_ends_the_old_ones() {
    let issuer = Issuer::new();
    let first = issuer.bundle(&["shop.test"]);
    let Some(server) = Postfix::start(&first).await else { return };
    server.serves(&first).await;
    // Told to nobody, and the process that began with the old ones answers still.
    let second = issuer.bundle(&["shop.test"]);
    push(&server.files(), 2, &second).await.expect("in place");
    server.serves(&first).await;
    push(&server.spec(), 2, &second).await.expect("reloaded");
    let proof = proof(&server.spec(), &second, &[first.fingerprint()]).await;
    assert!(proof.proven, "{proof}");
}

#[tokio::test]
async fn a_pair_that_does_not_match_would_cost_it_tls_and_is_found_before() {
    let issuer = Issuer::new();
    let first = issuer.bundle(&["shop.test"]);
    let Some(server) = Postfix::start(&first).await else { return };
    let elsewhere = keyless(&issuer, &["shop.test"]);
    // A release has no key then, where there was one.
    let error = push(&server.spec(), 2, &elsewhere).await.expect_err("no key");
    assert!(error.to_string().contains("no file with the key"), "{error}");
    let mut spec = server.spec();
    if let push::Kind::Postfix(kind) = &mut spec.kind {
        kind.placement.directory = None;
        kind.placement.path = Some(server.folder.path("tls/releases/1/tls.crt"));
        kind.placement.key_path = Some(server.folder.path("tls/releases/1/tls.key"));
    }
    let error = push(&spec, 2, &elsewhere).await.expect_err("they do not match");
    assert!(error.to_string().contains("do not go together"), "{error}");
    assert_eq!(spec.open().observe().await.expect("readable"), Observed::Leaf(first.fingerprint()));
    server.serves(&first).await;

    // What it would have cost.
    let foreign = issuer.bundle(&["shop.test"]).key_pem().expect("a key");
    let pem = format!("{}{}", *foreign, first.fullchain_pem());
    fs::write(server.folder.path("tls/releases/1/bundle.pem"), pem).expect("written");
    server.run("check");
    server.run("reload");
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], server.port));
    let begun = Instant::now();
    while probe::sight(address, None, Some(StartTls::Smtp), PATIENCE).await.is_ok() {
        assert!(begun.elapsed() < PATIENCE, "this Postfix goes on without a key");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn what_it_would_not_read_or_does_not_run_is_told_before_anything_is_touched() {
    let issuer = Issuer::new();
    let Some(server) = Postfix::start(&issuer.bundle(&["shop.test"])).await else { return };
    let main = fs::read_to_string(server.folder.path("etc/main.cf")).expect("readable");
    server.folder.write("etc/main.cf", format!("{main}nonsense\n"));
    is_refused(&server, &issuer, "refused its configuration").await;
    server.folder.write("etc/main.cf", main);
    server.run("stop");
    is_refused(&server, &issuer, "does not run").await;
}

async fn is_refused(server: &Postfix, issuer: &Issuer, said: &str) {
    let pushed = push(&server.spec(), 2, &issuer.bundle(&["shop.test"])).await;
    let error = pushed.expect_err(said);
    assert!(error.to_string().contains(said) && error.left_untouched(), "{error}");
    assert!(!server.folder.path("tls/releases/2").exists(), "{said}");
}
