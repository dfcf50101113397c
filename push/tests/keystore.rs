//! Keystores, read by those they are made for.

use std::fs;
use std::process::Command;

use ca::KeyAlgorithm::{EcdsaP256, EcdsaP384, Rsa};

use crate::scene::{Folder, Issuer, need, push, spec};

fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {said}{complained}");
    said
}

fn keystores(folder: &Folder, more: &str) -> push::Spec {
    folder.write("password", "pass \"word\n");
    spec(&format!(
        "name = \"f\"\nkind = \"files\"\ndirectory = {:?}\nformats = [\"pkcs12\", \"jks\"]\n\
         keystore_password_file = {:?}\n{more}",
        folder.text("tls"),
        folder.text("password")
    ))
}

#[tokio::test]
async fn openssl_reads_key_and_chain_from_pkcs12() {
    let openssl = need("openssl", "openssl");
    for algorithm in [EcdsaP256, EcdsaP384, Rsa { bits: 2048 }] {
        let folder = Folder::new();
        let bundle = Issuer::new().bundle_of(algorithm, &["shop.test"]);
        push(&keystores(&folder, ""), 1, &bundle).await.expect("written");
        let store = folder.text("tls/current/keystore.p12");
        let password = "pass:pass \"word";
        let arguments = ["pkcs12", "-in", &store, "-passin", password, "-nodes"];
        let said = run(&openssl, &arguments);
        assert!(said.contains(&*bundle.key_pem().expect("a key")), "{algorithm}");
        let read = ca::Certificate::from_pem(&said).expect("certificates");
        assert_eq!(read, [bundle.leaf().clone(), bundle.chain()[0].clone()]);
        assert!(said.contains("friendlyName: shop"), "{said}");
        let wrong = ["pkcs12", "-in", &store, "-passin", "pass:other", "-nodes"];
        assert!(!Command::new(&openssl).args(wrong).output().expect("it runs").status.success());
    }
}

#[tokio::test]
async fn java_reads_both_formats_and_the_key_in_them() {
    let keytool = need("keytool", "default-jre-headless");
    let folder = Folder::new();
    let bundle = Issuer::new().bundle_of(Rsa { bits: 2048 }, &["shop.test"]);
    push(&keystores(&folder, ""), 1, &bundle).await.expect("written");
    let fingerprint: Vec<String> =
        bundle.fingerprint().iter().map(|octet| format!("{octet:02X}")).collect();
    let fingerprint = fingerprint.join(":");
    let password = folder.text("password");
    for name in ["keystore.p12", "keystore.jks"] {
        let store = folder.text(&format!("tls/current/{name}"));
        let arguments = ["-J-Xshare:auto", "-list", "-v"];
        let more = ["-keystore", &store, "-storepass:file", &password];
        let said = run(&keytool, &[&arguments[..], &more].concat());
        assert!(said.contains("Entry type: PrivateKeyEntry"), "{said}");
        assert!(said.contains("Alias name: shop") && said.contains(&fingerprint), "{said}");
        assert!(said.contains("Certificate chain length: 2"), "{said}");
        // A request is signed by the key, so Java has to decrypt it.
        let arguments = ["-certreq", "-alias", "shop"];
        let said = run(&keytool, &[&arguments[..], &more].concat());
        assert!(said.contains("BEGIN NEW CERTIFICATE REQUEST"), "{said}");
        let request = folder.write("request.pem", said);
        let request = request.to_str().expect("a path");
        let key = run(
            &need("openssl", "openssl"),
            &["req", "-in", request, "-noout", "-pubkey", "-verify"],
        );
        assert!(key.contains(&public_key(&bundle)), "{name}: another key signed");
    }
}

fn public_key(bundle: &push::Bundle) -> String {
    data_encoding::BASE64.encode(bundle.leaf().spki())[..60].to_owned()
}

#[tokio::test]
async fn the_same_bundle_makes_the_same_keystore_so_nothing_is_written_twice() {
    let folder = Folder::new();
    let bundle = Issuer::new().bundle(&["shop.test"]);
    assert!(push(&keystores(&folder, ""), 1, &bundle).await.expect("written").changed);
    assert!(!push(&keystores(&folder, ""), 1, &bundle).await.expect("written").changed);
    let before = fs::read(folder.path("tls/current/keystore.p12")).expect("readable");
    let spec = keystores(&folder, "");
    folder.write("password", "another password\n");
    assert!(push(&spec, 1, &bundle).await.expect("written").changed);
    assert_ne!(fs::read(folder.path("tls/current/keystore.p12")).expect("readable"), before);
}

#[tokio::test]
async fn a_password_that_is_missing_or_short_is_the_operators_mistake() {
    let folder = Folder::new();
    let bundle = Issuer::new().bundle(&["shop.test"]);
    let spec = keystores(&folder, "");
    folder.write("password", "short");
    let error = push(&spec, 1, &bundle).await.expect_err("too short");
    assert!(error.to_string().contains("less than 6"), "{error}");
    assert!(!error.to_string().contains("short\n"), "{error}");
    folder.write("password", "pässwörd");
    let error = push(&spec, 1, &bundle).await.expect_err("not for Java");
    assert!(error.to_string().contains("beyond ASCII"), "{error}");
    fs::remove_file(folder.path("password")).expect("removed");
    let error = push(&spec, 1, &bundle).await.expect_err("missing");
    assert_eq!(error.fault(), push::Fault::Operator);
}
