//! Targets of kind `caddy`, with Debian's.

use std::fs;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use push::probe::{self, Expected, Found};
use push::{Bundle, Fault, Observed, Spec};
use serde_json::{Value, json};

use crate::scene::{Folder, Issuer, Server, need, once, port, proof, push, rotate, spec};

/// A Caddy, which listens for administrators on a socket.
struct Caddy {
    folder: Folder,
    port: u16,
    server: Option<Server>,
}

impl Caddy {
    fn start() -> Self {
        Self::with(|_| {})
    }

    /// One whose configuration is changed by `change` first.
    fn with(change: impl FnOnce(&mut Value)) -> Self {
        let (folder, port) = (Folder::new(), port());
        let mut config = json!({
            "admin": { "listen": format!("unix/{}", folder.text("admin.sock")) },
            "apps": { "http": { "servers": { "shop": {
                "listen": [format!("127.0.0.1:{port}")],
                "tls_connection_policies": [{}],
                "automatic_https": { "disable": true },
                "routes": [{ "@id": "greeting", "handle": [{ "handler": "static_response" }] }],
            }}}},
        });
        change(&mut config);
        folder.write("caddy.json", config.to_string());
        let mut caddy = Self { folder, port, server: None };
        caddy.begin();
        caddy
    }

    /// Starts it, or starts it again.
    fn begin(&mut self) {
        drop(self.server.take());
        let (home, config) = (self.folder.path(""), self.folder.text("caddy.json"));
        let mut command = Command::new(need("caddy", "caddy"));
        command.args(["run", "--config", &config]);
        command.env("HOME", &home).env("XDG_CONFIG_HOME", &home).env("XDG_DATA_HOME", &home);
        self.server = Some(Server::start_with(&mut command, self.port));
    }

    fn spec(&self, more: &str) -> Spec {
        self.spec_at(&self.folder.text("admin.sock"), more)
    }

    fn spec_at(&self, admin: &str, more: &str) -> Spec {
        spec(&format!(
            "name = \"edge\"\nkind = \"caddy\"\nadmin = {admin:?}\nid = \"perennial-shop\"\n\
             probe = [\"127.0.0.1:{}\"]\n{more}",
            self.port
        ))
    }

    /// What somebody else says to it.
    fn say(&self, method: &str, path: &str, body: &Value) -> String {
        say(&self.folder.text("admin.sock"), method, path, body)
    }
}

