//! The audit log as an auditor has it: checked, proven with another program, exported, and told of one
//! thing from beginning to end; and whatever is done to it by hand is found and named.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::process::Signal;
use serde_json::Value;

use crate::program::{program, run, succeed};
use crate::scene::Scene;
use crate::server::Server;

#[test]
fn whatever_is_done_to_the_log_by_hand_is_found_and_named() {
    let mut scene = Scene::ours("audit-hand");
    let home = scene.directory("auditor");
    for name in ["a", "b", "c"] {
        issue(&scene, &format!("{name}.example.test"));
    }
    let older = kept(&scene.server, &home, "older");
    issue(&scene, "d.example.test");
    scene.server.stop(Signal::TERM);
    let (whole, key) = (scene.server.file("perennial.db"), home.join("key"));
    let store = home.join("store.db");
    let said = |sql: &str, more: &[&Path]| {
        fs::copy(&whole, &store).expect("a copy");
        succeed(program("sqlite3").arg(&store).arg(sql));
        let mut command = scene.server.command(["audit", "verify", "--store"]);
        command.arg(&store).arg("--key").arg(&key);
        let (output, text) = run(command.args(more));
        (output.status.code(), text)
    };
    let with_older: [&Path; 2] = ["--checkpoint".as_ref(), &older];
    let (code, text) = said("SELECT 1", &with_older);
    assert!(code == Some(0) && text.contains("the log is whole"), "{text}");
    let next: i64 = number(&whole, "SELECT max(id) + 1 FROM event");
    for (sql, expected) in [
        ("UPDATE event SET actor = 'nobody' WHERE id = 7", "event 7 was changed".to_owned()),
        ("DELETE FROM event WHERE id = 7", "event 7 was removed".into()),
        (
            "UPDATE event SET id = 0 WHERE id = 7; UPDATE event SET id = 7 WHERE id = 9;
             UPDATE event SET id = 9 WHERE id = 0",
            "event 7 was reordered: it was recorded as event 9".into(),
        ),
        (
            "INSERT INTO event (at, actor, action, subject) VALUES (1, 'a', 'b', 'c')",
            format!("event {next} was inserted"),
        ),
        (
            "UPDATE audit_checkpoint SET note = replace(note, 'A', 'B')",
            "events was changed, or signed by another key".into(),
        ),
    ] {
        let (code, text) = said(sql, &[]);
        assert!(code == Some(1) && text.contains(&expected), "{sql}: {text}");
    }
    // Who removes all that is newer than a checkpoint, checkpoints too, is found by whoever kept a newer one.
    let size = text_of(&older, 1);
    let cut = format!(
        "DELETE FROM event WHERE id >= {size}; DELETE FROM audit_leaf WHERE event >= {size};
         DELETE FROM audit_checkpoint"
    );
    assert_eq!(said(&cut, &[]).0, Some(0), "the store alone does not tell");
    let (code, text) = said(&cut, &with_older);
    assert!(code == Some(1) && text.contains("the last 1 events were removed"), "{text}");
}

#[test]
fn a_server_whose_log_was_changed_says_so_and_signs_nothing_more() {
    let scene = Scene::ours("audit-server");
    let home = scene.directory("auditor");
    issue(&scene, "a.example.test");
    let older = kept(&scene.server, &home, "older");
    issue(&scene, "b.example.test");
    kept(&scene.server, &home, "newer");
    let verify = |more: &[&Path]| {
        let (output, text) = run(scene.server.command(["audit", "verify"]).args(more));
        (output.status.code(), text)
    };
    let key = home.join("key");
    let both: [&Path; 4] = ["--checkpoint".as_ref(), &older, "--key".as_ref(), &key];
    let (code, text) = verify(&both);
    assert!(code == Some(0) && text.contains("the log is whole"), "{text}");
    let metrics = scene.server.watched("/metrics");
    assert!(metrics.contains("perennial_audit_checkpoint_failing 0"), "{metrics}");

    // A cunning hand changes the event and its hash.
    let sql = "UPDATE event SET subject = 'certificate/00' WHERE id = 5;
               UPDATE audit_leaf SET hash = zeroblob(32) WHERE event = 5";
    succeed(program("sqlite3").arg(scene.server.file("perennial.db")).arg(sql));
    let (code, text) = verify(&[]);
    assert!(code == Some(1) && text.contains("event 5 was changed"), "{text}");
    let (code, text) = verify(&both);
    assert!(code == Some(1) && text.contains("event 5 was changed"), "{text}");
    issue(&scene, "c.example.test");
    let (output, text) = run(&mut scene.server.command(["audit", "checkpoint", "--now"]));
    assert!(output.status.code() == Some(1) && text.contains("not what was signed"), "{text}");
    let (output, text) = run(&mut scene.server.command(["status"]));
    assert!(output.status.code() == Some(3) && text.contains("perennial audit verify"), "{text}");
    let metrics = scene.server.watched("/metrics");
    assert!(metrics.contains("perennial_audit_checkpoint_failing 1"), "{metrics}");
}

