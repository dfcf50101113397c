//! What every story stands on: a Perennial of its own, asked through its command line alone, and a
//! managed certificate called `shop`.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::client::Client;
use crate::program::{free_port, run, succeed};
use crate::scene::Home;
use crate::server::Server;

/// One story's world.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) server: Server,
    home: Home,
}

/// What a command came to.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) code: Option<i32>,
    pub(super) out: String,
    pub(super) err: String,
}

impl Stage {
    /// Starts Perennial; `name` must be the story's own.
    pub(super) fn set(name: &str) -> Self {
        let home = Home::clear(&format!("lifecycle-{name}"));
        let server = Server::bare(&home.directory("server"), free_port());
        Self { server, home }
    }

    /// The same, listening for Envoys at `sds`.
    pub(super) fn with_sds(name: &str, sds: SocketAddr) -> Self {
        let home = Home::clear(&format!("lifecycle-{name}"));
        let listen = format!("sds = \"{sds}\"\n");
        let server = Server::listening(&home.directory("server"), free_port(), &listen);
        Self { server, home }
    }

    /// A directory in this story's own.
    pub(super) fn directory(&self, name: &str) -> PathBuf {
        self.home.directory(name)
    }

    /// Runs Perennial's command line, whatever becomes of it.
    pub(super) fn say(&self, arguments: &[&str]) -> Said {
        let (output, _) = run(&mut self.server.command(arguments));
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        Said { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) }
    }

    /// Has `text` declared, and returns what `apply` printed.
    pub(super) fn declare(&self, text: &str) -> String {
        let file = self.declaration(text);
        succeed(&mut self.server.command(["apply", &file]))
    }

    /// Writes `text` where declarations are: the file's path.
    pub(super) fn declaration(&self, text: &str) -> String {
        let file = self.directory("server").join("declared.toml");
        fs::write(&file, text).expect("declarations");
        file.to_str().expect("a plain path").to_owned()
    }

    /// Declares the shop on `targets`, and waits until its first version is proven.
    pub(super) fn open(&self, text: &str) -> Value {
        self.declare(text);
        self.until("the first version", SHORT, |shop| {
            shop["version"] == 1 && shop["rotation"].is_null()
        })
    }

    /// What `get target` says.
    pub(super) fn target(&self, name: &str) -> Value {
        self.server.json(["get", "target", name])
    }

    /// What `status certificate shop` says.
    pub(super) fn shop(&self) -> Value {
        let said = self.say(&["status", "certificate", "shop", "--json"]);
        assert!(matches!(said.code, Some(0 | 3)), "{said:?}");
        serde_json::from_str(&said.out).unwrap_or_else(|e| panic!("{e}: {said:?}"))
    }

    /// Asks again and again until the shop is as `enough` wants it.
    pub(super) fn until(
        &self,
        what: &str,
        limit: Duration,
        enough: impl Fn(&Value) -> bool,
    ) -> Value {
        let begun = Instant::now();
        loop {
            let shop = self.shop();
            if enough(&shop) {
                return shop;
            }
            let status = || self.say(&["status", "certificate", "shop"]).out;
            assert!(begun.elapsed() < limit, "waiting for {what}:\n{}", status());
            sleep(Duration::from_millis(200));
        }
    }

    /// Renews the shop and demands that it is proven; the rotation.
    pub(super) fn renew(&self, more: &[&str]) -> Value {
        let arguments: Vec<_> = ["renew", "shop", "--json"].iter().chain(more).copied().collect();
        let said = self.say(&arguments);
        assert_eq!(said.code, Some(0), "{said:?}");
        let rotation: Value = serde_json::from_str(&said.out).expect("JSON");
        assert!(matches!(rotation["phase"].as_str(), Some("proven" | "done")), "{rotation:#}");
        rotation
    }

    /// Renews the shop and demands that this fails; the rotation.
    pub(super) fn renew_in_vain(&self) -> Value {
        let said = self.say(&["renew", "shop", "--json"]);
        assert_eq!(said.code, Some(1), "{said:?}");
        let rotation: Value = serde_json::from_str(&said.out).expect("JSON");
        assert_eq!(rotation["phase"], "failed", "{rotation:#}");
        rotation
    }

    /// A client that trusts Perennial's root.
    pub(super) fn client(&self) -> Client {
        Client::trusting(&self.server.trust)
    }

    /// Demands that each of `addresses` serves `version` of `shop`, a few handshakes long.
    pub(super) fn assert_served(&self, shop: &Value, version: u64, addresses: &[SocketAddr]) {
        let leaf = leaf(shop, version);
        let client = self.client();
        for address in addresses {
            for _ in 0..3 {
                let seen = client.leaf(*address, NAME);
                assert_eq!(seen.as_deref(), Ok(leaf.as_str()), "{address}: version {version}");
            }
        }
    }

    /// Demands that status asks for attention, in a text that has each of `words`; the text.
    pub(super) fn assert_alarm(&self, words: &[&str]) -> String {
        let node = self.say(&["status"]);
        assert_eq!(node.code, Some(3), "{node:?}");
        assert!(node.out.contains("managed certificate shop is"), "{node:?}");
        let said = self.say(&["status", "certificate", "shop"]);
        assert_eq!(said.code, Some(3), "{said:?}");
        for word in words {
            assert!(said.out.contains(word), "{word:?} is not in:\n{}", said.out);
        }
        said.out
    }

    /// The audit events of the shop, oldest first.
    pub(super) fn events(&self) -> Vec<Value> {
        let arguments = ["audit", "--subject", "managed/shop", "--limit", "1000", "--json"];
        let said = self.say(&arguments);
        said.out.lines().map(|line| serde_json::from_str(line).expect("an event")).collect()
    }
}

/// The `[[certificate]]` table of the shop.
pub(super) fn shop_on(targets: &[&str], more: &str) -> String {
    format!(
        "[[certificate]]\nname = \"shop\"\nnames = [{NAME:?}]\ntargets = {targets:?}\n\
         grace = \"1s\"\n{more}\n"
    )
}

/// The SHA-256 of a version's leaf.
pub(super) fn leaf(shop: &Value, version: u64) -> String {
    let versions = shop["versions"].as_array().expect("versions");
    let found = versions.iter().find(|found| found["version"] == version);
    let found = found.unwrap_or_else(|| panic!("no version {version}: {shop:#}"));
    found["sha256"].as_str().expect("a fingerprint").to_owned()
}

/// What the shop is called by its clients.
pub(super) const NAME: &str = "shop.example.test";
pub(super) const SHORT: Duration = Duration::from_secs(30);
