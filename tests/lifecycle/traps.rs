//! The ways in which servers deceive whoever brings them certificates, each as a story: nothing is
//! believed but handshakes, what does not work is put back, and the operator reads where and why.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::client::Load;
use super::fleet::{self, APACHE, Apache, Haproxy, Nginx, nobodys, script};
use super::stage::{NAME, SHORT, Stage, leaf, shop_on};
use crate::program::{free_port, program, succeed};

#[test]
fn a_reload_that_lies_is_found_out_rolled_back_and_tried_again() {
    let stage = Stage::set("traps-lie");
    let nginx = Nginx::start(stage.directory("nginx"));
    let lie = nginx.home.join("lie");
    let text = format!("#!/bin/sh\n[ -e {} ] && exit 0\nexec {}\n", lie.display(), nginx.reload());
    stage.open(&(shop_on(&["edge"], "") + &files(&nginx, "edge", &[nginx.address], &text)));
    fleet::write(&lie, "");

    let rotation = stage.renew_in_vain();
    assert_eq!(
        actions(&rotation),
        [
            "rotation.begin",
            "certificate.issue",
            "rotation.deploy",
            "rotation.refuted",
            "rotation.revert",
            "rotation.fail",
        ]
    );
    let shop = stage.shop();
    assert_eq!((&shop["status"], &shop["version"]), (&"failing".into(), &1.into()));
    let address = nginx.address.to_string();
    let told = stage.assert_alarm(&[&address, "still serves the previous certificate", "failing"]);
    assert!(told.contains(NAME), "{told}");
    stage.assert_served(&shop, 1, &[nginx.address]);
    let held = std::fs::read_to_string(nginx.home.join("tls/current/tls.crt")).expect("a file");
    let pem = shop["pem"].as_str().expect("PEM");
    assert!(pem.starts_with(&held), "a restart would serve it too");

    // It is tried again by itself, with what was obtained already.
    std::fs::remove_file(&lie).expect("the truth");
    let shop = stage.until("another try", Duration::from_secs(90), |shop| shop["version"] == 2);
    assert_eq!((&shop["status"], &shop["error"]), (&"served".into(), &serde_json::Value::Null));
    stage.assert_served(&shop, 2, &[nginx.address]);
}

#[test]
fn a_reload_that_comes_after_its_time_does_no_harm() {
    let stage = Stage::set("traps-late");
    let nginx = Nginx::start(stage.directory("nginx"));
    let late = nginx.home.join("late");
    let reload = nginx.reload();
    // Told to be quick, it is 1 s late, which the window allows; later on it is 5 s late.
    let text = format!(
        "#!/bin/sh\n[ -e {} ] && wait=5 || wait=1\n(sleep $wait; exec {reload}) >/dev/null 2>&1 &\n",
        late.display()
    );
    stage.open(&(shop_on(&["edge"], "") + &files(&nginx, "edge", &[nginx.address], &text)));
    let shop = stage.shop();
    stage.assert_served(&shop, 1, &[nginx.address]);
    fleet::write(&late, "");
    stage.renew_in_vain();
    // Both reloads come now, that of the push and that of the rollback.
    std::thread::sleep(Duration::from_secs(7));
    stage.assert_served(&shop, 1, &[nginx.address]);
}

#[test]
fn a_default_certificate_is_no_proof_for_a_name_the_server_does_not_know() {
    let stage = Stage::set("traps-default");
    let nginx = Nginx::start(stage.directory("nginx"));
    let (certificate, key) = nobodys("default.test");
    let default = nginx.home.join("default.pem");
    fleet::write(&default, &(certificate + &key));
    let server = format!(
        "server {{ listen {} ssl default_server; ssl_certificate {1}; ssl_certificate_key {1}; }}",
        nginx.address,
        default.display()
    );
    nginx.configure(NAME, &server);
    let table = nginx.table("edge", "window = \"3s\"");
    let declared = shop_on(&["edge"], "") + &table;
    stage.open(&declared);

    let forgotten = "checkout.example.test";
    let more = declared.replace(&format!("[{NAME:?}]"), &format!("[{NAME:?}, {forgotten:?}]"));
    stage.declare(&more);
    let shop = stage.until("its failure", SHORT, failed);
    assert_eq!(shop["version"], 1);
    stage.assert_alarm(&[forgotten, &nginx.address.to_string(), "default certificate"]);
    stage.assert_served(&shop, 1, &[nginx.address]);

    nginx.configure(&format!("{NAME} {forgotten}"), &server);
    let to = stage.renew(&[])["to"].as_u64().expect("a version");
    let shop = stage.shop();
    stage.assert_served(&shop, to, &[nginx.address]);
    let seen = stage.client().leaf(nginx.address, forgotten);
    assert_eq!(seen, Ok(leaf(&shop, to)));
}

