//! A Traefik with a route for whatever name, and no certificate but what Perennial brings or what it
//! fetches from Perennial.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

use super::fleet::{here, write};
use super::stage::{Stage, shop_on};
use crate::program::Daemon;

/// A Traefik.
#[derive(Debug)]
pub(super) struct Traefik {
    pub(super) address: SocketAddr,
    /// What it watches.
    watched: PathBuf,
    _daemon: Daemon,
}

impl Traefik {
    /// One that reads files.
    pub(super) fn start(stage: &Stage) -> Self {
        Self::with(stage, &Value::Null)
    }

    /// One that also asks Perennial, on behalf of the target `edge`.
    pub(super) fn polling(stage: &Stage) -> Self {
        let made = stage.server.json(["token", "create", "traefik", "--certificate", "shop"]);
        let token = made["token"].as_str().expect("a token");
        let (base, _) = stage.server.directory.split_once("/acme/").expect("a directory's URL");
        let http = json!({
            "endpoint": format!("{base}/api/v1/pull?format=traefik&target=edge"),
            "pollInterval": "1s",
            "headers": { "Authorization": format!("Bearer {token}") },
            "tls": { "ca": stage.server.trust },
        });
        Self::with(stage, &http)
    }

    fn with(stage: &Stage, http: &Value) -> Self {
        let (home, address) = (stage.directory("traefik"), here());
        let watched = home.join("dynamic");
        fs::create_dir_all(&watched).expect("a directory");
        let route = "http: { routers: { all: { rule: PathPrefix(`/`), service: ping@internal } } }";
        write(&watched.join("route.yml"), route);
        let mut config = json!({
            "entryPoints": { "web": { "address": address.to_string(), "http": { "tls": {} } } },
            "ping": { "manualRouting": true },
            "providers": { "file": { "directory": watched } },
            "global": { "checkNewVersion": false, "sendAnonymousUsage": false },
        });
        if !http.is_null() {
            config["providers"]["http"] = http.clone();
        }
        let file = home.join("traefik.yml");
        write(&file, &config.to_string());
        let binary = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/venv/bin/traefik");
        let argument = format!("--configfile={}", file.display());
        let mut daemon = Daemon::start(&binary.to_string_lossy(), [argument], &home);
        daemon.wait_for_port(address.port());
        Self { address, watched, _daemon: daemon }
    }

    /// Its table, as a target of kind `traefik`.
    pub(super) fn table(&self, name: &str, more: &str) -> String {
        format!(
            "[[target]]\nname = {name:?}\nkind = \"traefik\"\nconfig = {:?}\nprobe = [\"{}\"]\n{more}\n",
            self.watched.join("shop.yml"),
            self.address,
        )
    }

    /// Its table, as a target that pulls.
    pub(super) fn pulling(&self, name: &str, more: &str) -> String {
        format!(
            "[[target]]\nname = {name:?}\nkind = \"pull\"\nprobe = [\"{}\"]\n{more}\n",
            self.address
        )
    }
}

#[test]
fn a_name_that_traefik_has_no_certificate_for_is_not_taken_for_served() {
    let stage = Stage::set("traps-traefik");
    let traefik = Traefik::start(&stage);
    let table = |more: &str| shop_on(&["edge"], "") + &traefik.table("edge", more);
    stage.open(&table("window = \"6s\""));
    // Everybody says that it went well, and Traefik shows what it made for itself.
    stage.declare(&table("window = \"6s\"\nsni = \"other.example.test\""));
    stage.until("the proof that it is not", LONG, |shop| shop["status"] == "failing");
    stage.assert_alarm(&["serves its default certificate", "other.example.test"]);
    stage.assert_served(&stage.shop(), 1, &[traefik.address]);
    stage.declare(&table("window = \"6s\""));
    stage.until("the proof that it is", LONG, |shop| shop["status"] == "served");
}

const LONG: Duration = Duration::from_secs(120);
