//! The dashboard as people see it: a real Chromium at a real server with a hundred thousand certificates. What is
//! looked at is in `ui/dashboard.mjs`, which says `ok` in the end.

use std::fs;
use std::path::Path;

use crate::node::Site;
use crate::program::{program, succeed};
use crate::scene::Home;

#[test]
fn the_dashboard_can_be_used_by_everybody_and_by_nobody_else() {
    let home = Home::clear("dashboard");
    let site = Site::alone(&home.directory("server"));
    let node = site.start();
    let command = |arguments: &[&str]| site.succeeds(arguments);
    let declared = home.directory("server").join("declared.toml");
    fs::write(&declared, KEYSET).expect("declarations");
    command(&["apply", declared.to_str().expect("text")]);
    succeed(program("sqlite3").arg(site.store()).arg(MANY));
    let invited = |name: &str, role: &str| {
        let said = command(&["invite", name, "--role", role, "--json"]);
        let said: serde_json::Value = serde_json::from_str(&said).expect("JSON");
        said["link"].as_str().expect("a link").to_owned()
    };
    let (admin, viewer) = (invited("ada", "admin"), invited("vic", "viewer"));
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let node_program = here.join("target/venv/bin/node");
    assert!(node_program.exists(), "run `tests/run tools`");
    let mut script = program(node_program.to_str().expect("text"));
    script.env("NODE_MODULES", here.join("target/node/node_modules"));
    script.arg(here.join("tests/ui/dashboard.mjs")).args([admin, viewer]);
    assert_eq!(succeed(&mut script), "ok\n");
    drop(node);
}

const KEYSET: &str =
    "[[keyset]]\nname = \"auth\"\nissuer = \"https://auth.example.test\"\nalgorithm = \"ES256\"\n";
/// Rows of the size of real ones, as a busy year leaves them behind.
const MANY: &str = "PRAGMA busy_timeout = 10000; BEGIN IMMEDIATE;
INSERT INTO certificate (id, version, serial, authority, phase, profile, not_before, not_after, key_hash, der)
  WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 99999)
  SELECT 1000000 + i, 2, CAST(printf('S%015d', i) AS BLOB), 6, 'issued', 'default', unixepoch() - 86400 * (i % 60),
    unixepoch() + 86400 * (i % 90) + i % 86400, randomblob(32), randomblob(620) FROM n;
INSERT INTO certificate_name (certificate, name)
  SELECT id, 'host-' || id || '.stored.example.test' FROM certificate WHERE id >= 1000000;
COMMIT;";
