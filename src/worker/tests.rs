//! Steps that were lost, or done and not acknowledged, and virtual months of nothing but time. The
//! store is real, the clock is not.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use acme::authorization::{AuthorizationStatus, Phase as AuthorizationPhase};
use acme::challenge::{self, ChallengeType, KeyAuthorization};
use acme::jwk::Jwk;
use acme::order::{OrderStatus, Phase};
use ca::issue::Request;
use ca::{Identifier, KeyAlgorithm, MemorySigner, Signer};
use jiff::{SignedDuration, Timestamp};

use super::{Subject, perform, start_due, start_housekeeping};
use crate::catalog::Catalog;
use crate::node::Node;
use crate::node::tests::{own_row, present};
use crate::perform::issuance::{Commission, Intent};
use crate::steps::{Asker, Busy, MAX_STEPS, Steps};
use crate::store::{
    Account, Authorization, CertificatePhase, CertificateRow, Commit, Event, Order, Row, Store,
};

#[tokio::test]
async fn validations_that_last_hold_up_no_issuance() {
    let worker = Steps::new();
    for id in 0..i64::try_from(MAX_STEPS).expect("few") {
        let claim = worker.claim_validation(id, id, Asker::Worker).expect("there is room");
        claim.run(std::future::pending::<()>());
    }
    assert_eq!(worker.claim_validation(-1, -1, Asker::Worker).err(), Some(Busy::Full));
    let order = worker.start(Subject::Order(1), async {}).expect("free");
    let done = tokio::time::timeout(Duration::from_secs(5), order).await;
    done.expect("an order has room of its own").expect("no panic");
}

#[tokio::test]
async fn every_tick_is_timed() {
    let bench = Bench::new().await;
    let (end, drain) = tokio::sync::watch::channel(false);
    let worker = tokio::spawn(super::run(Arc::clone(&bench.node), drain));
    let timed = async {
        while !bench.node.metrics.render(&[]).contains("perennial_tick_seconds_count 1\n") {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), timed).await.expect("a tick");
    end.send(true).expect("it listens");
    worker.await.expect("no panic");
}

#[tokio::test]
async fn an_order_whose_signing_was_interrupted_gets_another_serial_once() {
    let bench = Bench::new().await;
    let node = &bench.node;
    let (order, intent) = bench.finalized("127.0.0.1").await;
    bench.work().await;

    let done = bench.order(order.id);
    let old = bench.certificate(intent.row.id);
    let new = bench.certificate(done.certificate.expect("a certificate"));
    assert_eq!((done.phase, done.due_at), (Phase::Issued, None));
    assert_eq!((old.phase, new.phase), (CertificatePhase::Abandoned, CertificatePhase::Issued));
    assert!(old.serial != new.serial && old.der.is_none() && old.intended.is_none());
    assert!(node.store.certificate_by_serial(&old.serial).expect("a read").is_some(), "kept");
    assert_eq!(bench.events("order.redraw").await, [format!("order/{}", order.id)]);

    // The interrupted step comes to itself, and another look is taken: both change nothing.
    perform::issuance::complete(Arc::clone(node), order.clone(), intent).await;
    perform::issuance::resume(Arc::clone(node), order.id).await;
    bench.work().await;
    assert_eq!(bench.order(order.id).certificate, done.certificate);
    let issued = format!("certificate/{}", new.serial);
    let events = bench.events("certificate.issue").await;
    assert_eq!(events.iter().filter(|subject| **subject == issued).count(), 1);
    assert!(!events.contains(&format!("certificate/{}", old.serial)), "never issued");
}

#[tokio::test]
async fn an_order_that_can_never_be_resumed_ends_and_says_why() {
    let bench = Bench::new().await;
    let (order, intent) = bench.finalized("127.0.0.1").await;
    bench.node.catalog.replace(Catalog::default());
    start_due(&bench.node);
    bench.node.steps.rest(Duration::from_secs(20)).await;
    let ended = bench.order(order.id);
    assert_eq!((ended.phase, ended.due_at), (Phase::Failed, None));
    let why = ended.error.expect("why").detail;
    assert!(why.contains("make a new order"), "{why}");
    assert_eq!(bench.certificate(intent.row.id).phase, CertificatePhase::Abandoned);
    assert_eq!(bench.events("order.fail").await, [format!("order/{}", order.id)]);
}

