//! Signing keys as their consumers meet them: fetched with curl, verified with PyJWT, signed for who
//! has an API token, and replaced in an emergency.

use std::fs;
use std::path::Path;
use std::process::Command;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::program::{free_port, program, run, succeed};
use crate::scene::Scene;

#[test]
fn a_consumer_verifies_what_was_signed_and_after_an_emergency_only_what_is_new() {
    let scene = declared("keyset-consumer", "");
    let token = made(&scene, "auth");
    let claims = json!({ "aud": "https://api.example.com", "sub": "worker-7", "scope": "read" });
    let signed = sign(&scene, &token, &json!({ "claims": claims }));
    let signed = text(&signed["token"]);
    let verified = verify(&scene, &signed).expect("it is good");
    assert_eq!(verified["iss"], "https://auth.example.com");
    assert_eq!(verified["scope"], "read");
    let life = verified["exp"].as_i64().expect("exp") - verified["iat"].as_i64().expect("iat");
    assert_eq!(life, 600);

    let before = scene.server.json(["get", "keyset", "auth"]);
    let after = scene.server.json(["rotate", "auth", "--emergency"]);
    assert!(text(&after["exposure"][0]).starts_with("envoy"), "{after:#}");
    let phases = |shown: &Value| {
        let keys = shown["keys"].as_array().expect("keys").iter();
        keys.map(|key| text(&key["phase"])).collect::<Vec<_>>()
    };
    assert_eq!(phases(&before), ["signing"]);
    assert_eq!(phases(&after), ["signing", "gone"]);
    assert_eq!(verify(&scene, &signed).expect_err("its key is gone"), "PyJWKClientError");
    let fresh = sign(&scene, &token, &json!({ "batch": [claims, claims] }));
    let tokens = fresh["tokens"].as_array().expect("tokens");
    assert_eq!(tokens.len(), 2);
    for token in tokens {
        verify(&scene, &text(token)).expect("it is good");
    }
    let events =
        succeed(&mut scene.server.command(["audit", "--json", "--subject", "keyset/auth"]));
    for action in ["keyset.announce", "keyset.sign", "keyset.lease", "keyset.emergency"] {
        assert!(events.contains(action), "{action} is not in the audit log");
    }
}

#[test]
fn what_a_token_may_say_is_bounded_and_who_may_ask_for_one_too() {
    let scene = declared("keyset-bounds", "");
    let token = made(&scene, "auth");
    for (claims, why) in [
        (json!({ "aud": "https://elsewhere.example", "sub": "worker-7" }), "policy"),
        (json!({ "aud": "https://api.example.com", "sub": "root" }), "policy"),
        (json!({ "aud": "https://api.example.com" }), "missing"),
        (
            json!({ "aud": "https://api.example.com", "sub": "worker-7", "exp": 99_999_999_999_i64 }),
            "longer",
        ),
        (
            json!({ "aud": "https://api.example.com", "sub": "worker-7", "iss": "https://other" }),
            "issuer",
        ),
    ] {
        let refused = sign(&scene, &token, &json!({ "claims": claims }));
        assert!(text(&refused["detail"]).contains(why), "{claims}: {refused}");
    }
    let other = made(&scene, "other");
    let refused = sign(&scene, &other, &json!({ "claims": {} }));
    assert_eq!(refused["detail"], "the token is not for this");
    let refused = sign(&scene, "nonsense", &json!({ "claims": {} }));
    assert!(text(&refused["detail"]).contains("a valid API token is needed"), "{refused}");
}

#[test]
fn a_set_is_served_with_a_tag_and_says_how_long_it_is_good() {
    let scene = declared("keyset-set", "");
    let first = fetch(&scene, "jwks/auth/jwks.json", &[]);
    assert!(first.contains("HTTP/1.1 200") || first.contains("HTTP/2 200"), "{first}");
    let field = |answer: &str, name: &str| {
        let line = answer.lines().find(|line| line.to_ascii_lowercase().starts_with(name));
        line.and_then(|line| line.split_once(':')).expect(name).1.trim().to_owned()
    };
    assert!(field(&first, "cache-control").contains("max-age="));
    assert_eq!(field(&first, "access-control-allow-origin"), "*");
    let tag = field(&first, "etag");
    let again = fetch(&scene, "jwks/auth/jwks.json", &[&format!("If-None-Match: {tag}")]);
    assert!(again.lines().next().expect("a status").contains(" 304"), "{again}");
    let found = fetch(&scene, "jwks/auth/.well-known/openid-configuration", &[]);
    assert!(found.contains("\"issuer\":\"https://auth.example.com\""), "{found}");
    assert!(found.contains("/jwks/auth/jwks.json"), "{found}");
    let bundle = fetch(&scene, "jwks/auth/spiffe.json", &[]);
    assert!(bundle.contains("\"spiffe_sequence\":1") && bundle.contains("jwt-svid"), "{bundle}");
    assert!(fetch(&scene, "jwks/absent/jwks.json", &[]).contains(" 404"));
}

