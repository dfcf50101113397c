//! What people see in a browser: a real Chromium at a real server. Each script in `ui/` is one test, and says
//! `ok` in the end.

use std::path::Path;
use std::process::Command;

use crate::node::Site;
use crate::program::{program, succeed};
use crate::scene::Home;

#[test]
fn people_come_in_by_a_link_and_with_passkeys_and_no_other_page_does() {
    let home = Home::clear("ui-people");
    let site = Site::alone(&home.directory("server"));
    let node = site.start();
    let command = |arguments: &[&str]| {
        let mut command = program(env!("CARGO_BIN_EXE_perennial"));
        command.arg("--data-dir").arg(&site.data).args(arguments);
        succeed(&mut command)
    };
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

/// Node.js with a script, in the version that `tests/run tools` installs.
fn script(name: &str) -> Command {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let node = here.join("target/venv/bin/node");
    assert!(node.exists(), "{} is not there: run `tests/run tools`", node.display());
    let mut command = program(node.to_str().expect("text"));
    command.env("NODE_MODULES", here.join("target/node/node_modules"));
    command.arg(here.join("tests/ui").join(name));
    command
}
