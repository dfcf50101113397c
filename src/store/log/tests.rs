//! The log as it is stored: every event a leaf, whatever happens on the way; what was done to it by hand
//! is found.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use audit::{Finding, Key, Report, verify_consistency, verify_inclusion};
use serde_json::json;

use super::super::audit::Event;
use super::super::commit::{Commit, Row};
use super::super::forget::Kept;
use super::super::proofs::check_file;
use super::super::rows::Declaration;
use super::super::sqlite::{Store, tests::made_before_the_log};
use super::*;
use crate::world::World;

fn path() -> PathBuf {
    static MADE: AtomicU32 = AtomicU32::new(0);
    let made = MADE.fetch_add(1, Ordering::Relaxed);
    let path = std::env::temp_dir().join(format!("perennial-log-{}-{made}", std::process::id()));
    let _ = std::fs::remove_file(&path);
    path
}

fn key() -> Key {
    Key::new("log", &[7; 32].into()).expect("a key")
}

async fn store(events: i64) -> (Store, PathBuf) {
    let path = path();
    let store = Store::open(&path, &World::system()).expect("opens");
    // Those that wait together share a sync, in the order in which they came.
    let mut tasks = tokio::task::JoinSet::new();
    for id in 1..=events {
        let store = store.clone();
        tasks.spawn(async move { put(&store, id).await });
    }
    tasks.join_all().await;
    (store, path)
}

async fn put(store: &Store, at: i64) {
    let event = Event::new("test", "test.fill", format!("test/{at}")).with(json!({ "n": at }));
    let at = Timestamp::from_second(at).expect("a time");
    store.commit(Commit::new(event), at).await.expect("stored");
}

async fn sign(store: &Store) -> audit::Checkpoint {
    let size = store.log_counts().expect("a read").size;
    let root = store.log_root(size).expect("a read").expect("all is there");
    let checkpoint = audit::Checkpoint { origin: "log".into(), size, root };
    let commit = Commit::note_checkpoint(size, checkpoint.sign(&key()));
    store.commit(commit, Timestamp::UNIX_EPOCH).await.expect("stored");
    checkpoint
}

async fn found(store: &Store) -> Vec<Finding> {
    checked(store).await.findings
}

async fn checked(store: &Store) -> Report {
    store.check_log(key().verifier().clone()).await.expect("a read")
}

fn by_hand(path: &PathBuf, sql: &str) {
    Connection::open(path).expect("opens").execute_batch(sql).expect("done by hand");
}

#[tokio::test]
async fn every_event_is_a_leaf_and_what_is_refused_leaves_no_gap() {
    let (store, path) = store(300).await;
    let row = |name: &str| Declaration {
        id: 1,
        version: 0,
        kind: "profile".into(),
        name: name.into(),
        spec: "{}".into(),
    };
    let mut tasks = tokio::task::JoinSet::new();
    for i in 0..40 {
        let event = Event::new("test", "test.race", format!("test/{i}"));
        let (store, commit) = (store.clone(), Commit::new(event).put(row(&i.to_string())));
        tasks.spawn(async move { store.commit(commit, Timestamp::UNIX_EPOCH).await.is_ok() });
    }
    let stored = tasks.join_all().await.into_iter().filter(|stored| *stored).count();
    assert_eq!(stored, 1, "the others want an id that is taken");
    let old = sign(&store).await;
    put(&store, 302).await;
    let new = sign(&store).await;
    let report = checked(&store).await;
    assert_eq!((report.events, report.size, report.checkpoints), (302, 302, 2));
    assert!(report.findings.is_empty(), "{:?}", report.findings);
    for id in 1..=302 {
        let shown = store.log_inclusion(id, new.size).expect("a read").expect("it is there");
        let leaf = audit::leaf(shown.1.as_bytes());
        assert_eq!(verify_inclusion(leaf, shown.0, (new.size, new.root), &shown.2), Ok(()));
    }
    let proof = store.log_consistency(old.size, new.size).expect("a read").expect("both are");
    assert!(verify_consistency((old.size, old.root), (new.size, new.root), &proof).is_ok());
    assert!(store.log_inclusion(303, new.size).expect("a read").is_none());
    assert!(store.log_consistency(1, 999).expect("a read").is_none());
    std::fs::remove_file(&path).expect("clean up");
}

#[tokio::test]
async fn what_was_done_by_hand_is_found() {
    for (sql, expected) in [
        ("UPDATE event SET actor = 'nobody' WHERE id = 7", "event 7 was changed"),
        ("UPDATE event SET detail = x'00' WHERE id = 7", "event 7 was changed"),
        ("UPDATE event SET at = at + 1 WHERE id = 7", "event 7 was changed"),
        ("DELETE FROM event WHERE id = 7", "event 7 was removed"),
        ("DELETE FROM event WHERE id <= 7", "events 1 to 7 were removed"),
        (
            "UPDATE event SET id = -1 WHERE id = 7; UPDATE event SET id = 7 WHERE id = 9;
             UPDATE event SET id = 9 WHERE id = -1",
            "event 7 was reordered: it was recorded as event 9",
        ),
        (
            "INSERT INTO event SELECT 999, at, actor, action, subject, request, detail, rotation
             FROM event WHERE id = 7",
            "event 999 was inserted: it was never recorded",
        ),
        ("DELETE FROM audit_leaf WHERE position = 6", "the hashes of leaves 6 to 6 were removed"),
        ("UPDATE audit_leaf SET hash = zeroblob(32) WHERE position = 6", "event 7 was changed"),
        (
            "UPDATE audit_subtree SET hash = zeroblob(32)",
            "the hash over leaves 0 to 255 was changed",
        ),
        (
            "UPDATE audit_checkpoint SET note = replace(note, '300', '299')",
            "the checkpoint of 300 events was changed, or signed by another key",
        ),
        (
            "DELETE FROM event WHERE id > 290; DELETE FROM audit_leaf WHERE event > 290",
            "the last 10 events were removed: 300 were signed",
        ),
    ] {
        let (store, path) = store(300).await;
        sign(&store).await;
        assert_eq!(found(&store).await, [], "before {sql}");
        by_hand(&path, sql);
        let found = found(&store).await;
        assert_eq!(
            found.first().map(ToString::to_string).as_deref(),
            Some(expected),
            "{sql}: {found:?}"
        );
        std::fs::remove_file(&path).expect("clean up");
    }
}

