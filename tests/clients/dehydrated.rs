//! Debian's dehydrated, a shell script around curl and openssl: it writes files for http-01 and
//! tls-alpn-01, which we serve, and calls a hook for dns-01.

use std::fs;

use super::live_through;
use crate::dns::script;
use crate::program::{program, succeed};
use crate::scene::Scene;
use crate::web;

#[test]
fn dehydrated_http_01() {
    let scene = Scene::set("dehydrated-http");
    web::serve_tokens(&scene.directory("dehydrated/tokens"), scene.http_port);
    let names = ["dehydrated.example.test", "www.dehydrated.example.test"];
    lives(&scene, "http-01", "", &names);
}

#[test]
fn dehydrated_tls_alpn_01() {
    let scene = Scene::set("dehydrated-alpn");
    web::serve_alpn(&scene.directory("dehydrated/alpn"), scene.tls_port);
    lives(&scene, "tls-alpn-01", "", &["dehydrated.example.test"]);
}

#[test]
fn dehydrated_dns_01() {
    let scene = Scene::set("dehydrated-dns");
    let text = format!(
        "#!/bin/sh\ncase $1 in\n  deploy_challenge) {update} add _acme-challenge.$2 $4 ;;\n  \
         clean_challenge) {update} delete _acme-challenge.$2 $4 ;;\nesac\n",
        update = scene.dns.update_script().display()
    );
    let hook = script(&scene.directory("dehydrated").join("hook"), &text);
    let settings = format!("HOOK={}\n", hook.display());
    lives(&scene, "dns-01", &settings, &["dehydrated.example.test", "a.dehydrated.example.test"]);
}

fn lives(scene: &Scene, challenge: &str, settings: &str, names: &[&str]) {
    let home = scene.directory("dehydrated");
    let config = home.join("config");
    let text = format!(
        "BASEDIR={home}\nWELLKNOWN={home}/tokens\nALPNCERTDIR={home}/alpn\nCA={}\n\
         CHALLENGETYPE={challenge}\nKEY_ALGO=prime256v1\n{settings}",
        scene.server.directory,
        home = home.display()
    );
    fs::write(&config, text).expect("dehydrated's settings");
    let dehydrated = |arguments: &[&str]| {
        let mut command = program("dehydrated");
        command.env("CURL_CA_BUNDLE", &scene.server.trust);
        succeed(command.arg("--config").arg(&config).args(arguments));
    };
    let sign = |more: &[&str]| {
        let mut arguments = vec!["--cron"];
        arguments.extend(names.iter().flat_map(|&name| ["--domain", name]));
        arguments.extend(more);
        dehydrated(&arguments);
    };
    live_through(
        scene,
        &home.join(format!("certs/{}/fullchain.pem", names[0])),
        names,
        || {
            dehydrated(&["--register", "--accept-terms"]);
            sign(&[]);
        },
        || sign(&["--force"]),
        |chain| dehydrated(&["--revoke", &chain.leaf_file().display().to_string()]),
    );
}