#[tokio::test]
async fn a_validation_that_was_interrupted_is_taken_up() {
    let bench = Bench::new().await;
    let row = bench.accepted("127.0.0.1").await;
    let jwk = Jwk::parse(JWK).expect("a key");
    let proof = KeyAuthorization::new(&challenge::token(&row.token), &jwk);
    answer(&bench.listener, proof.as_str().to_owned());
    bench.work().await;
    let row = bench.authorization(row.id);
    assert!(matches!(row.phase, AuthorizationPhase::Valid { .. }), "{:?}", row.phase);
    assert_eq!(row.due_at, None);
    assert_eq!(bench.events("authorization.valid").await, [format!("authorization/{}", row.id)]);
}

#[tokio::test]
async fn a_validation_that_fails_is_tried_again_and_then_no_more() {
    let bench = Bench::new().await;
    answer(&bench.listener, "something else".into());
    let id = bench.accepted("127.0.0.1").await.id;
    let mut attempts = 0;
    while let Some(due) = bench.authorization(id).due_at {
        assert!(due <= bench.now() + SignedDuration::from_mins(5), "it waits too long");
        bench.clock.store(due.as_second() - 1, Ordering::SeqCst);
        bench.work().await;
        let before = bench.authorization(id);
        bench.clock.store(due.as_second(), Ordering::SeqCst);
        assert_eq!(before.due_at, Some(due), "not before it is due");
        bench.work().await;
        attempts += 1;
        assert!(attempts < 10, "it is never given up");
    }
    let row = bench.authorization(id);
    assert!(matches!(row.phase, AuthorizationPhase::Invalid { .. }), "{:?}", row.phase);
    assert!(attempts > 1, "it was given up at once");
}

#[tokio::test]
async fn more_due_rows_of_one_account_than_it_has_room_for_hold_up_no_other() {
    let bench = Bench::new().await;
    let steps = &bench.node.steps;
    // Validations that last: of this account, all that it may have.
    let held: Vec<_> = (-1000..0)
        .map_while(|id| steps.claim_validation(id, bench.account, Asker::Worker).ok())
        .collect();
    let first = bench.accepted("127.0.0.1").await;
    for _ in 0..300 {
        bench.accepted("127.0.0.1").await;
    }
    let other = Account { id: bench.node.store.id(), thumbprint: [2; 32], ..bench.account() };
    bench.commit("account.create", |c| c.put(Account { version: 0, ..other.clone() })).await;
    bench.pass(SignedDuration::from_secs(1));
    let row = Authorization { account: other.id, ..bench.accepted("127.0.0.1").await };
    bench
        .commit("authorization.accept", |c| c.put(Authorization { version: 1, ..row.clone() }))
        .await;
    answer(&bench.listener, "something else".into());
    start_due(&bench.node);
    drop(held);
    steps.rest(Duration::from_secs(20)).await;
    let tried = |row: &Authorization| {
        matches!(row.phase, AuthorizationPhase::Processing { attempts: 1, .. })
    };
    assert!(tried(&bench.authorization(row.id)), "the last of many is of an account with room");
    assert!(!tried(&bench.authorization(first.id)), "the account has its share");
    // What was turned away is not forgotten.
    start_due(&bench.node);
    steps.rest(Duration::from_secs(20)).await;
    assert!(tried(&bench.authorization(first.id)));
}

