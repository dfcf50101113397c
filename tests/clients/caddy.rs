//! Debian's Caddy as a client: a web server that gets its own certificates over http-01 or
//! tls-alpn-01 and serves them. It cannot revoke, so certbot does, with the certificate's key.

use std::fs;
use std::path::{Path, PathBuf};

use super::certbot::revoke_with_key;
use super::live_through;
use crate::program::{Daemon, program, run};
use crate::scene::Scene;

#[test]
fn caddy_http_01() {
    lives(&Scene::set("caddy-http"), "tls-alpn");
}

#[test]
fn caddy_tls_alpn_01() {
    lives(&Scene::set("caddy-alpn"), "http");
}

/// `forbidden` is the challenge that Caddy must not use.
fn lives(scene: &Scene, forbidden: &str) {
    let home = scene.directory("caddy");
    let pem = home.join("served.pem");
    let mut running = None;
    let mut first = Vec::new();
    live_through(
        scene,
        &pem,
        &[NAME],
        || {
            let mut caddy = start(scene, &home, forbidden, 1.0 / 3.0);
            caddy.wait("a certificate", || served(scene).filter(|chain| write(&pem, chain)));
            first = fs::read(&pem).expect("the first chain");
        },
        || {
            // The whole lifetime is time to renew: it does so when it starts, and not again for
            // the ten minutes between two looks at its certificates.
            let caddy = running.insert(start(scene, &home, forbidden, 1.0));
            let renewed = |chain: &Vec<u8>| *chain != fs::read(&pem).unwrap_or_default();
            caddy.wait("another certificate", || {
                served(scene).filter(renewed).filter(|chain| write(&pem, chain))
            });
        },
        |chain| revoke_with_key(scene, &chain.leaf_file(), &key_file(&home)),
    );
}

fn start(scene: &Scene, home: &Path, forbidden: &str, window: f64) -> Daemon {
    let mut challenges = serde_json::json!({
        "http": { "alternate_port": scene.http_port },
        "tls-alpn": { "alternate_port": scene.tls_port },
    });
    challenges[forbidden]["disabled"] = true.into();
    let settings = serde_json::json!({
        "admin": { "disabled": true },
        "apps": {
            "http": {
                "http_port": scene.http_port,
                "https_port": scene.tls_port,
                "servers": { "shop": {
                    "listen": [format!("127.0.0.1:{}", scene.tls_port)],
                    "routes": [{
                        "match": [{ "host": [NAME] }],
                        "handle": [{ "handler": "static_response", "body": "open" }],
                    }],
                }},
            },
            "tls": { "automation": {
                "policies": [{
                    "subjects": [NAME],
                    "renewal_window_ratio": window,
                    "issuers": [{
                        "module": "acme",
                        "ca": scene.server.directory,
                        "trusted_roots_pem_files": [scene.server.trust],
                        "challenges": challenges,
                    }],
                }],
            }},
        },
    });
    let file = home.join("caddy.json");
    fs::write(&file, settings.to_string()).expect("Caddy's settings");
    Daemon::start("caddy", ["run".as_ref(), "--config".as_ref(), file.as_os_str()], home)
}

/// The chain that a visitor is served, in PEM.
fn served(scene: &Scene) -> Option<Vec<u8>> {
    let at = format!("127.0.0.1:{}", scene.tls_port);
    let mut command = program("openssl");
    let visit = ["s_client", "-showcerts", "-connect", &at, "-servername", NAME];
    let (output, _) = run(command.args(visit));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let certificates = text.split("-----BEGIN CERTIFICATE-----").skip(1).filter_map(|part| {
        let (body, _) = part.split_once("-----END CERTIFICATE-----")?;
        Some(format!("-----BEGIN CERTIFICATE-----{body}-----END CERTIFICATE-----\n"))
    });
    let chain: String = certificates.collect();
    (output.status.success() && !chain.is_empty()).then(|| chain.into_bytes())
}

fn write(pem: &Path, chain: &[u8]) -> bool {
    fs::write(pem, chain).is_ok()
}

/// Caddy keeps keys as `certificates/CA/NAME/NAME.key`.
fn key_file(home: &Path) -> PathBuf {
    let all = home.join("caddy/certificates");
    let authorities = fs::read_dir(&all).unwrap_or_else(|e| panic!("{}: {e}", all.display()));
    authorities
        .flatten()
        .map(|authority| authority.path().join(NAME).join(format!("{NAME}.key")))
        .find(|key| key.is_file())
        .expect("Caddy's key")
}

const NAME: &str = "caddy.example.test";
