//! Keys that sign elsewhere, as those who use them meet it: an application that reads its keys from a
//! file and signs with PyJWT or OpenSSL, consumers that verify with what is published, and a receiver
//! of webhooks that checks who they are from.

use std::fs;
use std::path::Path;
use std::process::Command;

use data_encoding::{BASE64, BASE64URL_NOPAD};
use serde_json::{Value, json};

use super::keyset::{keyset, made, sign, text, verify};
use crate::program::{Daemon, free_port, program, run, succeed};
use crate::scene::Scene;

#[test]
fn an_application_signs_with_its_file_and_gets_the_fresh_key_in_an_emergency() {
    let scene = Scene::ours("signers-emergency");
    let home = scene.directory("application");
    let file = home.join("keys.json");
    let receiver = Receiver::start(&home);
    let signers = format!(
        "signers = [{{ name = \"gateway\", path = {file:?}, reload = [\"touch\", {:?}] }}]\n",
        home.join("reloaded")
    );
    declare(&scene, &(keyset("auth", &signers) + &receiver.declared()));
    wait_for(&scene, "signing");
    assert!(home.join("reloaded").exists(), "it was told");
    let before = signed_by_application(&file);
    verify(&scene, &before).expect("consumers take what the application signs");

    let tested = succeed(&mut scene.server.command(["webhook", "test", "ops"]));
    assert!(tested.contains("took message msg_"), "{tested}");
    let old = text(&read(&file)["keys"][0]["kid"]);
    scene.server.json(["rotate", "auth", "--emergency", "--compromised", &old]);
    let fresh = until(|| {
        let kid = text(&read(&file)["keys"][0]["kid"]);
        (kid != old).then_some(kid)
    });
    verify(&scene, &before).expect_err("its key is gone");
    verify(&scene, &signed_by_application(&file)).expect("the fresh one is published");

    let told = until(|| {
        let told = receiver.verified();
        told.iter().find(|body| body["type"] == "keyset.emergency").cloned()
    });
    assert_eq!(told["data"]["keyset"], "auth");
    assert_eq!(told["data"]["removed"], json!([old]));
    assert_eq!(told["data"]["signing"], json!([fresh]));
    assert!(text(&told["data"]["jwks_uri"]).ends_with("/jwks/auth/jwks.json"));
    until(|| (scene.server.json(["get", "webhook", "ops"])["status"] == "delivered").then_some(()));
    let events =
        succeed(&mut scene.server.command(["audit", "--json", "--subject", "keyset/auth"]));
    for action in ["keyset.export", "keyset.place", "keyset.emergency"] {
        assert!(events.contains(action), "{action} is not in the audit log");
    }
    let private = text(&read(&file)["keys"][0]["d"]);
    for shown in [&events, &scene.server.json(["get", "keyset", "auth"]).to_string()] {
        assert!(!shown.contains(&private), "a private key is shown");
    }
    assert!(!scene.server.wrote().contains(&private), "a private key is in the log");
}

#[test]
fn openssl_reads_the_pem_and_a_target_that_does_not_show_the_key_is_named() {
    let scene = Scene::ours("signers-pem");
    let file = scene.directory("application").join("key.pem");
    let proof = format!("http://127.0.0.1:{}/token", free_port());
    let signers = format!(
        "signers = [{{ name = \"gateway\", path = {file:?}, format = \"pem\", proof = {proof:?} }}]\n"
    );
    declare(&scene, &keyset("auth", &signers));
    wait_for(&scene, "failing");
    let (output, said) = run(&mut scene.server.command(["status"]));
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("keyset auth: signer gateway at "), "{said}");
    let shown = succeed(program("openssl").args(["pkey", "-noout", "-text", "-in"]).arg(&file));
    assert!(shown.contains("P-256"), "{shown}");
}

#[test]
fn a_payload_is_signed_where_it_is_declared_and_never_as_a_token() {
    let scene = Scene::ours("signers-payload");
    declare(&scene, &keyset("auth", "payloads = [\"statement+json\"]\n"));
    wait_for(&scene, "signing");
    let token = made(&scene, "auth");
    let ask = |typ: &str, payload: &[u8]| {
        let payload = BASE64URL_NOPAD.encode(payload);
        sign(&scene, &token, &json!({ "payload": payload, "typ": typ }))
    };
    let jws = text(&ask("statement+json", b"[\"shipped\", 7]")["jws"]);
    let header = jws.split('.').next().expect("a header");
    let header = BASE64URL_NOPAD.decode(header.as_bytes()).expect("base64url");
    let header: Value = serde_json::from_slice(&header).expect("JSON");
    assert_eq!(header["typ"], "statement+json");
    assert_eq!(verify(&scene, &jws).expect_err("no claims"), "DecodeError");
    for (typ, payload, why) in [
        ("other+json", "[]", "are not signed"),
        ("at+jwt", "[]", "could pass as a token"),
        ("JWT", "[]", "could pass as a token"),
        ("statement+json", "{\"sub\": \"root\"}", "could pass as claims"),
    ] {
        let refused = ask(typ, payload.as_bytes());
        assert!(text(&refused["detail"]).contains(why), "{typ} {payload}: {refused}");
    }
    let nameless = sign(&scene, &token, &json!({ "payload": "W10" }));
    assert!(text(&nameless["detail"]).contains("needs a typ"), "{nameless}");
}

