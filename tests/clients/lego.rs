//! Debian's lego: its own servers for http-01 and tls-alpn-01, its rfc2136 provider for dns-01.

use std::process::Command;

use super::live_through;
use crate::program::{program, succeed};
use crate::scene::Scene;

#[test]
fn lego_http_01() {
    let scene = Scene::set("lego-http");
    let port = format!(":{}", scene.http_port);
    lives(&scene, &["--http", "--http.port", &port], &["lego.example.test", "a.lego.example.test"]);
}

#[test]
fn lego_tls_alpn_01() {
    let scene = Scene::set("lego-alpn");
    let port = format!(":{}", scene.tls_port);
    lives(&scene, &["--tls", "--tls.port", &port], &["lego.example.test"]);
}

#[test]
fn lego_dns_01_with_wildcard() {
    let scene = Scene::set("lego-dns");
    let resolver = scene.dns.address();
    let how = ["--dns", "rfc2136", "--dns.resolvers", &resolver, "--dns.disable-cp"];
    lives(&scene, &how, &["lego.example.test", "*.lego.example.test"]);
}

fn lives(scene: &Scene, how: &[&str], names: &[&str]) {
    let home = scene.directory("lego");
    let pem = home.join(format!("certificates/{}.crt", names[0]));
    let lego = |tail: &[&str]| {
        let mut command: Command = program("lego");
        command
            .env("LEGO_CA_CERTIFICATES", &scene.server.trust)
            .envs(scene.dns.lego_environment())
            .args(["--accept-tos", "--email", "tests@example.test", "--path"])
            .arg(&home)
            .args(["--server", &scene.server.directory])
            .args(how);
        command.args(names.iter().flat_map(|&name| ["--domains", name]));
        succeed(command.args(tail));
    };
    live_through(
        scene,
        &pem,
        names,
        || lego(&["run"]),
        || lego(&["renew", "--days", "100000", "--no-random-sleep"]),
        |_| lego(&["revoke", "--keep"]),
    );
}
