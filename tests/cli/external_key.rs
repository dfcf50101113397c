//! External account binding (RFC 8555 §7.3.4) from `eab create` to a certificate, with clients that
//! people use.

use std::process::Command;

use serde_json::Value;

use crate::chain::Chain;
use crate::program::{program, run, succeed};
use crate::scene::Scene;

#[test]
fn certbot_binds_an_account_and_the_key_serves_once() {
    let scene = bound("eab-certbot", "");
    let key = scene.server.json(["eab", "create", "--directory", "bound", "--comment", "shop"]);
    let home = scene.directory("certbot");
    succeed(certbot(&scene, "certbot").args(binding("--eab-kid", "--eab-hmac-key", &key)));
    let pem = home.join("config/live/shop.example.test/fullchain.pem");
    Chain::check(&scene.server.issuer, &pem, &["shop.example.test"]);

    let mut another = certbot(&scene, "another");
    let (output, text) = run(another.args(binding("--eab-kid", "--eab-hmac-key", &key)));
    assert!(!output.status.success() && text.contains("has bound another account"), "{text}");
    let (output, text) = run(&mut certbot(&scene, "unbound"));
    assert!(!output.status.success() && text.contains("xternal account"), "{text}");

    let list = succeed(&mut scene.server.command(["eab", "list"]));
    assert!(list.contains(word(&key, "kid")) && list.contains("shop"), "{list}");
    let list = succeed(&mut scene.server.command(["eab", "list", "--json"]));
    assert!(!list.contains(word(&key, "hmac_key")), "a key is shown once");
}

#[test]
fn keys_are_listed_by_page_and_each_is_on_record_with_its_request() {
    let scene = bound("eab-pages", "");
    let create = || scene.server.json(["eab", "create", "--directory", "bound"]);
    let kids = [create(), create(), create()].map(|key| word(&key, "kid").to_owned());
    let listed = |more: &[&str]| {
        let page = scene.server.json([&["eab", "list", "--limit", "2"], more].concat());
        let items = page["items"].as_array().expect("items").clone();
        let kids: Vec<_> = items.iter().map(|key| word(key, "kid").to_owned()).collect();
        (kids, page["next"].as_i64())
    };
    let (first, next) = listed(&[]);
    let (second, end) = listed(&["--after", &next.expect("there are more").to_string()]);
    assert_eq!([first, second].concat(), kids);
    assert_eq!(end, None);

    let subject = format!("external-key/{}", kids[0]);
    let log = succeed(&mut scene.server.command(["audit", "--subject", &subject, "--json"]));
    let event: Value = serde_json::from_str(&log).expect("one event");
    assert_eq!(event["actor"], "admin");
    assert_eq!(word(&event, "request").len(), 16, "{event}");
}

#[test]
fn an_account_the_operator_revoked_can_do_nothing() {
    let scene = bound("revoked-account", "");
    let key = scene.server.json(["eab", "create", "--directory", "bound"]);
    succeed(certbot(&scene, "certbot").args(binding("--eab-kid", "--eab-hmac-key", &key)));
    let account = format!("account/{}", scene.server.json(["get", "account"])["items"][0]["id"]);
    succeed(&mut scene.server.command(["revoke", &account]));
    let (output, text) = run(certbot(&scene, "certbot").arg("--force-renewal"));
    // Debian 12's certbot says why in its log alone.
    let log = scene.directory("certbot").join("logs/letsencrypt.log");
    let log = std::fs::read_to_string(log).expect("certbot keeps a log");
    assert!(!output.status.success() && log.contains("the account is revoked"), "{text}");
    let (output, text) = run(&mut scene.server.command(["revoke", &account]));
    assert!(!output.status.success() && text.contains("already"), "{text}");
}

#[test]
fn lego_binds_an_account_unless_the_key_is_revoked() {
    let scene = bound("eab-lego", "");
    let create = || scene.server.json(["eab", "create", "--directory", "bound", "--expires", "1h"]);
    let (key, revoked) = (create(), create());
    succeed(&mut scene.server.command(["eab", "revoke", word(&revoked, "kid")]));
    let (output, text) = run(&mut lego(&scene, "refused", &revoked, "lego.example.test"));
    assert!(!output.status.success() && text.contains("unauthorized"), "{text}");
    succeed(&mut lego(&scene, "lego", &key, "lego.example.test"));
    let pem = scene.directory("lego").join("certificates/lego.example.test.crt");
    Chain::check(&scene.server.issuer, &pem, &["lego.example.test"]);
}

#[test]
fn a_trusted_binding_stands_in_for_challenges_within_its_names() {
    let scene = bound("eab-trust", "trust = \"eab\"\n");
    let create = ["eab", "create", "--directory", "bound", "--permit", "*.inner.test"];
    let key = scene.server.json(create);
    // Nobody answers for this name: the binding is all the proof there is.
    succeed(&mut lego(&scene, "lego", &key, "a.inner.test"));
    let pem = scene.directory("lego").join("certificates/a.inner.test.crt");
    Chain::check(&scene.server.issuer, &pem, &["a.inner.test"]);
    let other = scene.server.json(create);
    let (output, _) = run(&mut lego(&scene, "outer", &other, "a.outer.test"));
    assert!(!output.status.success(), "another's name is not proven by the binding");
}

/// A server whose directory `bound` requires external accounts.
fn bound(name: &str, more: &str) -> Scene {
    let mut scene = Scene::ours(name);
    let text = format!(
        "[[directory]]\nname = \"bound\"\nauthority = \"internal\"\nprofiles = [\"default\"]\n\
         external_account_required = true\n{more}"
    );
    scene.server.declare("bound", &text);
    scene
}

fn certbot(scene: &Scene, home: &str) -> Command {
    let home = scene.directory(home);
    let mut command = program("certbot");
    command.env("REQUESTS_CA_BUNDLE", &scene.server.trust);
    command.args(["certonly", "--non-interactive", "--agree-tos"]);
    command.args(["--register-unsafely-without-email", "--server", &scene.server.directory]);
    command.args(["--standalone", "--http-01-port", &scene.http_port.to_string()]);
    for (option, name) in
        [("--config-dir", "config"), ("--work-dir", "work"), ("--logs-dir", "logs")]
    {
        command.arg(option).arg(home.join(name));
    }
    command.args(["--domain", "shop.example.test"]);
    command
}

fn lego(scene: &Scene, home: &str, key: &Value, name: &str) -> Command {
    let mut command = program("lego");
    command
        .env("LEGO_CA_CERTIFICATES", &scene.server.trust)
        .args(["--accept-tos", "--email", "tests@example.test", "--path"])
        .arg(scene.directory(home))
        .args(["--server", &scene.server.directory, "--eab"])
        .args(binding("--kid", "--hmac", key))
        .args(["--http", "--http.port", &format!(":{}", scene.http_port)])
        .args(["--domains", name, "run"]);
    command
}

/// The two options that bind, as separate words: a key must not look like an option.
fn binding<'a>(kid: &'a str, secret: &'a str, key: &'a Value) -> [&'a str; 4] {
    [kid, word(key, "kid"), secret, word(key, "hmac_key")]
}

fn word<'a>(of: &'a Value, name: &str) -> &'a str {
    of[name].as_str().unwrap_or_else(|| panic!("no {name} in {of}"))
}