#[tokio::test]
async fn crls_and_the_nodes_own_certificate_never_lapse() {
    let bench = Bench::new().await;
    let node = &bench.node;
    let begun = bench.now();
    let (mut own, mut numbers) = (BTreeSet::new(), BTreeSet::new());
    let step = SignedDuration::from_hours(8);
    while bench.now() < begun + SignedDuration::from_hours(24 * 100) {
        bench.pass(step);
        bench.work().await;
        for authority in node.catalog.load().authorities.values() {
            let crl = node.store.crl(authority.id).expect("a read").expect("a CRL");
            let left = crl.next_update.duration_since(bench.now());
            assert!(left >= SignedDuration::from_hours(16), "{} left of {}", left, authority.name);
            numbers.insert((authority.id, crl.number));
        }
        let row = own_row(node);
        let life = row.not_after.duration_since(row.not_before);
        let spent = bench.now().duration_since(row.not_before);
        assert!(spent < life / 3 * 2 + step, "{spent} of {life} are spent");
        if own.insert(row.serial.to_string()) && own.len() > 1 {
            assert!(spent <= step + SignedDuration::from_hours(2), "not before its time");
        }
    }
    // 100 days in renewals of 20; CRLs of 48 hours, made anew at half their life.
    assert!((5..=7).contains(&own.len()), "{} certificates", own.len());
    assert!((180..=220).contains(&numbers.len()), "{} CRLs", numbers.len());
}

#[tokio::test]
async fn orders_expire_and_are_forgotten_a_month_later() {
    let bench = Bench::new().await;
    let day = SignedDuration::from_hours(24);
    let proven = bench.accepted("127.0.0.2").await;
    let expires_at = bench.now() + day * 7;
    let open = bench.order_row(Phase::Open, "127.0.0.2", expires_at);
    let link = Row::OrderAuthorization { order: open.id, authorization: proven.id };
    bench.commit("order.create", |c| c.put(open.clone()).put(link)).await;
    let (issued, _) = bench.finalized("127.0.0.1").await;
    bench.work().await;
    let certificate = bench.order(issued.id).certificate.expect("a certificate");
    let status = |now| open.phase.status(&[AuthorizationStatus::Pending], expires_at, now);
    assert_eq!(status(expires_at - SignedDuration::from_secs(1)), OrderStatus::Pending);
    assert_eq!(status(expires_at), OrderStatus::Invalid);

    bench.pass(day * 37);
    bench.work().await;
    assert!(bench.node.store.order(open.id).expect("a read").is_some(), "30 days are not over");
    bench.pass(SignedDuration::from_secs(1));
    bench.work().await;
    for id in [open.id, issued.id] {
        assert!(bench.node.store.order(id).expect("a read").is_none(), "it is forgotten");
    }
    assert!(bench.node.store.authorization(proven.id).expect("a read").is_none());
    assert_eq!(bench.certificate(certificate).phase, CertificatePhase::Issued, "it is inventory");
    assert_eq!(bench.events("order.create").await.len(), 1, "its history stays");
}

#[tokio::test]
async fn an_id_that_was_forgotten_is_never_given_again() {
    let bench = Bench::new().await;
    let soon = bench.now() + SignedDuration::from_mins(1);
    let last = bench.order_row(Phase::Open, "127.0.0.1", soon);
    bench.commit("order.create", |c| c.put(last.clone())).await;
    bench.pass(SignedDuration::from_hours(24 * 31));
    perform::retention::forget_ended(Arc::clone(&bench.node)).await;
    assert!(bench.node.store.order(last.id).expect("a read").is_none(), "it is forgotten");
    let reopened = Store::open(&bench.node.config.data_dir.join("perennial.db"), &bench.node.world);
    assert!(reopened.expect("the store").id() > last.id, "its audit events would be another's");
}

/// A node in a directory of its own, at a time of its own.
struct Bench {
    node: Arc<Node>,
    clock: Arc<AtomicI64>,
    account: i64,
    /// Where http-01 is asked.
    listener: TcpListener,
}

impl Bench {
    async fn new() -> Self {
        let (mut node, clock) = crate::node::tests::node().await;
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let alone = Arc::get_mut(&mut node).expect("nobody else has it yet");
        let port = listener.local_addr().expect("an address").port();
        alone.config.validation.http_port = port;
        node.catalog.replace(perform::establish::establish(&node).await.expect("a CA"));
        present(&node).await;
        perform::revocation::ensure_crls(&node).await.expect("CRLs");
        let account = crate::node::tests::account(&node).await;
        let thumbprint = Jwk::parse(JWK).expect("a key").thumbprint();
        let account = Account { version: 1, thumbprint, jwk: JWK.into(), ..account };
        let bench = Self { node, clock, account: account.id, listener };
        bench.commit("account.update", |c| c.put(account)).await;
        bench
    }