fn say(socket: &str, method: &str, path: &str, body: &Value) -> String {
    let url = format!("http://localhost{path}");
    let mut curl = Command::new(need("curl", "curl"));
    curl.args(["-sS", "-m", "30", "-H", "Host;", "--unix-socket", socket, "-X", method]);
    if !body.is_null() {
        curl.args(["-H", "Content-Type: application/json", "-d", &body.to_string()]);
    }
    let output = curl.arg(url).output().expect("curl runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn item(id: &str, bundle: &Bundle) -> Value {
    let key = bundle.key_pem().expect("a key");
    json!({ "@id": id, "certificate": bundle.fullchain_pem(), "key": key.as_str() })
}

async fn served(spec: &Spec, version: u64, bundle: &Bundle) {
    push(spec, version, bundle).await.expect("pushed");
    let proof = proof(spec, bundle, &[]).await;
    assert!(proof.proven, "{proof}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rotations_in_a_row_are_each_proven_and_no_handshake_that_began_fails() {
    let (caddy, issuer) = (Caddy::start(), Issuer::new());
    let (spec, first) = (caddy.spec(""), issuer.bundle(&["shop.test"]));
    assert_eq!(spec.open().observe().await.expect("an answer"), Observed::Nothing);
    served(&spec, 1, &first).await;
    let (rotations, served, failed) = rotate(&spec, &issuer, &first, caddy.port).await;
    println!("{rotations} rotations, {served} handshakes, {} failed", failed.len());
    // It listens anew with each configuration, and drops who waited at the door.
    assert!(failed.iter().all(|why| why.contains("Connection reset")), "{failed:?}");
    assert!(failed.len() as u64 <= rotations, "{} beside {served}", failed.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn others_who_change_the_same_list_all_the_time_lose_nothing_and_neither_do_we() {
    let (caddy, issuer) = (Caddy::start(), Issuer::new());
    let theirs = issuer.bundle(&["theirs.test"]);
    let list = "/config/apps/tls/certificates/load_pem";
    caddy.say("PUT", list, &json!([item("theirs", &theirs)]));
    let spec = caddy.spec("timeout = \"30s\"");
    served(&spec, 1, &issuer.bundle(&["shop.test"])).await;

    let (running, socket) = (Arc::new(AtomicBool::new(true)), caddy.folder.text("admin.sock"));
    let editor = {
        let (running, more) = (Arc::clone(&running), item("more", &theirs));
        std::thread::spawn(move || {
            let mut turns = 0;
            while running.load(Ordering::Relaxed) {
                // What comes before ours moves it.
                let said = say(&socket, "PUT", &format!("{list}/0"), &more);
                assert_eq!(said, "", "their change failed");
                assert_eq!(say(&socket, "DELETE", "/id/more", &Value::Null), "");
                turns += 1;
            }
            turns
        })
    };
    for version in 2..12 {
        served(&spec, version, &issuer.bundle(&["shop.test"])).await;
    }
    running.store(false, Ordering::Relaxed);
    assert!(editor.join().expect("an editor") > 10);
    let listed: Value = serde_json::from_str(&caddy.say("GET", list, &Value::Null)).expect("JSON");
    let items = listed.as_array().expect("a list");
    let ids: Vec<_> = items.iter().map(|item| item["@id"].as_str()).collect();
    assert_eq!(ids, [Some("theirs"), Some("perennial-shop")]);
    assert_eq!(items[0], item("theirs", &theirs));
}

#[tokio::test]
async fn what_is_kept_in_files_as_well_is_there_after_a_restart() {
    let issuer = Issuer::new();
    let (first, second) = (issuer.bundle(&["shop.test"]), issuer.bundle(&["shop.test"]));
    let admin = port();
    let folder = Folder::new();
    let files =
        spec(&format!("name = \"f\"\nkind = \"files\"\ndirectory = {:?}", folder.text("tls")));
    push(&files, 1, &first).await.expect("the first files");
    let mut caddy = Caddy::with(|config| {
        config["admin"]["listen"] = format!("127.0.0.1:{admin}").into();
        config["apps"]["tls"] = json!({ "certificates": { "load_files": [{
            "certificate": folder.text("tls/current/tls.crt"),
            "key": folder.text("tls/current/tls.key"),
        }]}});
    });
    let at = format!("http://127.0.0.1:{admin}");
    let spec = caddy.spec_at(&at, &format!("directory = {:?}", folder.text("tls")));
    served(&spec, 2, &second).await;
    assert!(!push(&spec, 2, &second).await.expect("again").changed);

    // A Caddy that begins with its file knows nothing of what it was told since.
    caddy.begin();
    assert_eq!(spec.open().observe().await.expect("an answer"), Observed::Nothing);
    let seen = proof(&spec, &second, &[first.fingerprint()]).await;
    assert!(seen.proven, "{seen}");
    served(&spec, 3, &issuer.bundle(&["shop.test"])).await;
}

#[tokio::test]
async fn what_caddy_refuses_leaves_what_it_served_and_the_files_of_before() {
    let issuer = Issuer::new();
    let folder = Folder::new();
    let other = folder.write(
        "other.pem",
        issuer.bundle(&["other.test"]).combined_pem().expect("a key").as_bytes(),
    );
    let caddy = Caddy::with(|config| {
        config["apps"]["tls"] = json!({ "certificates": { "load_files": [{
            "certificate": other, "key": other,
        }]}});
    });
    let spec = caddy.spec(&format!("directory = {:?}", folder.text("tls")));
    let first = issuer.bundle(&["shop.test"]);
    served(&spec, 1, &first).await;
    // From now on it cannot load any configuration.
    fs::remove_file(&other).expect("removed");
    let error = push(&spec, 2, &issuer.bundle(&["shop.test"])).await.expect_err("refused");
    let text = error.to_string();
    assert!(text.contains("Caddy refused (500)") && text.contains("other.pem"), "{text}");
    assert!(!text.contains("PRIVATE"), "{text}");
    assert_eq!(error.fault(), Fault::Target);
    let link = fs::read_link(folder.path("tls/current")).expect("a link");
    assert_eq!(link.to_str(), Some("releases/1"));
    let held = spec.open().observe().await.expect("an answer");
    assert_eq!(held, Observed::Leaf(first.fingerprint()));
    let seen = probe::prove(&once(caddy.port, &["shop.test"]), &Expected::of(&first, &[])).await;
    assert!(seen.proven, "{seen}");
}

#[tokio::test]
async fn an_id_of_something_else_a_name_it_has_not_and_a_caddy_that_is_down_are_each_told() {
    let (mut caddy, issuer) = (Caddy::start(), Issuer::new());
    let bundle = issuer.bundle(&["shop.test"]);
    let before = caddy.say("GET", "/config/", &Value::Null);
    let greeting = spec(&format!(
        "name = \"edge\"\nkind = \"caddy\"\nadmin = {:?}\nid = \"greeting\"",
        caddy.folder.text("admin.sock")
    ));
    let error = push(&greeting, 1, &bundle).await.expect_err("it is a route's");
    assert!(error.to_string().contains("choose another id"), "{error}");
    assert!(error.left_untouched());
    assert_eq!(caddy.say("GET", "/config/", &Value::Null), before);

    let spec = caddy.spec("sni = \"other.test\"\nwindow = \"2s\"");
    push(&spec, 1, &bundle).await.expect("pushed");
    let proof = proof(&spec, &bundle, &[]).await;
    assert!(!proof.proven);
    assert!(proof.sightings.iter().all(|seen| matches!(seen.found, Found::Alert(_))), "{proof}");

    drop(caddy.server.take());
    let error = push(&spec, 2, &bundle).await.expect_err("nobody is there");
    assert!(error.left_untouched(), "{error}");
    assert!(error.to_string().contains("is Caddy running"), "{error}");
}

#[test]
fn keys_go_to_a_socket_or_to_this_machine_only() {
    let check = |more: &str| {
        let table = format!("name = \"edge\"\nkind = \"caddy\"\n{more}");
        toml::from_str::<Spec>(&table).expect("a table").check()
    };
    for good in
        ["/run/caddy/admin.sock", "http://127.0.0.1:2019", "http://localhost:1", "http://[::1]:1"]
    {
        assert_eq!(check(&format!("admin = {good:?}\nid = \"a\"")), Ok(()), "{good}");
    }
    for (bad, why) in [
        ("http://10.0.0.5:2019", "in clear"),
        ("http://caddy.example.com:2019", "in clear"),
        ("https://127.0.0.1:2019", "the path of its socket"),
        ("http://127.0.0.1", "the path of its socket"),
        ("admin.sock", "the path of its socket"),
    ] {
        let error = check(&format!("admin = {bad:?}\nid = \"a\"")).expect_err(bad);
        assert!(error.contains(why), "{error}");
    }
    for id in ["", "a/b", "a b", "../config"] {
        let error = check(&format!("admin = \"/run/a.sock\"\nid = {id:?}")).expect_err(id);
        assert!(error.contains("letters, digits"), "{error}");
    }
}
