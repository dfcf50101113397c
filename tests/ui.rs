//! What people see in a browser: a real Chromium at a real server. Each script in `ui/` is one test, and says
//! `ok` in the end.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::node::Site;
use crate::program::{Daemon, free_port, program, succeed};
use crate::scene::Home;

#[test]
fn people_come_in_by_a_link_and_with_passkeys_and_no_other_page_does() {
    let home = Home::clear("ui-people");
    let site = Site::alone(&home.directory("server"));
    let node = site.start();
    let command = |arguments: &[&str]| site.succeeds(arguments);
    let invited = command(&["invite", "ada", "--role", "admin", "--json"]);
    let invited: serde_json::Value = serde_json::from_str(&invited).expect("JSON");
    let link = invited["link"].as_str().expect("a link");
    let elsewhere = format!("https://127.0.0.1:{}", site.ports[0]);
    let mut browser = script("people.mjs");
    browser.arg(&node.root).args([link, &elsewhere]);
    assert_eq!(succeed(&mut browser), "ok\n");

    assert!(!command(&["token", "list"]).contains("stolen"));
    let shown = command(&["person", "show", "ada"]);
    assert!(shown.contains("passkeys"), "{shown}");
    let audit = command(&["audit"]);
    for action in ["person.invite", "session.begin", "passkey.register", "session.step-up"] {
        assert!(audit.contains(action), "{action}: {audit}");
    }
    let secret = link.rsplit('#').next().expect("a secret");
    assert!(!audit.contains(secret) && !node.daemon.wrote().contains(secret));
}

#[test]
fn people_sign_in_at_an_identity_provider_if_their_groups_are_let_in() {
    let home = Home::clear("ui-provider");
    let site = Site::alone(&home.directory("server"));
    let node = site.start();
    let command = |arguments: &[&str]| site.succeeds(arguments);
    let origin = format!("https://localhost:{}", site.ports[0]);
    let (port, secret) = (free_port(), "kept / in: a file");
    let directory = home.directory("provider");
    let redirect = format!("{origin}/sign-in/corp/callback");
    let server = here("tests/ui/oidc-server.mjs");
    let arguments = [server.to_str().expect("text"), &port.to_string(), secret, &redirect];
    let node_js = here("target/venv/bin/node");
    let mut provider = Daemon::start(node_js.to_str().expect("text"), arguments, &directory);
    provider.wait_for_port(port);

    let (secret_file, declared) = (directory.join("secret"), directory.join("corp.toml"));
    fs::write(&secret_file, format!("{secret}\n")).expect("a secret");
    let text = format!(
        "[[identity_provider]]\nname = \"corp\"\nissuer = \"http://localhost:{port}\"\n\
         client_id = \"perennial\"\nclient_secret_file = {secret_file:?}\n\
         scopes = [\"email\", \"profile\", \"groups\"]\nroles = {{ ops = [\"operator\"] }}\n"
    );
    fs::write(&declared, text).expect("a declaration");
    command(&["apply", declared.to_str().expect("text")]);
    command(&["invite", "ada@example.com", "--role", "admin"]);
    let mut browser = script("sign-in-elsewhere.mjs");
    assert_eq!(succeed(browser.arg(&node.root).arg(&origin)), "ok\n");
    let audit = command(&["audit"]);
    assert!(audit.contains("person/grace@example.com") && !audit.contains("mallory"), "{audit}");
    assert!(!node.daemon.wrote().contains(secret));
}

/// Node.js with a script, in the version that `tests/run tools` installs.
fn script(name: &str) -> Command {
    let node = here("target/venv/bin/node");
    let mut command = program(node.to_str().expect("text"));
    command.arg(here("tests/ui").join(name));
    command
}

fn here(path: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    assert!(path.exists(), "{} is not there: run `tests/run tools`", path.display());
    path
}
