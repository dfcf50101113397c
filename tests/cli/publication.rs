//! Key sets as they are published: compressed for curl, with certificates that OpenSSL verifies and names
//! that it computes, and proven at an nginx that has its certificate from a private CA.

use std::fs;
use std::thread::sleep;
use std::time::Duration;

use serde_json::Value;

use crate::program::{Daemon, free_port, program, run, succeed};
use crate::scene::Scene;

#[test]
fn curl_gets_it_compressed_and_openssl_finds_its_certificates_good() {
    let scene = Scene::ours("publication-set");
    apply(&scene, "kid = \"spki\"\nx5c = \"internal\"\nmore_algorithms = [\"RS256\"]\n");
    wait(&scene, "signing");
    let url = format!("{}/jwks/auth/jwks.json", base(&scene));
    let plain = curl(&scene, &["--include", &url]);
    let coded = curl(&scene, &["--include", "--compressed", &url]);
    assert!(!plain.to_ascii_lowercase().contains("content-encoding"), "{plain}");
    assert_eq!(field(&coded, "content-encoding"), "gzip");
    let length = |answer: &str| field(answer, "content-length").parse::<usize>().expect("a length");
    assert!(length(&coded) < length(&plain));
    let body = |answer: &str| answer.split("\r\n\r\n").nth(1).expect("a body").to_owned();
    assert_eq!(body(&coded), body(&plain), "curl has unpacked it");
    let (tag, coded_tag) = (field(&plain, "etag"), field(&coded, "etag"));
    assert_ne!(tag, coded_tag);
    for (accept, known, status) in [
        ("identity", &tag, "304"),
        ("gzip", &coded_tag, "304"),
        ("gzip", &tag, "200"),
        ("identity", &coded_tag, "200"),
        ("gzip;q=0.5, identity", &tag, "304"),
    ] {
        let (accept, known) =
            (format!("Accept-Encoding: {accept}"), format!("If-None-Match: {known}"));
        let answer =
            curl(&scene, &["--head", "--request", "GET", "-H", &accept, "-H", &known, &url]);
        let first = answer.lines().next().expect("a status");
        assert!(first.contains(status), "{accept} {known}: {answer}");
        assert_eq!(field(&answer, "vary").to_ascii_lowercase(), "accept-encoding");
    }

    let home = scene.directory("certificates");
    let set: Value = serde_json::from_str(&body(&plain)).expect("JSON");
    for (place, key) in set["keys"].as_array().expect("keys").iter().enumerate() {
        let chain: Vec<_> = key["x5c"].as_array().expect("x5c").iter().map(pem).collect();
        let [leaf, above] = ["leaf", "above"].map(|name| home.join(format!("{name}-{place}.pem")));
        fs::write(&leaf, &chain[0]).expect("written");
        fs::write(&above, chain[1..].concat()).expect("written");
        let mut verify = program("openssl");
        verify.args(["verify", "-CAfile"]).arg(&scene.server.issuer.root);
        succeed(verify.arg("-untrusted").arg(&above).arg(&leaf));
        let script = "openssl x509 -in \"$0\" -noout -pubkey | openssl pkey -pubin -outform DER \
                      | openssl sha256 -binary | basenc --base64url | tr -d =";
        let named = succeed(program("bash").args(["-c", script]).arg(&leaf));
        assert_eq!(key["kid"], named.trim());
        let script = "openssl x509 -in \"$0\" -outform DER | openssl sha256 -binary \
                      | basenc --base64url | tr -d =";
        let print = succeed(program("bash").args(["-c", script]).arg(&leaf));
        assert_eq!(key["x5t#S256"], print.trim());
        let text = succeed(program("openssl").args(["x509", "-noout", "-text", "-in"]).arg(&leaf));
        assert!(text.contains("1.3.6.1.5.5.7.3.37"), "for JWTs alone: {text}");
        assert!(!text.contains("TLS Web"), "{text}");
    }
}