#[test]
fn what_could_not_work_is_refused() {
    let scene = Scene::ours("signers-refused");
    let file = scene.directory("refused").join("a.toml");
    for (more, why) in [
        ("signers = [{ name = \"a\", path = \"/a/k\" }]\n", "set reload, proof, or settle"),
        ("signers = [{ name = \"a\", path = \"k\", settle = \"1m\" }]\n", "is not absolute"),
        (
            "signers = [{ name = \"a\", path = \"/a/k\", settle = \"1m\", mode = \"0644\" }]\n",
            "lets everybody read",
        ),
        (
            "signers = [{ name = \"a\", path = \"/a/k\", settle = \"1m\", algorithm = \"RS256\" }]\n",
            "which the keyset does not",
        ),
        ("payloads = [\"dpop+jwt\"]\n", "could pass as a token"),
        ("[[webhook]]\nname = \"ops\"\nurl = \"https://a.example/\"\n", "messages are signed"),
        (
            "[[webhook]]\nname = \"ops\"\nurl = \"https://a.example/\"\nsecret_env = \"S\"\n\
             events = [\"keyset.sing\"]\n",
            "nobody is told",
        ),
    ] {
        fs::write(&file, keyset("odd", more)).expect("written");
        let (output, said) = run(&mut scene.server.command(["apply".as_ref(), file.as_os_str()]));
        assert!(!output.status.success() && said.contains(why), "{more}: {said}");
    }
}

fn declare(scene: &Scene, text: &str) {
    let file = scene.directory("declared").join("keyset.toml");
    fs::write(&file, text).expect("written");
    succeed(&mut scene.server.command(["apply".as_ref(), file.as_os_str()]));
}

fn wait_for(scene: &Scene, status: &str) {
    until(|| (scene.server.json(["get", "keyset", "auth"])["status"] == status).then_some(()));
}

fn until<T>(mut condition: impl FnMut() -> Option<T>) -> T {
    for _ in 0..600 {
        if let Some(value) = condition() {
            return value;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    panic!("it did not happen within a minute");
}

fn read(file: &Path) -> Value {
    serde_json::from_slice(&fs::read(file).expect("the file")).expect("JSON")
}

/// A token as an application makes it: with the first key of its file.
fn signed_by_application(file: &Path) -> String {
    let script = "import json, sys, time, jwt\n\
                  key = json.load(open(sys.argv[1]))['keys'][0]\n\
                  now = int(time.time())\n\
                  claims = {'iss': 'https://auth.example.com', 'aud': 'https://api.example.com',\n          \
                            'sub': 'worker-7', 'iat': now, 'exp': now + 600}\n\
                  private = jwt.PyJWK(key).key\n\
                  print(jwt.encode(claims, private, algorithm=key['alg'], headers={'kid': key['kid']}))\n";
    succeed(python().args(["-c", script]).arg(file)).trim().to_owned()
}

fn python() -> Command {
    Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("target/venv/bin/python"))
}

/// Something that is told, and checks the signatures by itself.
struct Receiver {
    port: u16,
    home: std::path::PathBuf,
    _server: Daemon,
}

impl Receiver {
    fn start(home: &Path) -> Self {
        let script = "import base64, hashlib, hmac, http.server, sys\n\
            key = base64.b64decode(sys.argv[2])\n\
            class Hook(http.server.BaseHTTPRequestHandler):\n    \
                def do_POST(self):\n        \
                    body = self.rfile.read(int(self.headers['content-length']))\n        \
                    signed = '.'.join([self.headers['webhook-id'], self.headers['webhook-timestamp'], body.decode()])\n        \
                    right = 'v1,' + base64.b64encode(hmac.digest(key, signed.encode(), 'sha256')).decode()\n        \
                    good = right == self.headers['webhook-signature']\n        \
                    if good:\n            \
                        print(body.decode(), file=open(sys.argv[3], 'a'))\n        \
                    self.send_response(204 if good else 401)\n        \
                    self.end_headers()\n\
            http.server.HTTPServer(('127.0.0.1', int(sys.argv[1])), Hook).serve_forever()\n";
        let port = free_port();
        let told = home.join("told");
        let number = port.to_string();
        let secret = BASE64.encode(&[3; 32]);
        let arguments =
            ["-c", script, &number, &secret, told.to_str().expect("a path")].map(str::to_owned);
        let mut server = Daemon::start("python3", arguments, home);
        server.wait_for_port(port);
        fs::write(home.join("secret"), format!("whsec_{secret}\n")).expect("written");
        let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        fs::set_permissions(home.join("secret"), private).expect("private");
        Self { port, home: home.to_owned(), _server: server }
    }

    fn declared(&self) -> String {
        format!(
            "\n[[webhook]]\nname = \"ops\"\nurl = \"http://127.0.0.1:{}/\"\nsecret_file = {:?}\n",
            self.port,
            self.home.join("secret")
        )
    }

    /// What it was told, as far as the signatures were right.
    fn verified(&self) -> Vec<Value> {
        let told = fs::read_to_string(self.home.join("told")).unwrap_or_default();
        told.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }
}