#[test]
fn apache_is_never_told_to_read_a_key_that_is_not_the_certificates() {
    let stage = Stage::set("traps-apache");
    let mut apache = Apache::start(stage.directory("apache"));
    // While the configuration is tested, which Apache passes, somebody writes over the key: once.
    let (key, meddle) = (apache.home.join("shop.key"), apache.home.join("meddle"));
    let binary = apache.home.join("apachectl");
    let text = format!(
        "#!/bin/sh\n[ -e {0} ] && cat {0} > {1} && rm {0}\nexec {APACHE} \"$@\"\n",
        meddle.display(),
        key.display(),
    );
    script(&binary, &text);
    stage.open(&(shop_on(&["edge"], "") + &apache.table_with("edge", &binary, "")));

    fleet::write(&meddle, &nobodys(NAME).1);
    stage.renew_in_vain();
    let shop = stage.shop();
    let told = stage.assert_alarm(&["another certificate's", &key.display().to_string()]);
    assert!(!told.contains("PRIVATE"), "{told}");
    apache.assert_alive();
    stage.assert_served(&shop, 1, &[apache.address]);
    assert_files(&stage, &apache);

    // Written over between two rotations: the next one replaces both.
    fleet::write(&key, &nobodys(NAME).1);
    let to = stage.renew(&[])["to"].as_u64().expect("a version");
    apache.assert_alive();
    stage.assert_served(&stage.shop(), to, &[apache.address]);
}

/// Demands that the files have the version that is served, and its key.
fn assert_files(stage: &Stage, apache: &Apache) {
    let certificate = std::fs::read_to_string(apache.home.join("shop.crt")).expect("a file");
    assert!(stage.shop()["pem"].as_str().expect("PEM").starts_with(&certificate));
    let public = |arguments: &[&str], file: &str| {
        succeed(program("openssl").args(arguments).arg(apache.home.join(file)))
    };
    let of_key = public(&["pkey", "-pubout", "-in"], "shop.key");
    assert_eq!(of_key, public(&["x509", "-noout", "-pubkey", "-in"], "shop.crt"));
}

#[test]
fn a_change_that_somebody_began_in_haproxy_is_neither_used_nor_undone() {
    let stage = Stage::set("traps-transaction");
    let haproxy = Haproxy::start(stage.directory("haproxy"));
    stage.open(&(shop_on(&["edge"], "") + &haproxy.table("edge", "")));
    haproxy.stage("other.pem", "other.test");
    stage.renew_in_vain();
    let other = haproxy.home.join("other.pem").display().to_string();
    stage.assert_alarm(&["unfinished change", &other, "abort ssl cert"]);
    let shop = stage.shop();
    stage.assert_served(&shop, 1, &[haproxy.address]);
    let listing = haproxy.say("show ssl cert\n");
    assert!(listing.contains(&format!("*{other}")), "{listing}");

    // A stale one for our own certificate is ours to end.
    haproxy.say(&format!("abort ssl cert {other}\n"));
    haproxy.stage("shop.pem", NAME);
    let to = stage.renew(&[])["to"].as_u64().expect("a version");
    stage.assert_served(&stage.shop(), to, &[haproxy.address]);
    assert!(!haproxy.say("show ssl cert\n").contains('*'));
}

#[test]
fn a_certificate_too_long_for_haproxys_buffer_is_not_sent_but_reloaded() {
    let stage = Stage::set("traps-long");
    let haproxy = Haproxy::start(stage.directory("haproxy"));
    let declared = shop_on(&["edge"], "") + &haproxy.table("edge", "");
    stage.open(&declared);
    let part = "x".repeat(60);
    let names: Vec<_> = (10..99).map(|n| format!("\"{part}{n}.{part}.example.test\"")).collect();
    let long = declared
        .replace(&format!("[{NAME:?}]"), &format!("[{NAME:?}, {}]", names.join(", ")))
        .replace("grace", "key = \"rsa4096\"\ngrace")
        .replace("timeout", &format!("sni = {NAME:?}\ntimeout"));
    stage.declare(&long);
    let shop = stage.until("its failure", SHORT, failed);
    stage.assert_alarm(&["tune.bufsize", "16384", "master_socket"]);
    stage.assert_served(&shop, 1, &[haproxy.address]);
    assert!(!haproxy.say("show ssl cert\n").contains('*'));

    let master = format!("master_socket = {:?}\ntimeout", haproxy.home.join("master.sock"));
    // What was declared is a reason to begin again at once.
    stage.declare(&long.replace("timeout", &master));
    let shop = stage
        .until("the long one", SHORT, |shop| shop["version"] == 2 && shop["status"] == "served");
    stage.assert_served(&shop, 2, &[haproxy.address]);
}

