//! The external signer of kube-apiserver (KEP-740) as a client meets it that does what kube-apiserver
//! does: over gRPC on the socket, by stubs of its own.

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, SystemTime};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::program::{program, run, succeed};
use crate::scene::Scene;

#[test]
fn a_cluster_has_its_tokens_signed_and_trusts_only_what_is_new_after_an_emergency() {
    let mut stage = Stage::set("kubernetes-tokens");
    stage.apply("");
    let mut apiserver = stage.apiserver();
    assert_eq!(apiserver.ask("start", json!({}))["longest"], 3600);
    let old = apiserver.token();
    let reviewed = apiserver.ask("review", json!({ "token": old["token"] }));
    assert_eq!(reviewed["sub"], "system:serviceaccount:shop:web");
    let before = apiserver.ask("tick", json!({}));
    let shown = stage.scene.server.json(["get", "keyset", "cluster"]);
    assert_eq!(shown["kubernetes"]["open"], true);
    assert!(shown["kubernetes"]["signed_at"].is_string(), "{shown:#}");
    assert!(shown["lead"].as_str().expect("a lead").contains("kubernetes caches"), "{shown:#}");

    std::thread::sleep(Duration::from_millis(1100));
    let after = stage.scene.server.json(["rotate", "cluster", "--emergency"]);
    let exposure = after["exposure"][0].as_str().expect("who may trust the old key");
    assert!(exposure.starts_with("kubernetes"), "{exposure}");
    let new = apiserver.token();
    assert_ne!(new["kid"], old["kid"]);
    let reviewed = apiserver.ask("review", json!({ "token": new["token"] }));
    assert_eq!(reviewed["sub"], "system:serviceaccount:shop:web", "an unknown key is fetched");
    let review = apiserver.ask("review", json!({ "token": old["token"] }));
    assert_eq!(review["refused"], "unknown key");
    let now = apiserver.ask("tick", json!({}));
    assert!(now["data_timestamp"].as_i64() > before["data_timestamp"].as_i64(), "{now}");
    let sub = apiserver.ask("cloud", json!({ "token": new["token"] }));
    assert_eq!(sub["sub"], "system:serviceaccount:shop:web", "others follow its discovery");
}

#[test]
fn a_cluster_with_key_files_goes_on_trusting_what_they_signed() {
    let mut stage = Stage::set("kubernetes-old");
    stage.apply("");
    let mut apiserver = stage.apiserver();
    apiserver.ask("start", json!({}));
    let mut openssl = program("openssl");
    let key =
        succeed(openssl.args(["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"]));
    let file = stage.scene.directory("old").join("sa.key");
    fs::write(&file, &key).expect("a key");
    let public = succeed(program("openssl").args(["pkey", "-pubout", "-in"]).arg(&file));
    let old = apiserver.ask("legacy", json!({ "key": key }));
    let review = apiserver.ask("review", json!({ "token": old["token"] }));
    assert_eq!(review["refused"], "unknown key");

    stage.options = format!(", keys = [{public:?}]");
    stage.apply("");
    let review = apiserver.ask("review", json!({ "token": old["token"] }));
    assert_eq!(review["sub"], "system:serviceaccount:shop:old", "{review}");
    let fresh = apiserver.token();
    assert_ne!(fresh["kid"], old["kid"], "nothing is signed with it");
    apiserver.ask("review", json!({ "token": fresh["token"] }));
    let sub = apiserver.ask("cloud", json!({ "token": old["token"] }));
    assert_eq!(sub["sub"], "system:serviceaccount:shop:old", "{sub}");
}

