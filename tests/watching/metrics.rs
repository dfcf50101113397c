//! What a real node shows after real work: every metric that a rule asks for is there, and grows with
//! what it counts.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::rules::rules;
use crate::program::{free_port, program, run, succeed};
use crate::scene::Scene;

#[test]
fn every_metric_of_a_rule_is_one_that_a_node_shows() {
    let scene = worked("watching-rules");
    let shown = shown(&scene);
    let asked = asked(&rules());
    assert!(asked.len() > 20, "they were found: {asked:?}");
    let missing: Vec<_> = asked.difference(&shown).collect();
    assert!(missing.is_empty(), "{missing:?} is not in {shown:#?}");
}

#[test]
fn service_levels_count_what_happened() {
    let scene = worked("watching-levels");
    let text = scene.server.watched("/metrics");
    let value = |series: &str| -> f64 {
        let lines = text.lines().filter_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        let sum: Vec<f64> = lines.filter_map(|value| value.parse().ok()).collect();
        *sum.first().unwrap_or_else(|| panic!("{series} is not in\n{text}"))
    };
    let ended = |outcome, trigger| {
        value(&format!("perennial_rotations_total{{outcome={outcome:?},trigger={trigger:?}}}"))
    };
    assert!(ended("proven", "first") >= 2.0, "the shop and the node itself");
    assert!(ended("proven", "asked") >= 1.0);
    assert!(value("perennial_pushes_total{outcome=\"served\"}") >= 2.0);
    assert!(value("perennial_served_seconds_count{kind=\"files\"}") >= 2.0);
    // One by hand, one when the shop was renewed in an emergency.
    assert!(value("perennial_revocation_seconds_count") >= 1.0);
    assert!(value("perennial_revocation_seconds_bucket{le=\"60.0\"}") >= 1.0);
    let (changes, recorded) =
        (value("perennial_audit_changes_total"), value("perennial_audit_changes_recorded_total"));
    assert!(changes > 20.0, "{changes}");
    assert!((changes - recorded).abs() < 0.5, "{changes} changes, {recorded} on record");
    assert!(value("perennial_store_foreign_writes_total") < 0.5);
    assert!(value("perennial_store_writable") > 0.5);

    let store = scene.directory("server").join("data/perennial.db");
    let sql = "UPDATE event SET actor = 'nobody' WHERE id = 3";
    succeed(program("sqlite3").arg(&store).arg(sql));
    let foreign = "perennial_store_foreign_writes_total 1";
    // It is seen with the next commit.
    succeed(&mut scene.server.command(["token", "revoke", "signer"]));
    until("the write of somebody else", || scene.server.watched("/metrics").contains(foreign));
}

/// A node that has issued, rotated, revoked, served keysets, told somebody and looked at an endpoint.
pub(super) fn worked(name: &str) -> Scene {
    let scene = Scene::ours(name);
    let port = format!(":{}", scene.http_port);
    let mut lego = program("lego");
    lego.env("LEGO_CA_CERTIFICATES", &scene.server.trust)
        .args(["--accept-tos", "--email", "tests@example.test", "--path"])
        .arg(scene.directory("lego"))
        .args(["--server", &scene.server.directory, "--http", "--http.port", &port])
        .args(["--domains", "lego.example.test", "run"]);
    succeed(&mut lego);
    declare(&scene);
    let both = "perennial_rotations_total{outcome=\"proven\",trigger=\"first\"} 2\n";
    until("the shop", || scene.server.watched("/metrics").contains(both));
    succeed(&mut scene.server.command(["renew", "shop"]));
    let serials = scene.server.json(["get", "certificate", "--names", "lego.example.test"]);
    let serial = serials["items"][0]["serial"].as_str().expect("a serial").to_owned();
    scene.server.json(["revoke", &serial]);
    until("a key that signs", || {
        scene.server.json(["get", "keyset", "auth"])["status"] == "signing"
    });
    let base = scene.server.directory.split("/acme/").next().expect("a URL");
    let mut curl = program("curl");
    curl.args(["--silent", "--fail", "--cacert"]).arg(&scene.server.trust);
    succeed(curl.arg(format!("{base}/jwks/auth/jwks.json?consumer=billing")));
    let arguments = ["token", "create", "signer", "--keyset", "auth"];
    let token = scene.server.json(arguments)["token"].as_str().expect("a token").to_owned();
    let mut curl = program("curl");
    curl.args(["--silent", "--fail", "--cacert"]).arg(&scene.server.trust);
    let claims = "{\"claims\": {\"aud\": \"https://api.example.com\", \"sub\": \"signer\"}}";
    curl.args(["-H", &format!("Authorization: Bearer {token}"), "-d", claims]);
    succeed(curl.arg(format!("{base}/api/v1/keysets/auth/sign")));
    scene.server.json(["rotate", "auth", "--emergency"]);
    let (output, _) = run(&mut scene.server.command(["notify", "test", "ops"]));
    assert!(!output.status.success(), "nobody listens there");
    until("a revocation on its list", || {
        !scene.server.watched("/metrics").contains("perennial_revocation_seconds_count 0\n")
    });
    scene
}

fn declare(scene: &Scene) {
    let home = scene.directory("declared");
    let (file, secret) = (home.join("all.toml"), home.join("secret"));
    fs::write(&secret, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n").expect("a secret");
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).expect("for nobody else");
    let [shelf, secret] = [home.join("shelf"), secret].map(|path| path.display().to_string());
    let nowhere = free_port();
    let text = format!(
        "[[certificate]]\nname = \"shop\"\nnames = [\"shop.example.test\"]\n\
         issuers = [\"internal\"]\ntargets = [\"shelf\"]\n\
         [[target]]\nname = \"shelf\"\nkind = \"files\"\ndirectory = {shelf:?}\n\
         [[keyset]]\nname = \"auth\"\nissuer = \"https://auth.example.com\"\n\
         algorithm = \"ES256\"\ntoken_lifetime = \"10m\"\n\
         audiences = [\"https://api.example.com\"]\nsubjects = [\"signer\"]\n\
         consumers = [{{ name = \"billing\", cache = \"1h\" }}]\n\
         [[endpoint]]\nname = \"nowhere\"\naddress = \"127.0.0.1:{nowhere}\"\n\
         [[webhook]]\nname = \"ops\"\nurl = \"https://127.0.0.1:{nowhere}/\"\n\
         secret_file = {secret:?}\nevents = [\"keyset.sign\"]\n"
    );
    fs::write(&file, text).expect("declarations");
    succeed(&mut scene.server.command(["apply".as_ref(), file.as_os_str()]));
}

/// The names of all series that the node shows.
pub(super) fn shown(scene: &Scene) -> BTreeSet<String> {
    // Some things are counted once a minute, the first time when the worker begins.
    until("a count", || scene.server.watched("/metrics").contains("perennial_endpoints{"));
    let text = scene.server.watched("/metrics");
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    samples.filter_map(|line| line.split(['{', ' ']).next().map(str::to_owned)).collect()
}

/// The names of metrics in expressions; what is recorded by rules has colons in its name.
pub(super) fn asked(text: &str) -> BTreeSet<String> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let words = text.lines().filter(|line| !line.trim().starts_with('#'));
    let words = words.flat_map(|line| line.split(|c| !is_name(c)));
    let ours = |word: &&str| {
        !word.contains(':') && (word.starts_with("perennial_") || word.starts_with("process_"))
    };
    words.filter(ours).map(str::to_owned).collect()
}

pub(super) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(90), "waiting for {what}");
        sleep(Duration::from_millis(200));
    }
}
