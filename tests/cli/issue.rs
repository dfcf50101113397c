//! `issue` and `revoke`: with a key made here or a request made by OpenSSL, taken back by file or
//! by serial number.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use crate::chain::Chain;
use crate::program::{program, run, succeed};
use crate::scene::Scene;

#[test]
fn a_key_of_every_kind_is_made_and_certified() {
    let scene = Scene::ours("issue-keys");
    let home = scene.directory("issued");
    for kind in ["p256", "p384", "ed25519", "rsa2048", "rsa3072"] {
        let [pem, key] = ["pem", "key"].map(|ending| home.join(format!("{kind}.{ending}")));
        let mut command = scene.server.command(["issue", "shop.example.test", "10.1.2.3"]);
        command.args(["--key", kind, "--out"]).arg(&pem).arg("--key-out").arg(&key);
        succeed(&mut command);
        Chain::check(&scene.server.issuer, &pem, &["10.1.2.3", "shop.example.test"]);
        let mode = fs::metadata(&key).expect("the key").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "only its owner may read a key");
        let certified = succeed(openssl(&["x509", "-noout", "-pubkey", "-in"]).arg(&pem));
        assert_eq!(succeed(openssl(&["pkey", "-pubout", "-in"]).arg(&key)), certified, "{kind}");
    }
}

#[test]
fn a_key_is_never_overwritten() {
    let scene = Scene::ours("issue-overwrite");
    let home = scene.directory("issued");
    let issue = || {
        let mut command = scene.server.command(["issue", "*.shop.example.test"]);
        command.current_dir(&home);
        command
    };
    succeed(&mut issue());
    let chain = home.join("_.shop.example.test.pem");
    Chain::check(&scene.server.issuer, &chain, &["*.shop.example.test"]);
    let [certificate, key] = ["pem", "key"].map(|ending| chain.with_extension(ending));
    let before = [&certificate, &key].map(|file| fs::read(file).expect("a file"));
    let (output, text) = run(&mut issue());
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("a key is never overwritten"), "{text}");
    assert_eq!([&certificate, &key].map(|file| fs::read(file).expect("a file")), before);
}

#[test]
fn a_request_by_openssl_is_certified_and_revoked_by_file() {
    let scene = Scene::ours("issue-request");
    let home = scene.directory("issued");
    let [pem_request, der_request, pem] = ["a.csr", "a.der", "a.pem"].map(|file| home.join(file));
    request(&home.join("a.key"), &pem_request, "DNS:a.example.test,IP:10.0.0.1");
    succeed(openssl(&["req", "-outform", "DER", "-in"]).args([
        &pem_request,
        Path::new("-out"),
        &der_request,
    ]));

    let chain = succeed(scene.server.command(["issue", "--csr"]).arg(&pem_request));
    fs::write(&pem, chain).expect("the chain");
    let first = Chain::check(&scene.server.issuer, &pem, &["10.0.0.1", "a.example.test"]);
    succeed(scene.server.command(["issue", "--csr"]).arg(&der_request).arg("--out").arg(&pem));
    let second = Chain::check(&scene.server.issuer, &pem, &["10.0.0.1", "a.example.test"]);
    let mut piped = scene.server.command(["issue", "--csr", "-"]);
    piped.stdin(File::open(&der_request).expect("the request"));
    assert!(succeed(&mut piped).starts_with("-----BEGIN CERTIFICATE-----"));

    let mut revoke = scene.server.command(["revoke", "--reason", "superseded"]);
    let said = succeed(revoke.arg(&pem));
    assert!(said.contains(&second.serial()) && said.contains("superseded"), "{said}");
    second.assert_revoked(&scene.server.issuer);
    first.assert_not_revoked(&scene.server.issuer);
}

#[test]
fn a_certificate_is_revoked_by_its_serial_number_once() {
    let scene = Scene::ours("revoke-serial");
    let home = scene.directory("issued");
    let pem = home.join("b.pem");
    let mut issue = scene.server.command(["issue", "b.example.test", "--out"]);
    succeed(issue.arg(&pem).arg("--key-out").arg(home.join("b.key")));
    let chain = Chain::check(&scene.server.issuer, &pem, &["b.example.test"]);
    let serial = chain.serial();
    let revoked = scene.server.json(["revoke", &serial, "--reason", "keyCompromise"]);
    assert_eq!(revoked["status"], "revoked", "{revoked}");
    assert_eq!(revoked["revocation_reason"], "keyCompromise", "{revoked}");
    chain.assert_revoked(&scene.server.issuer);
    for (serial, why) in [(serial.as_str(), "already"), ("00ff", "00ff")] {
        let (output, text) = run(&mut scene.server.command(["revoke", serial]));
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(text.contains(why), "{text}");
    }

    // What is compromised is not certified again.
    let csr = home.join("again.csr");
    let names = ["-subj", "/", "-addext", "subjectAltName=DNS:b.example.test"];
    let mut again = openssl(&["req", "-new", "-key"]);
    succeed(again.arg(home.join("b.key")).args(names).arg("-out").arg(&csr));
    let (output, text) = run(scene.server.command(["issue", "--csr"]).arg(&csr));
    assert!(output.status.code() == Some(1) && text.contains("compromised"), "{text}");
}

#[test]
fn a_request_that_is_none_is_refused() {
    let scene = Scene::ours("issue-refused");
    let home = scene.directory("issued");
    let csr = home.join("bad.csr");
    request(&home.join("bad.key"), &csr, "DNS:bad.example.test");
    let der = home.join("bad.der");
    succeed(openssl(&["req", "-outform", "DER", "-in"]).arg(&csr).arg("-out").arg(&der));
    let mut broken = fs::read(&der).expect("the request");
    *broken.last_mut().expect("octets") ^= 1;
    fs::write(&der, broken).expect("the request");
    fs::write(&csr, "no request").expect("a file");
    for file in [&csr, &der, &home.join("none.csr")] {
        let (output, text) = run(scene.server.command(["issue", "--csr"]).arg(file));
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(output.stdout.is_empty() && text.contains("stderr: perennial: "), "{text}");
    }
    let shown = scene.server.json(["get", "certificate", "--names", "bad.example.test"]);
    assert_eq!(shown["items"].as_array().map(Vec::len), Some(0), "{shown}");
}

/// A P-256 key and a request for `names` in OpenSSL's words.
fn request(key: &Path, csr: &Path, names: &str) {
    let alternatives = format!("subjectAltName={names}");
    let curve = ["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
    let mut command = openssl(&curve);
    command.args(["-subj", "/", "-addext", &alternatives, "-keyout"]).arg(key);
    succeed(command.arg("-out").arg(csr));
}

fn openssl(arguments: &[&str]) -> Command {
    let mut command = program("openssl");
    command.args(arguments);
    command
}
