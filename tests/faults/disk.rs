//! Disks that are full or read-only, on disks of our own (see `node`): what was acknowledged stays,
//! what cannot be stored is refused, and when there is room again nobody has to do anything.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use instant_acme::Error;

use super::{ask, assert_says, order, register};
use crate::node::Site;
use crate::scene::Home;

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_full_disk_refuses_and_recovers_by_itself() {
    let home = Home::clear("faults-full");
    let site = Site::on_disk(&home.directory("node"), "6m");
    let node = site.start();
    let account = register(&node).await.expect("an account");
    let mut acknowledged = vec![order(&account, "before.example.test").await.expect("an order")];

    fill(&site.file("ballast"));
    let mut refused = 0;
    for i in 0..200 {
        match order(&account, &format!("n{i}.example.test")).await {
            Ok(url) => acknowledged.push(url),
            Err(Error::Api(problem)) => {
                assert_eq!(problem.status, Some(503), "{problem}");
                assert_says(&problem.to_string(), &["no space", "nothing was changed"]);
                refused += 1;
            }
            Err(other) => panic!("no answer: {other}"),
        }
        if refused > 20 {
            break;
        }
    }
    assert!(refused > 20, "the disk never became full");
    assert!(register(&node).await.is_err(), "nor is there room for an account");
    for url in &acknowledged {
        ask(&account, url).await.expect("what was acknowledged is served on a full disk");
    }
    assert_says(&node.daemon.wrote(), &["no space is left for the store"]);

    fs::remove_file(site.file("ballast")).expect("the ballast");
    acknowledged.push(order(&account, "after.example.test").await.expect("there is room again"));
    register(&node).await.expect("there is room again");
    node.daemon.kill();
    let _node = site.start();
    for url in &acknowledged {
        ask(&account, url).await.expect("what was acknowledged outlives the server");
    }
}

#[test]
fn a_start_on_a_full_disk_leaves_nothing_in_the_way_of_the_next() {
    let home = Home::clear("faults-full-start");
    let site = Site::on_disk(&home.directory("node"), "2m");
    let ballast = site.file("ballast");
    fill(&ballast);
    assert_says(&site.refused(), &["o space left", "key-encryption-key"]);
    // Room for the first steps only: it must not matter where it ends.
    for kib in [4, 8, 16, 32, 64, 128] {
        let length = fs::metadata(&ballast).expect("the ballast").len();
        let file = File::options().write(true).open(&ballast).expect("the ballast");
        file.set_len(length.saturating_sub(kib * 1024)).expect("less ballast");
        let said = site.refused();
        let full = ["o space", "see whether the disk is full"].iter().any(|w| said.contains(w));
        assert!(full, "{said}");
    }
    fs::remove_file(&ballast).expect("the ballast");
    site.start();
}

#[test]
fn a_read_only_data_directory_is_refused() {
    let home = Home::clear("faults-read-only");
    let site = Site::on_disk(&home.directory("node"), "8m");
    drop(site.start());
    let before = fs::read(site.store()).expect("the store");
    site.write_protect();
    assert_says(&site.refused(), &["Read-only file system", "you may write", "--data-dir"]);
    assert_eq!(fs::read(site.store()).expect("the store"), before);
}

/// Fills the disk to the last octet.
fn fill(ballast: &Path) {
    let mut file = File::create(ballast).expect("ballast");
    for size in [64 * 1024, 4096, 1] {
        while file.write_all(&vec![0; size]).is_ok() {}
    }
}
