//! Targets of kind `haproxy`, with a real one and its runtime socket.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::{Duration, Instant};

use push::probe::{self, Expected};
use push::{Bundle, Fault, PushError, Spec};

use crate::scene::{
    Folder, Issuer, PATIENCE, Server, need, once, port, proof, push, rotate_under_load, spec,
};

/// A HAProxy with `a.pem` and `b.pem`, `a.pem` by default.
struct Haproxy {
    folder: Folder,
    port: u16,
    _server: Server,
}

impl Haproxy {
    fn start(a: &Bundle, b: &Bundle) -> Self {
        let binary = need("haproxy", "haproxy");
        let (folder, port) = (Folder::new(), port());
        fs::create_dir(folder.path("certs")).expect("a directory");
        let pem = |bundle: &Bundle| bundle.key_first_pem().expect("a key").as_bytes().to_vec();
        folder.write("certs/a.pem", pem(a));
        folder.write("certs/b.pem", pem(b));
        let list = format!("{}\n{}\n", folder.text("certs/a.pem"), folder.text("certs/b.pem"));
        folder.write("list", list);
        let configuration = format!(
            "global\n stats socket {} mode 600 level admin\n stats timeout 30s\n\
             defaults\n mode http\n timeout client 10s\n timeout server 10s\n timeout connect 1s\n\
             frontend f\n bind 127.0.0.1:{port} ssl crt-list {}\n\
             http-request return status 200\n",
            folder.text("admin.sock"),
            folder.text("list"),
        );
        folder.write("haproxy.cfg", configuration);
        let config = folder.text("haproxy.cfg");
        let master = folder.text("master.sock");
        let arguments = ["-W", "-S", &master, "-f", &config];
        let server = Server::start(&binary, &arguments, port);
        // It listens to clients before its sockets have their names.
        let begun = Instant::now();
        for socket in ["admin.sock", "master.sock"] {
            while UnixStream::connect(folder.path(socket)).is_err() {
                assert!(begun.elapsed() < PATIENCE, "HAProxy has no {socket}");
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        Self { folder, port, _server: server }
    }

    fn spec(&self, file: &str, more: &str) -> Spec {
        spec(&format!(
            "name = \"edge\"\nkind = \"haproxy\"\nsocket = {:?}\npath = {:?}\n\
             probe = [\"127.0.0.1:{}\"]\ntimeout = \"3s\"\n{more}",
            self.folder.text("admin.sock"),
            self.folder.text(file),
            self.port
        ))
    }

    /// What an operator does by hand.
    fn say(&self, command: &str) -> String {
        let mut socket = UnixStream::connect(self.folder.path("admin.sock")).expect("the socket");
        socket.write_all(command.as_bytes()).expect("sent");
        let mut reply = String::new();
        socket.read_to_string(&mut reply).expect("a reply");
        reply
    }

    fn stage(&self, file: &str, bundle: &Bundle) {
        let pem = bundle.key_first_pem().expect("a key");
        let path = self.folder.text(file);
        let reply = self.say(&format!("set ssl cert {path} <<\n{}\n", *pem));
        assert!(reply.contains("Transaction created"), "{reply}");
    }

    async fn serves(&self, name: &str, bundle: &Bundle) {
        let proof = probe::prove(&once(self.port, &[name]), &Expected::of(bundle, &[])).await;
        assert!(proof.proven, "{proof}");
    }

    fn holds(&self, file: &str, bundle: &Bundle) {
        let content = fs::read_to_string(self.folder.path(file)).expect("readable");
        assert_eq!(content, *bundle.key_first_pem().expect("a key"), "{file}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rotations_in_a_row_fail_no_handshake_and_each_is_proven() {
    let issuer = Issuer::new();
    let first = issuer.bundle(&["a.test"]);
    let haproxy = Haproxy::start(&first, &issuer.bundle(&["b.test"]));
    rotate_under_load(&haproxy.spec("certs/a.pem", ""), &issuer, &first, haproxy.port).await;
}

#[tokio::test]
async fn what_is_pushed_survives_a_reload_because_the_file_is_written_too() {
    let issuer = Issuer::new();
    let (a, b) = (issuer.bundle(&["a.test"]), issuer.bundle(&["b.test"]));
    let haproxy = Haproxy::start(&a, &b);
    let bundle = issuer.bundle(&["a.test"]);
    push(&haproxy.spec("certs/a.pem", ""), 2, &bundle).await.expect("pushed");
    haproxy.serves("a.test", &bundle).await;
    haproxy.serves("b.test", &b).await;
    haproxy.holds("certs/a.pem", &bundle);
    let mut master = UnixStream::connect(haproxy.folder.path("master.sock")).expect("the master");
    master.write_all(b"reload\n").expect("sent");
    tokio::time::sleep(Duration::from_secs(1)).await;
    haproxy.serves("a.test", &bundle).await;
}

#[tokio::test]
async fn a_key_of_another_kind_replaces_the_first() {
    let issuer = Issuer::new();
    let haproxy = Haproxy::start(&issuer.bundle(&["a.test"]), &issuer.bundle(&["b.test"]));
    let rsa = issuer.bundle_of(ca::KeyAlgorithm::Rsa { bits: 2048 }, &["a.test"]);
    let spec = haproxy.spec("certs/a.pem", "");
    push(&spec, 2, &rsa).await.expect("pushed");
    let proof = proof(&spec, &rsa, &[]).await;
    assert!(proof.proven, "{proof}");
}

#[tokio::test]
async fn the_open_transaction_of_another_certificate_is_neither_used_nor_destroyed() {
    let issuer = Issuer::new();
    let (a, b) = (issuer.bundle(&["a.test"]), issuer.bundle(&["b.test"]));
    let haproxy = Haproxy::start(&a, &b);
    haproxy.stage("certs/a.pem", &issuer.bundle(&["a.test"]));
    let error = push(&haproxy.spec("certs/b.pem", ""), 2, &issuer.bundle(&["b.test"]))
        .await
        .expect_err("somebody else is at work");
    assert!(matches!(error, PushError::Busy(_)), "{error}");
    assert!(error.to_string().contains(&haproxy.folder.text("certs/a.pem")), "{error}");
    haproxy.holds("certs/b.pem", &b);
    haproxy.serves("a.test", &a).await;
    haproxy.serves("b.test", &b).await;
    assert!(haproxy.say("show ssl cert\n").contains("# transaction"));
}

#[tokio::test]
async fn a_certificate_staged_under_another_name_is_never_committed() {
    let issuer = Issuer::new();
    let (a, b) = (issuer.bundle(&["a.test"]), issuer.bundle(&["b.test"]));
    let haproxy = Haproxy::start(&a, &b);
    // Somebody stages a certificate for a.pem after we have looked and before we stage ours.
    let theirs = issuer.bundle(&["a.test"]).key_first_pem().expect("a key");
    let staging = format!("set ssl cert {} <<\n{}\n", haproxy.folder.text("certs/a.pem"), *theirs);
    let meddler = UnixListener::bind(haproxy.folder.path("meddler.sock")).expect("a socket");
    let real = haproxy.folder.path("admin.sock");
    std::thread::spawn(move || {
        for stream in meddler.incoming() {
            meddle(stream.expect("a connection"), &real, &staging);
        }
    });
    let mut spec = haproxy.spec("certs/b.pem", "");
    if let push::Kind::Haproxy(kind) = &mut spec.kind {
        kind.socket = haproxy.folder.text("meddler.sock");
    }
    let error = push(&spec, 2, &issuer.bundle(&["b.test"])).await.expect_err("mixed up");
    assert!(error.to_string().contains(&haproxy.folder.text("certs/a.pem")), "{error}");
    haproxy.holds("certs/b.pem", &b);
    assert!(!haproxy.say("show ssl cert\n").contains("# transaction"));
    haproxy.serves("a.test", &a).await;
    haproxy.serves("b.test", &b).await;
}

/// Passes one command on to HAProxy; before a `set`, it sends `staging`.
fn meddle(mut stream: UnixStream, real: &std::path::Path, staging: &str) {
    let mut command = Vec::new();
    let is_whole = |command: &[u8]| match command.starts_with(b"set ") {
        true => command.ends_with(b"\n\n"),
        false => command.ends_with(b"\n"),
    };
    while !is_whole(&command) {
        let mut octet = [0];
        if stream.read_exact(&mut octet).is_err() {
            return;
        }
        command.push(octet[0]);
    }
    let ask = |command: &[u8]| {
        let mut socket = UnixStream::connect(real).expect("the socket");
        socket.write_all(command).expect("sent");
        let mut reply = Vec::new();
        socket.read_to_end(&mut reply).expect("a reply");
        reply
    };
    if command.starts_with(b"set ") {
        ask(staging.as_bytes());
    }
    stream.write_all(&ask(&command)).expect("answered");
}

#[tokio::test]
async fn a_stale_transaction_of_our_own_is_aborted_and_the_push_goes_on() {
    let issuer = Issuer::new();
    let a = issuer.bundle(&["a.test"]);
    let haproxy = Haproxy::start(&a, &issuer.bundle(&["b.test"]));
    haproxy.stage("certs/a.pem", &issuer.bundle(&["a.test"]));
    let bundle = issuer.bundle(&["a.test"]);
    push(&haproxy.spec("certs/a.pem", ""), 2, &bundle).await.expect("pushed");
    haproxy.serves("a.test", &bundle).await;
    assert!(!haproxy.say("show ssl cert\n").contains("# transaction"));
}

#[tokio::test]
async fn a_command_longer_than_the_buffer_is_not_sent() {
    let issuer = Issuer::new();
    let a = issuer.bundle(&["a.test"]);
    let haproxy = Haproxy::start(&a, &issuer.bundle(&["b.test"]));
    let long = long_bundle(&issuer);
    let error = push(&haproxy.spec("certs/a.pem", ""), 2, &long).await.expect_err("too long");
    assert_eq!(error.fault(), Fault::Operator);
    assert!(error.to_string().contains("tune.bufsize"), "{error}");
    haproxy.holds("certs/a.pem", &a);
    haproxy.serves("a.test", &a).await;

    // With a wrong bufsize, HAProxy closes the connection without a word.
    let wrong = haproxy.spec("certs/a.pem", "bufsize = 1000000");
    let error = push(&wrong, 2, &long).await.expect_err("dropped");
    assert!(error.to_string().contains("tune.bufsize"), "{error}");
    haproxy.holds("certs/a.pem", &a);
    haproxy.serves("a.test", &a).await;
    let bundle = issuer.bundle(&["a.test"]);
    push(&wrong, 2, &bundle).await.expect("nothing is left open");

    // By a reload it goes.
    let master = format!("master_socket = {:?}", haproxy.folder.text("master.sock"));
    let spec =
        haproxy.spec("certs/a.pem", &format!("{master}\nwindow = \"15s\"\nsni = \"a.test\""));
    push(&spec, 3, &long).await.expect("reloaded");
    let proof = proof(&spec, &long, &[bundle.fingerprint()]).await;
    assert!(proof.proven, "{proof}");
}

#[tokio::test]
async fn the_limit_is_where_haproxy_has_it() {
    let issuer = Issuer::new();
    let haproxy = Haproxy::start(&issuer.bundle(&["a.test"]), &issuer.bundle(&["b.test"]));
    // Commands of every length near the limit either work or are refused before they are sent.
    let spec = haproxy.spec("certs/a.pem", "");
    let mut last = None;
    for names in (500..640).step_by(3) {
        let bundle = bundle_with(&issuer, names);
        let length = bundle.key_first_pem().expect("a key").len();
        match push(&spec, 2, &bundle).await {
            Ok(_) => last = Some((length, bundle)),
            Err(PushError::Declaration(_)) => break,
            Err(other) => panic!("{length} bytes were sent in vain: {other}"),
        }
    }
    let (length, bundle) = last.expect("some fit");
    assert!(length > 15_900, "the limit is {length}");
    haproxy.serves("a.test", &bundle).await;
}

#[tokio::test]
async fn a_path_haproxy_has_not_loaded_is_the_operators_mistake() {
    let issuer = Issuer::new();
    let haproxy = Haproxy::start(&issuer.bundle(&["a.test"]), &issuer.bundle(&["b.test"]));
    let spec = haproxy.spec("certs/c.pem", "");
    let error = push(&spec, 1, &issuer.bundle(&["c.test"])).await.expect_err("not loaded");
    assert_eq!(error.fault(), Fault::Operator);
    assert!(error.to_string().contains(&haproxy.folder.text("certs/a.pem")), "{error}");
    assert!(!haproxy.folder.path("certs/c.pem").exists());
}

#[tokio::test]
async fn a_new_name_is_added_to_the_list() {
    let issuer = Issuer::new();
    let haproxy = Haproxy::start(&issuer.bundle(&["a.test"]), &issuer.bundle(&["b.test"]));
    let list = format!("crt_list = {:?}", haproxy.folder.text("list"));
    let spec = haproxy.spec("certs/c.pem", &list);
    for version in 1..3 {
        let bundle = issuer.bundle(&["c.test"]);
        push(&spec, version, &bundle).await.expect("pushed");
        haproxy.serves("c.test", &bundle).await;
    }
}

#[tokio::test]
async fn a_new_name_that_cannot_be_listed_leaves_nothing_behind() {
    let issuer = Issuer::new();
    let haproxy = Haproxy::start(&issuer.bundle(&["a.test"]), &issuer.bundle(&["b.test"]));
    let spec = haproxy.spec("certs/c.pem", "crt_list = \"/no/such/list\"");
    push(&spec, 1, &issuer.bundle(&["c.test"])).await.expect_err("no such list");
    assert!(!haproxy.folder.path("certs/c.pem").exists());
    assert!(!haproxy.say("show ssl cert\n").contains("c.pem"));
}

#[tokio::test]
async fn pushes_to_one_haproxy_wait_for_each_other() {
    let issuer = Issuer::new();
    let haproxy = Haproxy::start(&issuer.bundle(&["a.test"]), &issuer.bundle(&["b.test"]));
    let (a, b) = (haproxy.spec("certs/a.pem", ""), haproxy.spec("certs/b.pem", ""));
    for version in 2..12 {
        let (new_a, new_b) = (issuer.bundle(&["a.test"]), issuer.bundle(&["b.test"]));
        let (to_a, to_b) = tokio::join!(push(&a, version, &new_a), push(&b, version, &new_b));
        to_a.and(to_b).expect("both succeed");
        haproxy.serves("a.test", &new_a).await;
        haproxy.serves("b.test", &new_b).await;
    }
}

#[tokio::test]
async fn a_haproxy_that_is_not_there_is_unreachable_and_its_file_stays() {
    let issuer = Issuer::new();
    let (a, b) = (issuer.bundle(&["a.test"]), issuer.bundle(&["b.test"]));
    let haproxy = Haproxy::start(&a, &b);
    let Haproxy { folder, port, _server } = haproxy;
    drop(_server);
    let spec = spec(&format!(
        "name = \"edge\"\nkind = \"haproxy\"\nsocket = {:?}\npath = {:?}\nprobe = [\"127.0.0.1:{port}\"]",
        folder.text("admin.sock"),
        folder.text("certs/a.pem"),
    ));
    let error = push(&spec, 2, &issuer.bundle(&["a.test"])).await.expect_err("it is gone");
    assert!(matches!(error, PushError::Unreachable { .. }), "{error}");
    let content = fs::read_to_string(folder.path("certs/a.pem")).expect("readable");
    assert_eq!(content, *a.key_first_pem().expect("a key"));
}

fn long_bundle(issuer: &Issuer) -> Bundle {
    bundle_with(issuer, 700)
}

fn bundle_with(issuer: &Issuer, count: usize) -> Bundle {
    let names: Vec<String> = (0..count).map(|number| format!("name-{number:04}.a.test")).collect();
    let mut names: Vec<&str> = names.iter().map(String::as_str).collect();
    names.push("a.test");
    issuer.bundle(&names)
}
