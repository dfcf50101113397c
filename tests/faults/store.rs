//! A damaged store. At the start it is refused and left as it is for those who can mend it; met while
//! serving, it fails the requests that need it, stops all writing and ends readiness.

use std::fs;
use std::thread::sleep;
use std::time::Duration;

use rusqlite::Connection;

use super::{ask, assert_says, order, register};
use crate::node::Site;
use crate::scene::Home;

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_damaged_store_is_refused_and_left_as_it_is() {
    let home = Home::clear("faults-damage");
    let site = Site::alone(&home.directory("node"));
    let node = site.start();
    let account = register(&node).await.expect("an account");
    for i in 0..20 {
        order(&account, &format!("n{i}.example.test")).await.expect("an order");
    }
    drop(node);
    let name = site.store().display().to_string();
    let whole = fs::read(site.store()).expect("the store");
    let refuse = |what: &str, damaged: &[u8], words: &[&str]| {
        fs::write(site.store(), damaged).expect("a damaged store");
        let said = site.refused();
        assert_says(&said, &[&name, "restore a backup", "move the whole directory away"]);
        assert_says(&said, words);
        assert_eq!(fs::read(site.store()).expect("the store"), damaged, "{what}: left as it is");
    };
    let flipped = |from: usize, to: usize| {
        let mut bytes = whole.clone();
        bytes[from..to].iter_mut().for_each(|byte| *byte ^= 0xff);
        bytes
    };
    refuse("garbage header", &flipped(0, 100), &["damaged"]);
    refuse("half of it", &whole[..whole.len() / 2 / PAGE * PAGE], &["damaged"]);
    // The last page may be an index without an entry, of which nothing is lost with its end.
    let torn = whole.len() / 3 * 2 / PAGE * PAGE + 1000;
    refuse("not whole pages", &whole[..torn], &["damaged"]);
    for page in 1..whole.len() / PAGE {
        if page % 7 == 3 {
            refuse("a page", &flipped(page * PAGE, (page + 1) * PAGE), &["damaged"]);
        }
    }
    refuse("nothing left", &[], &["gone or empty", "root.pem"]);
    fs::write(site.store(), &whole).expect("the store");
    site.start();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn damage_met_while_serving_stops_all_writing() {
    let home = Home::clear("faults-run-time");
    let site = Site::alone(&home.directory("node"));
    let first = site.start();
    let account = register(&first).await.expect("an account");
    let url = order(&account, "a.example.test").await.expect("an order");
    drop(first);
    let node = site.start();
    assert_eq!(site.admin("/readyz").0, 200);
    let whole = fs::read(site.store()).expect("the store");
    let damaged: Vec<u8> =
        whole.iter().enumerate().map(|(i, b)| if i < PAGE { *b } else { !*b }).collect();
    fs::write(site.store(), &damaged).expect("damage");

    let problem = ask(&account, &url).await.expect_err("damage is not served").to_string();
    assert_says(&problem, &["the store cannot be read"]);
    let (status, body) = site.admin("/readyz");
    assert!(status == 503 && body.contains("store"), "{status} {body}");
    assert_says(&node.daemon.wrote(), &["the store is damaged", "restore a backup"]);
    assert!(register(&node).await.is_err(), "nothing is written any more");
    sleep(Duration::from_millis(1500));
    assert_eq!(site.admin("/healthz").0, 200, "it lives, to serve what can be read");
    node.daemon.kill();

    for file in ["perennial.db-wal", "perennial.db-shm"] {
        let _ = fs::remove_file(site.file(file));
    }
    fs::write(site.store(), &whole).expect("a backup");
    let _node = site.start();
    ask(&account, &url).await.expect("the order is in the backup");
}

#[test]
fn a_store_of_a_newer_version_is_refused() {
    let home = Home::clear("faults-newer");
    let site = Site::alone(&home.directory("node"));
    drop(site.start());
    let store = Connection::open(site.store()).expect("the store");
    let newer = "INSERT INTO migration (version, applied_at) VALUES (1000, 0)";
    store.execute(newer, []).expect("a newer schema");
    drop(store);
    let name = site.store().display().to_string();
    assert_says(
        &site.refused(),
        &[&name, "newer version of Perennial", "1000", "run that version"],
    );
}

const PAGE: usize = 4096;