#[test]
fn what_cannot_be_kept_is_refused_with_the_arithmetic() {
    let scene = declared("keyset-refused", "");
    for (more, why) in [
        ("rotate_every = \"20m\"\n", "is too short"),
        ("consumers = [\"nobody\"]\n", "say how long it caches"),
        ("more_algorithms = [\"ML-DSA-44\"]\n", "mixes"),
        ("edges = [\"ftp://x\"]\n", "must be an https or http URL"),
        ("consumers = [{ name = \"go-oidc\", required = true }]\n", "cannot be required"),
        ("consumers = [\"envoy\", { name = \"envoy\", agent = \"e\" }]\n", "declared twice"),
    ] {
        let file = scene.directory("refused").join("keyset.toml");
        fs::write(&file, keyset("odd", more)).expect("written");
        let (output, said) = run(&mut scene.server.command(["apply".as_ref(), file.as_os_str()]));
        assert!(!output.status.success() && said.contains(why), "{more}: {said}");
        assert!(said.contains("line 1: keyset \"odd\""), "{said}");
    }
}

#[test]
fn a_key_that_an_edge_does_not_serve_asks_for_attention_and_does_not_sign() {
    let scene = Scene::ours("keyset-edge");
    let file = scene.directory("declared").join("keyset.toml");
    let edges = format!("edges = [\"http://127.0.0.1:{}/jwks.json\"]\n", free_port());
    fs::write(&file, keyset("auth", &edges)).expect("written");
    succeed(&mut scene.server.command(["apply".as_ref(), file.as_os_str()]));
    let failing = || scene.server.json(["get", "keyset", "auth"])["status"] == "failing";
    assert!((0..100).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(100));
        failing()
    }));
    let (output, said) = run(&mut scene.server.command(["status"]));
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("keyset auth: http://127.0.0.1"), "{said}");
    let token = made(&scene, "auth");
    let refused = sign(&scene, &token, &json!({ "claims": {} }));
    assert!(text(&refused["detail"]).contains("no key that signs"), "{refused}");
}

#[test]
fn who_has_fetched_a_keyset_is_seen_counted_and_known_again() {
    let mut scene = declared("keyset-seen", GATEWAY);
    for path in ["jwks/auth/jwks.json?consumer=billing", "jwks/auth/jwks.json"] {
        fetch(&scene, path, &[]);
    }
    fetch(&scene, "jwks/auth/spiffe.json", &["User-Agent: our-gateway/2.1 (linux)"]);
    let shown = scene.server.json(["status", "keyset", "auth"]);
    let seen = |shown: &Value, list: &str| -> Vec<String> {
        let rows = shown[list].as_array().expect("a list").iter();
        rows.map(|row| format!("{} {} {}", text(&row["name"]), text(&row["seen"]), row["count"]))
            .collect()
    };
    let consumers = ["envoy never 0", "our-gateway current 1", "billing current 1"];
    assert_eq!(seen(&shown, "consumers"), consumers);
    assert!(seen(&shown, "others")[0].starts_with("curl/"), "{shown:#}");
    assert_eq!(shown["consumers"][1]["address"], "127.0.0.1");
    assert_eq!(shown["consumers"][1]["agent"], "our-gateway/2.1");

    scene.server.json(["rotate", "auth", "--emergency"]);
    let (output, said) = run(&mut scene.server.command(["status"]));
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("keyset auth: our-gateway may trust what was taken out at"), "{said}");
    let (output, said) = run(&mut scene.server.command(["status", "keyset", "auth"]));
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("auth is signing\n! keyset auth: "), "{said}");
    let behind = attentive(&scene);
    assert_eq!(seen(&behind, "consumers")[1], "our-gateway behind 1");

    let metrics = metrics(&scene);
    for line in [
        "perennial_keyset_fetches_total{keyset=\"auth\",consumer=\"our-gateway\"} 1",
        "perennial_keyset_fetches_total{keyset=\"auth\",consumer=\"\"} 1",
        "perennial_keyset_keys{keyset=\"auth\",phase=\"signing\"} 1",
        "perennial_keyset_emergencies_total{keyset=\"auth\"} 1",
        "perennial_keyset_sequence{keyset=\"auth\"} 2",
        "perennial_keyset_failing{keyset=\"auth\"} 0",
    ] {
        assert!(metrics.contains(&format!("{line}\n")), "{line} is not in\n{metrics}");
    }
    assert!(!metrics.contains("perennial_keyset_exposure_seconds{keyset=\"auth\"} 0\n"));

    assert!(scene.server.stop(Signal::TERM).success());
    scene.server.resume();
    let again = attentive(&scene);
    assert_eq!(again["consumers"], behind["consumers"]);
}

