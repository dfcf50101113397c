//! From declaration to retirement: the order in which targets are touched, and when they may be;
//! what is noticed between rotations; what an operator can do by hand.

use std::net::SocketAddr;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use serde_json::Value;

use super::fleet::{Haproxy, Nginx, script};
use super::stage::{NAME, SHORT, Stage, leaf, shop_on};
use crate::chain::Chain;

#[test]
fn a_failure_in_the_second_wave_takes_back_the_first_and_touches_nothing_later() {
    let stage = Stage::set("waves");
    let fleet: Vec<_> =
        (0..8).map(|n| Nginx::start(stage.directory(&format!("edge-{n}")))).collect();
    let names: Vec<_> = (0..8).map(|n| format!("edge-{n}")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    // Canary edge-7, then 0 1, then 2 3, then 4 5, then 6.
    let mut declared = shop_on(&names, "canary = [\"edge-7\"]\nwave = 2");
    for (n, nginx) in fleet.iter().enumerate() {
        declared += &nginx.table(names[n], "window = \"3s\"");
    }
    stage.open(&declared);
    let addresses: Vec<SocketAddr> = fleet.iter().map(|nginx| nginx.address).collect();
    let shop = stage.shop();
    stage.assert_served(&shop, 1, &addresses);
    assert_eq!(
        waves(&shop["rotations"][0]),
        ["edge-7", "edge-0 edge-1", "edge-2 edge-3", "edge-4 edge-5", "edge-6"]
    );

    // One that passes the test and reloads, but serves something else.
    let aside = fleet[3].home.join("aside");
    std::fs::create_dir(&aside).expect("a directory");
    for file in ["tls.crt", "tls.key"] {
        std::fs::copy(fleet[3].home.join("tls/current").join(file), aside.join(file))
            .expect("a copy");
    }
    let file = fleet[3].home.join("nginx.conf");
    let text = std::fs::read_to_string(&file).expect("a configuration");
    std::fs::write(&file, text.replace("tls/current", "aside")).expect("written");

    let rotation = stage.renew_in_vain();
    assert_eq!(waves(&rotation), ["edge-7", "edge-0 edge-1", "edge-2 edge-3"]);
    let shop = stage.shop();
    stage.assert_served(&shop, 1, &addresses);
    for (n, nginx) in fleet.iter().enumerate() {
        let touched = nginx.home.join("tls/releases/2").exists();
        assert_eq!(touched, ![4, 5, 6].contains(&n), "edge-{n}");
        let held = std::fs::read_to_string(nginx.home.join("tls/current/tls.crt")).expect("a file");
        assert!(shop["pem"].as_str().expect("PEM").starts_with(&held), "edge-{n}");
    }
    stage.assert_alarm(&["edge-3", &addresses[3].to_string(), "previous certificate"]);

    std::fs::write(&file, text).expect("written");
    let to = stage.renew(&[])["to"].as_u64().expect("a version");
    stage.assert_served(&stage.shop(), to, &addresses);
}

#[test]
fn a_closed_maintenance_window_holds_a_push_and_says_until_when() {
    let stage = Stage::set("waves-window");
    let nginx = Nginx::start(stage.directory("nginx"));
    let declared = |more: &str| shop_on(&["edge"], "") + &nginx.table("edge", more);
    stage.open(&declared(""));
    let opens = Timestamp::now() + SignedDuration::from_hours(3 * 24);
    let day = opens.to_zoned(TimeZone::UTC);
    let weekday = day.strftime("%a").to_string();
    let date = day.strftime("%Y-%m-%dT02:00:00Z").to_string();
    let closed = declared(&format!("maintenance = [\"{weekday} 02:00-04:00\"]"));
    stage.declare(&closed);

    let plan = stage.say(&["plan", &stage.declaration(&closed), "--horizon", "90d"]);
    assert_eq!(plan.code, Some(0), "there is nothing to change: {plan:?}");
    assert!(plan.out.contains("edge"), "{plan:?}");

    let asked = stage.say(&["renew", "shop", "--no-wait"]);
    assert_eq!(asked.code, Some(0), "{asked:?}");
    stage.until("the wait", SHORT, |shop| {
        let rotation = &shop["rotations"][0];
        rotation["to"] == 2 && rotation["next_at"] == date.as_str()
    });
    std::thread::sleep(Duration::from_secs(3));
    let shop = stage.shop();
    stage.assert_served(&shop, 1, &[nginx.address]);
    let told = stage.say(&["status", "certificate", "shop"]);
    assert_eq!(told.code, Some(0), "waiting as told is no alarm: {told:?}");
    assert!(told.out.contains(&date) && told.out.contains("maintenance"), "{}", told.out);
    let again = stage.say(&["renew", "shop"]);
    assert_eq!(again.code, Some(1), "{again:?}");
    assert!(again.err.contains(&date), "{}", again.err);
    assert!(!nginx.home.join("tls/releases/2").exists(), "it was touched");

    // An operator who opens the window need not wait for the old one.
    stage.declare(&declared(""));
    let shop = stage.until("its turn", SHORT, |shop| shop["version"] == 2);
    stage.assert_served(&shop, 2, &[nginx.address]);
}

#[test]
fn a_certificate_that_somebody_else_put_there_is_noticed_and_where_wanted_replaced() {
    let stage = Stage::set("waves-drift");
    let haproxy = Haproxy::start(stage.directory("haproxy"));
    let declared = |more: &str| shop_on(&["edge"], "") + &haproxy.table("edge", more);
    stage.open(&declared("watch = \"10s\""));
    haproxy.meddle();
    let shop =
        stage.until("the drift", Duration::from_secs(20), |shop| shop["status"] == "drifted");
    assert_eq!(shop["version"], 1);
    stage.assert_alarm(&["drifted", "edge", &haproxy.address.to_string(), "another certificate"]);
    let drift = |event: &Value| event["action"] == "placement.drift";
    let found = stage.events().into_iter().find(drift).expect("an event");
    assert_eq!(found["detail"]["target"], "edge");
    let seen = stage.client().leaf(haproxy.address, NAME);
    assert!(seen.is_err(), "it is only noticed: {seen:?}");

    stage.declare(&declared("watch = \"10s\"\nmend = true"));
    let shop = stage.until("the mending", SHORT, |shop| shop["status"] == "served");
    stage.assert_served(&shop, 1, &[haproxy.address]);
    // One was noticed, and again when that was to mend it; this is the third.
    haproxy.meddle();
    stage.until("the drift", Duration::from_secs(20), |_| {
        stage.events().into_iter().filter(drift).count() == 3
    });
    let shop = stage.until("the mending", SHORT, |shop| shop["status"] == "served");
    assert_eq!((&shop["version"], &shop["versions"][0]["version"]), (&1.into(), &1.into()));
    stage.assert_served(&shop, 1, &[haproxy.address]);
}

#[test]
fn an_operator_goes_back_by_hand_and_forth_again() {
    let stage = Stage::set("waves-back");
    let (nginx, haproxy) =
        (Nginx::start(stage.directory("nginx")), Haproxy::start(stage.directory("haproxy")));
    let both = [nginx.address, haproxy.address];
    stage.open(&(shop_on(&["a", "b"], "") + &nginx.table("a", "") + &haproxy.table("b", "")));
    let said = stage.say(&["rollback", "shop"]);
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.err.contains("no earlier version"), "{said:?}");
    stage.renew(&[]);
    stage.assert_served(&stage.shop(), 2, &both);
    let said = stage.say(&["rollback", "shop"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    let shop = stage.shop();
    assert_eq!((&shop["version"], &shop["status"]), (&1.into(), &"served".into()));
    stage.assert_served(&shop, 1, &both);
    assert_eq!(stage.renew(&[])["to"], 3);
    stage.assert_served(&stage.shop(), 3, &both);
}

#[test]
fn an_emergency_replaces_proves_and_revokes_and_the_crl_says_so() {
    let stage = Stage::set("waves-emergency");
    let nginx = Nginx::start(stage.directory("nginx"));
    let closed =
        "freezes = [{ from = \"2020-01-01T00:00:00Z\", until = \"2090-01-01T00:00:00Z\" }]";
    stage.open(&(shop_on(&["edge"], "") + &nginx.table("edge", "")));
    let pem = stage.directory("client").join("one.pem");
    let said = stage.say(&["status", "certificate", "shop", "--pem"]);
    std::fs::write(&pem, said.out).expect("written");
    let issuer = &stage.server.issuer;
    let first = Chain::check(issuer, &pem, &[NAME]);
    first.assert_not_revoked(issuer);
    // Not even a freeze keeps an emergency waiting.
    stage.declare(&(shop_on(&["edge"], "") + &nginx.table("edge", closed)));
    let said = stage.say(&["renew", "shop"]);
    assert_eq!(said.code, Some(3), "it waits: {said:?}");
    assert!(said.err.contains("waits until") && said.err.contains("by itself"), "{said:?}");
    stage.renew(&["--emergency", "--reason", "key-compromise"]);
    let revoked = |shop: &Value| shop["versions"][2]["status"] == "revoked";
    let shop = stage.until("the revocation", SHORT, revoked);
    assert_eq!((&shop["version"], &shop["status"]), (&3.into(), &"served".into()));
    stage.assert_served(&shop, 3, &[nginx.address]);
    first.assert_revoked(issuer);
    let timeline = shop["rotations"][0]["timeline"].as_array().expect("a timeline");
    let at = |action: &str| timeline.iter().position(|event| event["action"] == action);
    assert!(at("rotation.prove").expect("proven") < at("certificate.revoke").expect("revoked"));
    let said = stage.say(&["rollback", "shop", "--to", "1"]);
    assert_eq!(said.code, Some(1), "a revoked version is never served again: {said:?}");
}

#[test]
fn what_is_declared_is_followed_and_twice_is_the_same_as_once() {
    let stage = Stage::set("waves-declared");
    let [one, two] = ["one", "two"].map(|name| Nginx::start(stage.directory(name)));
    let declared = shop_on(&["one"], "") + &one.table("one", "");
    stage.open(&declared);
    let before = stage.events().len();
    assert_eq!(stage.declare(&declared).trim(), "nothing to change");
    std::thread::sleep(Duration::from_secs(2));
    let shop = stage.shop();
    assert_eq!((&shop["version"], stage.events().len()), (&1.into(), before), "nothing happened");

    // A new target gets what is served, and no new version is made for it.
    let more = shop_on(&["one", "two"], "") + &one.table("one", "") + &two.table("two", "");
    stage.declare(&more);
    let shop = stage.until("the new target", SHORT, |shop| shop["targets"] == "2/2");
    assert_eq!(shop["versions"].as_array().map(Vec::len), Some(1));
    stage.assert_served(&shop, 1, &[one.address, two.address]);

    // Other names need another version.
    let names = more.replace(&format!("[{NAME:?}]"), &format!("[{NAME:?}, \"www.{NAME}\"]"));
    let names = names.replace("probe", "sni = \"shop.example.test\"\nprobe");
    stage.declare(&names);
    let shop =
        stage.until("version 2", SHORT, |shop| shop["version"] == 2 && shop["rotation"].is_null());
    stage.assert_served(&shop, 2, &[one.address, two.address]);
    let www = stage.client().leaf(two.address, &format!("www.{NAME}"));
    assert_eq!(www, Ok(leaf(&shop, 2)));

    // A mistake names its file, line and remedy, and changes nothing.
    // The version before retires whenever its grace is over.
    let retires = |event: &Value| event["action"] == "rotation.retire";
    let changes = || stage.events().iter().filter(|event| !retires(event)).count();
    let before = changes();
    for (wrong, right, words) in [
        ("maintenence", "probe", &["declared.toml", "maintenence", "one of"][..]),
        ("kind = \"ngins\"", "kind = \"nginx\"", &["declared.toml", "ngins", "one of"]),
        ("canary = [\"tow\"]\nnames", "names", &["tow", "none of its targets"]),
        ("grace = \"1 moon\"", "grace = \"1s\"", &["declared.toml", "1 moon", "|"]),
    ] {
        let bad = stage.declaration(&names.replacen(right, wrong, 1));
        for command in ["plan", "apply"] {
            let said = stage.say(&[command, &bad]);
            assert_eq!(said.code, Some(1), "{said:?}");
            for word in words {
                assert!(said.err.contains(word), "{word:?} is not in: {}", said.err);
            }
        }
    }
    assert_eq!((&stage.shop()["version"], changes()), (&2.into(), before));
}

#[test]
fn a_command_that_reloads_too_long_is_ended_and_said_to_be() {
    let stage = Stage::set("waves-slow");
    let nginx = Nginx::start(stage.directory("nginx"));
    let (reload, slow) = (nginx.home.join("reload.sh"), nginx.home.join("slow"));
    let text = format!(
        "#!/bin/sh\n[ -e {0} ] && rm {0} && echo waiting for a lock && sleep 600\nexec {1}\n",
        slow.display(),
        nginx.reload()
    );
    script(&reload, &text);
    let target = format!(
        "[[target]]\nname = \"edge\"\nkind = \"files\"\ndirectory = {:?}\nreload = [{reload:?}]\n\
         timeout = \"2s\"\nprobe = [\"{}\"]\n",
        nginx.home.join("tls"),
        nginx.address
    );
    stage.open(&(shop_on(&["edge"], "") + &target));
    std::fs::write(&slow, "").expect("written");
    stage.renew_in_vain();
    stage.assert_alarm(&["did not finish within 2 s", "waiting for a lock", "reload.sh"]);
    stage.assert_served(&stage.shop(), 1, &[nginx.address]);
}

/// The targets of each wave of a rotation, in order.
fn waves(rotation: &Value) -> Vec<String> {
    let timeline = rotation["timeline"].as_array().expect("a timeline");
    let deployed = timeline.iter().filter(|event| event["action"] == "rotation.deploy");
    let targets = deployed.map(|event| event["detail"]["targets"].as_array().expect("targets"));
    let words =
        |wave: &Vec<Value>| wave.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" ");
    targets.map(words).collect()
}
