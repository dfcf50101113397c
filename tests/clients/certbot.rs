//! Debian's certbot: its own web server for http-01, its rfc2136 plugin for dns-01.

use std::path::Path;
use std::process::Command;

use super::live_through;
use crate::program::{program, succeed};
use crate::scene::Scene;

#[test]
fn certbot_http_01() {
    let scene = Scene::set("certbot-http");
    let port = scene.http_port.to_string();
    let how = ["--standalone", "--http-01-port", &port].map(str::to_owned);
    let names = ["certbot.example.test", "www.certbot.example.test"];
    lives(&scene, &how, &names);
}

#[test]
fn certbot_dns_01_with_wildcard() {
    let scene = Scene::set("certbot-dns");
    let credentials = scene.dns.certbot_credentials().display().to_string();
    let how = [
        "--dns-rfc2136",
        "--dns-rfc2136-propagation-seconds",
        "1",
        "--dns-rfc2136-credentials",
        &credentials,
    ]
    .map(str::to_owned);
    lives(&scene, &how, &["certbot.example.test", "*.certbot.example.test"]);
}

fn lives(scene: &Scene, how: &[String], names: &[&str]) {
    let home = scene.directory("certbot");
    let pem = home.join("config/live/shop/fullchain.pem");
    live_through(
        scene,
        &pem,
        names,
        || {
            let mut command = certbot(scene, &home);
            command.args(["certonly", "--cert-name", "shop", "--agree-tos"]);
            command.arg("--register-unsafely-without-email").args(how);
            command.args(names.iter().flat_map(|&name| ["--domain", name]));
            succeed(&mut command);
        },
        || {
            let renew = ["renew", "--force-renewal", "--no-random-sleep-on-renew"];
            succeed(certbot(scene, &home).args(renew));
        },
        |_| {
            let revoke = ["revoke", "--cert-name", "shop", "--no-delete-after-revoke"];
            succeed(certbot(scene, &home).args(revoke));
        },
    );
}

/// Revokes as whoever holds the certificate's key (RFC 8555 §7.6), for clients that cannot revoke.
pub(super) fn revoke_with_key(scene: &Scene, certificate: &Path, key: &Path) {
    let home = scene.directory("certbot-revoke");
    let mut command = certbot(scene, &home);
    command.args(["revoke", "--no-delete-after-revoke", "--reason", "superseded", "--cert-path"]);
    succeed(command.arg(certificate).arg("--key-path").arg(key));
}

fn certbot(scene: &Scene, home: &Path) -> Command {
    let mut command = program("certbot");
    command.env("REQUESTS_CA_BUNDLE", &scene.server.trust).args([
        "--non-interactive",
        "--server",
        &scene.server.directory,
    ]);
    for (option, name) in
        [("--config-dir", "config"), ("--work-dir", "work"), ("--logs-dir", "logs")]
    {
        command.arg(option).arg(home.join(name));
    }
    command
}
