//! The command line from another machine: over HTTPS, with an API token, and what it says where that
//! does not work.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::program::{program, run, succeed};
use crate::scene::Scene;

#[test]
fn the_same_commands_work_over_the_network_for_who_may() {
    let scene = Scene::ours("remote-commands");
    let far = Far::new(&scene);
    let operator = far.token(&scene, "ops", "operator");
    let there = succeed(&mut far.command(&operator, &["get", "authority", "--json"]));
    let there: Value = serde_json::from_str(&there).expect("JSON");
    assert_eq!(there, scene.server.json(["get", "authority"]));
    succeed(&mut far.command(&operator, &["renew", "node"]));
    let log = succeed(&mut scene.server.command(["audit", "--subject", "managed/node", "--json"]));
    assert!(log.contains(r#""actor":"token/ops""#), "{log}");
}

#[test]
fn who_may_not_is_told_what_is_missing_and_no_token_is_shown() {
    let scene = Scene::ours("remote-denied");
    let far = Far::new(&scene);
    let viewer = far.token(&scene, "eve", "viewer");
    succeed(&mut far.command(&viewer, &["get", "profile"]));
    let said = |mut command: Command| {
        let (output, _) = run(&mut command);
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let denied = said(far.command(&viewer, &["renew", "node"]));
    assert!(denied.contains("managed.renew"), "{denied}");

    let mut untrusting = program(env!("CARGO_BIN_EXE_perennial"));
    untrusting.args(["--server", &far.url, "get", "profile"]).env("PERENNIAL_TOKEN", "perennial_x");
    let untrusting = said(untrusting);
    assert!(untrusting.contains("--ca FILE"), "{untrusting}");

    let mut none = program(env!("CARGO_BIN_EXE_perennial"));
    none.args(["--server", &far.url, "get", "profile"]).env_remove("PERENNIAL_TOKEN");
    let none = said(none);
    assert!(none.contains("perennial token create"), "{none}");

    succeed(&mut scene.server.command(["token", "revoke", "eve"]));
    let revoked = said(far.command(&viewer, &["get", "profile"]));
    assert!(revoked.contains("unknown, expired or revoked"), "{revoked}");
    assert!(!revoked.contains("perennial_"), "{revoked}");

    fs::set_permissions(&viewer, fs::Permissions::from_mode(0o644)).expect("permissions");
    let open = said(far.command(&viewer, &["get", "profile"]));
    assert!(open.contains("chmod 600"), "{open}");
}

#[test]
fn problems_are_documents_whatever_is_wrong_and_the_description_is_for_everybody() {
    let scene = Scene::ours("remote-problems");
    let far = Far::new(&scene);
    let admin = fs::read_to_string(far.token(&scene, "root", "admin")).expect("a token");
    let described: Value =
        serde_json::from_str(&far.ask("/api/openapi.json", "", &[]).1).expect("JSON");
    assert_eq!(described["openapi"], "3.1.0");
    assert!(described["paths"]["/api/v1/managed/{name}/renew"]["post"].is_object());
    let post = ["--data", "{}"];
    for (path, token, arguments, status) in [
        ("/api/v1/authorities", "", &[][..], 401),
        ("/api/v1/authorities", "perennial_no", &[], 401),
        ("/api/v1/authorities", &admin, &post, 405),
        ("/api/v1/nothing", &admin, &[], 404),
        ("/api/v1/orders/first", &admin, &[], 404),
        ("/api/v1/profiles/nothing", &admin, &[], 404),
        ("/api/v1/certificates?color=red", &admin, &[], 400),
        ("/api/v1/certificates?limit=many", &admin, &[], 400),
        ("/api/v1/managed/node/renew", &admin, &["--data", "{"], 400),
        (
            "/api/v1/managed/node/renew",
            &admin,
            &["-H", "content-type: text/plain", "--data", "{}"],
            415,
        ),
    ] {
        let json = ["-H", "content-type: application/json"];
        let own = arguments.contains(&"-H");
        let arguments = [if own { &[][..] } else { &json }, arguments].concat();
        let (head, body) = far.ask(path, token, &arguments);
        assert!(head.starts_with(&format!("HTTP/2 {status}")), "{path}: {head}");
        assert!(head.contains("content-type: application/problem+json"), "{path}: {head}");
        let problem: Value = serde_json::from_str(&body).expect("a problem");
        assert_eq!(problem["status"], status, "{path}");
        assert_eq!(problem["type"], "about:blank", "{path}");
        assert!(problem["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{path}");
    }
}

/// What another machine knows of a server.
struct Far {
    url: String,
    root: PathBuf,
    home: PathBuf,
}

impl Far {
    fn new(scene: &Scene) -> Self {
        let (url, _) = scene.server.directory.split_once("/acme/").expect("a directory's URL");
        let (root, home) = (scene.server.trust.clone(), scene.directory("far"));
        Self { url: url.to_owned(), root, home }
    }

    /// A file with a token of a role.
    fn token(&self, scene: &Scene, name: &str, role: &str) -> PathBuf {
        let made = scene.server.json(["token", "create", name, "--role", role]);
        let file = self.home.join(name);
        fs::write(&file, made["token"].as_str().expect("a token")).expect("a file");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("permissions");
        file
    }

    fn command(&self, token: &Path, arguments: &[&str]) -> Command {
        let mut command = program(env!("CARGO_BIN_EXE_perennial"));
        command.args(["--server", &self.url, "--ca"]).arg(&self.root);
        command.arg("--token-file").arg(token).args(arguments);
        command
    }

    /// Head and body of an answer.
    fn ask(&self, path: &str, token: &str, arguments: &[&str]) -> (String, String) {
        let mut command = program("curl");
        command.args(["-sSi", "--cacert"]).arg(&self.root).args(arguments);
        if !token.is_empty() {
            command.args(["-H", &format!("authorization: Bearer {token}")]);
        }
        let text = succeed(command.arg(format!("{}{path}", self.url)));
        let (head, body) = text.split_once("\r\n\r\n").expect("a head");
        (head.to_owned(), body.to_owned())
    }
}