#[test]
fn another_program_finds_the_same_in_what_is_handed_over() {
    let scene = Scene::ours("audit-go");
    let home = scene.directory("auditor");
    let older = kept(&scene.server, &home, "older");
    for name in ["a", "b", "c", "d"] {
        issue(&scene, &format!("{name}.example.test"));
    }
    let newer = kept(&scene.server, &home, "newer");
    let [events, proof, consistency] = ["events", "proof", "consistency"].map(|f| home.join(f));
    let printed = |arguments: &[&str]| succeed(&mut scene.server.command(arguments));
    fs::write(&events, printed(&["audit", "export"])).expect("events");
    fs::write(&proof, printed(&["audit", "prove", "5"])).expect("a proof");
    let url = format!(
        "http://localhost/api/v1/audit/consistency?from={}&to={}",
        text_of(&older, 1),
        text_of(&newer, 1)
    );
    let mut curl = program("curl");
    let socket = scene.server.file("admin.sock");
    let answer = succeed(curl.args(["-sS", "--fail", "--unix-socket"]).arg(socket).arg(url));
    fs::write(&consistency, answer).expect("a proof");
    let key = home.join("key");
    let go = |events: &Path| {
        let files = [&key, &newer, events, &proof, &older, &consistency];
        let (output, _) = run(program("target/tools/bin/verify-go-tlog").args(files));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    assert_eq!(go(&events).trim(), "ok");
    let ours = |arguments: &[&Path]| {
        let mut command = scene.server.command(["audit", "verify", "--key"]);
        run(command.arg(&key).args(arguments))
    };
    let of = |events: &Path| {
        let (output, text) = ours(&["--events".as_ref(), events, "--checkpoint".as_ref(), &newer]);
        (output.status.code(), text)
    };
    assert_eq!(of(&events).0, Some(0));
    let (output, text) = ours(&["--proof".as_ref(), &proof]);
    assert!(output.status.success() && text.contains("as number 5 of the"), "{text}");
    let altered = home.join("altered");
    let lines = fs::read_to_string(&events).expect("events").replacen("\"serve\"", "\"eve\"", 1);
    fs::write(&altered, lines).expect("events");
    assert_eq!(of(&altered).0, Some(1));
    assert!(go(&altered).contains("the root is"));
}

#[test]
fn one_certificate_is_told_from_beginning_to_end_and_the_log_is_exported() {
    let scene = Scene::ours("audit-lineage");
    let serial = issue(&scene, "shop.example.test");
    scene.server.json(["revoke", &serial]);
    let subject = format!("certificate/{serial}");
    assert_eq!(
        actions(&scene.server.json(["audit", "lineage", &subject])),
        ["certificate.intend", "certificate.issue", "certificate.revoke"]
    );
    let own = scene.server.json(["audit", "lineage", "managed/node"]);
    let told = actions(&own);
    for action in ["rotation.begin", "certificate.issue", "rotation.deploy", "rotation.prove"] {
        assert!(told.contains(&action.to_owned()), "{action}: {told:?}");
    }
    let leaf =
        own["about"].as_array().expect("subjects").iter().find_map(|of| {
            of.as_str().filter(|of| of.starts_with("certificate/")).map(str::to_owned)
        });
    let told = actions(&scene.server.json(["audit", "lineage", &leaf.expect("a certificate")]));
    assert_eq!(told.first().map(String::as_str), Some("rotation.begin"), "{told:?}");
    let (output, text) = run(&mut scene.server.command(["audit", "lineage", "managed/nothing"]));
    assert!(output.status.code() == Some(1) && text.contains("managed/nothing"), "{text}");

    let syslog = succeed(&mut scene.server.command(["audit", "export", "--format", "syslog"]));
    let revoked = syslog.lines().find(|line| line.contains("certificate.revoke")).expect("a line");
    assert!(revoked.starts_with("<110>1 20") && revoked.contains(&subject), "{revoked}");
    let ocsf = succeed(&mut scene.server.command(["audit", "export", "--format", "ocsf"]));
    let events: Vec<Value> =
        ocsf.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let revoked = events.iter().find(|e| e["unmapped"]["action"] == "certificate.revoke");
    assert_eq!(revoked.expect("an event")["type_uid"], 300_409);
}

fn issue(scene: &Scene, name: &str) -> String {
    let home = scene.directory(name);
    let mut command = scene.server.command(["issue", name, "--json"]);
    let text = succeed(command.current_dir(&home));
    let shown: Value = serde_json::from_str(&text).expect("JSON");
    shown["serial"].as_str().expect("a serial number").to_owned()
}

/// Keeps a checkpoint, and the key.
fn kept(server: &Server, home: &Path, name: &str) -> PathBuf {
    let path = home.join(name);
    let note = succeed(&mut server.command(["audit", "checkpoint", "--now"]));
    fs::write(&path, note).expect("a checkpoint");
    fs::write(home.join("key"), succeed(&mut server.command(["audit", "key"]))).expect("a key");
    path
}

fn text_of(path: &Path, line: usize) -> String {
    fs::read_to_string(path).expect("a file").lines().nth(line).expect("a line").to_owned()
}

fn number(store: &Path, sql: &str) -> i64 {
    succeed(program("sqlite3").arg(store).arg(sql)).trim().parse().expect("a number")
}

fn actions(lineage: &Value) -> Vec<String> {
    let events = lineage["items"].as_array().expect("events");
    events.iter().map(|e| e["action"].as_str().unwrap_or_default().to_owned()).collect()
}