#[test]
fn what_must_not_be_signed_is_refused_with_what_to_do() {
    let mut stage = Stage::set("kubernetes-refused");
    stage.apply("audiences = [\"https://kubernetes.default.svc*\"]\n");
    let mut apiserver = stage.apiserver();
    apiserver.ask("start", json!({}));
    for (claims, code, why) in [
        (
            json!({ "iss": "https://other.example" }),
            "FAILED_PRECONDITION",
            "--service-account-issuer",
        ),
        (json!({ "iss": null }), "INVALID_ARGUMENT", "iss"),
        (json!({ "sub": "system:node:web" }), "PERMISSION_DENIED", "policy"),
        (json!({ "aud": ["sts.example.com"] }), "PERMISSION_DENIED", "policy"),
        (json!({ "exp": null }), "INVALID_ARGUMENT", "exp"),
        (json!({ "iat": now() + 300 }), "FAILED_PRECONDITION", "clock"),
        (json!({ "exp": now() + 3700 }), "FAILED_PRECONDITION", "restart kube-apiserver"),
        (json!({ "exp": now() - 1 }), "FAILED_PRECONDITION", "expired"),
        (json!({ "more": "x".repeat(5000) }), "INVALID_ARGUMENT", "at most 4096"),
        (json!({ "more": "x".repeat(100_000) }), "OUT_OF_RANGE", "too large"),
    ] {
        let refused = apiserver.ask("token", claims);
        assert_eq!(refused["code"], code, "{refused}");
        assert!(refused["why"].as_str().expect("a reason").contains(why), "{why}: {refused}");
    }
    let twice = data_encoding_of(br#"{"iss":"a","iss":"b"}"#);
    for raw in ["", "e30=", "!", "e30.e30", "bnVsbA", "W10", twice.as_str()] {
        let refused = apiserver.ask("raw", json!({ "claims": raw }));
        assert_eq!(refused["code"], "INVALID_ARGUMENT", "{raw:?}: {refused}");
    }
    assert_eq!(apiserver.ask("absent", json!({}))["code"], "UNIMPLEMENTED");
    assert!(apiserver.token()["token"].is_string(), "all of that harmed nobody else");
}

#[test]
fn a_restart_is_waited_for_and_the_socket_of_a_crash_is_replaced() {
    let mut stage = Stage::set("kubernetes-restart");
    stage.apply("");
    let mut apiserver = stage.apiserver();
    apiserver.ask("start", json!({}));
    apiserver.token();
    stage.scene.server.stop(Signal::TERM);
    assert!(!stage.socket.exists(), "a server that stops takes its socket away");
    let late = apiserver.ask("raw", json!({ "claims": "e30", "seconds": 1 }));
    assert_eq!(late["code"], "DEADLINE_EXCEEDED", "{late}");
    // It waits for the signer as it is there again.
    apiserver.say("token", json!({}));
    stage.scene.server.resume();
    assert!(apiserver.hear()["token"].is_string());

    stage.scene.server.stop(Signal::KILL);
    assert!(stage.socket.exists(), "a server that is killed leaves its socket");
    stage.scene.server.resume();
    let again = apiserver.token();
    assert_eq!(apiserver.ask("review", json!({ "token": again["token"] }))["refused"], Value::Null);
    assert_eq!(fs::metadata(&stage.socket).expect("a socket").mode() & 0o777, 0o600);
}

#[test]
fn a_socket_comes_moves_and_goes_with_its_declaration() {
    let mut stage = Stage::set("kubernetes-socket");
    stage.apply("");
    let is_socket = |path: &Path| fs::metadata(path).is_ok_and(|file| file.file_type().is_socket());
    assert!(is_socket(&stage.socket));
    let directory = stage.socket.parent().expect("a directory");
    assert_eq!(fs::metadata(directory).expect("made").mode() & 0o777, 0o700);
    let old = stage.socket.clone();

    // Elsewhere, and for a group.
    let group = rustix::process::getegid().as_raw();
    stage.socket = stage.scene.directory("kubernetes").join("moved/signer.sock");
    stage.options = format!(", group = \"{group}\"");
    stage.apply("");
    assert!(!old.exists() && is_socket(&stage.socket));
    let mode = |path: &Path| fs::metadata(path).expect("there").mode() & 0o777;
    assert_eq!((mode(&stage.socket), mode(stage.socket.parent().expect("one"))), (0o660, 0o750));
    stage.apiserver().ask("start", json!({}));

    // Whoever clears the directory away does not end it.
    fs::remove_file(&stage.socket).expect("removed");
    assert!(wait(|| is_socket(&stage.socket)), "it is made anew");

    // Somewhere it could be replaced by others.
    let open = stage.scene.directory("open");
    fs::set_permissions(&open, Permissions::from_mode(0o777)).expect("opened to all");
    let before = std::mem::replace(&mut stage.socket, open.join("signer.sock"));
    stage.apply("");
    assert!(!before.exists() && !stage.socket.exists());
    let (output, said) = run(&mut stage.scene.server.command(["status"]));
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("keyset cluster") && said.contains("directory of its own"), "{said}");
    fs::set_permissions(&open, Permissions::from_mode(0o755)).expect("closed");
    assert!(wait(|| is_socket(&stage.socket)), "it is tried again");
    succeed(&mut stage.scene.server.command(["status"]));

    let file = stage.scene.directory("declared").join("keyset.toml");
    fs::write(&file, keyset("cluster", "", "")).expect("written");
    succeed(&mut stage.scene.server.command(["apply".as_ref(), file.as_os_str()]));
    assert!(!stage.socket.exists(), "what is not declared is closed");
}