#[tokio::test]
async fn a_store_made_before_there_were_hashes_is_hashed_when_it_is_opened_and_only_then() {
    let mut roots = Vec::new();
    for _ in 0..2 {
        let path = path();
        made_before_the_log(&path);
        by_hand(
            &path,
            "
            WITH RECURSIVE n(n) AS (SELECT 5 UNION ALL SELECT n + 1 FROM n WHERE n < 700)
            INSERT INTO event (id, at, actor, action, subject, detail)
              SELECT n, n * 10, 'admin', 'test.fill', 'test/' || n, '{\"n\":' || n || '}' FROM n",
        );
        let store = Store::open(&path, &World::system()).expect("opens");
        put(&store, 7001).await;
        let report = checked(&store).await;
        assert_eq!((report.size, report.events, report.findings.len()), (697, 697, 0));
        roots.push(report.root);
        drop(store);
        by_hand(&path, "INSERT INTO event (at, actor, action, subject) VALUES (1, 'a', 'b', 'c')");
        let store = Store::open(&path, &World::system()).expect("opens again");
        put(&store, 7002).await;
        assert_eq!(found(&store).await, [Finding::Inserted { event: 702 }]);
        std::fs::remove_file(&path).expect("clean up");
    }
    assert_eq!(roots[0], roots[1]);
}

#[tokio::test]
async fn two_processes_on_one_store_append_to_one_log() {
    let (one, path) = store(10).await;
    let other = Store::open(&path, &World::system()).expect("opens");
    for at in 0..20 {
        put(if at % 3 == 0 { &one } else { &other }, at).await;
    }
    let report = checked(&one).await;
    assert_eq!((report.size, report.events, report.findings.len()), (30, 30, 0));
    std::fs::remove_file(&path).expect("clean up");
}

#[tokio::test]
async fn what_retention_forgets_is_no_removal_and_can_still_be_built_on() {
    let (store, path) = store(300).await;
    let old = sign(&store).await;
    let kept = Timestamp::from_second(100).expect("a time");
    let up_to = store.events_ended(kept, 60).expect("a read");
    assert_eq!(up_to, Some(60));
    let kept = Kept { orders: kept, certificates: kept, events: kept };
    for limit in [60, 60, 60] {
        let events_up_to = store.events_ended(kept.events, limit).expect("a read");
        let event = Event::new("worker", "retention.forget", "node");
        let event = event.with(json!({ "events_up_to": events_up_to }));
        let row = Row::Forget { kept, events_up_to, at_most: limit };
        let at = Timestamp::from_second(1000).expect("a time");
        store.commit(Commit::new(event).put(row), at).await.expect("stored");
    }
    let report = checked(&store).await;
    assert_eq!(report.findings, []);
    assert_eq!((report.forgotten, report.events, report.size), (99, 204, 303));
    let new = sign(&store).await;
    let proof = store.log_consistency(old.size, new.size).expect("a read").expect("both are");
    assert!(verify_consistency((old.size, old.root), (new.size, new.root), &proof).is_ok());
    by_hand(&path, "DELETE FROM event WHERE id <= 101");
    assert_eq!(found(&store).await, [Finding::Removed { first: 100, last: 101 }]);
    drop(store);
    let (report, _) =
        check_file(&path, Some(key().verifier().clone()), None).expect("a read").expect("a key");
    assert_eq!(report.findings, [Finding::Removed { first: 100, last: 101 }]);
    let kept_elsewhere = Some((old.size, audit::leaf(b"another")));
    let (report, _) = check_file(&path, Some(key().verifier().clone()), kept_elsewhere)
        .expect("a read")
        .expect("a key");
    assert_eq!(report.findings[1].kind(), "rewritten", "{:?}", report.findings);
    std::fs::remove_file(&path).expect("clean up");
}

#[tokio::test]
async fn lines_are_read_page_by_page_whatever_is_among_them() {
    let (store, path) = store(100).await;
    by_hand(&path, "UPDATE event SET detail = x'00' WHERE id IN (7, 20)");
    let (mut after, mut all) = (Some(0), Vec::new());
    while let Some(last) = after {
        let page = store.log_lines(last, (0, 96), 10).await.expect("a read");
        assert!(page.0.len() <= 10);
        all.extend(page.0);
        after = page.1;
    }
    assert_eq!(all.len(), 93, "those of the seconds 1 to 95, without two");
    assert!(all[0].starts_with("{\"id\":1,\"at\":1,\"actor\":\"test\""), "{}", all[0]);
    std::fs::remove_file(&path).expect("clean up");
}