#[test]
fn an_edge_with_a_private_ca_is_proven_once_its_roots_and_its_copies_are_declared() {
    let scene = Scene::ours("publication-edge");
    let edge = Edge::start(&scene);
    let edges = format!("edges = [\"https://localhost:{}/jwks/auth/jwks.json\"]\n", edge.port);
    apply(&scene, &edges);
    let shown = wait(&scene, "failing");
    assert!(text(&shown["error"]).contains("certificate"), "{shown:#}");

    let with_roots = format!("{edges}edge_roots = \"internal\"\n");
    apply(&scene, &with_roots);
    let says = |what: &str| (text(&complaint(&scene)["error"]).contains(what)).then_some(());
    eventually("the copies are too old", || says("max-age=3600"));
    let shown = scene.server.json(["get", "keyset", "auth"]);
    assert!(text(&shown["error"]).contains("declare copy_age = \"55m\""), "{shown:#}");

    apply(&scene, &format!("{with_roots}copy_age = \"55m\"\n"));
    let shown = wait(&scene, "signing");
    assert_eq!(shown["keys"][0]["proven"].as_array().expect("edges").len(), 1, "{shown:#}");

    let root = scene.server.issuer.root.display();
    apply(&scene, &format!("{edges}copy_age = \"55m\"\nedge_roots = \"{root}\"\n"));
    succeed(&mut scene.server.command(["rotate", "auth"]));
    let file = scene.directory("refused").join("keyset.toml");
    fs::write(&file, keyset("edge_roots = \"nobody\"\n")).expect("written");
    let (output, said) = run(&mut scene.server.command(["apply".as_ref(), file.as_os_str()]));
    assert!(!output.status.success() && said.contains("\"nobody\""), "{said}");
    let rolled = scene.server.json(["get", "keyset", "auth"]);
    assert_eq!(rolled["status"], "rotating", "{rolled:#}");
    succeed(&mut scene.server.command(["rollback", "auth"]));
    let (output, said) = run(&mut scene.server.command(["rollback", "auth"]));
    assert!(!output.status.success() && said.contains("with grace declared"), "{said}");
}

/// An nginx that passes everything on to the server, under a certificate from its internal CA, and lets
/// copies live for an hour.
struct Edge {
    port: u16,
    _nginx: Daemon,
}

impl Edge {
    fn start(scene: &Scene) -> Self {
        let (home, port) = (scene.directory("edge"), free_port());
        fs::create_dir_all(home.join("temp")).expect("a directory");
        let [pem, key] = ["edge.pem", "edge.key"].map(|file| home.join(file));
        let mut issue = scene.server.command(["issue", "localhost", "--out"]);
        succeed(issue.arg(&pem).arg("--key-out").arg(&key));
        let (config, here) = (home.join("nginx.conf"), home.display());
        let text = format!(
            "worker_processes 1;\ndaemon off;\nerror_log {here}/error.log;\npid {here}/nginx.pid;\n\
             events {{ worker_connections 64; }}\nhttp {{ access_log off;\n\
             client_body_temp_path {here}/temp; proxy_temp_path {here}/temp;\n\
             fastcgi_temp_path {here}/temp; uwsgi_temp_path {here}/temp; scgi_temp_path {here}/temp;\n\
             server {{ listen 127.0.0.1:{port} ssl; ssl_certificate {here}/edge.pem;\n\
             ssl_certificate_key {here}/edge.key; location / {{ proxy_pass {base};\n\
             proxy_hide_header Cache-Control; add_header Cache-Control max-age=3600; }} }} }}\n",
            base = base(scene)
        );
        fs::write(&config, text).expect("written");
        let arguments = ["-c".as_ref(), config.as_os_str(), "-p".as_ref(), home.as_os_str()];
        let mut nginx = Daemon::start("nginx", arguments, &home);
        nginx.wait_for_port(port);
        Self { port, _nginx: nginx }
    }
}

fn keyset(more: &str) -> String {
    format!(
        "[[keyset]]\nname = \"auth\"\nissuer = \"https://auth.example.com\"\nalgorithm = \"ES256\"\n\
         token_lifetime = \"10m\"\n{more}"
    )
}

fn apply(scene: &Scene, more: &str) {
    let file = scene.directory("declared").join("keyset.toml");
    fs::write(&file, keyset(more)).expect("written");
    succeed(&mut scene.server.command(["apply".as_ref(), file.as_os_str()]));
}

/// The keyset once it has this status.
fn wait(scene: &Scene, status: &str) -> Value {
    eventually(status, || {
        let shown = scene.server.json(["get", "keyset", "auth"]);
        (shown["status"] == status).then_some(shown)
    })
}

fn complaint(scene: &Scene) -> Value {
    scene.server.json(["get", "keyset", "auth"])
}

fn eventually<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    for _ in 0..600 {
        if let Some(value) = condition() {
            return value;
        }
        sleep(Duration::from_millis(100));
    }
    panic!("waiting for: {what}");
}

fn curl(scene: &Scene, arguments: &[&str]) -> String {
    let mut curl = program("curl");
    succeed(
        curl.args(["--silent", "--http1.1", "--cacert"]).arg(&scene.server.trust).args(arguments),
    )
}

fn field(answer: &str, name: &str) -> String {
    let line = answer.lines().find(|line| {
        line.split_once(':').is_some_and(|(field, _)| field.eq_ignore_ascii_case(name))
    });
    let value = line.and_then(|line| line.split_once(':')).map(|(_, value)| value.trim());
    value.unwrap_or_else(|| panic!("no {name} in {answer}")).to_owned()
}

/// A certificate of `x5c` as PEM.
fn pem(base64: &Value) -> String {
    let text = base64.as_str().expect("text");
    format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n")
}

/// `https://host:port` of the server.
fn base(scene: &Scene) -> &str {
    scene.server.directory.split("/acme/").next().expect("a URL")
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
