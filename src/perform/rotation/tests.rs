//! Rotations on virtual time, to targets that are directories: every step lost, or done and not
//! recorded; failures, rollbacks and emergencies. Real servers are in the tests from outside.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jiff::SignedDuration;
use renew::Phase;
use renew::need::Wish;

use crate::catalog::parse;
use crate::node::Node;
use crate::perform::known::{self, Known};
use crate::perform::{establish, managed, revocation};
use crate::store::{Commit, Event, Managed, PlacementRow, RotationRow};
use crate::worker::start_due;

#[tokio::test]
async fn the_canary_is_proven_before_the_others_are_touched() {
    let stage = Stage::new("").await;
    stage.work().await;
    let rotation = stage.rotations()[0].id;
    let events = stage.node.store.events_of_rotation(rotation).await.expect("a read");
    let deployed: Vec<_> = events
        .iter()
        .filter(|event| event.action == "rotation.deploy")
        .map(|event| event.detail.as_ref().expect("detail")["targets"].to_string())
        .collect();
    assert_eq!(deployed, [r#"["b"]"#, r#"["a"]"#, r#"["c"]"#]);
    assert_eq!(stage.served(), [Some(1); 3]);
    assert_eq!(stage.held(), vec![stage.leaf(1); 3]);
}

#[tokio::test]
async fn a_year_of_renewals_never_lapses_and_keeps_what_it_promises_to_keep() {
    let stage = Stage::new("").await;
    let begun = stage.node.world.now();
    let year = SignedDuration::from_hours(365 * 24);
    while stage.node.world.now() < begun + year {
        stage.work().await;
        let known = stage.known();
        let current = known.version(known.row.current).expect("a version is served");
        assert!(stage.node.world.now() < current.not_after, "it lapsed");
        assert_eq!(stage.held(), vec![current.fingerprint; 3]);
        stage.pass(SignedDuration::from_hours(24));
    }
    let known = stage.known();
    // 90 days, renewed at 57 to 60.
    assert!((7..=8).contains(&known.row.newest), "{} versions", known.row.newest);
    assert_eq!(known.versions.len(), 5, "as many as are kept");
    let retired = known.versions.iter().filter(|version| version.retired_at.is_some());
    assert_eq!(retired.count(), 4);
}

#[tokio::test]
async fn a_canary_that_fails_is_rolled_back_and_nobody_else_is_touched() {
    let stage = Stage::new("").await;
    stage.work().await;
    stage.break_target("b");
    stage.wish(Wish::Renew).await;
    stage.work().await;
    let known = stage.known();
    assert_eq!((known.row.current, known.row.newest), (Some(1), 2));
    assert_eq!(stage.given("a"), Some(1), "it is not the canary");
    assert_eq!(stage.rotations()[0].phase, Phase::Reverting, "the canary cannot be put back yet");

    stage.mend_target("b");
    stage.pass(SignedDuration::from_mins(2));
    stage.work().await;
    assert_eq!(stage.rotations()[0].phase, Phase::Failed);
    assert_eq!(stage.known().row.failures, 1);
    assert_eq!(stage.held(), vec![stage.leaf(1); 3]);

    stage.pass(SignedDuration::from_mins(2));
    stage.work().await;
    let known = stage.known();
    assert_eq!((known.row.current, known.row.newest), (Some(2), 2), "what was obtained is used");
    assert_eq!(stage.held(), vec![stage.leaf(2); 3]);
    assert_eq!(known.row.failures, 0);
}

#[tokio::test]
async fn a_target_that_is_away_when_time_is_short_holds_up_nobody_and_is_not_forgotten() {
    let stage = Stage::new("").await;
    let hook = stage.targets.with_extension("hook");
    std::os::unix::fs::symlink("/bin/true", &hook).expect("a hook");
    let hooked = stage.declared("", &["d", "a", "b", "c"]).replace(
        &format!("kind = \"files\"\ndirectory = {:?}\n", stage.targets.join("d")),
        &format!("kind = \"exec\"\ncommand = [{hook:?}]\n"),
    );
    stage.apply(&hooked).await;
    stage.work().await;
    assert_eq!(stage.placement("d").and_then(|placement| placement.serves), Some(1));

    // It was down for the last month, and so was this.
    std::fs::remove_file(&hook).expect("removed");
    stage.pass(SignedDuration::from_hours(24 * 87));
    stage.work().await;
    assert_eq!(stage.held(), vec![stage.leaf(2); 3], "the others have it");
    let waits = stage.rotations()[0].clone();
    assert_eq!((waits.phase, waits.attempts), (Phase::Deploying, 1));
    assert!(waits.error.expect("it says why").starts_with("d: cannot run"));
    assert_eq!(stage.known().row.current, Some(1), "it is not proven everywhere");

    stage.wish(Wish::Renew).await;
    managed::begin(&stage.node, waits.id);
    stage.work().await;
    let asked = stage.rotations()[0].clone();
    assert_ne!(asked.id, waits.id, "who asks does not wait for the next try");
    assert_eq!((asked.to, asked.attempts), (Some(2), 1), "nor is another version obtained");

    std::os::unix::fs::symlink("/bin/true", &hook).expect("a hook");
    stage.pass(SignedDuration::from_mins(1));
    stage.work().await;
    assert_eq!(stage.known().row.current, Some(2));
    assert_eq!(stage.placement("d").and_then(|placement| placement.serves), Some(2));
}

#[tokio::test]
async fn an_older_version_is_put_back_by_hand_and_stays() {
    let stage = Stage::new("").await;
    stage.work().await;
    stage.wish(Wish::Renew).await;
    stage.work().await;
    stage.wish(Wish::RollBack { to: 1 }).await;
    stage.work().await;
    assert_eq!(stage.held(), vec![stage.leaf(1); 3]);
    for _ in 0..10 {
        stage.pass(SignedDuration::from_hours(24));
        stage.work().await;
    }
    assert_eq!(stage.known().row.current, Some(1), "it is not rolled forward again");
}

#[tokio::test]
async fn an_emergency_replaces_proves_and_then_revokes() {
    let stage = Stage::new("reuse_key = true\n").await;
    stage.work().await;
    let old = stage.known().versions[0].clone();
    stage.wish(Wish::Emergency { reason: "keyCompromise".into() }).await;
    stage.work().await;
    let known = stage.known();
    assert_eq!(known.row.current, Some(2));
    let key = |version| known::leaf(version).expect("a leaf").spki().to_vec();
    assert_ne!(key(&known.versions[0]), key(&old), "a new key, whatever is declared");
    assert!(known.version(Some(1)).expect("kept").revoked_at.is_some());
    let issued = known::issued_here(&stage.node, &old).expect("a read").expect("a row");
    assert!(issued.revoked.is_some(), "the authority knows");
}

#[tokio::test]
async fn a_version_that_its_authority_revoked_is_replaced_at_once_with_another_key() {
    let stage = Stage::new("reuse_key = true\n").await;
    stage.work().await;
    let old = stage.known().versions[0].clone();
    let row = known::issued_here(&stage.node, &stage.known().versions[0]);
    let row = row.expect("a read").expect("issued here");
    let event = Event::new("test", "certificate.revoke", "test");
    let reason = ca::RevocationReason::KeyCompromise;
    revocation::revoke(&stage.node, event, row, reason, true).await.expect("revoked");
    stage.work().await;
    assert_eq!(stage.known().row.current, Some(2));
    assert_eq!(stage.held(), vec![stage.leaf(2); 3]);
    let key = |version| known::leaf(version).expect("a leaf").spki().to_vec();
    assert_ne!(key(&stage.known().versions[0]), key(&old), "whatever is declared");
}

#[tokio::test]
async fn a_changed_declaration_is_followed_and_an_added_target_served() {
    let stage = Stage::new("").await;
    stage.work().await;
    stage.apply(&stage.declared("", &["a", "b", "c", "d"])).await;
    stage.work().await;
    assert_eq!(stage.known().row.current, Some(1), "the same version does");
    assert_eq!(stage.leaf_in("d"), Some(stage.leaf(1)));
    let more = stage
        .declared("", &["a", "b", "c", "d"])
        .replace("\"shop.", "\"www.shop.example.com\", \"shop.");
    stage.apply(&more).await;
    stage.work().await;
    assert_eq!(stage.known().row.current, Some(2));
    assert_eq!(stage.held(), vec![stage.leaf(2); 3]);
}

#[tokio::test]
async fn files_that_somebody_replaced_are_noticed_and_where_wanted_put_back() {
    let stage = Stage::new("").await;
    stage.work().await;
    let file = stage.targets.join("a/current/tls.crt");
    std::fs::remove_file(&file).expect("removed");
    stage.pass(SignedDuration::from_hours(2));
    stage.work().await;
    let drifted = stage.placement("a").expect("placed");
    assert_eq!(drifted.error.as_deref(), Some("it holds no certificate"));
    assert_eq!(drifted.serves, Some(1));
    assert!(!file.exists(), "nobody asked for it to be put back");

    let mends = stage.declared("", &["a", "b", "c"]).replace("\"files\"", "\"files\"\nmend = true");
    stage.apply(&mends).await;
    stage.work().await;
    stage.pass(SignedDuration::from_hours(2));
    stage.work().await;
    assert_eq!(stage.held(), vec![stage.leaf(1); 3]);
    assert_eq!(stage.placement("a").expect("placed").error, None);
}

#[tokio::test]
async fn a_crash_at_any_commit_loses_nothing_and_repeats_nothing_that_shows() {
    for lost in [true, false] {
        for at in 0.. {
            let stage = Stage::new("").await;
            stage.work().await;
            stage.wish(Wish::Renew).await;
            stage.node.store.crash_after(at, lost);
            stage.work().await;
            stage.pass(SignedDuration::from_hours(2));
            stage.work().await;
            let died = stage.node.store.recover();
            for _ in 0..4 {
                stage.pass(SignedDuration::from_mins(30));
                stage.work().await;
            }
            let known = stage.known();
            let why = format!("commit {at}, {}", if lost { "lost" } else { "unacknowledged" });
            assert_eq!(known.row.current, Some(2), "{why}");
            assert_eq!(known.row.newest, 2, "{why}: a version too many was obtained");
            assert_eq!(stage.held(), vec![stage.leaf(2); 3], "{why}");
            assert!(known.version(Some(1)).expect("kept").retired_at.is_some(), "{why}");
            assert!(stage.rotations().iter().all(|row| row.phase.is_over()), "{why}");
            if !died {
                assert!(at > 8, "{at} commits are too few to have seen every step");
                break;
            }
        }
    }
}

#[tokio::test]
async fn what_is_declared_makes_the_worker_hurry() {
    let stage = Stage::new("").await;
    let hurries = async || {
        let hurry = stage.node.steps.hurried();
        tokio::time::timeout(Duration::from_millis(1), hurry).await.is_ok()
    };
    assert!(hurries().await);
    assert!(!hurries().await, "once");
    stage.apply(&stage.declared("key = \"p384\"\n", &["a", "b", "c"])).await;
    assert!(hurries().await);
}

/// A node with one managed certificate, on three targets that are directories.
struct Stage {
    node: Arc<Node>,
    clock: Arc<AtomicI64>,
    targets: PathBuf,
}

impl Stage {
    async fn new(more: &str) -> Self {
        let (node, clock) = crate::node::tests::node().await;
        let targets = node.config.data_dir.join("targets");
        let stage = Self { node, clock, targets };
        stage.apply(&stage.declared(more, &["a", "b", "c"])).await;
        stage
    }

    fn declared(&self, more: &str, targets: &[&str]) -> String {
        let mut text = format!(
            "[[certificate]]\nname = \"shop\"\nnames = [\"shop.example.com\"]\n{more}\
             targets = {targets:?}\ncanary = [\"b\"]\nwave = 1\n"
        );
        for name in targets {
            let directory = self.targets.join(name);
            text += &format!(
                "[[target]]\nname = {name:?}\nkind = \"files\"\ndirectory = {directory:?}\n"
            );
        }
        text
    }

    async fn apply(&self, text: &str) {
        let wanted = parse([("a.toml", text)]).expect("parses");
        let standing = establish::declared(&self.node).await.expect("readable");
        standing.clone().with(&wanted).check().expect("it makes sense");
        let catalog = establish::apply(&self.node, "admin", &standing, &wanted).await;
        self.node.catalog.replace(catalog.expect("stands"));
        managed::enlist(&self.node, "admin").await.expect("enlisted");
    }

    async fn wish(&self, wish: Wish) {
        let now = self.node.world.now();
        let row = Managed { wish: Some(wish), due_at: Some(now), ..self.known().row };
        let event = Event::new("test", "certificate.renew", "managed/shop");
        self.node.store.commit(Commit::new(event).put(row), now).await.expect("stored");
    }

    /// What the worker does until nothing is due.
    async fn work(&self) {
        for _ in 0..4 {
            start_due(&self.node);
            self.node.steps.rest(Duration::from_secs(20)).await;
        }
    }

    fn pass(&self, time: SignedDuration) {
        self.clock.fetch_add(time.as_secs(), Ordering::SeqCst);
    }

    fn known(&self) -> Known {
        let row = self.node.store.managed_by_name("shop").expect("a read").expect("enlisted");
        Known::of(&self.node, row).expect("a read")
    }

    /// Newest first.
    fn rotations(&self) -> Vec<RotationRow> {
        self.node.store.rotations(self.known().row.id, 100).expect("a read")
    }

    fn placement(&self, target: &str) -> Option<PlacementRow> {
        self.known().placements.into_iter().find(|placement| placement.target == target)
    }

    fn given(&self, target: &str) -> Option<u32> {
        self.placement(target)?.given
    }

    fn served(&self) -> [Option<u32>; 3] {
        ["a", "b", "c"].map(|target| self.placement(target)?.serves)
    }

    /// The leaf of a version.
    fn leaf(&self, number: u32) -> [u8; 32] {
        self.known().version(Some(number)).expect("kept").fingerprint
    }

    /// The leaves that the targets hold.
    fn held(&self) -> Vec<[u8; 32]> {
        ["a", "b", "c"].iter().map(|target| self.leaf_in(target).expect("a leaf")).collect()
    }

    fn leaf_in(&self, target: &str) -> Option<[u8; 32]> {
        let file = self.targets.join(target).join("current/tls.crt");
        let text = std::fs::read_to_string(file).ok()?;
        Some(ca::Certificate::from_pem(&text).ok()?.first()?.fingerprint())
    }

    /// Nothing can be put there any more.
    fn break_target(&self, target: &str) {
        let (place, aside) = self.places(target);
        std::fs::rename(&place, &aside).expect("moved");
        std::fs::write(&place, "no directory").expect("written");
    }

    fn mend_target(&self, target: &str) {
        let (place, aside) = self.places(target);
        std::fs::remove_file(&place).expect("removed");
        std::fs::rename(&aside, &place).expect("moved back");
    }

    fn places(&self, target: &str) -> (PathBuf, PathBuf) {
        let place: &Path = &self.targets.join(target);
        (place.to_owned(), place.with_extension("aside"))
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.node.config.data_dir);
    }
}
