//! Looks at a version of a CA outside, on virtual time: when it is asked, what is believed, and what
//! follows.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

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

#[tokio::test]
async fn a_responder_is_asked_where_there_is_no_list_and_by_the_real_openssl_it_is_answered() {
    let port = TcpListener::bind(("127.0.0.1", 0)).expect("a port").local_addr();
    let port = port.expect("an address").port();
    let now = Timestamp::from_second(Timestamp::now().as_second()).expect("today");
    let outside = Outside::issuing(now, &[format!("http://127.0.0.1:{port}/")]);
    outside.server.answers(Answer::Status("404 Not Found"));
    let stage = Stage::new(&outside).await;
    let responder = Responder::start(&outside, &stage.node.config.data_dir, port, "V\t");
    stage.work().await;
    assert_eq!((stage.revoked_at(), stage.causes()), (None, Vec::new()));
    assert!(responder.log().contains("Received request"), "{}", responder.log());
    drop(responder);
    let revoked = "R\t260101000000Z,keyCompromise";
    let responder = Responder::start(&outside, &stage.node.config.data_dir, port, revoked);
    stage.pass(SignedDuration::from_hours(12));
    stage.work().await;
    assert_eq!(stage.revoked_at(), "2026-01-01T00:00:00Z".parse().ok(), "{}", responder.log());
    assert_eq!(stage.causes(), [Cause::Revoked]);
}

/// A real `openssl ocsp` that answers for the CA outside.
struct Responder {
    child: Child,
    log: PathBuf,
}

impl Responder {
    /// Starts one; `line` is how the index of `openssl ca` begins with status and revocation.
    fn start(outside: &Outside, directory: &Path, port: u16, line: &str) -> Self {
        let write = |name: &str, text: String| {
            let path = directory.join(name);
            std::fs::write(&path, text).expect("written");
            path
        };
        let (status, revoked) = line.split_once('\t').expect("two fields");
        let serial = outside.leaf.serial().to_string().to_uppercase();
        let line = format!("{status}\t361231235959Z\t{revoked}\t{serial}\tunknown\t/CN=a\n");
        let [index, ca, key] = [
            write("index", line),
            write("ca.pem", outside.issuer().pem()),
            write("ca.key", outside.key_pem()),
        ];
        let log = write("responder.log", String::new());
        let out = std::fs::File::create(&log).expect("a log");
        let child = Command::new("openssl")
            .args(["ocsp", "-ndays", "7", "-port", &port.to_string(), "-index"])
            .arg(index)
            .arg("-CA")
            .arg(&ca)
            .arg("-rsigner")
            .arg(&ca)
            .arg("-rkey")
            .arg(key)
            .stdout(out.try_clone().expect("a log"))
            .stderr(out)
            .spawn()
            .expect("openssl is needed: apt-get install openssl");
        let responder = Self { child, log };
        let begun = Instant::now();
        // A connection that asks nothing would keep it from all others.
        while !responder.log().contains("waiting for OCSP client connections") {
            assert!(begun.elapsed() < Duration::from_secs(20), "{}", responder.log());
            std::thread::sleep(Duration::from_millis(20));
        }
        responder
    }

    fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
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
        let (node, clock) = crate::node::tests::node_at(outside.at.as_second()).await;
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
            obtained_at: outside.at,
            proven_at: Some(outside.at),
            retired_at: None,
            revoked_at: None,
        };
        change(&mut version);
        let row = Managed { current: Some(1), newest: 1, due_at: Some(outside.at), ..row };
        let commit = Commit::new(Event::new("test", "rotation.proven", "managed/shop"));
        stage.node.store.commit(commit.put(row).put(version), outside.at).await.expect("stored");
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
