//! Looks at a version of a CA outside, on virtual time: when it is asked, what is believed, and what
//! follows.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use renew::Cause;

use crate::catalog::parse;
use crate::node::Node;
use crate::perform::known::Known;
use crate::perform::published::tests::{Answer, NOW, Outside};
use crate::perform::{establish, managed};
use crate::store::{Commit, Event, Managed, VersionRow};
use crate::worker::start_due;

#[tokio::test]
async fn a_revocation_is_noticed_within_half_a_day_and_is_the_cause_of_a_rotation() {
    let outside = Outside::new();
    outside.publish(&[]);
    let stage = Stage::new(&outside).await;
    stage.work().await;
    assert_eq!((outside.server.asked(), stage.revoked_at()), (1, None));
    assert_eq!(stage.causes(), []);

    outside.publish(&[outside.leaf.serial()]);
    stage.pass(SignedDuration::from_hours(8));
    stage.work().await;
    assert_eq!(outside.server.asked(), 1, "it is not asked all the time");
    stage.pass(SignedDuration::from_hours(4));
    stage.work().await;
    assert_eq!(outside.server.asked(), 2);
    assert_eq!(stage.revoked_at(), Some(NOW - SignedDuration::from_hours(24)));
    assert_eq!(stage.causes(), [Cause::Revoked], "and nobody waits for anything else");
}

#[tokio::test]
async fn what_is_revoked_stays_so_whatever_is_published_later() {
    let outside = Outside::new();
    outside.publish(&[]);
    let stage = Stage::with(&outside, |version| version.revoked_at = Some(NOW)).await;
    stage.work().await;
    assert_eq!((stage.revoked_at(), stage.causes()), (Some(NOW), vec![Cause::Revoked]));
    assert_eq!(outside.server.asked(), 0, "there is nothing left to learn");
}

#[tokio::test]
async fn a_list_that_says_nothing_changes_nothing() {
    let outside = Outside::new();
    let other = Outside::new();
    let serials = [outside.leaf.serial()];
    let last_month = NOW - SignedDuration::from_hours(24 * 30);
    for answer in [
        Answer::Status("404 Not Found"),
        Answer::Body(other.signed(&serials, NOW)),
        Answer::Body(outside.signed(&serials, last_month)),
    ] {
        outside.server.answers(answer);
        let stage = Stage::new(&outside).await;
        stage.work().await;
        assert_eq!((stage.revoked_at(), stage.causes()), (None, Vec::new()));
    }
    assert_eq!(outside.server.asked(), 3);
}

#[tokio::test]
async fn a_leaf_alone_one_that_has_expired_and_one_of_no_declared_issuer_are_not_asked_about() {
    let outside = Outside::new();
    outside.publish(&[outside.leaf.serial()]);
    let changes: [fn(&mut VersionRow); 3] = [
        |version| version.chain.truncate(version.chain.rfind("-----BEGIN").expect("two")),
        |version| version.not_after = NOW,
        |version| version.issuer = "former".into(),
    ];
    for change in changes {
        let stage = Stage::with(&outside, change).await;
        stage.work().await;
        assert_eq!(stage.revoked_at(), None);
    }
    assert_eq!(outside.server.asked(), 0);
}

/// A node with one version of a CA outside, whose ACME server nobody can reach.
struct Stage {
    node: Arc<Node>,
    clock: Arc<AtomicI64>,
}

impl Stage {
    async fn new(outside: &Outside) -> Self {
        Self::with(outside, |_| {}).await
    }

    async fn with(outside: &Outside, change: impl FnOnce(&mut VersionRow)) -> Self {
        let (node, clock) = crate::node::tests::node_at(NOW.as_second()).await;
        let declared = "[[issuer]]\nname = \"outside\"\ndirectory = \"https://127.0.0.1:9/\"\n\
                        [[certificate]]\nname = \"shop\"\nnames = [\"a.example.test\"]\n\
                        issuers = [\"outside\"]\n";
        let wanted = parse([("a.toml", declared)]).expect("parses");
        let standing = establish::declared(&node).await.expect("readable");
        let catalog = establish::apply(&node, "admin", &standing, &wanted).await;
        node.catalog.replace(catalog.expect("stands"));
        managed::enlist(&node, "admin").await.expect("enlisted");
        let stage = Self { node, clock };
        let row = stage.row();
        let mut version = VersionRow {
            id: stage.node.store.id(),
            version: 0,
            managed: row.id,
            number: 1,
            issuer: "outside".into(),
            chain: ca::pem_chain([&outside.leaf, outside.issuer()]),
            sealed_key: None,
            fingerprint: outside.leaf.fingerprint(),
            request: stage.node.catalog.load().certificates["shop"].request,
            not_before: outside.leaf.not_before(),
            not_after: outside.leaf.not_after(),
            renew_at: outside.leaf.not_after(),
            suggestion: None,
            obtained_at: NOW,
            proven_at: Some(NOW),
            retired_at: None,
            revoked_at: None,
        };
        change(&mut version);
        let row = Managed { current: Some(1), newest: 1, due_at: Some(NOW), ..row };
        let commit = Commit::new(Event::new("test", "rotation.proven", "managed/shop"));
        stage.node.store.commit(commit.put(row).put(version), NOW).await.expect("stored");
        stage
    }

    /// What the worker does, for two ticks.
    async fn work(&self) {
        for _ in 0..2 {
            start_due(&self.node);
            self.node.steps.rest(Duration::from_secs(20)).await;
        }
    }

    fn pass(&self, time: SignedDuration) {
        self.clock.fetch_add(time.as_secs(), Ordering::SeqCst);
    }

    fn row(&self) -> Managed {
        self.node.store.managed_by_name("shop").expect("a read").expect("enlisted")
    }

    fn revoked_at(&self) -> Option<Timestamp> {
        let known = Known::of(&self.node, self.row()).expect("a read");
        known.version(Some(1)).expect("kept").revoked_at
    }

    /// Why there were rotations.
    fn causes(&self) -> Vec<Cause> {
        let rotations = self.node.store.rotations(self.row().id, 100).expect("a read");
        rotations.into_iter().map(|rotation| rotation.cause).collect()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.node.config.data_dir);
    }
}