#[test]
fn what_kube_apiserver_could_not_use_is_refused_before_it_is_declared() {
    let stage = Stage::set("kubernetes-plan");
    let socket = "kubernetes = { socket = \"/run/x/signer.sock\" }\n";
    for (algorithm, more, why) in [
        ("EdDSA", socket, "does not know EdDSA"),
        ("PS256", socket, "does not know PS256"),
        ("ML-DSA-44", socket, "does not know ML-DSA-44"),
        ("ES256", "more_algorithms = [\"EdDSA\"]\nkubernetes.socket = \"/run/x/s\"\n", "EdDSA"),
        ("ES256", "token_lifetime = \"5m\"\nkubernetes.socket = \"/run/x/s\"\n", "below 10m"),
        ("ES256", "kubernetes.socket = \"signer.sock\"\n", "absolute path"),
        ("ES256", "kubernetes.socket = \"/run/../signer.sock\"\n", "absolute path"),
        ("ES256", "kubernetes.socket = \"/signer.sock\"\n", "directory of its own"),
        (
            "ES256",
            "kubernetes = { socket = \"/run/x/s\", keys = [\"x\"] }\n",
            "key 1: it is no PEM",
        ),
        (
            "ES256",
            "kubernetes = { socket = \"/run/x/s\", keys = [\"\"\"-----BEGIN PUBLIC KEY-----\n\
             MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n\
             -----END PUBLIC KEY-----\n\"\"\"] }\n",
            "does not know Ed25519",
        ),
    ] {
        let file = stage.scene.directory("refused").join("keyset.toml");
        let text = keyset("odd", "", more).replace("ES256", algorithm);
        fs::write(&file, text).expect("written");
        let (output, said) =
            run(&mut stage.scene.server.command(["plan".as_ref(), file.as_os_str()]));
        assert!(!output.status.success() && said.contains(why), "{why}: {said}");
    }
    let file = stage.scene.directory("refused").join("twice.toml");
    fs::write(&file, keyset("one", "", socket) + &keyset("two", "", socket)).expect("written");
    let (output, said) = run(&mut stage.scene.server.command(["plan".as_ref(), file.as_os_str()]));
    assert!(!output.status.success() && said.contains("the same kubernetes.socket"), "{said}");
}

/// A server, and where its signer is to be.
struct Stage {
    scene: Scene,
    socket: PathBuf,
    options: String,
}

impl Stage {
    fn set(name: &str) -> Self {
        let scene = Scene::ours(name);
        let socket = scene.directory("kubernetes").join("run/signer.sock");
        Self { scene, socket, options: String::new() }
    }

    /// Declares the keyset `cluster`, and waits until a key signs.
    fn apply(&mut self, more: &str) {
        let file = self.scene.directory("declared").join("keyset.toml");
        let socket = format!("kubernetes = {{ socket = {:?}{} }}\n", self.socket, self.options);
        fs::write(&file, keyset("cluster", more, &socket)).expect("written");
        succeed(&mut self.scene.server.command(["apply".as_ref(), file.as_os_str()]));
        let signs = || self.scene.server.json(["get", "keyset", "cluster"])["status"] == "signing";
        assert!(wait(signs), "no key signs");
    }

    fn apiserver(&self) -> Apiserver {
        Apiserver::start(&self.socket)
    }
}

fn keyset(name: &str, more: &str, socket: &str) -> String {
    format!(
        "[[keyset]]\nname = {name:?}\nissuer = {ISSUER:?}\nalgorithm = \"ES256\"\n{more}{socket}"
    )
}

fn wait(mut until: impl FnMut() -> bool) -> bool {
    (0..300).any(|_| {
        let done = until();
        if !done {
            std::thread::sleep(Duration::from_millis(100));
        }
        done
    })
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
    i64::try_from(since.as_secs()).expect("in range")
}

/// Unpadded base64url.
fn data_encoding_of(octets: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let bits: Vec<u8> = octets.iter().flat_map(|o| (0..8).rev().map(move |b| o >> b & 1)).collect();
    let sextet = |bits: &[u8]| (0..6).fold(0, |n, i| n << 1 | bits.get(i).copied().unwrap_or(0));
    bits.chunks(6).map(|bits| char::from(ALPHABET[usize::from(sextet(bits))])).collect()
}

/// A process that asks as kube-apiserver does.
struct Apiserver {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl Apiserver {
    fn start(socket: &Path) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let python = root.join("target/venv/bin/python");
        let mut child = Command::new("timeout")
            .args(["--kill-after=5", "120"])
            .arg(&python)
            .arg(root.join("tests/kubernetes/apiserver.py"))
            .arg(socket)
            .arg(ISSUER)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|e| panic!("{}: {e}; run `tests/run tools`", python.display()));
        let to = child.stdin.take().expect("a pipe");
        let from = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut apiserver = Self { child, to, from };
        assert_eq!(apiserver.hear()["ready"], true);
        apiserver
    }

    /// A TokenRequest that must be granted.
    fn token(&mut self) -> Value {
        let answer = self.ask("token", json!({}));
        assert!(answer["token"].is_string(), "{answer}");
        answer
    }

    fn ask(&mut self, what: &str, how: Value) -> Value {
        self.say(what, how);
        self.hear()
    }

    fn say(&mut self, what: &str, mut how: Value) {
        how["do"] = what.into();
        if !matches!(what, "raw" | "absent") {
            how["at"] = now().into();
        }
        writeln!(self.to, "{how}").expect("it listens");
    }

    fn hear(&mut self) -> Value {
        let mut line = String::new();
        self.from.read_line(&mut line).expect("it answers");
        serde_json::from_str(&line)
            .unwrap_or_else(|e| panic!("{e}: {line:?}; run `tests/run tools`"))
    }
}

impl Drop for Apiserver {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";