    fn now(&self) -> Timestamp {
        self.node.world.now()
    }

    fn pass(&self, time: SignedDuration) {
        self.clock.fetch_add(time.as_secs(), Ordering::SeqCst);
    }

    /// What the worker does in a minute, all of it.
    async fn work(&self) {
        start_due(&self.node);
        start_housekeeping(&self.node);
        self.node.steps.rest(Duration::from_secs(20)).await;
    }

    async fn commit(&self, action: &'static str, fill: impl FnOnce(Commit) -> Commit) {
        let commit = fill(Commit::new(Event::new("test", action, "test")));
        self.node.store.commit(commit, self.now()).await.expect("a commit");
    }

    fn order_row(&self, phase: Phase, name: &str, expires_at: Timestamp) -> Order {
        Order {
            id: self.node.store.id(),
            version: 0,
            account: self.account,
            phase,
            identifiers: vec![(&Identifier::parse(name).expect("a name")).into()],
            profile: "default".into(),
            replaces: None,
            not_before: None,
            not_after: None,
            certificate: None,
            error: None,
            created_at: self.now(),
            expires_at,
            due_at: None,
        }
    }

    /// An order as a crash leaves it between the intent and the signature; versions as stored.
    async fn finalized(&self, name: &str) -> (Order, Intent) {
        let catalog = self.node.catalog.load();
        let directory = &catalog.directories["default"];
        let signer = MemorySigner::generate(KeyAlgorithm::EcdsaP256).expect("a key");
        let commission = Commission {
            authority: &directory.authority,
            profile: &directory.profiles[0],
            account: Some(self.account),
        };
        let request = Request {
            public_key: signer.public_key(),
            identifiers: &[Identifier::parse(name).expect("a name")],
            not_before: None,
            not_after: None,
            must_staple: false,
            blocked: &self.node.blocked,
        };
        let intent = Intent::decide(&self.node, &commission, &request).expect("an intent");
        let expires_at = self.now() + SignedDuration::from_hours(24 * 7);
        let order = Order {
            certificate: Some(intent.row.id),
            due_at: Some(self.now()),
            ..self.order_row(Phase::Processing, name, expires_at)
        };
        self.commit("order.finalize", |c| c.put(intent.row.clone()).put(order.clone())).await;
        (Order { version: 1, ..order }, intent.recorded())
    }

    /// An authorization as a crash leaves it between its acceptance and its validation.
    async fn accepted(&self, name: &str) -> Authorization {
        let row = Authorization {
            id: self.node.store.id(),
            version: 0,
            account: self.account,
            identifier: Identifier::parse(name).expect("a name"),
            token: self.node.world.random(),
            phase: AuthorizationPhase::Processing {
                challenge: ChallengeType::Http01,
                accepted_at: self.now(),
                attempts: 0,
                error: None,
            },
            expires_at: self.now() + SignedDuration::from_hours(24 * 7),
            due_at: Some(self.now()),
        };
        self.commit("authorization.accept", |c| c.put(row.clone())).await;
        row
    }

    fn account(&self) -> Account {
        self.node.store.account(self.account).expect("a read").expect("an account")
    }

    fn order(&self, id: i64) -> Order {
        self.node.store.order(id).expect("a read").expect("an order").0
    }

    fn authorization(&self, id: i64) -> Authorization {
        self.node.store.authorization(id).expect("a read").expect("an authorization")
    }

    fn certificate(&self, id: i64) -> CertificateRow {
        self.node.store.certificate(id).expect("a read").expect("a certificate")
    }

    /// The subjects of all events of an action.
    async fn events(&self, action: &str) -> Vec<String> {
        let events = self.node.store.events(None, i64::MAX, 10_000).await.expect("a read");
        events.into_iter().filter(|e| e.action == action).map(|e| e.subject).collect()
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.node.config.data_dir);
    }
}

/// Answers every request for a token with `body`.
fn answer(listener: &TcpListener, body: String) {
    let listener = listener.try_clone().expect("a listener");
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.read(&mut [0; 4096]);
            let length = body.len();
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}");
            let _ = stream.write_all(head.as_bytes());
        }
    });
}

const JWK: &str =
    r#"{"crv":"Ed25519","kty":"OKP","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