#[test]
fn a_plan_shows_what_happens_to_keys_and_the_arithmetic_of_what_changes() {
    let scene = declared("keyset-plan", "");
    let file = scene.directory("planned").join("keyset.toml");
    fs::write(&file, keyset("auth", "consumers = [\"istio\"]\n")).expect("written");
    let (output, said) = run(&mut scene.server.command(["plan".as_ref(), file.as_os_str()]));
    assert_eq!(output.status.code(), Some(3), "{said}");
    for part in [
        "keyset auth",
        "lead was 28 min 45 s = (10 min (envoy caches)",
        "lead 41 min 15 s = (20 min (istio caches)",
        "retirement 16 min = 10 min (longest token)",
        "the lead, 41 min 15 s, before it signs",
        "rotate_every 30 d",
        "the retirement, 16 min, after it signed",
    ] {
        assert!(said.contains(part), "{part} is not in\n{said}");
    }
    let shown = succeed(&mut scene.server.command(["get", "keyset", "auth"]));
    let lead = shown.lines().find_map(|line| line.strip_prefix("lead ")).expect("a lead");
    assert!(lead.trim_start().starts_with("28 min 45 s = ("), "{shown}");
    assert!(shown.contains("\nkeys\nKID"), "{shown}");
    assert!(shown.contains("now\n  envoy may trust it for 25 min more"), "{shown}");
}

pub(super) fn keyset(name: &str, more: &str) -> String {
    format!(
        "[[keyset]]\nname = {name:?}\nissuer = \"https://auth.example.com\"\nalgorithm = \"ES256\"\n\
         token_lifetime = \"10m\"\naudiences = [\"https://api.example.com\"]\n\
         subjects = [\"worker-*\"]\n{more}"
    )
}

/// A server with the keyset `auth`, whose key signs.
fn declared(name: &str, more: &str) -> Scene {
    let scene = Scene::ours(name);
    let file = scene.directory("declared").join("keyset.toml");
    let usual = if more.contains("consumers") { "" } else { "consumers = [\"envoy\"]\n" };
    fs::write(&file, keyset("auth", &format!("{usual}{more}"))).expect("written");
    succeed(&mut scene.server.command(["apply".as_ref(), file.as_os_str()]));
    for _ in 0..100 {
        if scene.server.json(["get", "keyset", "auth"])["status"] == "signing" {
            return scene;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    panic!("no key signs: {}", scene.server.json(["get", "keyset", "auth"]));
}

/// An API token for a keyset.
pub(super) fn made(scene: &Scene, keyset: &str) -> String {
    let arguments = ["token", "create", keyset, "--keyset", keyset];
    text(&scene.server.json(arguments)["token"])
}

pub(super) fn sign(scene: &Scene, token: &str, body: &Value) -> Value {
    let url = format!("{}/api/v1/keysets/auth/sign", base(scene));
    let mut curl = program("curl");
    curl.args(["--silent", "--cacert"]).arg(&scene.server.trust);
    curl.args(["-H", &format!("Authorization: Bearer {token}"), "-d", &body.to_string(), &url]);
    serde_json::from_str(&succeed(&mut curl)).expect("JSON")
}

fn fetch(scene: &Scene, path: &str, headers: &[&str]) -> String {
    let mut curl = program("curl");
    curl.args(["--silent", "--include", "--cacert"]).arg(&scene.server.trust);
    for header in headers {
        curl.args(["-H", header]);
    }
    succeed(curl.arg(format!("{}/{path}", base(scene))))
}

/// What PyJWT says of a token: its claims, or the error's name.
pub(super) fn verify(scene: &Scene, token: &str) -> Result<Value, String> {
    let script = "import json, ssl, sys, jwt\n\
                  url, roots, token = sys.argv[1:]\n\
                  trust = ssl.create_default_context(cafile=roots)\n\
                  try:\n    \
                      key = jwt.PyJWKClient(url, ssl_context=trust).get_signing_key_from_jwt(token)\n    \
                      print(json.dumps(jwt.decode(token, key, audience='https://api.example.com')))\n\
                  except jwt.PyJWTError as error:\n    \
                      print(json.dumps(type(error).__name__))\n";
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/venv/bin/python");
    let mut command = Command::new(python);
    command.args(["-c", script, &format!("{}/jwks/auth/jwks.json", base(scene))]);
    command.arg(&scene.server.trust).arg(token);
    match serde_json::from_str(&succeed(&mut command)).expect("JSON") {
        Value::String(error) => Err(error),
        claims => Ok(claims),
    }
}

/// `status keyset auth`, which finds something to do.
fn attentive(scene: &Scene) -> Value {
    let (output, said) = run(&mut scene.server.command(["status", "keyset", "auth", "--json"]));
    assert_eq!(output.status.code(), Some(3), "{said}");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// What the server says of itself to who watches it.
fn metrics(scene: &Scene) -> String {
    scene.server.watched("/metrics")
}

/// `https://host:port` of the server.
fn base(scene: &Scene) -> &str {
    scene.server.directory.split("/acme/").next().expect("a URL")
}

pub(super) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned()
}

const GATEWAY: &str = "consumers = [\"envoy\", { name = \"our-gateway\", cache = \"15m\", \
     agent = \"our-gateway/\", address = \"127.0.0.0/8\" }, { name = \"billing\", cache = \"1h\" }]\n";