#[test]
fn a_stale_replica_behind_the_same_target_holds_the_version_back_everywhere() {
    let stage = Stage::set("traps-replica");
    let port = free_port();
    let [fresh, stale] = [2, 3].map(|host| SocketAddr::from(([127, 0, 0, host], port)));
    let fresh = Nginx::start_at(stage.directory("fresh"), fresh);
    let stale = Nginx::start_at(stage.directory("stale"), stale);
    // Both read the same files; the reload reaches the second only while somebody looks.
    let (dead, link) = (stale.home.join("dead"), stale.home.join("tls/current"));
    std::fs::remove_file(&link).expect("its own files");
    std::os::unix::fs::symlink(fresh.home.join("tls/current"), &link).expect("a link");
    let text =
        format!("#!/bin/sh\n{}\n[ -e {} ] || {}\n", fresh.reload(), dead.display(), stale.reload());
    let both = [fresh.address, stale.address];
    let more = Nginx::start(stage.directory("more"));
    let declared = shop_on(&["edge", "more"], "canary = [\"edge\"]")
        + &files(&fresh, "edge", &both, &text)
        + &more.table("more", "");
    stage.open(&declared);
    fleet::write(&dead, "");
    let rotation = stage.renew_in_vain();
    let why = rotation["error"].as_str().expect("an error").to_owned();
    assert!(why.contains(&stale.address.to_string()), "{why}");
    assert!(!why.contains(&fresh.address.to_string()), "that one is not to blame: {why}");
    let shop = stage.shop();
    stage.assert_served(&shop, 1, &[fresh.address, stale.address, more.address]);
    assert!(!more.home.join("tls/releases/2").exists(), "it was not its turn");
}

#[test]
fn old_workers_that_still_answer_put_off_the_proof() {
    let stage = Stage::set("traps-workers");
    let first = Nginx::start_sharing(stage.directory("first"), fleet::here());
    // What takes long with many open connections takes 3 s here: half of the workers stay the old.
    let second = Nginx::start_sharing(stage.directory("second"), first.address);
    let link = second.home.join("tls/current");
    std::fs::remove_file(&link).expect("its own files");
    std::os::unix::fs::symlink(first.home.join("tls/current"), &link).expect("a link");
    let text = format!(
        "#!/bin/sh\n{}\n(sleep 3; exec {}) >/dev/null 2>&1 &\n",
        first.reload(),
        second.reload()
    );
    let table =
        files(&first, "edge", &[first.address], &text).replace("\"3s\"", "\"20s\"\nmatches = 20");
    let before = stage.open(&(shop_on(&["edge"], "") + &table));
    stage.assert_served(&before, 1, &[first.address]);
    let load = Load::start(&stage.client(), first.address, NAME);
    let begun = Instant::now();
    stage.renew(&[]);
    let proven = Instant::now();
    std::thread::sleep(Duration::from_secs(2));
    let seen = load.end();
    let last = seen.last(&leaf(&before, 1)).expect("it was served");
    assert!(last.duration_since(begun) > Duration::from_secs(2), "no old worker: no trap");
    assert!(last < proven, "an old worker answered after the proof");
}

#[test]
fn a_target_that_is_down_fails_the_rotation_and_no_more() {
    let stage = Stage::set("traps-down");
    let (nginx, mut haproxy) =
        (Nginx::start(stage.directory("nginx")), Haproxy::start(stage.directory("haproxy")));
    let declared =
        shop_on(&["edge", "down"], "") + &nginx.table("edge", "") + &haproxy.table("down", "");
    stage.open(&declared);
    haproxy.stop();
    stage.renew_in_vain();
    let shop = stage.shop();
    assert_eq!(shop["rotation"], serde_json::Value::Null, "nothing is left to do there");
    stage.assert_alarm(&["down: cannot reach", "is HAProxy running"]);
    stage.assert_served(&shop, 1, &[nginx.address]);
    haproxy.begin();
    stage.assert_served(&shop, 1, &[haproxy.address]);
    let to = stage.renew(&[])["to"].as_u64().expect("a version");
    stage.assert_served(&stage.shop(), to, &[nginx.address, haproxy.address]);
}

/// A target of kind `files` for an nginx, reloaded by a script of `text`, looked at in `places`.
fn files(nginx: &Nginx, name: &str, places: &[SocketAddr], text: &str) -> String {
    let reload = nginx.home.join("reload.sh");
    script(&reload, text);
    let places: Vec<_> = places.iter().map(ToString::to_string).collect();
    format!(
        "[[target]]\nname = {name:?}\nkind = \"files\"\ndirectory = {:?}\nreload = [{reload:?}]\n\
         probe = {places:?}\nwindow = \"3s\"\n",
        nginx.home.join("tls"),
    )
}

/// Whether a rotation failed and nothing is left to be put back.
fn failed(shop: &serde_json::Value) -> bool {
    shop["status"] == "failing" && shop["rotation"].is_null()
}

/// What happened in a rotation, in order.
fn actions(rotation: &serde_json::Value) -> Vec<&str> {
    let timeline = rotation["timeline"].as_array().expect("a timeline");
    timeline.iter().filter_map(|event| event["action"].as_str()).collect()
}
