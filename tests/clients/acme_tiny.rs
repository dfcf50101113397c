//! Debian's acme-tiny, two hundred lines of Python: an RSA account (RS256), http-01 through files,
//! a request made by openssl. It cannot revoke, so certbot does, with the certificate's key.

use std::fs;

use super::certbot::revoke_with_key;
use super::live_through;
use crate::program::{program, succeed};
use crate::scene::Scene;
use crate::web;

#[test]
fn acme_tiny_http_01() {
    let scene = Scene::set("acme-tiny");
    let home = scene.directory("acme-tiny");
    let tokens = scene.directory("acme-tiny/tokens");
    web::serve_tokens(&tokens, scene.http_port);
    let [account, key, request, pem] =
        ["account.key", "shop.key", "shop.csr", "shop.pem"].map(|file| home.join(file));
    let names = ["acme-tiny.example.test", "www.acme-tiny.example.test"];
    for file in [&account, &key] {
        succeed(program("openssl").args(["genrsa", "-out"]).arg(file).arg("2048"));
    }
    let alternatives = format!("subjectAltName=DNS:{},DNS:{}", names[0], names[1]);
    let subject = ["-subj", "/", "-addext", &alternatives, "-out"];
    succeed(program("openssl").args(["req", "-new", "-key"]).arg(&key).args(subject).arg(&request));
    let sign = || {
        let mut command = program("acme-tiny");
        command.env("SSL_CERT_FILE", &scene.server.trust);
        command.args(["--directory-url", &scene.server.directory]);
        // Its own look at the token would ask the system's DNS, which knows nothing of our names.
        command.args(["--disable-check", "--account-key"]);
        command.arg(&account).arg("--csr").arg(&request).arg("--acme-dir").arg(&tokens);
        let chain = succeed(&mut command);
        fs::write(&pem, chain).expect("the chain");
    };
    live_through(&scene, &pem, &names, sign, sign, |chain| {
        revoke_with_key(&scene, &chain.leaf_file(), &key);
    });
}
