//! Debian's uacme, in C with GnuTLS: hooks for http-01 and dns-01, its own ualpn for tls-alpn-01.
//! It trusts the system's roots and no others, so it is shown a system with ours in its place.

use std::path::Path;

use super::live_through;
use crate::dns::script;
use crate::program::{Daemon, free_port, program, succeed};
use crate::scene::Scene;
use crate::web;

#[test]
fn uacme_http_01() {
    let scene = Scene::set("uacme-http");
    let tokens = scene.directory("tokens");
    web::serve_tokens(&tokens, scene.http_port);
    let accept = format!("printf %s \"$5\" > {}/\"$4\"", tokens.display());
    lives(&scene, "http-01", &accept, &["uacme.example.test", "www.uacme.example.test"]);
}

#[test]
fn uacme_dns_01() {
    let scene = Scene::set("uacme-dns");
    let update = scene.dns.update_script();
    let accept = format!("{} add _acme-challenge.\"$3\" \"$5\"", update.display());
    lives(&scene, "dns-01", &accept, &["uacme.example.test", "a.uacme.example.test"]);
}

#[test]
fn uacme_tls_alpn_01() {
    let scene = Scene::set("uacme-alpn");
    let home = scene.directory("ualpn");
    let socket = home.join("socket").display().to_string();
    let (bind, connect) =
        (format!("127.0.0.1@{}", scene.tls_port), format!("127.0.0.1@{}", free_port()));
    let arguments = ["--bind", &bind, "--connect", &connect, "--sock", &socket];
    let mut ualpn = Daemon::start("ualpn", arguments, &home);
    ualpn.wait_for_port(scene.tls_port);
    let accept = format!("test \"$(echo auth \"$3\" \"$5\" | ualpn --sock {socket})\" = OK");
    lives(&scene, "tls-alpn-01", &accept, &["uacme.example.test"]);
}

/// `accept` is the shell command that makes a challenge answerable, in uacme's terms: method, type,
/// name, token, answer.
fn lives(scene: &Scene, challenge: &str, accept: &str, names: &[&str]) {
    let home = scene.directory("uacme");
    let text = format!(
        "#!/bin/sh\n[ \"$2\" = {challenge} ] || exit 1\n[ \"$1\" = begin ] || exit 0\n{accept}\n"
    );
    let hook = script(&home.join("hook"), &text).display().to_string();
    let uacme = |arguments: &[&str]| uacme(scene, &home, &hook, arguments);
    let issue = |option: &str| {
        let mut arguments = vec![option, "issue"];
        arguments.extend(names);
        uacme(&arguments);
    };
    live_through(
        scene,
        &home.join(format!("{}/cert.pem", names[0])),
        names,
        || {
            uacme(&["new"]);
            issue("--no-ocsp");
        },
        || issue("--force"),
        |chain| uacme(&["revoke", &chain.leaf_file().display().to_string()]),
    );
}

fn uacme(scene: &Scene, home: &Path, hook: &str, arguments: &[&str]) {
    let mut command = program("unshare");
    let namespaces: &[&str] = match rustix::process::geteuid().is_root() {
        true => &["--mount"],
        false => &["--map-root-user", "--mount"],
    };
    let replace = "mount --bind \"$0\" /etc/ssl/certs/ca-certificates.crt && exec \"$@\"";
    command.args(namespaces).args(["sh", "-c", replace]).arg(&scene.server.trust);
    command.args(["uacme", "--verbose", "--yes", "--type", "EC", "--bits", "256"]);
    command.arg("--confdir").arg(home).args(["--hook", hook]);
    succeed(command.args(["--acme-url", &scene.server.directory]).args(arguments));
}
